"""An incident's moves: each verb works, is safe to repeat, is refused from the wrong state, and is journalled once."""

from collections.abc import Callable
from datetime import datetime

import pytest

from incidents import lifecycle
from incidents.lifecycle import StaleVersion, TransitionRefused, UnrecoveredRuns
from incidents.models import AffectedRun, Incident, Run
from incidents.states import ALLOWED, OPEN, RunState, Status
from tenants.journal import Actor
from tenants.models import JournalEntry, Tenant
from tenants.scoping import bound
from tests.cast import journal_of
from tests.factories import AffectedRunFactory, IncidentFactory, RunFactory
from tests.threads import at_once

pytestmark = pytest.mark.django_db

ALICE = Actor("user", "1", "alice")
BOB = Actor("user", "2", "bob")
Verb = Callable[[Incident, datetime], Incident]
VERBS: dict[str, tuple[Status, str, Verb]] = {
    "analyze": (
        Status.ANALYZING,
        "analyzing",
        lambda incident, now: lifecycle.analyze(incident, by=ALICE, now=now),
    ),
    "escalate": (
        Status.ESCALATED,
        "escalated",
        lambda incident, now: lifecycle.escalate(incident, by=ALICE, now=now, reason="why"),
    ),
    "resolve": (
        Status.RESOLVED,
        "resolved",
        lambda incident, now: lifecycle.resolve(incident, by=ALICE, now=now, reason="why"),
    ),
    "ignore": (
        Status.IGNORED,
        "ignored",
        lambda incident, now: lifecycle.ignore(incident, by=ALICE, now=now, reason="why"),
    ),
    "reopen": (
        Status.DETECTED,
        "reopened",
        lambda incident, now: lifecycle.reopen(incident, by=ALICE, now=now, reason="why"),
    ),
}
MOVES = [(before, verb) for before in Status for verb in VERBS]


def is_refused(before: Status, verb: str) -> bool:
    target = VERBS[verb][0]
    quiet = verb == "reopen" and before in (Status.ANALYZING, Status.ESCALATED)
    return before != target and target not in ALLOWED[before] and not quiet


@pytest.mark.parametrize(("before", "verb"), [m for m in MOVES if not is_refused(*m)])
def test_a_verb_moves_journals_once_and_is_quiet_when_repeated(
    acme: Tenant, before: Status, verb: str
) -> None:
    incident = IncidentFactory(tenant=acme, status=before)
    target, line, act = VERBS[verb]
    with bound(acme.pk) as now:
        moved = act(incident, now)
        again = act(incident, now)
    is_open_already = verb == "reopen" and before in OPEN
    assert moved.status == again.status == (before if is_open_already else target)
    has_moved = before != moved.status
    assert journal_of(acme, incident.pk) == [line] * has_moved
    assert again.version == incident.version + has_moved


@pytest.mark.parametrize(("before", "verb"), [m for m in MOVES if is_refused(*m)])
def test_a_move_that_the_table_does_not_allow_is_refused_and_changes_nothing(
    acme: Tenant, before: Status, verb: str
) -> None:
    incident = IncidentFactory(tenant=acme, status=before)
    with bound(acme.pk) as now, pytest.raises(TransitionRefused) as refused:
        VERBS[verb][2](incident, now)
    # the 409 says what is allowed instead
    assert (refused.value.current, refused.value.asked) == (before, VERBS[verb][0])
    assert refused.value.allowed == ALLOWED[before]
    assert journal_of(acme) == []
    with bound(acme.pk):
        incident.refresh_from_db()
    assert (incident.status, incident.version) == (before, 1)


def test_every_move_of_the_table_has_a_verb() -> None:
    reachable = {target for target, _, _ in VERBS.values()}
    assert set(ALLOWED) == set(Status)
    assert {to for targets in ALLOWED.values() for to in targets} <= reachable


def test_a_journal_line_says_who_when_from_where_and_why(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        lifecycle.escalate(incident, by=ALICE, now=now, reason="the queue is full")
        line = JournalEntry.objects.for_tenant(acme).get()
    assert (line.actor_kind, line.actor_id, line.actor_label) == ("user", "1", "alice")
    assert (line.at, line.subject_type, line.verb) == (now, "incident", "escalated")
    assert line.detail == {
        "before": "detected",
        "after": "escalated",
        "reason": "the queue is full",
    }


def test_acknowledging_is_no_status_and_the_first_one_counts(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        lifecycle.acknowledge(incident, by=ALICE, now=now, note="on it")
        again = lifecycle.acknowledge(incident, by=BOB, now=now)
    assert (again.acknowledged_by, again.acknowledged_at) == ("alice", now)
    assert again.status == Status.DETECTED
    assert journal_of(acme) == ["acknowledged"]


def test_an_acknowledgement_ends_once(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        lifecycle.acknowledge(incident, by=ALICE, now=now)
        for _ in range(2):
            ended = lifecycle.end_acknowledgement(incident, by=BOB, now=now, reason="over")
    assert (ended.acknowledged_by, ended.acknowledged_at) == ("", None)
    assert journal_of(acme) == ["acknowledged", "acknowledgement_ended"]


def test_escalating_again_keeps_the_first_reason(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        lifecycle.escalate(incident, by=ALICE, now=now, reason="first")
        again = lifecycle.escalate(incident, by=BOB, now=now, reason="second")
    assert (again.escalated_reason, again.escalated_at) == ("first", now)


def hurt(tenant: Tenant, *, n_runs: int = 2) -> Incident:
    incident = IncidentFactory(tenant=tenant, affected_runs=n_runs, unrecovered_runs=n_runs)
    for _ in range(n_runs):
        AffectedRunFactory(tenant=tenant, incident=incident)
    return incident


def test_it_refuses_to_resolve_while_runs_are_hurt_and_names_them(acme: Tenant) -> None:
    incident = hurt(acme)
    with bound(acme.pk) as now:
        # without a reason a waiver is none
        for waives in (False, True):
            with pytest.raises(UnrecoveredRuns, match="2 runs") as refused:
                lifecycle.resolve(incident, by=ALICE, now=now, waive_unrecovered=waives)
            assert len(refused.value.runs) == 2
    assert journal_of(acme) == []


def test_resolving_with_a_waiver_gives_the_hurt_runs_up_with_its_reason(acme: Tenant) -> None:
    incident = hurt(acme)
    with bound(acme.pk) as now:
        resolved = lifecycle.resolve(
            incident, by=ALICE, now=now, reason="paid by hand", waive_unrecovered=True
        )
        runs = list(Run.objects.for_tenant(acme))
    assert (resolved.status, resolved.unrecovered_runs) == (Status.RESOLVED, 0)
    assert {(r.state, r.recovery_note, r.recovered_at) for r in runs} == {
        (RunState.WAIVED, "paid by hand", now)
    }
    # the incident says it once, each run for itself
    assert journal_of(acme, incident.pk) == ["run_waived", "resolved"]
    assert [journal_of(acme, run.pk) for run in runs] == [["waived"], ["waived"]]


def test_waiving_a_run_frees_every_incident_it_hurt_once(acme: Tenant) -> None:
    one, other = (IncidentFactory(tenant=acme, unrecovered_runs=1) for _ in range(2))
    run = RunFactory(tenant=acme)
    for incident in (one, other):
        AffectedRunFactory(tenant=acme, incident=incident, run=run)
    with bound(acme.pk) as now:
        for _ in range(2):
            lifecycle.waive(run, by=ALICE, now=now, reason="lost")
        counts = Incident.objects.for_tenant(acme).values_list("unrecovered_runs", flat=True)
        assert list(counts) == [0, 0]
    assert journal_of(acme, run.pk) == ["waived"]


def test_a_recovered_run_is_not_waived(acme: Tenant) -> None:
    run = RunFactory(tenant=acme, state=RunState.RECOVERED_AUTO)
    with bound(acme.pk) as now:
        assert lifecycle.waive(run, by=ALICE, now=now, reason="x").state == RunState.RECOVERED_AUTO
    assert journal_of(acme) == []


def test_reopening_starts_the_incident_over(acme: Tenant) -> None:
    with bound(acme.pk) as then:
        pass
    incident = IncidentFactory(
        tenant=acme,
        status=Status.RESOLVED,
        resolved_at=then,
        resolved_reason="done",
        decided_at=then,
        planned_at=then,
        acknowledged_at=then,
        acknowledged_by="bob",
        escalated_at=then,
        escalated_reason="x",
    )
    with bound(acme.pk) as now:
        reopened = lifecycle.reopen(incident, by=ALICE, now=now)
    # it is decided anew, and nobody has looked at it yet
    assert (reopened.decided_at, reopened.planned_at, reopened.acknowledged_at) == (
        None,
        None,
        None,
    )
    assert (reopened.resolved_at, reopened.escalated_at, reopened.opened_at) == (None, None, now)
    assert reopened.regression_count == 0


def test_a_regression_is_counted_and_named_so(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme, status=Status.RESOLVED)
    with bound(acme.pk) as now:
        reopened = lifecycle.reopen(incident, by=ALICE, now=now, is_regression=True)
    assert reopened.regression_count == 1
    assert journal_of(acme) == ["regressed"]


def test_it_refuses_to_reopen_beside_an_open_one_of_the_same_signature(acme: Tenant) -> None:
    old = IncidentFactory(tenant=acme, status=Status.RESOLVED, signature="a" * 32)
    IncidentFactory(tenant=acme, signature="a" * 32)
    with bound(acme.pk) as now, pytest.raises(TransitionRefused):
        lifecycle.reopen(old, by=ALICE, now=now)


@pytest.mark.parametrize("status", [s for s in Status if s != Status.DETECTED])
def test_move_finds_the_verb_of_a_status(acme: Tenant, status: Status) -> None:
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        moved = lifecycle.move(incident, status, by=ALICE, now=now, note="n", version=1)
        assert moved.status == status
        again = lifecycle.move(incident, status, by=ALICE, now=now, version=moved.version)
        assert again.version == moved.version
        if status in (Status.RESOLVED, Status.IGNORED):
            back = lifecycle.move(incident, Status.DETECTED, by=ALICE, now=now, reason="r")
            assert back.status == Status.DETECTED


def test_move_refuses_a_version_that_is_old(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        lifecycle.move(incident, Status.ANALYZING, by=ALICE, now=now)
        with pytest.raises(StaleVersion) as refused:
            lifecycle.move(incident, Status.ESCALATED, by=BOB, now=now, version=1)
    # the 412 carries what it is now
    assert (refused.value.incident.status, refused.value.incident.version) == ("analyzing", 2)


def test_move_refuses_what_the_table_does(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme, status=Status.RESOLVED)
    with bound(acme.pk) as now, pytest.raises(TransitionRefused):
        lifecycle.move(incident, Status.ESCALATED, by=ALICE, now=now)


def test_move_waives_only_with_a_reason_of_its_own(acme: Tenant) -> None:
    incident = hurt(acme, n_runs=1)
    with bound(acme.pk) as now:
        with pytest.raises(UnrecoveredRuns):
            lifecycle.move(
                incident, Status.RESOLVED, by=ALICE, now=now, note="n", waive_unrecovered=True
            )
        moved = lifecycle.move(
            incident, Status.RESOLVED, by=ALICE, now=now, reason="r", waive_unrecovered=True
        )
    assert moved.unrecovered_runs == 0


@pytest.mark.django_db(transaction=True)
def test_operators_who_resolve_at_once_have_one_outcome_and_one_line(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme)

    def resolve(number: int) -> str:
        with bound(acme.pk) as now:
            who = Actor("user", str(number), f"operator {number}")
            return lifecycle.resolve(incident, by=who, now=now, reason=f"r{number}").resolved_reason

    reasons = at_once(6, resolve)
    assert len(set(reasons)) == 1
    assert journal_of(acme) == ["resolved"]


@pytest.mark.django_db(transaction=True)
def test_incidents_that_share_runs_can_be_resolved_at_once(acme: Tenant) -> None:
    incidents = [IncidentFactory(tenant=acme, unrecovered_runs=3) for _ in range(2)]
    for run in [RunFactory(tenant=acme) for _ in range(3)]:
        for incident in incidents:
            AffectedRunFactory(tenant=acme, incident=incident, run=run)

    def resolve(number: int) -> str:
        with bound(acme.pk) as now:
            return lifecycle.resolve(
                incidents[number], by=ALICE, now=now, reason="given up", waive_unrecovered=True
            ).status

    assert at_once(2, resolve) == [Status.RESOLVED, Status.RESOLVED]
    with bound(acme.pk):
        assert not Run.objects.for_tenant(acme).exclude(state=RunState.WAIVED).exists()
        assert AffectedRun.objects.for_tenant(acme).count() == 6
