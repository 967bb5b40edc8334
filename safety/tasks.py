"""Beat jobs of this app."""

from celery import shared_task

from safety import sweeps


@shared_task
def reset_circuit_breakers(**_: object) -> None:
    sweeps.reset_due()
