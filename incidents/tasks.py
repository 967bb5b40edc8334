"""Beat jobs of this app; each finds its work in rows."""

from uuid import UUID

from celery import shared_task

from incidents import (
    acknowledging,
    analysing,
    bulk_work,
    decisions,
    detection,
    retaining,
    snoozing,
    undo,
)


@shared_task
def digest_events(**_: object) -> None:
    while detection.digest() == detection.BATCH:
        pass


@shared_task
def decide_incidents(**_: object) -> None:
    decisions.decide_due()


@shared_task
def analyse_incidents(**_: object) -> None:
    analysing.look_due()


@shared_task
def analyse_incident(*, tenant_id: str, incident_id: str, **_: object) -> None:
    analysing.look(tenant_id=UUID(tenant_id), incident_id=UUID(incident_id))


@shared_task
def tend_triage(**_: object) -> None:
    snoozing.wake_due()
    acknowledging.end_due()
    undo.forget_old()


@shared_task
def work_bulk(**_: object) -> None:
    while bulk_work.work_due():
        pass


@shared_task
def let_old_days_go(**_: object) -> None:
    retaining.let_go()
