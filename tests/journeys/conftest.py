"""The stage of every journey: Acme's payouts workflow, which answers our retries, and a worker that turns by hand."""

import ipaddress
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import Settings

from actions import outbox, signing
from actions.models import Action
from awfdrs_site import poller
from awfdrs_site.lib import clock, rfc3339
from incidents.models import Incident, Run
from safety import rules
from safety.models import CircuitBreaker
from tenants import scoping, secrets
from tenants.journal import SYSTEM
from tenants.models import Tenant, Workflow
from tests.cast import submit
from tests.support.receiver import Received, Receiver, Reply

SECRET = signing.new_secret()


class Stage:
    """What a story can do, in its own words."""

    def __init__(self, tenant: Tenant, receiver: Receiver) -> None:
        self.tenant = tenant
        self.receiver = receiver
        self.recovers = True
        receiver.answer("/retry", self._answer)

    def opens(self, slug: str, *, idempotent: str = "key") -> None:
        """Register a workflow of the tenant that can be retried."""
        with scoping.bound(self.tenant.pk):
            workflow = Workflow(
                tenant=self.tenant,
                slug=slug,
                retry_url=self.receiver.url("/retry"),
                idempotent=idempotent,
            )
            workflow.retry_secret_sealed = secrets.seal(
                SECRET, tenant_id=self.tenant.pk, row_id=workflow.pk
            )
            workflow.save()

    def rule(self, vendor: str, **values: Any) -> None:
        named = {key.replace("__", "."): value for key, value in values.items()}
        with scoping.bound(self.tenant.pk) as now:
            rules.override(
                tenant_id=self.tenant.pk,
                scope="vendor",
                target=vendor,
                values=named,
                reason="the story's",
                by=SYSTEM,
                now=now,
            )

    def waits_a_minute(self, vendor: str, **values: Any) -> None:
        """A first retry that is due before the story goes on would be another story, on a busy machine."""
        minute = {"retry__initial_delay_ms": 60_000, "retry__max_delay_ms": 60_000}
        self.rule(vendor, **minute, **values)

    def fails(self, run_id: str, *, code: str = "service_unavailable", **fields: Any) -> None:
        """The workflow reports a failed run."""
        payload = {"error_code": code, "vendor": "acquirer"}
        submit(self.tenant, workflow="payouts", run_id=run_id, payload=payload, **fields)

    def succeeds(self, run_id: str) -> None:
        """The workflow reports that the run got through after all."""
        submit(
            self.tenant,
            workflow="payouts",
            event_type="payout.completed",
            run_id=run_id,
            payload={"vendor": "acquirer"},
            occurred_at=rfc3339.format(clock.read() + timedelta(seconds=1)),
        )

    def turn(self) -> None:
        """The worker works until nothing is due now."""
        for _ in range(50):
            if not poller.sweep_once(
                poller.sweeps(run_due=_run_due_here, send_due=outbox.send_due)
            ):
                return
        raise AssertionError("the worker never comes to rest")

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The retries that reached the workflow, in order."""
        return [json.loads(request.body) for request in self.receiver.requests]

    def incidents(self) -> list[Incident]:
        with scoping.bound(self.tenant.pk):
            return list(Incident.objects.for_tenant(self.tenant).order_by("number"))

    def states(self) -> list[str]:
        """The states of the runs, by run id."""
        with scoping.bound(self.tenant.pk):
            runs = Run.objects.for_tenant(self.tenant).order_by("run_id")
            return list(runs.values_list("state", flat=True))

    def actions(self, kind: str = "retry") -> list[Action]:
        with scoping.bound(self.tenant.pk):
            mine = Action.objects.for_tenant(self.tenant).filter(action_type=kind)
            return list(mine.order_by("id"))

    def breaker(self) -> CircuitBreaker:
        with scoping.bound(self.tenant.pk):
            mine = CircuitBreaker.objects.for_tenant(self.tenant)
            return mine.get(vendor__name="acquirer")

    def _answer(self, request: Received) -> Reply:
        # The story's clock may be hours ahead, and this thread has no database connection to ask.
        now = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), tz=UTC)
        signing.verify(headers=request.headers, body=request.body, secret=SECRET, now=now)
        return Reply(status=200 if self.recovers else 503)


def _run_due_here() -> int:
    from actions import execution

    return execution.run_due()


@pytest.fixture
def stage(transactional_db: None, acme: Tenant, settings: Settings) -> Iterator[Stage]:
    settings.OUTBOUND_ALLOW_CIDRS = [ipaddress.ip_network("127.0.0.1/32")]
    with Receiver() as receiver:
        stage = Stage(acme, receiver)
        stage.opens("payouts")
        yield stage


Travel = Callable[..., None]
