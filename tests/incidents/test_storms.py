"""A vendor that goes down in twenty-one ways at once is one storm: it groups, tells people once, and counts nothing."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.mail import EmailMessage
from django.db.models import Sum

from actions import planning
from actions.models import Action
from actions.states import ActionType
from awfdrs_site.lib.ids import made_at
from incidents import lifecycle, storms
from incidents.models import Decision, Incident
from incidents.states import Status
from tenants.journal import SYSTEM
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import (
    Api,
    Travel,
    decide_all,
    digest_all,
    event,
    failure,
    journal_of,
    key_of,
    signed_in,
    submit_all,
)
from tests.journeys.conftest import Stage, stage  # noqa: F401  # the stage of journeys

pytestmark = pytest.mark.django_db

SHIPPED = storms.SIGNATURES
LIMIT = 5
MANY = LIMIT + 1


@pytest.fixture(autouse=True)
def _five_are_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty-one failures take four times as long, and show the same."""
    monkeypatch.setattr(storms, "SIGNATURES", LIMIT)


def test_more_than_twenty_are_a_storm_as_shipped() -> None:
    assert SHIPPED == 20


def code(number: int) -> str:
    """Letters only, because numbers do not make a failure another one."""
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number:03d}") + "_timeout"


def break_out(tenant: Tenant, numbers: range, **fields: Any) -> None:
    """One new failure each, in one batch."""
    bodies = [
        event(
            run_id=f"run-{n}",
            payload=failure(error_code=code(n), error_message=f"{code(n)}: no answer in time")
            | fields,
        )
        for n in numbers
    ]
    submit_all(tenant, bodies)
    digest_all()


def storm_of(tenant: Tenant) -> Incident | None:
    with bound(tenant.pk):
        mine = Incident.objects.for_tenant(tenant).select_related("workflow", "vendor")
        return mine.filter(is_storm=True).order_by("-id").first()


def the_storm(tenant: Tenant) -> Incident:
    storm = storm_of(tenant)
    assert storm is not None
    return storm


def children_of(storm: Incident) -> list[Incident]:
    with bound(storm.tenant_id):
        mine = Incident.objects.for_tenant(storm.tenant_id)
        return list(mine.filter(parent=storm).order_by("number"))


def close_all(incidents: list[Incident]) -> None:
    for incident in incidents:
        with bound(incident.tenant_id) as now:
            lifecycle.resolve(incident, by=SYSTEM, now=now, reason="fixed", waive_unrecovered=True)


def test_as_many_as_the_limit_are_no_storm(acme: Tenant) -> None:
    break_out(acme, range(LIMIT))
    assert storm_of(acme) is None


def test_one_more_is_a_storm_that_groups_them_all(acme: Tenant) -> None:
    break_out(acme, range(LIMIT))
    break_out(acme, range(LIMIT, MANY))
    storm = the_storm(acme)
    assert storm.title == f"Storm: {MANY} new failures of stripe in 5 minutes"
    assert (storm.category, storm.severity, storm.number) == ("vendor_error", "high", MANY + 1)
    assert storm.vendor is not None
    assert storm.vendor.name == "stripe"
    # those of the window, not only of the batch that was one too many
    children = children_of(storm)
    assert len(children) == MANY
    assert journal_of(acme, storm.pk) == ["storm_opened"]
    assert [journal_of(acme, child.pk) for child in children] == [
        ["detected", "joined_storm"]
    ] * MANY


def test_the_storm_counts_nothing(acme: Tenant) -> None:
    break_out(acme, range(MANY))
    storm = the_storm(acme)
    assert (storm.event_count, storm.affected_runs, storm.unrecovered_runs) == (0, 0, 0)
    with bound(acme.pk):
        sums = Incident.objects.for_tenant(acme).aggregate(
            events=Sum("event_count"), hurt=Sum("unrecovered_runs")
        )
    assert sums == {"events": MANY, "hurt": MANY}


def test_its_severity_is_the_highest_of_its_children(acme: Tenant) -> None:
    break_out(acme, range(MANY), error_message="It said no", error_code="")
    assert storm_of(acme) is None  # one failure, however often
    break_out(acme, range(MANY))
    assert the_storm(acme).severity == "high"
    break_out(acme, range(MANY, MANY + 1), error_message="No space left on device")
    assert {"high", "critical"} <= {child.severity for child in children_of(the_storm(acme))}
    assert the_storm(acme).severity == "critical"


def test_later_ones_join_while_it_is_open_and_the_title_keeps_up(
    acme: Tenant, time_travel: Travel
) -> None:
    break_out(acme, range(MANY))
    time_travel(minutes=7)
    break_out(acme, range(MANY, MANY + 2))
    storm = the_storm(acme)
    assert len(children_of(storm)) == MANY + 2
    assert storm.title == f"Storm: {MANY + 2} new failures of stripe in 13 minutes"
    assert made_at(storm.pk) < storm.last_seen_at


def test_slow_ones_are_no_storm(acme: Tenant, time_travel: Travel) -> None:
    break_out(acme, range(LIMIT))
    time_travel(minutes=6)
    break_out(acme, range(LIMIT, MANY))
    assert storm_of(acme) is None


def test_many_events_of_few_failures_are_no_storm(acme: Tenant) -> None:
    submit_all(acme, [event(run_id=f"r{n}") for n in range(60)])
    digest_all()
    assert storm_of(acme) is None


def test_each_vendor_has_its_own_and_nobody_is_no_vendor(acme: Tenant) -> None:
    break_out(acme, range(MANY), vendor="")
    assert storm_of(acme) is None
    break_out(acme, range(100, 100 + LIMIT), vendor="stripe")
    break_out(acme, range(200, 200 + LIMIT), vendor="adyen")
    assert storm_of(acme) is None


def test_tenants_do_not_share_a_storm(acme: Tenant, globex: Tenant) -> None:
    break_out(acme, range(LIMIT))
    break_out(globex, range(LIMIT))
    assert (storm_of(acme), storm_of(globex)) == (None, None)


def test_one_that_was_only_reopened_is_no_new_failure(acme: Tenant, time_travel: Travel) -> None:
    break_out(acme, range(MANY))
    close_all(children_of(the_storm(acme)))
    storms.settle_due()
    time_travel(hours=1)
    break_out(acme, range(MANY))
    with bound(acme.pk):
        assert Incident.objects.for_tenant(acme).filter(is_storm=True).count() == 1
        assert Incident.objects.for_tenant(acme).filter(regression_count=1).count() == MANY


def test_it_is_decided_as_an_escalation_and_its_children_as_usual(acme: Tenant) -> None:
    break_out(acme, range(MANY))
    storm = the_storm(acme)
    assert decide_all() == MANY + 1
    with bound(acme.pk):
        decision = Decision.objects.for_tenant(acme).get(incident=storm)
        assert Decision.objects.for_tenant(acme).count() == MANY + 1
    assert decision.choice == "escalate"
    assert decision.reasons == [
        storm.title,
        "Its incidents are decided one by one; people are told once, for all of them.",
    ]
    assert the_storm(acme).status == Status.ESCALATED


def escalations(tenant: Tenant) -> dict[Any, Action]:
    with bound(tenant.pk):
        found = Action.objects.for_tenant(tenant).filter(action_type=ActionType.ESCALATE)
        return {action.incident_id: action for action in found}


def test_people_are_told_once_for_all_of_them(acme: Tenant) -> None:
    break_out(acme, range(MANY))
    decide_all()
    planning.plan_due()
    storm, told = the_storm(acme), escalations(acme)
    assert told.pop(storm.pk).status == "pending"
    assert {action.status for action in told.values()} == {"skipped"}
    assert {action.waiting_reason for action in told.values()} == {f"Part of storm {storm}."}
    # their states still say that people are needed
    assert {child.status for child in children_of(storm)} == {"escalated"}
    assert len(told) == MANY


def test_its_page_lists_them_and_theirs_lead_back(acme: Tenant, alice: User) -> None:
    break_out(acme, range(MANY))
    decide_all()
    storm = the_storm(acme)
    children, client = children_of(storm), signed_in(alice)
    page = client.get(storm.get_absolute_url()).content.decode()
    assert all(child.get_absolute_url() in page for child in children)
    assert 'id="h-volume"' not in page  # they have the events and the runs, the storm has none
    assert 'id="h-runs"' not in page
    child = client.get(children[0].get_absolute_url()).content.decode()
    assert f"part of storm {storm}" in child
    assert 'id="h-volume"' in child
    assert storm.get_absolute_url() in child
    api = Api(key_of(acme))
    told = api.get(f"/api/v1/incidents/{storm.pk}")
    assert (told.status_code, told.json()["event_count"]) == (200, 0)
    assert api.get(f"/api/v1/incidents?parent={storm.pk}").json()["count"] == MANY


def test_what_outlasts_the_storm_is_told_after_it(acme: Tenant) -> None:
    break_out(acme, range(MANY))
    decide_all()
    planning.plan_due()
    storm = the_storm(acme)
    close_all([storm])
    survivor = children_of(storm)[0]
    with bound(acme.pk) as now:
        action = planning.escalation(survivor, "All attempts failed.", now=now)
    assert action.status == "pending"


def test_it_resolves_itself_when_its_last_child_is_closed(acme: Tenant) -> None:
    break_out(acme, range(MANY))
    storm = the_storm(acme)
    *most, last = children_of(storm)
    close_all(most)
    assert storms.settle_due() == 0
    close_all([last])
    assert storms.settle_due() == 1
    storm = the_storm(acme)
    assert storm.status == Status.RESOLVED
    assert storm.resolved_reason == f"All {MANY} incidents of the storm are closed."
    assert journal_of(acme, storm.pk)[-1] == "resolved"
    assert storms.settle_due() == 0


def test_the_next_storm_is_a_new_one_that_knows_the_last(acme: Tenant) -> None:
    break_out(acme, range(MANY))
    first = the_storm(acme)
    close_all([first])
    # those it grouped do not count again
    break_out(acme, range(MANY, MANY + 1))
    assert the_storm(acme).pk == first.pk
    break_out(acme, range(MANY + 1, 2 * MANY))
    second = the_storm(acme)
    assert (second.previous_id, second.status) == (first.pk, Status.DETECTED)
    assert len(children_of(second)) == MANY


def test_one_mail_and_every_retry(
    stage: Stage,  # noqa: F811
    mailoutbox: list[EmailMessage],
    alice: object,
    time_travel: Travel,
) -> None:
    stage.rule("acquirer", breaker__failure_threshold=1000)
    for n in range(MANY):
        stage.fails(f"run-{n}", code=code(n))
    stage.turn()
    [mail] = mailoutbox
    assert f"Storm: {MANY} new failures of acquirer" in mail.subject
    assert "0 events" not in mail.body
    # people are told once; every run is retried for itself
    assert len(stage.actions()) == MANY
    time_travel(minutes=2)
    stage.turn()
    assert len(stage.calls) > 0
