"""Beat jobs of the composition root."""

from celery import shared_task

from awfdrs_site import heartbeat


@shared_task
def send_heartbeat(**_: object) -> None:
    heartbeat.send()
