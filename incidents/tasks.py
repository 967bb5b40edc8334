"""Beat jobs of this app; each finds its work in rows."""

from celery import shared_task

from incidents import decisions, detection


@shared_task
def digest_events(**_: object) -> None:
    while detection.digest() == detection.BATCH:
        pass


@shared_task
def decide_incidents(**_: object) -> None:
    decisions.decide_due()
