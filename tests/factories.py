"""Rows for tests that need some: every factory writes inside the block that may write its table."""

from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import factory
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import models
from factory.django import DjangoModelFactory

from actions.campaign_terms import Terms
from actions.models import (
    Action,
    Approval,
    ApprovalVote,
    Attempt,
    Campaign,
    CampaignRun,
    Channel,
    Delivery,
    Escalation,
    EscalationPolicy,
    EscalationStep,
    Simulation,
    Ticket,
)
from awfdrs_site.lib import clock
from awfdrs_site.lib.ids import uuid7
from events.models import IngestDelta, QuarantinedEvent
from incidents.models import (
    AffectedRun,
    Analysis,
    BulkItem,
    BulkJob,
    CategoryLabel,
    Change,
    Decision,
    Evidence,
    FixMark,
    Incident,
    MergePart,
    OutcomeRule,
    Run,
    Runbook,
    SavedView,
    StepTick,
    Undo,
)
from incidents.states import RunState
from safety.models import CircuitBreaker
from tenants import scoping
from tenants.models import Invitation, Membership, Tenant, Vendor, Workflow
from tenants.states import Idempotent, Role

PASSWORD = "correct horse battery staple"
M = TypeVar("M", bound=models.Model)


@cache
def _password_hash() -> str:
    return make_password(PASSWORD)  # once a process: a slow hash is slow on purpose


class Factory(DjangoModelFactory, Generic[M]):  # type: ignore[misc]
    """`SomeFactory(field=…)` stores a row, and the rows it refers to, in one block."""

    class Meta:
        abstract = True

    if TYPE_CHECKING:

        def __new__(cls, **fields: Any) -> M: ...  # type: ignore[misc]

    @classmethod
    def _block(cls, _fields: dict[str, Any]) -> AbstractContextManager[datetime]:
        return scoping.platform()

    @classmethod
    def _generate(cls, strategy: str, params: dict[str, Any]) -> Any:
        with cls._block(params):
            return super()._generate(strategy, params)


class TenantFactory(Factory[Tenant]):
    class Meta:
        model = Tenant

    name = factory.Sequence(lambda n: f"Tenant {n}")
    slug = factory.Sequence(lambda n: f"tenant-{n}")


class UserFactory(Factory[User]):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"person{n}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@example.org")
    password = factory.LazyFunction(_password_hash)


class MembershipFactory(Factory[Membership]):
    class Meta:
        model = Membership

    user = factory.SubFactory(UserFactory)
    role = Role.OPERATOR


class OwnedFactory(Factory[M]):
    """Rows that the application itself writes, in its tenant's block. `tenant=` is always given."""

    class Meta:
        abstract = True

    @classmethod
    def _block(cls, fields: dict[str, Any]) -> AbstractContextManager[datetime]:
        return scoping.bound(fields["tenant"].pk)


def _of_tenant(sub: type[Factory[Any]], **fields: Any) -> Any:
    return factory.SubFactory(sub, tenant=factory.SelfAttribute("..tenant"), **fields)


class InvitationFactory(OwnedFactory[Invitation]):
    class Meta:
        model = Invitation

    email = factory.Sequence(lambda n: f"guest{n}@example.org")
    role = Role.OPERATOR
    invited_by = "ann"
    created_at = factory.LazyFunction(clock.read)
    expires_at = factory.LazyAttribute(lambda invited: invited.created_at + timedelta(days=7))


class VendorFactory(OwnedFactory[Vendor]):
    class Meta:
        model = Vendor

    name = factory.Sequence(lambda n: f"vendor{n}")


class WorkflowFactory(OwnedFactory[Workflow]):
    class Meta:
        model = Workflow

    slug = factory.Sequence(lambda n: f"workflow-{n}")
    idempotent = Idempotent.KEY


class BreakerFactory(OwnedFactory[CircuitBreaker]):
    class Meta:
        model = CircuitBreaker

    vendor = _of_tenant(VendorFactory)


class IncidentFactory(OwnedFactory[Incident]):
    """Not how incidents come to be (that is the digest): for what only looks at them."""

    class Meta:
        model = Incident

    number = factory.Sequence(lambda n: 1000 + n)  # out of the way of digested ones
    title = factory.Sequence(lambda n: f"Payment failed at step {n}")
    category = "transient_error"
    workflow = _of_tenant(WorkflowFactory)
    signature = factory.Sequence(lambda n: f"{n:032x}")
    signature_version = 1
    event_count = 1
    first_seen_at = factory.LazyFunction(clock.read)
    last_seen_at = factory.SelfAttribute("first_seen_at")
    opened_at = factory.SelfAttribute("first_seen_at")


class SavedViewFactory(OwnedFactory[SavedView]):
    class Meta:
        model = SavedView

    owner = factory.SubFactory(UserFactory)
    name = factory.Sequence(lambda n: f"View {n}")
    query = "severity:>=high"
    created_at = factory.LazyFunction(clock.read)


class RunFactory(OwnedFactory[Run]):
    class Meta:
        model = Run

    workflow = _of_tenant(WorkflowFactory)
    run_id = factory.Sequence(lambda n: f"run-{n}")
    state = RunState.FAILED
    first_failed_at = factory.LazyFunction(clock.read)
    last_failed_at = factory.SelfAttribute("first_failed_at")


class AffectedRunFactory(OwnedFactory[AffectedRun]):
    """Give `incident=`; its counts are yours to set."""

    class Meta:
        model = AffectedRun

    run = factory.SubFactory(
        RunFactory,
        tenant=factory.SelfAttribute("..tenant"),
        workflow=factory.SelfAttribute("..incident.workflow"),
        incident=factory.SelfAttribute("..incident"),
    )


class ChangeFactory(OwnedFactory[Change]):
    class Meta:
        model = Change

    kind = "deploy"
    summary = factory.Sequence(lambda n: f"checkout 4.{n}")
    occurred_at = factory.LazyFunction(clock.read)
    created_at = factory.LazyFunction(clock.read)
    created_by = "test"


class AnalysisFactory(OwnedFactory[Analysis]):
    class Meta:
        model = Analysis

    incident = _of_tenant(IncidentFactory)
    event_count = 1
    analysed_at = factory.LazyFunction(clock.read)
    engine_version = "test"
    n_reports = 1


class EvidenceFactory(OwnedFactory[Evidence]):
    class Meta:
        model = Evidence

    incident = _of_tenant(IncidentFactory)
    claim = "stripe is failing"
    event_ids = factory.LazyFunction(lambda: [uuid7()])
    created_at = factory.LazyFunction(clock.read)


class CategoryLabelFactory(OwnedFactory[CategoryLabel]):
    class Meta:
        model = CategoryLabel

    incident = _of_tenant(IncidentFactory)
    category = "vendor_error"
    features = factory.LazyFunction(list)
    created_at = factory.LazyFunction(clock.read)
    created_by = "test"


class FixMarkFactory(OwnedFactory[FixMark]):
    class Meta:
        model = FixMark

    incident = _of_tenant(IncidentFactory)
    choice = "retry"
    worked = True
    created_at = factory.LazyFunction(clock.read)
    created_by = "test"


class UndoFactory(OwnedFactory[Undo]):
    class Meta:
        model = Undo

    incident = _of_tenant(IncidentFactory)
    verb = "acknowledge"
    before = factory.LazyFunction(dict)
    after = factory.LazyFunction(dict)
    at = factory.LazyFunction(clock.read)


class MergePartFactory(OwnedFactory[MergePart]):
    class Meta:
        model = MergePart

    step = _of_tenant(UndoFactory)
    incident = _of_tenant(IncidentFactory)


class RunbookFactory(OwnedFactory[Runbook]):
    class Meta:
        model = Runbook

    workflow = _of_tenant(WorkflowFactory)
    text = "- [ ] Look at the queue"
    written_by = "test"
    written_at = factory.LazyFunction(clock.read)


class StepTickFactory(OwnedFactory[StepTick]):
    class Meta:
        model = StepTick

    incident = _of_tenant(IncidentFactory)
    step = "5eed" * 8
    text = "Look at the queue"
    ticked_by = "test"
    ticked_at = factory.LazyFunction(clock.read)


class BulkJobFactory(OwnedFactory[BulkJob]):
    class Meta:
        model = BulkJob

    verb = "acknowledge"
    actor_label = "test"
    created_at = factory.LazyFunction(clock.read)


class BulkItemFactory(OwnedFactory[BulkItem]):
    class Meta:
        model = BulkItem

    job = _of_tenant(BulkJobFactory)
    incident = _of_tenant(IncidentFactory)


class OutcomeRuleFactory(OwnedFactory[OutcomeRule]):
    class Meta:
        model = OutcomeRule

    event_type = "payment.retrying"
    outcome = "failure"
    reason = "test"
    created_by = "test"
    created_at = factory.LazyFunction(clock.read)


class DecisionFactory(OwnedFactory[Decision]):
    class Meta:
        model = Decision

    incident = _of_tenant(IncidentFactory)
    kind = "rule_based"
    choice = "retry"
    category = "transient_error"
    confidence = 0.95
    reasons = factory.LazyFunction(lambda: ["code payment_timeout"])
    inputs = factory.LazyFunction(dict)
    rules = factory.LazyFunction(dict)
    gates = factory.LazyFunction(list)
    engine_version = "test"
    input_hash = "0" * 64
    correlation_id = "test"
    created_at = factory.LazyFunction(clock.read)


class ActionFactory(OwnedFactory[Action]):
    class Meta:
        model = Action

    action_type = "retry"
    dedupe_key = factory.Sequence(lambda n: f"test:{n}")
    incident = _of_tenant(IncidentFactory)
    workflow = factory.SelfAttribute("incident.workflow")
    attempts_max = 3
    requested_by = "test"
    correlation_id = "test"
    created_at = factory.LazyFunction(clock.read)
    run_at = factory.SelfAttribute("created_at")


class AttemptFactory(OwnedFactory[Attempt]):
    class Meta:
        model = Attempt

    action = _of_tenant(ActionFactory)
    number = 1
    lease_token = 1
    started_at = factory.LazyFunction(clock.read)


class ApprovalFactory(OwnedFactory[Approval]):
    class Meta:
        model = Approval

    incident = _of_tenant(IncidentFactory)
    terms_hash = factory.Sequence(lambda n: f"{n:064x}")
    requested_by = "AWFDRS"
    created_at = factory.LazyFunction(clock.read)
    expires_at = factory.LazyAttribute(lambda asked: asked.created_at + timedelta(hours=24))


class ApprovalVoteFactory(OwnedFactory[ApprovalVote]):
    class Meta:
        model = ApprovalVote

    approval = _of_tenant(ApprovalFactory)
    actor_id = factory.Sequence(str)
    actor_label = "ann"
    is_for = True
    at = factory.LazyFunction(clock.read)


class CampaignFactory(OwnedFactory[Campaign]):
    class Meta:
        model = Campaign

    incident = _of_tenant(IncidentFactory)
    parameters = factory.LazyFunction(lambda: Terms().as_json())
    plan = factory.LazyFunction(
        lambda: {"ineligible": {}, "stages": [], "calls": {}, "vendors": []}
    )
    plan_hash = "0" * 64
    requested_by = "test"
    correlation_id = "test"
    created_at = factory.LazyFunction(clock.read)


class CampaignRunFactory(OwnedFactory[CampaignRun]):
    class Meta:
        model = CampaignRun

    campaign = _of_tenant(CampaignFactory)
    run = _of_tenant(RunFactory)
    place = factory.Sequence(int)
    state = "eligible"


class ChannelFactory(OwnedFactory[Channel]):
    class Meta:
        model = Channel

    name = factory.Sequence(lambda n: f"channel {n}")
    kind = "webhook"
    url = "https://hooks.example.org/awfdrs"


class DeliveryFactory(OwnedFactory[Delivery]):
    class Meta:
        model = Delivery

    kind = "triggered"
    dedupe_key = factory.Sequence(lambda n: f"test:{n}")
    channel = _of_tenant(ChannelFactory)
    incident = _of_tenant(IncidentFactory)
    subject = "INC-1 high: Payment failed"
    text = "Payment failed."
    created_at = factory.LazyFunction(clock.read)
    due_at = factory.SelfAttribute("created_at")
    expires_at = factory.LazyAttribute(lambda told: told.created_at + timedelta(hours=24))


class EscalationPolicyFactory(OwnedFactory[EscalationPolicy]):
    class Meta:
        model = EscalationPolicy

    name = factory.Sequence(lambda n: f"policy {n}")


class EscalationStepFactory(OwnedFactory[EscalationStep]):
    class Meta:
        model = EscalationStep

    policy = _of_tenant(EscalationPolicyFactory)
    position = factory.Sequence(int)
    channel = _of_tenant(ChannelFactory)


class EscalationFactory(OwnedFactory[Escalation]):
    class Meta:
        model = Escalation

    action = _of_tenant(ActionFactory, action_type="escalate")
    incident = factory.SelfAttribute("action.incident")
    started_at = factory.LazyFunction(clock.read)


class QuarantinedEventFactory(OwnedFactory[QuarantinedEvent]):
    """An event that lacks nothing but a proper type."""

    class Meta:
        model = QuarantinedEvent

    received_at = factory.LazyFunction(clock.read)
    code = "validation_failed"
    reason = "event_type: format"
    detail = "The content is not valid."
    body = b'{"workflow":"checkout","event_type":"!","payload":{},"occurred_at":"2026-01-19T10:00:00Z"}'
    n_bytes = factory.LazyAttribute(lambda kept: len(kept.body))
    correlation_id = "corr-1"


class IngestDeltaFactory(OwnedFactory[IngestDelta]):
    class Meta:
        model = IngestDelta

    api_key_id = factory.LazyFunction(uuid7)
    hour = factory.LazyFunction(lambda: clock.read().replace(minute=0, second=0, microsecond=0))
    received = accepted = 1
    replayed = quarantined = limited = refused = 0


class TicketFactory(OwnedFactory[Ticket]):
    class Meta:
        model = Ticket

    incident = _of_tenant(IncidentFactory)
    channel = _of_tenant(ChannelFactory, kind="github")
    created_at = factory.LazyFunction(clock.read)


def _nothing_differs() -> dict[str, Any]:
    none: dict[str, Any] = {"before": 0, "after": 0, "n_added": 0, "n_removed": 0}
    none |= {"added": [], "removed": []}
    same = {"is_same": True, "incidents": 0, "attempts": 0, "differences": []}
    kinds = ("incidents", "attempts", "notifications", "approvals")
    lists = {"severities": {"count": 0, "moved": []}, "vendors": [], "assumptions": ["None."]}
    return {"is_empty": True, "baseline": same, **dict.fromkeys(kinds, none), **lists}


class SimulationFactory(OwnedFactory[Simulation]):
    class Meta:
        model = Simulation

    change = factory.LazyFunction(lambda: {"rules": [], "outcome_rule": None})
    assumed = "as_observed"
    since = factory.LazyAttribute(lambda tried: tried.until - timedelta(days=7))
    until = factory.SelfAttribute("created_at")
    n_events = 0
    state = "done"
    result = factory.LazyFunction(_nothing_differs)
    actor_label = "test"
    created_at = factory.LazyFunction(clock.read)
    expires_at = factory.LazyAttribute(lambda tried: tried.created_at + timedelta(hours=1))
