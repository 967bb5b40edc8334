"""An action's moves by hand: approve, reject, skip, run now, and what can be undone."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from actions import lifecycle, voting
from actions.lifecycle import ActionRefused, Change
from actions.models import Action
from actions.states import ALLOWED, REVERSIBLE, ActionType, Status
from tenants.journal import Actor
from tenants.models import JournalEntry, Tenant
from tenants.scoping import bound
from tests.cast import journal_of
from tests.factories import ActionFactory, IncidentFactory, RunFactory
from tests.threads import at_once

pytestmark = pytest.mark.django_db

ALICE = Actor("user", "1", "alice")
BOB = Actor("user", "2", "bob")
Verb = Callable[[Action, datetime], Action]
VERBS: dict[str, Verb] = {
    "approve": lambda action, now: voting.approve_action(action, by=ALICE, now=now),
    "reject": lambda action, now: voting.reject_action(action, by=ALICE, now=now, reason="no"),
    "skip": lambda action, now: lifecycle.skip(action, by=ALICE, now=now, reason="no"),
    "run_now": lambda action, now: voting.run_action(action, by=ALICE, now=now),
}
# where each verb leads from each status; what is missing is refused
LEADS: dict[str, dict[Status, tuple[Status, str | None]]] = {
    "approve": {
        Status.AWAITING_APPROVAL: (Status.PENDING, "approved"),
        Status.PENDING: (Status.PENDING, None),
    },
    "reject": {
        Status.AWAITING_APPROVAL: (Status.SKIPPED, "rejected"),
        Status.SKIPPED: (Status.SKIPPED, None),
    },
    "skip": {
        Status.AWAITING_APPROVAL: (Status.SKIPPED, "skipped"),
        Status.PENDING: (Status.SKIPPED, "skipped"),
        Status.PARKED: (Status.SKIPPED, "skipped"),
        Status.FAILED: (Status.SKIPPED, "skipped"),
        Status.UNKNOWN: (Status.SKIPPED, "skipped"),
        Status.SKIPPED: (Status.SKIPPED, None),
    },
    "run_now": {
        Status.PENDING: (Status.PENDING, "brought_forward"),
        Status.PARKED: (Status.PENDING, "run_again"),
        Status.AWAITING_APPROVAL: (Status.PENDING, "approved"),
        Status.FAILED: (Status.PENDING, "run_again"),
        Status.UNKNOWN: (Status.PENDING, "run_again"),
    },
}
EVERY = [(verb, before) for verb in VERBS for before in Status]


def stored(action: Action) -> Action:
    with bound(action.tenant_id):
        found: Action = Action.objects.for_tenant(action.tenant_id).get(pk=action.pk)
    return found


@pytest.mark.parametrize(("verb", "before"), [e for e in EVERY if e[1] in LEADS[e[0]]])
def test_a_verb_leads_where_it_says_and_journals_once(
    acme: Tenant, verb: str, before: Status
) -> None:
    action = ActionFactory(tenant=acme, status=before)
    status, line = LEADS[verb][before]
    with bound(acme.pk) as now:
        VERBS[verb](action, now)
    assert stored(action).status == status
    assert journal_of(acme, action.pk) == [line] * (line is not None)


@pytest.mark.parametrize(("verb", "before"), [e for e in EVERY if e[1] not in LEADS[e[0]]])
def test_from_anywhere_else_it_is_refused_and_nothing_is_written(
    acme: Tenant, verb: str, before: Status
) -> None:
    # in_progress above all: taking an attempt under way back to pending would send it twice
    action = ActionFactory(tenant=acme, status=before, lease_token=7, attempts_made=3)
    with bound(acme.pk) as now, pytest.raises(ActionRefused) as refused:
        VERBS[verb](action, now)
    assert refused.value.allowed == ALLOWED[before]
    after = stored(action)
    assert (after.status, after.lease_token, after.version) == (before, 7, 1)
    assert (after.attempts_max, after.parameters) == (action.attempts_max, {})
    assert journal_of(acme) == []


def test_an_approval_says_who_and_runs_at_once(acme: Tenant) -> None:
    with bound(acme.pk) as now:
        later = now + timedelta(hours=1)
    action = ActionFactory(
        tenant=acme, status=Status.AWAITING_APPROVAL, run_at=later, waiting_reason="ask"
    )
    with bound(acme.pk) as now:
        voting.approve_action(action, by=ALICE, now=now)
        again = voting.approve_action(action, by=BOB, now=now)
    assert again.parameters == {"approved_by": "alice"}
    assert (again.run_at, again.waiting_reason) == (now, "")
    assert journal_of(acme, action.pk) == ["approved"]


def test_running_again_allows_one_attempt_more(acme: Tenant) -> None:
    action = ActionFactory(tenant=acme, status=Status.FAILED, attempts_made=3, attempts_max=3)
    with bound(acme.pk) as now:
        lifecycle.run_now(action, by=ALICE, now=now)
    assert (stored(action).attempts_max, stored(action).run_at) == (4, now)
    left = ActionFactory(tenant=acme, status=Status.FAILED, attempts_made=1, attempts_max=3)
    with bound(acme.pk) as now:
        lifecycle.run_now(left, by=ALICE, now=now)
    assert stored(left).attempts_max == 3


def test_a_move_ends_the_lease_and_a_running_action_keeps_it(acme: Tenant) -> None:
    with bound(acme.pk) as now:
        pass
    running = ActionFactory(tenant=acme, status=Status.IN_PROGRESS, lease_token=7, lease_until=now)
    with bound(acme.pk) as now:
        kept = lifecycle.save(lifecycle.locked(running), None, by=ALICE, now=now)
        assert (kept.lease_token, kept.version) == (7, 2)
        ended = lifecycle.move(kept, Status.UNKNOWN, "lost", by=ALICE, now=now)
    assert (ended.lease_token, ended.lease_until) == (None, None)
    assert journal_of(acme, running.pk) == ["lost"]


def test_a_line_names_the_incident_and_the_run_and_leaves_out_what_is_empty(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme)
    run = RunFactory(tenant=acme, workflow=incident.workflow, incident=incident)
    action = ActionFactory(tenant=acme, incident=incident, run=run, correlation_id="corr-7")
    with bound(acme.pk) as now:
        change = Change("noted", {"why": "", "what": "x", "none": None})
        lifecycle.save(lifecycle.locked(action), change, by=ALICE, now=now)
        line = JournalEntry.objects.for_tenant(acme).get()
        assert lifecycle.incident_of(action) == incident
        assert lifecycle.run_of(action) == lifecycle.run_of(action, lock=True) == run
    assert line.detail == {
        "action_type": "retry",
        "incident": str(incident.pk),
        "run": str(run.pk),
        "what": "x",
    }
    assert line.correlation_id == "corr-7"


def test_only_a_completed_change_of_our_own_state_can_be_undone() -> None:
    for kind in ActionType:
        for status in Status:
            action = Action(action_type=kind, status=status)
            can = kind in REVERSIBLE and status == Status.COMPLETED
            assert lifecycle.is_reversible(action) is can


@pytest.mark.parametrize(
    ("kind", "status", "says"),
    [
        ("circuit_breaker_open", "reversed", "reversed already"),
        ("retry", "completed", "cannot be called back"),
        ("notify", "completed", "type notify cannot be reversed"),
        ("kill_switch_activate", "failed", "this one is failed"),
    ],
)
def test_it_says_why_something_cannot_be_undone(kind: str, status: str, says: str) -> None:
    assert says in lifecycle.why_not_reversible(Action(action_type=kind, status=status))


@pytest.mark.django_db(transaction=True)
def test_two_who_approve_and_reject_at_once_have_one_outcome(acme: Tenant) -> None:
    action = ActionFactory(tenant=acme, status=Status.AWAITING_APPROVAL)

    def decide(number: int) -> str:
        with bound(acme.pk) as now:
            try:
                return VERBS[("approve", "reject")[number]](action, now).status
            except ActionRefused:
                return "refused"

    outcomes = at_once(2, decide)
    assert "refused" in outcomes
    assert stored(action).status in outcomes
    assert len(journal_of(acme, action.pk)) == 1


def test_of_many_moved_at_once_one_that_may_not_move_stops_all(acme: Tenant) -> None:
    waiting = ActionFactory(tenant=acme, status=Status.AWAITING_APPROVAL)
    done = ActionFactory(tenant=acme, status=Status.COMPLETED)
    with bound(acme.pk) as now:
        with pytest.raises(ActionRefused):
            lifecycle.move_all(
                [waiting, done], Status.SKIPPED, "skipped", by=ALICE, now=now, fields={}
            )
        assert stored(waiting).status == Status.AWAITING_APPROVAL
        assert stored(done).status == Status.COMPLETED
    assert journal_of(acme) == []


def test_nothing_to_store_asks_nobody(acme: Tenant) -> None:
    with bound(acme.pk) as now, CaptureQueriesContext(connection) as asked:
        lifecycle.save_all({}, by=ALICE, now=now)
    assert len(asked) == 0
