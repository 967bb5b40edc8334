"""Story: more runs fail than are retried without a person; the first keep their plans, the others wait and say so."""

import pytest
from django.core.mail import EmailMessage
from django.db import connection
from django.test.utils import CaptureQueriesContext

from actions import planning
from incidents.models import Incident, Run
from tenants import scoping
from tenants.models import Tenant
from tests.cast import Api, decide_all, digest_all, event, journal_of, key_of, signed_in, submit_all
from tests.journeys.conftest import Stage, Travel

LIMIT = 3
WHY = "More than 3 runs are hurt: those beyond wait for a person."


@pytest.fixture(autouse=True)
def _low_limit(stage: Stage) -> None:
    with scoping.platform():
        Tenant.objects.filter(pk=stage.tenant.pk).update(storm_runs=LIMIT)


def fail(stage: Stage, *numbers: int) -> None:
    for n in numbers:
        stage.fails(f"run-{n}")
    stage.turn()


def only(stage: Stage) -> Incident:
    [incident] = stage.incidents()
    return incident


def notes(stage: Stage) -> list[str]:
    with scoping.bound(stage.tenant.pk):
        runs = Run.objects.for_tenant(stage.tenant).order_by("run_id")
        return list(runs.values_list("recovery_note", flat=True))


def test_the_first_keep_their_plans_and_the_others_wait_for_a_person(
    stage: Stage, mailoutbox: list[EmailMessage], alice: object, time_travel: Travel
) -> None:
    fail(stage, 0, 1)
    fail(stage, 2, 3, 4)
    assert stage.states() == ["retry_scheduled"] * LIMIT + ["failed"] * 2
    assert notes(stage) == [""] * LIMIT + [WHY] * 2
    # people are told, once
    fail(stage, 5)
    assert (only(stage).status, only(stage).escalated_reason) == ("escalated", WHY)
    assert len(mailoutbox) == 1
    assert journal_of(stage.tenant, only(stage).pk).count("runs_wait") == 1

    time_travel(minutes=2)
    stage.turn()
    assert sorted(call["run_id"] for call in stage.calls) == ["run-0", "run-1", "run-2"]


def test_one_that_waits_and_comes_through_alone_waits_no_more(stage: Stage) -> None:
    fail(stage, 0, 1, 2, 3)
    stage.succeeds("run-3")
    stage.turn()
    assert (stage.states()[3], notes(stage)[3]) == ("recovered_auto", "")


def test_the_limit_counts_what_is_hurt_not_what_was_ever_planned(stage: Stage) -> None:
    for n in range(3 * LIMIT):
        fail(stage, n)
        stage.succeeds(f"run-{n}")
        stage.turn()
    # nine failed, but never more than one was hurt
    assert len(stage.actions()) == 3 * LIMIT
    assert set(notes(stage)) == {""}


def test_the_gate_says_so_wherever_people_look(stage: Stage, alice: object) -> None:
    fail(stage, 0, 1)
    api = Api(key_of(stage.tenant))
    path = f"/api/v1/incidents/{only(stage).pk}"
    assert api.get(path).json()["next"]["gates"] == []
    fail(stage, 2, 3, 4)
    told = api.get(path).json()
    [gate] = told["next"]["gates"]
    assert (gate["name"], gate["passed"], gate["limit"]) == ("storm", False, "3")
    assert (gate["value"], gate["detail"]) == ("5 not recovered", WHY)
    # the decision keeps what it saw when it was made
    [then] = [g for g in told["decisions"][0]["gates"] if g["name"] == "storm"]
    assert (then["passed"], then["value"]) == (True, "2 not recovered")
    page = signed_in(alice).get(f"/incidents/{only(stage).pk}/")  # type: ignore[arg-type]
    assert WHY in page.content.decode()


def test_what_is_left_when_the_retries_are_over_is_what_happens_next(
    stage: Stage, time_travel: Travel
) -> None:
    stage.recovers = False
    stage.rule("acquirer", retry__max_retries=1, breaker__failure_threshold=1000)
    fail(stage, 0, 1, 2, 3, 4)
    time_travel(minutes=5)
    stage.turn()
    assert {action.status for action in stage.actions()} == {"failed"}
    told = Api(key_of(stage.tenant)).get(f"/api/v1/incidents/{only(stage).pk}").json()["next"]
    assert (told["kind"], told["n_waiting"], told["reason"]) == ("storm", 2, WHY)


def test_planning_a_storm_costs_the_same_whatever_its_size(stage: Stage) -> None:
    def planned(first: int, n_runs: int) -> int:
        bodies = [
            event(
                workflow="payouts",
                run_id=f"run-{first + n}",
                payload={"error_code": "service_unavailable", "vendor": "acquirer"},
            )
            for n in range(n_runs)
        ]
        submit_all(stage.tenant, bodies)
        digest_all()
        decide_all()
        with CaptureQueriesContext(connection) as asked:
            planning.plan(tenant_id=stage.tenant.pk, incident_id=only(stage).pk)
        return len(asked)

    planned(0, 10)
    assert planned(100, 5) == planned(200, 600)
