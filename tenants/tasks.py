"""Beat jobs of this app."""

from celery import shared_task

from tenants import sealing


@shared_task
def seal_journal(**_: object) -> None:
    sealing.seal_due()
