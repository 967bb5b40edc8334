"""Beat jobs of this app; each finds its work in rows."""

from celery import shared_task

from actions import execution, planning, verification


@shared_task
def plan_decisions(**_: object) -> None:
    planning.plan_due()


@shared_task
def run_due_actions(**_: object) -> None:
    verification.release_parked()
    execution.run_due(limit=8)


@shared_task
def verify_actions(**_: object) -> None:
    execution.rescue_lost()
    verification.verify_due()
