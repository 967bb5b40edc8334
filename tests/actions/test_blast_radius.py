"""A rule that sets off more than it may is paused as a whole, people are told, and one of them resumes it (M46)."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from actions import explain, starting
from actions.models import Action, Delivery
from actions.states import Status
from awfdrs_site.lib import clock
from incidents.models import Incident
from incidents.states import RunState
from safety import blast_radius, rules
from safety.models import RulePause
from tenants.journal import SYSTEM
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import acting, journal_of
from tests.factories import (
    ActionFactory,
    CampaignFactory,
    IncidentFactory,
    RunFactory,
    WorkflowFactory,
)
from tests.threads import at_once

pytestmark = pytest.mark.django_db
CODE = "a_code_of_their_own"  # no file knows it
LEASE = timedelta(minutes=5)


def limit(
    tenant: Tenant, *, scope: str = "category", target: str = "transient_error", **most: int
) -> None:
    with bound(tenant.pk) as now:
        rules.override(
            tenant_id=tenant.pk,
            scope=scope,
            target=target,
            values={f"blast_radius.max_{what}_per_hour": n for what, n in most.items()},
            reason="test",
            by=SYSTEM,
            now=now,
        )


def incident_of(tenant: Tenant, **fields: Any) -> Incident:
    workflow = WorkflowFactory(
        tenant=tenant, idempotent="key", retry_url="https://workflow.example.org/retry"
    )
    about = {"category": "transient_error", "error_code": CODE} | fields
    return IncidentFactory(
        tenant=tenant,
        workflow=workflow,
        classification={"is_certain": True, "retryable_hint": True},
        **about,
    )


def retries(incident: Incident, n_runs: int, **fields: Any) -> list[Action]:
    """Due retries of so many runs, each held by a worker; of no vendor, whose limits have tests of their own."""
    return [
        ActionFactory(
            tenant=incident.tenant,
            incident=incident,
            run=RunFactory(
                tenant=incident.tenant,
                workflow=incident.workflow,
                incident=incident,
                state=RunState.RETRY_SCHEDULED,
            ),
            lease_token=1,
            lease_until=clock.read() + LEASE,
            **fields,
        )
        for _ in range(n_runs)
    ]


def begin(actions: list[Action]) -> list[bool]:
    """Start each, and let its call be over at once: caps of calls under way are no part of this."""
    return [_begin(action) for action in actions]


def _begin(action: Action) -> bool:
    call = starting.start(tenant_id=action.tenant_id, action_id=action.pk, token=1)
    change(action, status=Status.COMPLETED) if call else None
    return call is not None


def change(action: Action, **fields: Any) -> None:
    with bound(action.tenant_id):
        Action.objects.for_tenant(action.tenant_id).filter(pk=action.pk).update(**fields)


def stored(action: Action) -> Action:
    with bound(action.tenant_id):
        found: Action = Action.objects.for_tenant(action.tenant_id).get(pk=action.pk)
        return found


def pauses(tenant: Tenant) -> list[RulePause]:
    with bound(tenant.pk):
        return blast_radius.paused(tenant.pk)


def told(tenant: Tenant) -> dict[str, str]:
    with bound(tenant.pk):
        mine = Delivery.objects.for_tenant(tenant).exclude(user=None)
        return dict(mine.values_list("user__username", "subject"))


def test_without_a_limit_nothing_is_counted_against_a_rule(acme: Tenant) -> None:
    assert all(begin(retries(incident_of(acme), 5)))
    assert pauses(acme) == []


def test_one_action_more_than_it_may_pauses_the_rule_and_asks_a_person(acme: Tenant) -> None:
    limit(acme, actions=3)
    actions = retries(incident_of(acme), 5)
    assert begin(actions) == [True, True, True, False, False]
    (pause,) = pauses(acme)
    assert pause.rule == "category transient_error"
    assert "3 actions" in pause.reason
    held = stored(actions[3])
    assert held.status == Status.AWAITING_APPROVAL
    assert held.approval_id is not None
    assert pause.reason in held.waiting_reason
    assert journal_of(acme, pause.pk) == ["rule_paused"]


def test_everybody_who_may_act_is_told_once(
    acme: Tenant, alice: User, ann: User, bob: User, mallory: User
) -> None:
    limit(acme, actions=1)
    begin(retries(incident_of(acme), 4))
    subject = "Rule paused: category transient_error"
    assert told(acme) == {"alice": subject, "ann": subject}


def test_distinct_runs_are_counted_apart_from_actions(acme: Tenant) -> None:
    limit(acme, runs=2)
    first, second, third = retries(incident_of(acme), 3)
    again = retries(first.incident, 1)[0]
    change(again, run=first.run)
    assert begin([first, again, second]) == [True, True, True]
    assert begin([third]) == [False]
    assert "2 runs" in pauses(acme)[0].reason


def test_an_hour_later_what_was_set_off_counts_no_more(acme: Tenant) -> None:
    limit(acme, actions=2)
    before, after = (retries(incident_of(acme), 2) for _ in range(2))
    begin(before)
    for action in before:
        change(action, started_at=clock.read() - timedelta(hours=1, seconds=1))
    assert begin(after) == [True, True]


def test_a_rule_is_an_error_codes_where_one_speaks_of_it_and_its_categorys_otherwise(
    acme: Tenant,
) -> None:
    limit(acme, actions=1)
    limit(acme, scope="code", target=CODE, actions=2)
    assert begin(retries(incident_of(acme), 3)) == [True, True, False]
    other = incident_of(acme, error_code="another_one")
    assert begin(retries(other, 2)) == [True, False]
    assert [pause.rule for pause in pauses(acme)] == ["category transient_error", f"code {CODE}"]


def test_the_limit_of_the_whole_tenant_is_one_for_each_rule(acme: Tenant, globex: Tenant) -> None:
    limit(acme, scope="tenant", target="", actions=1)
    assert begin(retries(incident_of(acme), 2)) == [True, False]
    assert begin(retries(incident_of(acme, category="rate_limit"), 2)) == [True, False]
    assert all(begin(retries(incident_of(globex), 2)))


def test_what_people_allow_and_what_campaigns_send_is_theirs(acme: Tenant) -> None:
    limit(acme, actions=1)
    incident = incident_of(acme)
    by_hand = retries(incident, 2, parameters={"approved_by": "alice"})
    campaign = CampaignFactory(tenant=acme, incident=incident, status="running")
    staged = retries(incident, 2, campaign=campaign)
    assert begin([*by_hand, *staged]) == [True] * 4
    assert begin(retries(incident, 2)) == [True, False]
    # nor does a pause hold them
    assert begin(retries(incident, 1, parameters={"approved_by": "alice"})) == [True]


def test_a_person_resumes_it_and_it_is_counted_from_nothing(acme: Tenant, ann: User) -> None:
    limit(acme, actions=2)
    incident = incident_of(acme)
    begin(retries(incident, 3))
    (pause,) = pauses(acme)
    for _ in range(2):  # twice is once
        with bound(acme.pk) as now:
            blast_radius.resume(pause, reason="looked at it", by=acting(ann), now=now)
    assert journal_of(acme, pause.pk) == ["rule_paused", "rule_resumed"]
    assert begin(retries(incident, 3)) == [True, True, False]
    assert len(pauses(acme)) == 1


def test_a_paused_rule_stays_paused_when_its_limit_is_lifted(acme: Tenant) -> None:
    limit(acme, actions=1)
    incident = incident_of(acme)
    begin(retries(incident, 2))
    limit(acme, actions=0)
    assert begin(retries(incident, 1)) == [False]


def test_why_it_does_not_go_is_told_and_looking_pauses_nothing(acme: Tenant) -> None:
    limit(acme, actions=1)
    incident = incident_of(acme)
    begin(retries(incident, 1))
    (action,) = retries(incident, 1)
    with bound(acme.pk) as now:
        mine = Action.objects.for_tenant(acme).select_related(*explain.LOOKED_AT)
        told = explain.of_action(mine.get(pk=action.pk), now=now)
    (gate,) = [gate for gate in told.gates if not gate.passed]
    assert (gate.name, gate.limit) == ("blast_radius", "1 actions")
    assert gate.source == "rule category transient_error"
    assert told.effect == "approve"
    assert pauses(acme) == []


@pytest.mark.django_db(transaction=True)
def test_starts_at_once_never_go_beyond_the_radius(acme: Tenant, alice: User) -> None:
    limit(acme, actions=3)
    actions = retries(incident_of(acme), 8)
    assert sum(at_once(8, lambda n: _begin(actions[n]))) == 3
    assert len(pauses(acme)) == 1
    assert len(told(acme)) == 1
