"""Whom an escalation tells, in which order, and what stops it: a policy's steps, or everybody who may act."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from actions import escalation_sweeps, escalations, planning
from actions.models import Action, Channel, Delivery, Escalation, EscalationPolicy
from actions.states import ActionType
from awfdrs_site.lib import clock
from incidents import lifecycle, storms
from incidents.models import Incident
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Membership, Tenant, Workflow
from tests.cast import Api, Travel, acting, journal_of, key_of
from tests.factories import (
    ChannelFactory,
    EscalationPolicyFactory,
    EscalationStepFactory,
    IncidentFactory,
    WorkflowFactory,
)
from tests.threads import at_once

pytestmark = pytest.mark.django_db
threads = pytest.mark.django_db(transaction=True)
Verb = Callable[..., Incident]


def escalate(incident: Incident, reason: str = "All 5 attempts failed.") -> Escalation:
    """Planned and begun, as the worker does it."""
    with scoping.bound(incident.tenant_id) as now:
        action = planning.escalation(incident, reason, now=now)
    with scoping.bound(incident.tenant_id) as now:
        return escalations.begin(action, now=now)


def policy(
    tenant: Tenant, *targets: Any, waits: tuple[int, ...] = (), **fields: Any
) -> EscalationPolicy:
    """`targets` are channels, people or roles; each but the first is told five minutes after the one before."""
    made = EscalationPolicyFactory(tenant=tenant, **{"repeats": 0, **fields})
    for place, target in enumerate(targets):
        kind = "channel" if isinstance(target, Channel) else "role"
        kind = "user" if isinstance(target, User) else kind
        EscalationStepFactory(
            tenant=tenant,
            policy=made,
            position=place,
            wait_minutes=waits[place] if waits else 5,
            **{"channel": None, kind: target},
        )
    return made


def told(tenant: Tenant, kind: str = "triggered") -> list[str]:
    """Who was told so far, in order."""
    with scoping.bound(tenant.pk):
        mine = Delivery.objects.for_tenant(tenant).filter(kind=kind).order_by("id")
        rows = mine.select_related("channel", "user")
        return [row.channel.name if row.channel else str(row.user) for row in rows]


def again(escalation: Escalation) -> Escalation:
    with scoping.bound(escalation.tenant_id):
        found: Escalation = Escalation.objects.for_tenant(escalation.tenant_id).get(
            pk=escalation.pk
        )
        return found


def do(verb: Verb, incident: Incident, user: User, **fields: Any) -> Incident:
    with scoping.bound(incident.tenant_id) as now:
        return verb(incident, by=acting(user), now=now, **fields)


def sweep_after(time_travel: Travel, **later: float) -> int:
    time_travel(**later)
    return escalations.advance_due()


@pytest.fixture
def incident(acme: Tenant) -> Incident:
    return IncidentFactory(tenant=acme, severity="high")


@pytest.fixture
def pager(acme: Tenant) -> Channel:
    return ChannelFactory(tenant=acme, name="pager", kind="pagerduty")


@pytest.fixture
def ops(acme: Tenant) -> Channel:
    return ChannelFactory(tenant=acme, name="ops", kind="slack")


# --- without a policy ---------------------------------------------------------------------------


def test_without_a_policy_everybody_who_may_act_is_told_at_once_and_twice_again(
    incident: Incident, alice: User, ann: User, bob: User, acme: Tenant, time_travel: Travel
) -> None:
    escalate(incident)
    # bob only looks
    assert told(acme) == ["alice", "ann"]
    assert sweep_after(time_travel, minutes=14) == 0
    assert sweep_after(time_travel, minutes=1) == 1
    sweep_after(time_travel, minutes=15)
    assert told(acme) == ["alice", "ann"] * 3
    # every round was told
    assert sweep_after(time_travel, hours=5) == 0


def test_what_people_read_says_what_why_and_where(incident: Incident, alice: User) -> None:
    escalate(incident, "All 5 attempts failed.")
    with scoping.bound(incident.tenant_id):
        [delivery] = Delivery.objects.for_tenant(incident.tenant_id)
    assert delivery.subject == f"{incident} high: {incident.title}"
    for part in (
        incident.title,
        "All 5 attempts failed.",
        "1 event, 0 runs",
        f"http://127.0.0.1:8000{incident.get_absolute_url()}",
    ):
        assert part in delivery.text
    assert (delivery.incident_id, delivery.action_id is None) == (incident.pk, False)


def test_nobody_to_tell_is_no_failure(incident: Incident, acme: Tenant) -> None:
    escalation = escalate(incident)
    assert (told(acme), escalation.status) == ([], "running")


def test_beginning_twice_tells_once(incident: Incident, alice: User, acme: Tenant) -> None:
    first = escalate(incident)
    assert escalate(incident).pk == first.pk
    assert told(acme) == ["alice"]


@threads
def test_two_workers_that_begin_one_action_tell_once(
    incident: Incident, alice: User, acme: Tenant
) -> None:
    with scoping.bound(acme.pk) as now:
        action = planning.escalation(incident, "why", now=now)

    def begin(_: int) -> None:
        with scoping.bound(acme.pk) as now:
            escalations.begin(action, now=now)

    at_once(4, begin)
    assert told(acme) == ["alice"]


# --- steps --------------------------------------------------------------------------------------


def test_steps_are_told_one_after_the_other(
    incident: Incident,
    ops: Channel,
    alice: User,
    ann: User,
    bob: User,
    acme: Tenant,
    time_travel: Travel,
) -> None:
    policy(acme, ops, alice, "admin", waits=(0, 5, 10))
    escalate(incident)
    assert told(acme) == ["ops"]
    assert sweep_after(time_travel, minutes=4) == 0
    sweep_after(time_travel, minutes=1)
    assert told(acme) == ["ops", "alice"]
    assert sweep_after(time_travel, minutes=9) == 0
    sweep_after(time_travel, minutes=1)
    assert told(acme) == ["ops", "alice", "ann"]
    lines = journal_of(acme, incident.pk)
    assert lines.count("people_told") == 3


def test_all_steps_start_again_while_nobody_acknowledges(
    incident: Incident, ops: Channel, alice: User, acme: Tenant, time_travel: Travel
) -> None:
    policy(acme, ops, alice, waits=(20, 5), repeats=1)
    escalation = escalate(incident)
    for minutes in (5, 20, 5):
        sweep_after(time_travel, minutes=minutes)
    assert told(acme) == ["ops", "alice"] * 2
    assert again(escalation).status == "ended"
    # it still waits for the incident, to say how it ended
    assert again(escalation).ended_at is None


def test_a_round_never_follows_at_once(
    incident: Incident, ops: Channel, acme: Tenant, time_travel: Travel
) -> None:
    policy(acme, ops, waits=(0,), repeats=5)
    escalate(incident)
    assert escalations.advance_due() == 0
    assert sweep_after(time_travel, minutes=1) == 1
    assert told(acme) == ["ops"] * 2


def test_a_tracker_gets_one_ticket_and_follows_the_incident_by_itself(
    incident: Incident, ops: Channel, alice: User, acme: Tenant, time_travel: Travel
) -> None:
    tracker = ChannelFactory(tenant=acme, name="tracker", kind="github")
    policy(acme, tracker, ops, repeats=2, waits=(5, 5))
    escalate(incident)
    for _ in range(5):
        sweep_after(time_travel, minutes=5)
    assert (told(acme, "ticket_open"), told(acme)) == (["tracker"], ["ops"] * 3)
    do(lifecycle.resolve, incident, alice)
    escalations.advance_due()
    assert told(acme, "resolved") == ["ops"]


@threads
def test_two_workers_at_one_step_tell_once(
    incident: Incident, ops: Channel, alice: User, acme: Tenant, time_travel: Travel
) -> None:
    policy(acme, ops, alice, repeats=3)
    escalate(incident)
    time_travel(minutes=5)
    at_once(8, lambda _: escalations.advance_due())
    assert told(acme) == ["ops", "alice"]


def test_what_is_edited_changes_nothing_that_runs(
    incident: Incident, ops: Channel, alice: User, acme: Tenant, time_travel: Travel
) -> None:
    edited = policy(acme, ops, alice, repeats=0)
    escalate(incident)
    with scoping.platform():
        edited.steps.all().delete()
        EscalationPolicy.objects.filter(pk=edited.pk).update(repeats=9, is_active=False)
    sweep_after(time_travel, minutes=5)
    assert told(acme) == ["ops", "alice"]


@pytest.mark.parametrize("gone", ["channel", "person"])
def test_a_step_whose_target_is_gone_tells_everybody_who_may_act(
    incident: Incident, ops: Channel, alice: User, ann: User, acme: Tenant, gone: str
) -> None:
    policy(acme, ops if gone == "channel" else ann)
    with scoping.platform():
        Channel.objects.filter(pk=ops.pk).update(is_active=False)
        Membership.objects.filter(user=ann).delete()
    escalate(incident)
    # silence would be worse than too many
    assert told(acme) == ["alice"]


def test_another_tenants_person_is_never_told(
    incident: Incident, alice: User, mallory: User, acme: Tenant
) -> None:
    policy(acme, mallory)
    escalate(incident)
    assert told(acme) == ["alice"]


def test_who_joins_a_role_meanwhile_is_told_with_it(
    incident: Incident, ops: Channel, ann: User, acme: Tenant, time_travel: Travel, alice: User
) -> None:
    policy(acme, ops, "admin")
    escalate(incident)
    with scoping.platform():
        Membership.objects.filter(user=alice).update(role="admin")
    sweep_after(time_travel, minutes=5)
    assert told(acme) == ["ops", "alice", "ann"]


# --- which policy -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("severity", "expected"),
    [("low", "alice"), ("medium", "mild"), ("high", "mild"), ("critical", "pager")],
)
def test_the_strictest_policy_that_the_severity_reaches_applies(
    acme: Tenant, alice: User, pager: Channel, severity: str, expected: str
) -> None:
    policy(acme, ChannelFactory(tenant=acme, name="mild"), minimum_severity="medium")
    policy(acme, pager, minimum_severity="critical")
    escalate(IncidentFactory(tenant=acme, severity=severity))
    assert told(acme) == [expected]


def test_a_workflows_own_policy_goes_before_the_tenants(
    acme: Tenant, alice: User, pager: Channel, ops: Channel
) -> None:
    payouts: Workflow = WorkflowFactory(tenant=acme)
    policy(acme, pager, minimum_severity="critical")
    policy(acme, ops, workflow=payouts)
    escalate(IncidentFactory(tenant=acme, severity="critical", workflow=payouts))
    escalate(IncidentFactory(tenant=acme, severity="critical"))
    assert told(acme) == ["ops", "pager"]


def test_a_policy_that_is_off_or_empty_does_not_apply(
    incident: Incident, acme: Tenant, alice: User, ops: Channel
) -> None:
    policy(acme, ops, is_active=False)
    policy(acme)
    escalate(incident)
    assert told(acme) == ["alice"]


# --- what stops it ------------------------------------------------------------------------------


def test_an_acknowledgement_stops_it(
    incident: Incident, pager: Channel, ann: User, acme: Tenant, alice: User, time_travel: Travel
) -> None:
    policy(acme, ann, pager, alice, repeats=3)
    escalation = escalate(incident)
    sweep_after(time_travel, minutes=5)
    do(lifecycle.acknowledge, incident, alice)
    assert escalations.advance_due() == 1
    assert again(escalation).status == "acknowledged"
    # a pager falls silent; people get no mail about it
    assert told(acme, "acknowledged") == ["pager"]
    assert sweep_after(time_travel, days=9) == 0
    assert told(acme) == ["ann", "pager"]


def test_an_acknowledgement_that_lasted_its_time_lets_the_steps_go_on(
    incident: Incident, ops: Channel, alice: User, acme: Tenant, time_travel: Travel, ann: User
) -> None:
    policy(acme, ops, alice, ann, acknowledge_minutes=30)
    escalation = escalate(incident)
    do(lifecycle.acknowledge, incident, alice)
    escalations.advance_due()
    assert sweep_after(time_travel, minutes=29) == 0
    assert sweep_after(time_travel, minutes=1) == 1
    assert told(acme) == ["ops", "alice"]
    # somebody must say so again
    with scoping.bound(acme.pk):
        incident.refresh_from_db()
    assert (incident.acknowledged_at, again(escalation).status) == (None, "running")
    assert "acknowledgement_ended" in journal_of(acme, incident.pk)
    do(lifecycle.acknowledge, incident, alice)
    escalations.advance_due()
    assert sweep_after(time_travel, minutes=29) == 0
    assert told(acme) == ["ops", "alice"]


def test_what_is_acknowledged_after_the_last_round_and_forgotten_is_told_once_more(
    incident: Incident, ops: Channel, alice: User, acme: Tenant, time_travel: Travel
) -> None:
    policy(acme, ops, acknowledge_minutes=30)
    escalation = escalate(incident)
    assert again(escalation).status == "ended"
    do(lifecycle.acknowledge, incident, alice)
    escalations.advance_due()
    sweep_after(time_travel, minutes=30)
    assert told(acme) == ["ops", "ops"]
    assert again(escalation).status == "ended"


def test_who_looked_before_it_was_escalated_is_asked_again(
    incident: Incident, ops: Channel, alice: User, acme: Tenant, time_travel: Travel, ann: User
) -> None:
    do(lifecycle.acknowledge, incident, alice)
    time_travel(minutes=1)
    policy(acme, ops, ann)
    escalate(incident)
    with scoping.bound(acme.pk):
        incident.refresh_from_db()
    assert incident.acknowledged_at is None
    sweep_after(time_travel, minutes=5)
    assert told(acme) == ["ops", "ann"]


@pytest.mark.parametrize(
    ("verb", "fields", "word"),
    [
        (lifecycle.resolve, {"reason": "fixed"}, "resolved"),
        (lifecycle.ignore, {"reason": "known"}, "ignored"),
    ],
)
def test_whoever_was_told_hears_that_it_is_over(
    incident: Incident,
    ops: Channel,
    alice: User,
    acme: Tenant,
    time_travel: Travel,
    verb: Verb,
    fields: dict[str, Any],
    word: str,
) -> None:
    policy(acme, ops, alice, "admin", waits=(0, 5, 60))
    escalation = escalate(incident)
    sweep_after(time_travel, minutes=5)
    do(verb, incident, alice, **fields)
    assert escalations.advance_due() == 1
    assert told(acme, "resolved") == ["ops", "alice"]
    with scoping.bound(acme.pk):
        [last] = Delivery.objects.for_tenant(acme).filter(kind="resolved", user=alice)
    assert f"{incident} is {word}" in last.text
    assert again(escalation).ended_at is not None
    assert sweep_after(time_travel, hours=2) == 0
    assert told(acme) == ["ops", "alice"]


def test_whoever_was_told_in_the_last_round_hears_it_too(
    incident: Incident, ops: Channel, alice: User, acme: Tenant, time_travel: Travel
) -> None:
    policy(acme, ops)
    escalate(incident)
    time_travel(hours=3)
    do(lifecycle.resolve, incident, alice)
    escalations.advance_due()
    assert told(acme, "resolved") == ["ops"]


def test_an_incident_that_is_over_already_tells_nobody(
    incident: Incident, ops: Channel, acme: Tenant, alice: User
) -> None:
    policy(acme, ops)
    with scoping.bound(acme.pk) as now:
        action = planning.escalation(incident, "why", now=now)
        lifecycle.resolve(incident, by=SYSTEM, now=now)
    with scoping.bound(acme.pk) as now:
        escalation = escalations.begin(action, now=now)
    assert (told(acme), escalation.status) == ([], "ended")


def test_one_that_came_back_is_told_anew(
    incident: Incident, ops: Channel, acme: Tenant, alice: User, time_travel: Travel
) -> None:
    policy(acme, ops, alice)
    first = escalate(incident)
    do(lifecycle.resolve, incident, alice)
    time_travel(minutes=1)
    do(lifecycle.reopen, incident, alice, is_regression=True)
    with scoping.bound(acme.pk):
        incident.refresh_from_db()
    second = escalate(incident)
    assert second.pk != first.pk
    sweep_after(time_travel, minutes=5)
    assert told(acme) == ["ops", "ops", "alice"]
    assert again(first).ended_at is not None


# --- by hand ---------------------------------------------------------------------------------


def by_hand(incident: Incident, user: User) -> list[Action]:
    do(lifecycle.escalate, incident, user, reason="Look at this.")
    escalation_sweeps.tell_of_escalated()
    with scoping.bound(incident.tenant_id):
        mine = Action.objects.for_tenant(incident.tenant_id).filter(incident=incident)
        return list(mine.order_by("id"))


def test_what_a_person_escalates_is_told_once(acme: Tenant, alice: User) -> None:
    incident = IncidentFactory(tenant=acme, planned_at=clock.read())
    [action] = by_hand(incident, alice)
    assert (action.action_type, action.parameters["reason"]) == ("escalate", "Look at this.")
    assert by_hand(incident, alice) == [action]
    assert escalation_sweeps.tell_of_escalated() == 0


def test_what_was_opened_again_and_escalated_again_is_told_again(acme: Tenant, alice: User) -> None:
    incident = IncidentFactory(tenant=acme, planned_at=clock.read())
    by_hand(incident, alice)
    do(lifecycle.resolve, incident, alice)
    do(lifecycle.reopen, incident, alice)
    with scoping.bound(acme.pk):
        Incident.objects.for_tenant(acme).filter(pk=incident.pk).update(planned_at=clock.read())
    assert len(by_hand(incident, alice)) == 2


def test_what_a_decision_escalates_is_left_to_its_plan(acme: Tenant, alice: User) -> None:
    assert by_hand(IncidentFactory(tenant=acme), alice) == []


# --- in the API -------------------------------------------------------------------------------


def test_the_api_says_who_is_told_and_who_is_next(
    incident: Incident, ops: Channel, alice: User, acme: Tenant
) -> None:
    policy(acme, ops, alice, name="nights", repeats=1)
    escalation = escalate(incident)
    answer = Api(key_of(acme)).get(f"/api/v1/incidents/{incident.pk}/escalations")
    [told] = answer.json()["results"]
    assert (told["id"], told["policy_name"], told["status"]) == (
        str(escalation.pk),
        "nights",
        "running",
    )
    assert [step["name"] for step in told["steps"]] == ["ops", "alice"]
    assert (told["step"], told["round"], told["next_at"] is None) == (1, 0, False)


# --- storms -------------------------------------------------------------------------------------


def test_what_joins_a_storm_is_silent_until_the_storm_is_over(
    incident: Incident, ops: Channel, acme: Tenant, alice: User, time_travel: Travel
) -> None:
    policy(acme, ops, alice)
    escalate(incident)
    storm = IncidentFactory(tenant=acme, is_storm=True)
    with scoping.bound(acme.pk):
        Incident.objects.for_tenant(acme).filter(pk=incident.pk).update(parent=storm)
        incident.refresh_from_db()
        assert storms.shelter_of(incident) == storm
    sweep_after(time_travel, minutes=5)
    sweep_after(time_travel, minutes=5)
    assert told(acme) == ["ops"]
    do(lifecycle.resolve, storm, alice)
    sweep_after(time_travel, minutes=5)
    assert told(acme) == ["ops", "alice"]


def test_a_part_of_a_storm_is_never_begun(incident: Incident, acme: Tenant, alice: User) -> None:
    storm = IncidentFactory(tenant=acme, is_storm=True)
    with scoping.bound(acme.pk) as now:
        Incident.objects.for_tenant(acme).filter(pk=incident.pk).update(parent=storm)
        incident.refresh_from_db()
        action: Action = planning.escalation(incident, "why", now=now)
    assert (action.action_type, action.status) == (ActionType.ESCALATE, "skipped")
    assert told(acme) == []


def test_a_sweep_that_comes_late_tells_each_step_once(
    incident: Incident, ops: Channel, acme: Tenant, alice: User, time_travel: Travel
) -> None:
    policy(acme, ops, alice, ops)
    escalation = escalate(incident)
    sweep_after(time_travel, hours=2)
    assert told(acme) == ["ops", "alice"]
    assert again(escalation).next_at - again(escalation).started_at > timedelta(hours=2)  # type: ignore[operator]
