"""A change is tried from its rule's form or the API, worked by a sweep, and kept with the version it led to."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from actions import simulation_work, simulations
from actions.models import Simulation
from actions.simulation import running
from safety import rule_exchange
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import Api, Travel, journal_of, key_of, signed_in
from tests.factories import SimulationFactory
from tests.support.days import Days

pytestmark = pytest.mark.django_db
TYPED = {"scope": "workflow", "target": "checkout", "seen": "1", "key": "retry.max_retries"}


@pytest.fixture
def days(acme: Tenant, time_travel: Travel) -> Days:
    """One run whose one retry was not enough."""
    days = Days(acme, time_travel)
    days.rule("workflow", "checkout", retry__max_retries=1, retry__jitter="none")
    days.busy = {"bad"}
    days.fails("bad")
    days.later(turns=2, seconds=20)
    return days


def kept(tenant: Tenant) -> Simulation:
    with bound(tenant.pk):
        found: Simulation = Simulation.objects.for_tenant(tenant).get()
    return found


def test_the_form_of_a_rule_tries_the_change_and_the_version_saved_afterwards_shows_it(
    days: Days, ann: User, alice: User
) -> None:
    asked = signed_in(ann).post(reverse("simulations:simulate"), TYPED | {"value": "2"})
    assert asked.status_code == 302
    page = signed_in(alice).get(asked["Location"]).content.decode()
    assert "workflow checkout: retry.max_retries: 1 → 2" in page
    assert "Under way." in page
    # without JavaScript the page asks again by itself
    assert 'http-equiv="refresh"' in page
    assert simulation_work.work_due() == 1
    page = signed_in(alice).get(asked["Location"]).content.decode()
    assert "1 attempts more, 0 fewer" in page
    assert "failed, as is assumed" in page
    assert "The simulation is what really happened" in page
    saved = TYPED | {"value": "2", "reason": "one was not enough"}
    assert signed_in(ann).post(reverse("rules:change"), saved).status_code == 302
    rule = signed_in(alice).get("/rules/workflow/checkout/").content.decode()
    assert asked["Location"] in rule
    assert signed_in(alice).post(reverse("simulations:simulate"), TYPED).status_code == 403
    assert journal_of(days.tenant, kept(days.tenant).pk) == ["simulation_asked", "simulation_done"]


def test_what_is_wrong_with_the_form_is_told_on_the_page_of_the_rule(days: Days, ann: User) -> None:
    answer = signed_in(ann).post(reverse("simulations:simulate"), TYPED | {"value": "many"})
    assert (answer.status_code, answer["Location"]) == (302, "/rules/workflow/checkout/")
    with bound(days.tenant.pk):
        assert not Simulation.objects.for_tenant(days.tenant).exists()


def test_the_api_takes_a_change_and_tells_its_result(days: Days) -> None:
    api = Api(key_of(days.tenant))
    values = {"retry.max_retries": 2, "retry.jitter": "none"}
    asked = {"scope": "workflow", "target": "checkout", "values": values}
    taken = api.post("/api/v1/rules/simulate", asked)
    assert taken.status_code == 202
    where = taken["Location"]
    assert where.endswith(taken.json()["simulation_id"])
    assert api.get(where).json()["result"] is None
    simulation_work.work_due()
    found = api.get(where).json()
    assert (found["state"], found["percent"]) == ("done", 100)
    [extra] = found["result"]["attempts"]["added"]
    assert (extra["run"], extra["number"]) == ("bad", 2)
    with bound(days.tenant.pk):
        document = rule_exchange.exported(days.tenant.pk)
    same = api.post("/api/v1/rules/simulate", {"document": document})
    assert same.json()["change"] == ["Nothing differs from what is in force."]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (
            {"scope": "workflow", "target": "checkout", "values": {"retry.max_retries": -1}},
            "/values/retry.max_retries",
        ),
        ({"scope": "workflow", "target": "No Name", "values": {}}, "/target"),
        ({"document": "overrides: {workflow: {checkout: {mode: fast}}}"}, "/document"),
        ({"outcome_rule": {"outcome": "failure"}}, "/outcome_rule/event_type"),
        ({"scope": "tenant"}, ""),
        ({"scope": "tenant", "values": {}, "days": 8}, "/days"),
    ],
)
def test_a_bad_change_is_refused_with_the_place_that_is_wrong(
    acme: Tenant, body: dict[str, Any], pointer: str
) -> None:
    answer = Api(key_of(acme)).post("/api/v1/rules/simulate", body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_too_many_events_and_too_many_at_once_are_refused_in_words(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, asked = Api(key_of(days.tenant)), {"scope": "tenant", "values": {}}
    monkeypatch.setattr(simulations, "MOST_EVENTS", 0)
    refused = api.post("/api/v1/rules/simulate", asked).json()["errors"]
    assert [error["pointer"] for error in refused] == ["/days"]
    for _ in range(simulations.AT_ONCE):
        SimulationFactory(tenant=days.tenant, state="working", result=None)
    answer = api.post("/api/v1/rules/simulate", asked)
    assert "wait until one has ended" in answer.json()["errors"][0]["detail"]


def test_whoever_lost_the_lease_stores_nothing_and_the_next_one_begins_anew(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    SimulationFactory(tenant=days.tenant, state="working", result=None)

    def taken_over(*_: object, beat: Any, **__: object) -> Any:
        with bound(days.tenant.pk):
            Simulation.objects.for_tenant(days.tenant).update(lease_token=1, lease_until=None)
        beat(10)

    with monkeypatch.context() as patched:
        patched.setattr(running, "simulate", taken_over)
        simulation_work.work_due()
    assert (kept(days.tenant).state, kept(days.tenant).percent) == ("working", 0)
    assert simulation_work.work_due() == 1
    assert kept(days.tenant).state == "done"


def test_one_that_breaks_is_told_so_and_one_that_nobody_worked_is_cancelled(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    SimulationFactory(tenant=days.tenant, state="working", result=None)
    days.travel(hours=2)
    simulation_work.work_due()
    assert (kept(days.tenant).state, kept(days.tenant).error) == (
        "cancelled",
        "Nobody had the time for it.",
    )
    with bound(days.tenant.pk) as now:
        fresh = {"state": "working", "expires_at": now + timedelta(hours=1), "change": {"rules": 1}}
        Simulation.objects.for_tenant(days.tenant).update(**fresh)
    simulation_work.work_due()
    assert (kept(days.tenant).state, kept(days.tenant).error) == ("failed", simulation_work.BROKE)
