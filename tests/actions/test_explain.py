"""Why is this not retrying? Every gate in order, and a time that is kept (N3)."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from actions import execution, explain
from actions.explain import Explanation
from actions.models import Action, Attempt
from actions.states import Status
from awfdrs_site.lib import clock
from incidents.models import Incident, Run
from incidents.states import RunState
from safety import breaker, killswitch, rules
from safety.models import CircuitBreaker, VendorBucket
from tenants.journal import SYSTEM
from tenants.models import Tenant, Workflow
from tenants.scoping import bound
from tests.cast import Travel
from tests.factories import (
    ActionFactory,
    AttemptFactory,
    BreakerFactory,
    IncidentFactory,
    RunFactory,
    VendorFactory,
    WorkflowFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def action(acme: Tenant) -> Action:
    """A retry that nothing holds."""
    vendor = VendorFactory(tenant=acme, name="stripe")
    workflow = WorkflowFactory(
        tenant=acme, slug="checkout", vendor=vendor, retry_url="https://workflow.example.org/retry"
    )
    incident = IncidentFactory(
        tenant=acme,
        workflow=workflow,
        vendor=vendor,
        error_code="service_unavailable",
        classification={"is_certain": True, "retryable_hint": True},
        unrecovered_runs=1,
        affected_runs=1,
    )
    run = RunFactory(
        tenant=acme, workflow=workflow, incident=incident, state=RunState.RETRY_SCHEDULED
    )
    return ActionFactory(
        tenant=acme, incident=incident, run=run, vendor=vendor, run_at=clock.read()
    )


def explained(action: Action) -> Explanation:
    with bound(action.tenant_id) as now:
        mine = Action.objects.for_tenant(action.tenant_id).select_related(*explain.LOOKED_AT)
        return explain.of_action(mine.get(pk=action.pk), now=now)


def failing(explanation: Explanation) -> list[str]:
    return [gate.name for gate in explanation.gates if not gate.passed]


def change(action: Action, **fields: Any) -> None:
    with bound(action.tenant_id):
        Action.objects.for_tenant(action.tenant_id).filter(pk=action.pk).update(**fields)


def stored(action: Action) -> Action:
    with bound(action.tenant_id):
        found: Action = Action.objects.for_tenant(action.tenant_id).get(pk=action.pk)
        return found


def open_breaker(action: Action, *, seconds: float) -> None:
    with bound(action.tenant_id) as now:
        until = now + timedelta(seconds=seconds)
    BreakerFactory(
        tenant=action.tenant, vendor=action.vendor, state="open", open_until=until, opened_at=now
    )


def spend_budget(action: Action, *, ago: float) -> None:
    """Ten retries of the vendor, the floor of its budget."""
    with bound(action.tenant_id) as now:
        pass
    other = ActionFactory(
        tenant=action.tenant, incident=action.incident, vendor=action.vendor, status="completed"
    )
    for number in range(10):
        AttemptFactory(
            tenant=action.tenant,
            action=other,
            number=number + 1,
            vendor_id=action.vendor_id,
            started_at=now - timedelta(seconds=ago),
        )


def attempts_of(action: Action) -> list[datetime]:
    with bound(action.tenant_id):
        mine = Attempt.objects.for_tenant(action.tenant_id).filter(action=action)
        return list(mine.order_by("number").values_list("started_at", flat=True))


def test_what_nothing_holds_starts_at_once(action: Action) -> None:
    before = clock.read()
    explanation = explained(action)
    assert (explanation.effect, failing(explanation)) == ("go", [])
    assert explanation.next_attempt == 1
    assert explanation.earliest_possible_at is not None
    assert before <= explanation.earliest_possible_at <= clock.read()
    assert [gate.name for gate in explanation.gates] == [
        "still_needed",
        "kill_switch",
        "auto_retry",
        "idempotent",
        "confidence",
        "blast_radius",
        "attempts_left",
        "backoff",
        "run_retry_limit",
        "vendor_retry_limit",
        "retry_budget",
        "in_flight_tenant",
        "in_flight_workflow",
        "in_flight_vendor",
        "circuit_breaker",
        "vendor_rate",
    ]


# Must show: exactly those two gates fail, and the time is kept to a second.
@pytest.mark.parametrize(("breaker_seconds", "budget_seconds"), [(90, 20), (15, 50)])
@pytest.mark.parametrize("was_held", [True, False])
def test_an_open_breaker_and_an_empty_budget_are_told_and_the_time_is_kept(
    action: Action,
    time_travel: Travel,
    breaker_seconds: float,
    budget_seconds: float,
    was_held: bool,
) -> None:
    open_breaker(action, seconds=breaker_seconds)
    spend_budget(action, ago=60 - budget_seconds)
    if was_held:
        execution.run_due(submit=run_now)
    before = clock.read()
    explanation = explained(action)
    promised = explanation.earliest_possible_at

    assert failing(explanation) == ["retry_budget", "circuit_breaker"]
    assert explanation.effect == "wait"
    assert promised is not None
    longest = max(breaker_seconds, budget_seconds)
    assert abs((promised - before).total_seconds() - longest) < 1.5  # what making the rows took

    time_travel(seconds=(promised - clock.read()).total_seconds() - 1)
    execution.run_due(submit=run_now)
    assert attempts_of(action) == []
    for _ in range(8):  # a worker's ticks, a quarter of a second each
        execution.run_due(submit=run_now)
        if attempts_of(action):
            break
        time_travel(seconds=0.25)
    [started_at] = attempts_of(action)
    assert abs((started_at - promised).total_seconds()) <= 1


def run_now(job: Callable[[], None]) -> None:
    job()


def test_the_wait_of_the_policy_is_a_gate_of_its_own(action: Action) -> None:
    change(action, run_at=clock.read() + timedelta(seconds=30), attempts_made=1)
    explanation = explained(action)
    assert failing(explanation) == ["backoff"]
    assert explanation.next_attempt == 2
    assert explanation.earliest_possible_at == stored(action).run_at


def test_what_was_held_and_is_free_by_now_still_looks_again_at_its_time(action: Action) -> None:
    open_breaker(action, seconds=300)
    execution.run_due(submit=run_now)
    with bound(action.tenant_id) as now:
        breaker.force(
            action.vendor, mode="forced_closed", reason="back", until=None, by=SYSTEM, now=now
        )
    explanation = explained(action)
    assert failing(explanation) == ["backoff"]
    assert explanation.earliest_possible_at == stored(action).run_at


def test_what_a_person_must_do_has_no_time(action: Action) -> None:
    with bound(action.tenant_id) as now:
        Workflow.objects.for_tenant(action.tenant_id).update(idempotent="no")
        killswitch.activate(
            tenant_id=action.tenant_id,
            scope="tenant",
            target="",
            reason="stop",
            expires_at=None,
            by=SYSTEM,
            now=now,
        )
    explanation = explained(action)
    assert failing(explanation) == ["kill_switch", "idempotent"]
    assert explanation.effect == "park"
    assert explanation.reason == "tenant switch: stop"
    assert explanation.earliest_possible_at is None


def test_what_is_asked_of_people_waits_for_them_whatever_the_gates_say(action: Action) -> None:
    change(action, status=Status.AWAITING_APPROVAL, waiting_reason="Ask somebody.")
    explanation = explained(action)
    assert (explanation.reason, explanation.earliest_possible_at) == ("Ask somebody.", None)


@pytest.mark.parametrize(
    ("status", "effect"),
    [("in_progress", "calling"), ("completed", "settled"), ("failed", "settled")],
)
def test_what_is_under_way_or_over_has_no_gates(action: Action, status: str, effect: str) -> None:
    change(action, status=status)
    explanation = explained(action)
    assert (explanation.effect, explanation.gates) == (effect, ())


def test_looking_takes_no_lease_no_token_and_writes_nothing(action: Action) -> None:
    open_breaker(action, seconds=-1)  # its time is over: the next call is a probe
    with CaptureQueriesContext(connection) as asked:
        explanation = explained(action)
    assert explanation.effect == "go"
    statements = [one["sql"].lower() for one in asked]
    assert not [s for s in statements if s.startswith(("insert", "update")) or "for update" in s]
    with bound(action.tenant_id):
        found = CircuitBreaker.objects.for_tenant(action.tenant_id).get()
        assert (found.state, found.probes) == ("open", {})
        assert not VendorBucket.objects.for_tenant(action.tenant_id).exists()


def of_run(action: Action) -> Explanation:
    with bound(action.tenant_id) as now:
        run = Run.objects.for_tenant(action.tenant_id).get()
        return explain.of_run(run, now=now)


def of_incident(action: Action) -> Explanation:
    with bound(action.tenant_id) as now:
        incident = Incident.objects.for_tenant(action.tenant_id).get()
        return explain.of_incident(incident, now=now)


def test_a_run_and_an_incident_tell_what_their_action_tells(action: Action) -> None:
    change(action, run_at=clock.read() + timedelta(seconds=30))
    told = explained(action)
    for explanation in (of_run(action), of_incident(action)):
        assert failing(explanation) == ["backoff"]
        assert explanation.action_id == action.pk
        assert explanation.earliest_possible_at == told.earliest_possible_at


def forget(action: Action) -> None:
    """As if nothing had been planned."""
    change(action, status=Status.SKIPPED, waiting_reason="", attempts_max=3)
    with bound(action.tenant_id):
        Run.objects.for_tenant(action.tenant_id).update(state=RunState.FAILED)


@pytest.mark.parametrize(
    ("edit", "gates", "says"),
    [
        ({"retry_url": ""}, ["retry_url"], "The workflow has no retry URL: nobody to call."),
        (
            {"idempotent": "no"},
            ["idempotent"],
            "The workflow does not declare that a second call is harmless.",
        ),
    ],
)
def test_a_run_without_an_action_tells_what_would_stop_one(
    action: Action, edit: dict[str, Any], gates: list[str], says: str
) -> None:
    forget(action)
    with bound(action.tenant_id):
        Workflow.objects.for_tenant(action.tenant_id).update(**edit)
    for explanation in (of_run(action), of_incident(action)):
        assert failing(explanation) == gates
        assert explanation.reason == says
        assert (explanation.action_id, explanation.earliest_possible_at) == (None, None)


def test_no_rule_that_retries_is_named_with_its_source(action: Action) -> None:
    forget(action)
    with bound(action.tenant_id) as now:
        rules.override(
            tenant_id=action.tenant_id,
            scope="workflow",
            target="checkout",
            values={"retry.enabled": False},
            reason="hands off",
            by=SYSTEM,
            now=now,
        )
    [gate] = [
        gate for gate in of_run(action).gates if not gate.passed and gate.name == "retry_rule"
    ]
    assert gate.source == "override v1 for workflow checkout"


def test_a_run_beyond_the_storm_limit_waits_for_a_person(action: Action) -> None:
    forget(action)
    with bound(action.tenant_id):
        Incident.objects.for_tenant(action.tenant_id).update(unrecovered_runs=201)
    assert failing(of_run(action)) == ["storm"]


def test_a_run_that_used_its_attempts_says_so(action: Action) -> None:
    forget(action)
    change(action, status=Status.FAILED, attempts_made=3)
    assert failing(of_run(action)) == ["attempts_left"]


def test_a_run_of_an_ignored_incident_and_one_that_recovered_need_nothing(action: Action) -> None:
    forget(action)
    with bound(action.tenant_id):
        Incident.objects.for_tenant(action.tenant_id).update(status="ignored")
    assert "still_needed" in failing(of_run(action))
    with bound(action.tenant_id):
        Run.objects.for_tenant(action.tenant_id).update(state=RunState.SUCCEEDED)
    explanation = of_run(action)
    assert failing(explanation) == ["still_needed"]
    assert explanation.reason == "No run waits for a retry."
