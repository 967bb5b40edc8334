"""What tests of starts share: retries of two workflows that are due and claimed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from actions.claiming import Claim
from actions.models import Action, Attempt
from incidents.models import Incident, Run
from incidents.states import RunState
from safety import killswitch, rules
from safety.models import CircuitBreaker, VendorBucket, VendorMinute
from tenants.journal import SYSTEM
from tenants.models import JournalEntry, Tenant, Workflow
from tenants.scoping import bound
from tests.factories import (
    IncidentFactory,
    VendorFactory,
    WorkflowFactory,
)

LEASE = timedelta(minutes=5)
TOKEN = 7
N_EACH = 3  # retries of each of two workflows


class World:
    """Two workflows of one tenant, each with a vendor, and retries of both that are due and claimed."""

    def __init__(self, tenant: Tenant, now: datetime) -> None:
        self.tenant, self.now = tenant, now
        self.workflows = [self._workflow(name) for name in ("payouts", "refunds")]
        self.vendor = self.workflows[0].vendor
        self.ample()
        with bound(tenant.pk):
            runs = [self._run(self.incidents[n % 2], n, now) for n in range(2 * N_EACH)]
            Run.objects.bulk_create(runs)
            self.actions = [_retry(run, n, now) for n, run in enumerate(runs)]
            Action.objects.bulk_create(self.actions)

    def _workflow(self, name: str) -> Workflow:
        vendor = VendorFactory(tenant=self.tenant, name=f"vendor of {name}", max_in_flight=1000)
        return WorkflowFactory(
            tenant=self.tenant,
            slug=name,
            vendor=vendor,
            retry_url="https://workflow.example.org/retry",
            max_in_flight=1000,
        )

    @cached_property
    def incidents(self) -> list[Incident]:
        about = {"tenant": self.tenant, "classification": {"is_certain": True}}
        return [
            IncidentFactory(workflow=workflow, vendor=workflow.vendor, **about)
            for workflow in self.workflows
        ]

    def _run(self, incident: Incident, number: int, now: datetime) -> Run:
        return Run(
            tenant=self.tenant,
            workflow=incident.workflow,
            run_id=f"run-{number}",
            incident=incident,
            state=RunState.RETRY_SCHEDULED,
            first_failed_at=now,
            last_failed_at=now,
        )

    def rule(self, scope: str, target: str, **values: Any) -> None:
        with bound(self.tenant.pk):
            rules.override(
                tenant_id=self.tenant.pk,
                scope=scope,
                target=target,
                values={name.replace("__", "."): value for name, value in values.items()},
                reason="test",
                by=SYSTEM,
                now=self.now,
            )

    def ample(self, **but: Any) -> None:
        """The first vendor's limits hold nothing but what is said."""
        ample = {
            "rate_limit__requests_per_second": 1000,
            "rate_limit__burst_size": 1000,
            "retry_budget__floor_per_minute": 1000,
        }
        for workflow in self.workflows[: 1 if but else 2]:
            self.rule("vendor", workflow.vendor.name, **ample | but)

    def rest(self) -> None:
        """Buckets that nobody has used for an hour."""
        rested = self.now - timedelta(hours=1)
        with bound(self.tenant.pk):
            for workflow in self.workflows:
                VendorBucket.objects.create(
                    tenant=self.tenant, vendor=workflow.vendor, arrival_at=rested
                )

    def change(self, places: Sequence[int], **fields: Any) -> None:
        with bound(self.tenant.pk):
            mine = Action.objects.for_tenant(self.tenant)
            mine.filter(pk__in=[self.actions[place].pk for place in places]).update(**fields)

    def stop(self, scope: str, target: str = "") -> None:
        with bound(self.tenant.pk):
            killswitch.activate(
                tenant_id=self.tenant.pk,
                scope=scope,
                target=target,
                reason="runaway",
                expires_at=None,
                by=SYSTEM,
                now=self.now,
            )

    def claims(self) -> list[Claim]:
        return [Claim(self.tenant.pk, action.pk, TOKEN) for action in self.actions]

    def told(self) -> list[tuple[Any, ...]]:
        """What became of each, without ids."""
        with bound(self.tenant.pk):
            mine = Action.objects.for_tenant(self.tenant).select_related("run")
            by_id = {action.pk: action for action in mine}
            attempts = Attempt.objects.for_tenant(self.tenant).filter(status="started")
            epochs = dict(attempts.values_list("action_id", "breaker_epoch"))
            lines = JournalEntry.objects.for_tenant(self.tenant).filter(subject_type="action")
            verbs = set(lines.values_list("subject_id", "verb"))
        return [
            (
                *_told(by_id[action.pk]),
                epochs.get(action.pk, "no attempt"),
                {verb for pk, verb in verbs if pk == str(action.pk)},
            )
            for action in self.actions
        ]

    def breakers(self) -> list[tuple[Any, ...]]:
        with bound(self.tenant.pk):
            mine = CircuitBreaker.objects.for_tenant(self.tenant).order_by("vendor__name")
            return [(row.state, row.epoch, len(row.probes)) for row in mine]

    def metered(self) -> list[tuple[Any, ...]]:
        with bound(self.tenant.pk):
            mine = VendorMinute.objects.for_tenant(self.tenant).order_by("vendor__name")
            buckets = VendorBucket.objects.for_tenant(self.tenant).order_by("vendor__name")
            counted = [(row.retries, row.campaign_calls) for row in mine]
            return [*counted, *buckets.values_list("arrival_at")]


def _retry(run: Run, number: int, now: datetime) -> Action:
    incident = run.incident
    assert incident is not None
    return Action(
        tenant=run.tenant,
        action_type="retry",
        dedupe_key=run.run_id,
        incident=incident,
        run=run,
        workflow=incident.workflow,
        vendor=incident.vendor,
        attempts_max=3,
        requested_by="test",
        correlation_id="test",
        created_at=now,
        run_at=now - timedelta(seconds=60 - number),
        lease_token=TOKEN,
        lease_until=now + LEASE,
    )


def _told(action: Action) -> tuple[Any, ...]:
    run = action.run
    assert run is not None
    return (
        action.gates,
        action.status,
        action.verification,
        action.waiting_reason,
        action.attempts_made,
        action.rule,
        action.run_at,
        action.parameters.keys(),
        action.approval_id is not None,
        (run.state, run.version > 1, run.attempted_at),
        action.version,
    )
