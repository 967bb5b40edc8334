"""Story: ten runs fail; three come through alone, five by retry, two never, and nobody may forget those two."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from awfdrs_site.lib import clock, rfc3339
from incidents import lifecycle
from incidents.models import Incident
from tenants import scoping
from tenants.journal import SYSTEM
from tests.cast import Api, journal_of, key_of
from tests.journeys.conftest import Stage, Travel
from tests.support.problem_answers import members

ALONE = ["run-0", "run-1", "run-2"]
RETRIED = ["run-3", "run-4", "run-5", "run-6", "run-7"]
NEVER = ["run-8", "run-9"]


@pytest.fixture
def api(stage: Stage) -> Api:
    return Api(key_of(stage.tenant))


def only(stage: Stage) -> Incident:
    [incident] = stage.incidents()
    return incident


def ago(**by: float) -> str:
    return rfc3339.format(clock.read() - timedelta(**by))


def resolve(api: Api, incident: Incident, **more: Any) -> Any:
    path = f"/api/v1/incidents/{incident.pk}/status"
    return api.call("PATCH", path, {"status": "resolved"} | more)


def test_the_ledger_knows_what_became_of_each_run(
    stage: Stage, api: Api, time_travel: Travel
) -> None:
    stage.waits_a_minute("acquirer", breaker__failure_threshold=1000, retry__max_retries=1)
    for run in ALONE + RETRIED + NEVER:
        stage.fails(run)
    stage.turn()
    for run in ALONE:
        stage.succeeds(run)
    stage.turn()
    time_travel(minutes=2)
    stage.turn()
    assert {call["run_id"] for call in stage.calls} == {*RETRIED, *NEVER}
    for run in RETRIED:
        stage.succeeds(run)
    stage.turn()
    time_travel(minutes=20)
    stage.turn()

    incident = only(stage)
    runs = api.get(f"/api/v1/incidents/{incident.pk}/runs").json()["results"]
    states = {run["run_id"]: run["state"] for run in runs}
    assert Counter(states.values())["recovered_auto"] == 3
    assert Counter(states.values())["recovered_by_action"] == 5
    assert {states[run] for run in NEVER} <= {"failed", "retry_scheduled"}
    assert (incident.affected_runs, incident.unrecovered_runs) == (10, 2)

    # resolved with runs left is refused, and says which
    refused = resolve(api, incident)
    problem = members(refused)
    assert (refused.status_code, problem["code"]) == (409, "unrecovered_runs")
    assert sorted(run["run_id"] for run in problem["runs"]) == NEVER
    assert resolve(api, incident, waive_unrecovered=True).status_code == 409

    waived = resolve(api, incident, waive_unrecovered=True, reason="paid out by hand")
    assert (waived.status_code, waived.json()["status"]) == (200, "resolved")
    assert waived.json()["unrecovered_runs"] == 0
    assert journal_of(stage.tenant, incident.pk)[-2:] == ["run_waived", "resolved"]
    for run in runs:
        if run["run_id"] in NEVER:
            assert journal_of(stage.tenant, run["id"])[-1] == "waived"


def test_a_failure_from_before_the_waiver_does_not_take_it_back(stage: Stage, api: Api) -> None:
    stage.fails("run-1", code="card_declined")
    stage.turn()
    assert resolve(api, only(stage), waive_unrecovered=True, reason="given up").status_code == 200
    stage.fails("run-1", code="card_declined", occurred_at=ago(minutes=3))
    # nor does one that is grouped elsewhere
    stage.fails("run-1", code="invalid_account", occurred_at=ago(minutes=2))
    stage.turn()
    assert stage.states() == ["waived"]
    first, other = stage.incidents()
    assert (first.status, first.event_count, first.unrecovered_runs) == ("resolved", 2, 0)
    assert (other.status, other.affected_runs, other.unrecovered_runs) == ("resolved", 1, 0)


def test_a_failure_after_the_waiver_hurts_the_run_anew(stage: Stage, api: Api) -> None:
    stage.fails("run-1", code="card_declined")
    stage.turn()
    assert resolve(api, only(stage), waive_unrecovered=True, reason="given up").status_code == 200
    stage.fails("run-1", code="card_declined")
    stage.turn()
    assert stage.states() == ["failed"]
    incident = only(stage)
    assert (incident.status, incident.regression_count) == ("detected", 1)
    assert (incident.affected_runs, incident.unrecovered_runs) == (1, 1)


def test_a_late_failure_never_reopens(stage: Stage, time_travel: Travel) -> None:
    stage.fails("run-1")
    stage.turn()
    happened = [ago(seconds=seconds) for seconds in (20, 40)]
    stage.succeeds("run-1")
    stage.turn()
    assert only(stage).status == "resolved"
    # reported soon, or after the time in which a failure reopens
    for hours, when in zip((0, 30), happened, strict=True):
        time_travel(hours=hours)
        stage.fails("run-1", occurred_at=when)
        stage.turn()
        incident = only(stage)
        assert (incident.status, incident.regression_count) == ("resolved", 0)
    assert incident.event_count == 3
    assert stage.states() == ["recovered_auto"]


def test_a_success_that_arrives_before_its_failure_leaves_nothing_to_retry(
    stage: Stage, time_travel: Travel
) -> None:
    stage.succeeds("run-1")
    stage.turn()
    stage.fails("run-1", occurred_at=ago(minutes=5))
    stage.turn()
    time_travel(minutes=5)
    stage.turn()
    assert stage.calls == []
    assert stage.states() == ["succeeded"]
    assert only(stage).status == "resolved"


def test_within_a_day_it_regresses_and_later_a_new_one_links_the_old(
    stage: Stage, time_travel: Travel
) -> None:
    def happen(run: str) -> None:
        stage.fails(run)
        stage.turn()
        stage.succeeds(run)
        stage.turn()
        time_travel(minutes=1)

    happen("run-1")
    time_travel(hours=23)
    happen("run-2")
    assert [(i.regression_count, i.status) for i in stage.incidents()] == [(1, "resolved")]
    time_travel(hours=25)
    happen("run-3")
    old, new = stage.incidents()
    assert (new.previous_id, new.regression_count, old.event_count) == (old.pk, 0, 2)


def test_what_is_ignored_absorbs(stage: Stage, time_travel: Travel) -> None:
    stage.fails("run-1", code="card_declined")
    stage.turn()
    with scoping.bound(stage.tenant.pk) as now:
        lifecycle.ignore(only(stage), by=SYSTEM, now=now, reason="a test account")
    for n in range(2, 5):
        time_travel(days=2)
        stage.fails(f"run-{n}", code="card_declined")
        stage.turn()
    assert (only(stage).status, only(stage).event_count) == ("ignored", 4)
    assert stage.calls == []
