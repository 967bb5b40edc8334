"""Two tenants with one of everything in each, for tests that compare own, foreign and unknown."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from actions import approvals, by_hand
from actions.models import Action
from actions.states import ActionType, Status
from incidents import bulk, bulk_work, lifecycle, undo
from incidents.models import Incident
from incidents.states import Status as IncidentStatus
from safety import killswitch
from tenants import scoping
from tenants.journal import SYSTEM, Actor
from tenants.models import JournalEntry, Tenant
from tests.api.access_table import MERGEABLE, MERGED_SIGNATURE
from tests.cast import event, submit
from tests.factories import (
    ActionFactory,
    AffectedRunFactory,
    CampaignFactory,
    DecisionFactory,
    DeliveryFactory,
    EvidenceFactory,
    IncidentFactory,
    QuarantinedEventFactory,
    RunbookFactory,
    RunFactory,
    SimulationFactory,
    VendorFactory,
    WorkflowFactory,
)


@dataclass(frozen=True)
class Things:
    """The ids of what one tenant has, by the names that the access table uses."""

    tenant: Tenant
    ids: dict[str, UUID]

    def __getitem__(self, name: str) -> UUID:
        return self.ids[name]


def one_of_everything(tenant: Tenant, word: str) -> Things:
    """`word` stands in every text that people may read of it."""
    vendor = VendorFactory(tenant=tenant, name=f"{word}-vendor")
    undo_url = "https://example.org/undo"
    workflow = WorkflowFactory(tenant=tenant, slug=f"{word}-workflow", compensate_url=undo_url)
    RunbookFactory(tenant=tenant, workflow=workflow, text=f"Ask {word}.\n\n- [ ] Look at {word}")
    common: dict[str, Any] = {"tenant": tenant, "workflow": workflow, "vendor": vendor}
    incident = IncidentFactory(**common, title=f"{word} failed", error_code=word)
    closed = IncidentFactory(**common, title=f"{word} is over", status=IncidentStatus.IGNORED)
    _can_be_merged_and_split(incident)
    # a run of no incident: waiving one that an incident waits for is another test's
    run = RunFactory(tenant=tenant, workflow=workflow, run_id=f"{word}-run")
    AffectedRunFactory(tenant=tenant, incident=incident, run__run_id=f"{word}-hurt")
    decided = DecisionFactory(tenant=tenant, incident=incident, reasons=[word])
    waiting = {"tenant": tenant, "incident": incident, "vendor": vendor, "waiting_reason": word}
    pending = ActionFactory(**waiting)
    sent = ActionFactory(tenant=tenant, incident=closed, status=Status.COMPLETED)
    awaiting = ActionFactory(**waiting, status=Status.AWAITING_APPROVAL)
    # held by the switch below
    parked = ActionFactory(**waiting, status=Status.PARKED, action_type=ActionType.NOTIFY)
    reported = submit(tenant, **event(workflow=f"{word}-workflow", payload={"error_message": word}))
    with scoping.bound(tenant.pk) as now:
        switch = killswitch.activate(
            tenant_id=tenant.pk,
            scope="action_type",
            target="notify",
            reason=word,
            expires_at=None,
            by=SYSTEM,
            now=now,
        )
        reversible = by_hand.request(
            tenant_id=tenant.pk,
            action_type=ActionType.CIRCUIT_BREAKER_OPEN,
            parameters={"reason": word},
            by=SYSTEM,
            now=now,
            dedupe_key="by hand",
            vendor_id=vendor.pk,
        )
    assert reported.event_id is not None
    campaigns = {
        status: CampaignFactory(
            tenant=tenant, incident=incident, status=status, n_runs=1, pause_reason=word
        )
        for status in ("planned", "running", "paused")
    }
    told = DeliveryFactory(
        tenant=tenant, incident=incident, status="failed", subject=word, error=word
    )
    awaiting = _asked(awaiting)
    stepped = IncidentFactory(**common, title=f"{word} was escalated")
    refused = QuarantinedEventFactory(tenant=tenant, detail=word)
    return Things(
        tenant,
        {
            "incident": incident.pk,
            "closed_incident": closed.pk,
            "stepped_incident": stepped.pk,
            "bulk_job": _stepped_on(stepped, word),
            "decision": decided.pk,
            "run": run.pk,
            "pending_action": pending.pk,
            "sent_action": sent.pk,
            "awaiting_action": awaiting.pk,
            "parked_action": parked.pk,
            "approval": awaiting.approval.pk,
            "reversible_action": reversible.pk,
            "failed_delivery": told.pk,
            "event": reported.event_id,
            "evidence": EvidenceFactory(tenant=tenant, incident=incident, claim=word).pk,
            "quarantined": refused.pk,
            "simulation": SimulationFactory(tenant=tenant, error=word).pk,
            "vendor": vendor.pk,
            "workflow": workflow.pk,
            "kill_switch": switch.pk,
            **{f"{status}_campaign": one.pk for status, one in campaigns.items()},
        },
    )


def _stepped_on(incident: Incident, word: str) -> UUID:
    """Somebody has escalated it, and acknowledged it as one of many: both can be taken back."""
    by, tenant_id = Actor("user", "0", word), incident.tenant_id
    with scoping.bound(tenant_id) as now:
        said: dict[str, Any] = {"by": by, "now": now}
        undo.remembered(
            incident,
            "escalate",
            lambda row: lifecycle.escalate(row, reason=word, **said),
            **said,
        )
        rows = bulk.chosen(tenant_id, [incident.pk])
        job = bulk.ask(tenant_id, "acknowledge", rows, parameters={}, **said)
        bulk_work.work_here(job, now=now)
    return job.pk


def _asked(action: Action) -> Any:
    with scoping.bound(action.tenant_id) as now:
        approvals.ask([action], by=SYSTEM, now=now)
    return action


def _can_be_merged_and_split(incident: Incident) -> None:
    """One that may be merged into it, named as the access table's bodies do, and one that was."""
    common: dict[str, Any] = {"tenant": incident.tenant, "workflow": incident.workflow}
    named = {"pk": MERGEABLE} if incident.tenant.slug == "acme" else {}
    IncidentFactory(**common, **named, title=incident.title)
    IncidentFactory(
        **common,
        title=incident.title,
        status=IncidentStatus.RESOLVED,
        signature=MERGED_SIGNATURE,
        merged_into=incident,
        event_count=0,
    )


def lines_written(tenant: Tenant) -> int:
    """Every change writes a line: as many as before means that nothing changed."""
    with scoping.bound(tenant.pk):
        return int(JournalEntry.objects.for_tenant(tenant).count())
