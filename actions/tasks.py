"""Beat jobs of this app; each finds its work in rows."""

from celery import shared_task

from actions import (
    approval_sweeps,
    campaign_stages,
    escalation_audit,
    escalation_sweeps,
    escalations,
    execution,
    outbox,
    outlook,
    planning,
    probing,
    releasing,
    simulation_work,
    tickets,
    verification,
)
from incidents import quiet, storms


@shared_task
def plan_decisions(**_: object) -> None:
    planning.plan_due()


@shared_task
def run_due_actions(**_: object) -> None:
    releasing.release_parked()
    execution.run_due(limit=8)


@shared_task
def advance_campaigns(**_: object) -> None:
    campaign_stages.advance_due()


@shared_task
def ask_unknown(**_: object) -> None:
    probing.ask_due(limit=4)


@shared_task
def advance_escalations(**_: object) -> None:
    escalations.advance_due()


@shared_task
def audit_escalations(**_: object) -> None:
    escalation_sweeps.tell_of_escalated()
    escalation_audit.audit()


@shared_task
def send_deliveries(**_: object) -> None:
    outbox.send_due(limit=8)


@shared_task
def follow_tickets(**_: object) -> None:
    tickets.follow_due()


@shared_task
def verify_actions(**_: object) -> None:
    execution.rescue_lost()
    verification.verify_due()


@shared_task
def resolve_quiet_incidents(**_: object) -> None:
    quiet.resolve_quiet(has_open_actions=outlook.has_open)
    storms.settle_due()


@shared_task
def keep_approvals(**_: object) -> None:
    approval_sweeps.keep_due()


@shared_task
def run_simulations(**_: object) -> None:
    simulation_work.work_due()
