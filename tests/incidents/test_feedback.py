"""What people say of a finding is kept and learned from, and what worked is never told without its n."""

import pytest
from django.contrib.auth.models import User

from incidents import track_record
from incidents.analysis import calibration, recommend
from incidents.analysis.calibration import Forecast
from incidents.analysis.recommend import Tally
from incidents.models import CategoryLabel, FixMark, Incident, Run
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import (
    Api,
    decide_all,
    digest_all,
    failure,
    journal_of,
    key_of,
    only_incident,
    signed_in,
    submit,
)
from tests.factories import (
    DecisionFactory,
    FixMarkFactory,
    IncidentFactory,
    RunFactory,
    VendorFactory,
)


@pytest.mark.parametrize(
    ("tally", "lower"),
    # of Beta(0.5 + worked, 0.5 + not), by an independent library
    [(Tally(20, 20), 0.9095), (Tally(5, 5), 0.6943), (Tally(50, 100), 0.4185)],
)
def test_the_lower_bound_is_that_of_the_posterior(tally: Tally, lower: float) -> None:
    assert recommend.lower_bound(tally) == pytest.approx(lower, abs=1e-4)


def test_fewer_than_five_outcomes_say_nothing_and_need_a_person() -> None:
    (few,) = recommend.recommend({"retry": Tally(4, 4)}, {"retry": Tally(100, 100)})
    assert (few.lower, few.says) == (None, "insufficient data: 4 of 5 outcomes")
    assert few.needs_person(0.0)


def test_other_vendors_are_borrowed_from_a_little() -> None:
    alone = recommend.lower_bound(Tally(6, 6))
    among_the_good = recommend.lower_bound(Tally(6, 6), Tally(1000, 1000))
    among_the_bad = recommend.lower_bound(Tally(6, 6), Tally(0, 1000))
    assert among_the_bad < alone < among_the_good
    # as much as four outcomes, however many there are
    assert among_the_good == pytest.approx(recommend.lower_bound(Tally(10, 10)), abs=1e-9)


def test_the_surest_comes_first_and_the_threshold_asks_for_a_person() -> None:
    found = recommend.recommend({"retry": Tally(5, 10), "escalate": Tally(20, 20)}, {})
    assert [one.choice for one in found] == ["escalate", "retry"]
    assert [one.needs_person(0.7) for one in found] == [False, True]


def test_brier_and_calibration_hold_claims_against_what_was_right() -> None:
    sure = [Forecast("a", 0.9, True)] * 9 + [Forecast("a", 0.9, False)]
    unsure = [Forecast("b", 0.3, False), Forecast("b", 0.3, True)]
    assert calibration.brier([]) is None
    assert calibration.brier(sure) == 0.09
    low, high = calibration.by_confidence([*sure, *unsure])
    assert (low.name, low.n, low.right) == ("20–40 %", 2, 0.5)
    assert (high.name, high.claimed, high.right) == ("80–100 %", 0.9, 0.9)
    assert [group.name for group in calibration.by_category([*sure, *unsure])] == ["a", "b"]


def tried(tenant: Tenant, incident: Incident, states: list[str]) -> None:
    """One more incident like it, retried, whose runs came to this."""
    with bound(tenant.pk) as now:
        alike = IncidentFactory(tenant=tenant, category=incident.category, vendor=incident.vendor)
        DecisionFactory(tenant=tenant, incident=alike, choice="retry")
        for place, state in enumerate(states):
            RunFactory(
                tenant=tenant,
                incident=alike,
                run_id=f"{alike.pk}-{place}",
                state=state,
                attempted_at=now,
            )
        assert Run.objects.for_tenant(tenant).filter(incident=alike).count() == len(states)


@pytest.mark.django_db
def test_what_worked_is_counted_by_category_action_and_vendor(acme: Tenant) -> None:
    stripe, other = VendorFactory(tenant=acme, name="stripe"), VendorFactory(tenant=acme, name="o")
    here = IncidentFactory(tenant=acme, category="vendor_error", vendor=stripe)
    there = IncidentFactory(tenant=acme, category="vendor_error", vendor=other)
    unlike = IncidentFactory(tenant=acme, category="user_error", vendor=stripe)
    tried(acme, here, ["recovered_by_action"] * 5 + ["failed", "retry_scheduled"])
    tried(acme, there, ["failed"] * 3)
    tried(acme, unlike, ["failed"] * 9)
    with bound(acme.pk):
        (found,) = track_record.of(here).actions
    # what is still being retried has no outcome
    assert (found.choice, found.worked, found.n) == ("retry", 5, 6)
    assert found.lower is not None
    assert found.lower < recommend.lower_bound(Tally(5, 6))
    with bound(acme.pk):
        FixMarkFactory(tenant=acme, incident=alike_of(acme, here), worked=False)
        (again,) = track_record.of(here).actions
    assert (again.worked, again.n) == (5, 7)


def alike_of(tenant: Tenant, incident: Incident) -> Incident:
    mine = Incident.objects.for_tenant(tenant).exclude(pk=incident.pk)
    found: Incident = mine.filter(vendor=incident.vendor, category=incident.category).get()
    return found


def decided(tenant: Tenant) -> Incident:
    submit(tenant, run_id="r1", payload=failure(error_code="", error_message="read timed out"))
    digest_all()
    decide_all()
    return only_incident(tenant)


@pytest.mark.django_db
def test_people_correct_the_category_and_say_what_fixed_it_in_the_api(acme: Tenant) -> None:
    incident, api = decided(acme), Api(key_of(acme))
    path = f"/api/v1/incidents/{incident.pk}"
    said = api.post(f"{path}/category", {"category": "rate_limit"})
    assert (said.status_code, said.json()["category"]) == (200, "rate_limit")
    marked = api.post(f"{path}/fixed", {"worked": False, "note": "they had deployed"})
    assert marked.json()["version"] == said.json()["version"] + 1
    assert journal_of(acme, incident.pk)[-2:] == ["category_confirmed", "fix_denied"]
    assert api.post(f"{path}/category", {"category": "magic"}).status_code == 422
    assert api.post(f"{path}/fixed", {"worked": True}, **{"If-Match": '"1"'}).status_code == 412
    found = api.get("/api/v1/reliability").json()
    assert (found["n"], found["right"]) == (1, 0.0)
    record = api.get(f"{path}/recommendation").json()
    assert record["category"] == "rate_limit"


@pytest.mark.django_db
def test_people_say_it_in_the_console_without_a_script_and_read_how_reliable_it_is(
    acme: Tenant, alice: User, bob: User
) -> None:
    incident, client = decided(acme), signed_in(alice)
    page = client.get(f"/incidents/{incident.pk}/").content.decode()
    assert "insufficient data" in page
    assert f'action="/incidents/{incident.pk}/category/"' in page
    assert "This fixed it" in page
    assert "This fixed it" not in signed_in(bob).get(f"/incidents/{incident.pk}/").content.decode()
    category = {"category": incident.category}
    assert client.post(f"/incidents/{incident.pk}/category/", category).status_code == 302
    assert client.post(f"/incidents/{incident.pk}/fixed/", {"worked": "yes"}).status_code == 302
    with bound(acme.pk):
        assert CategoryLabel.objects.for_tenant(acme).get().created_by
        assert FixMark.objects.for_tenant(acme).get().worked
    told = client.get("/incidents/reliability/").content.decode()
    assert "Brier score" in told
    assert "<circle" in told
    assert f"it was {incident.category.replace('_', ' ')}" in told


@pytest.mark.django_db
def test_nothing_fixed_what_nothing_was_decided_about(acme: Tenant, alice: User) -> None:
    incident = IncidentFactory(tenant=acme)
    refused = Api(key_of(acme)).post(f"/api/v1/incidents/{incident.pk}/fixed", {"worked": True})
    assert refused.status_code == 409
    assert str(incident) in refused.json()["detail"]
