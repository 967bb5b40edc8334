"""Days in which things really happen, without a network: what a simulation goes over."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from actions import claiming, execution, planning, starting, verification
from actions.executors.base import Result
from actions.models import Action
from actions.simulation import running
from actions.simulation.change import Change, RuleChange
from awfdrs_site.lib import clock
from safety import rules
from tenants.journal import SYSTEM
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import Travel, decide_all, digest_all, submit
from tests.factories import WorkflowFactory

BUSY = Result("retryable", error="busy", response_status=503, says_vendor_is="failure")
TAKEN = Result("succeeded", response_status=200, says_vendor_is="success")
Answer = Callable[[str], Result]  # to a call for a run


class Days:
    """`answers` says what the workflow answers to each call for a run."""

    def __init__(self, tenant: Tenant, travel: Travel) -> None:
        self.tenant, self.travel = tenant, travel
        self.busy: set[str] = set()
        WorkflowFactory(
            tenant=tenant, slug="checkout", retry_url="https://c.example.org/r", idempotent="key"
        )
        self.since = clock.read() - timedelta(minutes=1)

    def rule(self, scope: str, target: str, **values: Any) -> None:
        named = {key.replace("__", "."): value for key, value in values.items()}
        with bound(self.tenant.pk) as now:
            rules.override(
                tenant_id=self.tenant.pk,
                scope=scope,
                target=target,
                values=named,
                reason="test",
                by=SYSTEM,
                now=now,
            )

    def fails(self, *run_ids: str, **payload: Any) -> None:
        said = {"error_code": "payment_timeout", "error_message": "no answer", "vendor": "stripe"}
        for run_id in run_ids:
            submit(self.tenant, run_id=run_id, payload=said | payload)
        self.turn()

    def succeeds(self, *run_ids: str) -> None:
        for run_id in run_ids:
            submit(
                self.tenant,
                run_id=run_id,
                event_type="payment.completed",
                payload={"vendor": "stripe"},
            )
        self.turn()

    def turn(self) -> None:
        """The worker works until nothing is due now."""
        digest_all()
        decide_all()
        planning.plan_due()
        while claims := claiming.due(limit=50, spare=0, under_way={}):
            for claim in claims:
                self._run(claim)
        verification.verify_due()

    def later(self, turns: int = 1, **by: float) -> None:
        for _ in range(turns):
            self.travel(**by)
            self.turn()

    def simulate(self, change: Change, *, assumed: str = "as_observed") -> dict[str, Any]:
        return running.simulate(
            self.tenant.pk,
            change,
            since=self.since,
            until=clock.read(),
            assumed=assumed,
            n_events=1,
            beat=lambda percent: None,
        )

    def next_version(self, scope: str, target: str, **values: Any) -> Change:
        """The newest version with these values in it."""
        named = {key.replace("__", "."): value for key, value in values.items()}
        with bound(self.tenant.pk):
            newest = rules.versions(self.tenant.pk, scope=scope, target=target).first()
        before = newest.values if newest else {}
        version = newest.version if newest else 0
        return Change((RuleChange(scope, target, version, before, {**before, **named}),))

    def _run(self, claim: claiming.Claim) -> None:
        call = starting.start(
            tenant_id=claim.tenant_id, action_id=claim.action_id, token=claim.token
        )
        if call is not None:
            execution.settle(claim, self._answer(claim) if call.action_type == "retry" else TAKEN)

    def _answer(self, claim: claiming.Claim) -> Result:
        with bound(claim.tenant_id):
            mine = Action.objects.for_tenant(claim.tenant_id).select_related("run")
            run = mine.get(pk=claim.action_id).run
        return BUSY if run is not None and run.run_id in self.busy else TAKEN
