"""What people make of an incident: theirs for a time, given, asleep, noted; and every step taken back exactly."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incidents import acknowledging, assigning, keeping, lifecycle, notes, snoozing, undo
from incidents.assigning import NobodyByThatName
from incidents.lifecycle import ChangedSince, TransitionRefused
from incidents.models import Incident, IncidentHour, Undo
from incidents.snoozing import SnoozeRefused, Terms
from incidents.states import OPEN, RunState, Status
from tenants.journal import SYSTEM, Actor
from tenants.models import JournalEntry, Tenant
from tenants.scoping import bound
from tests.cast import Travel, acting, digest_all, event, journal_of, only_incident, submit
from tests.factories import AffectedRunFactory, IncidentFactory

pytestmark = pytest.mark.django_db

ALICE = Actor("user", "1", "alice")
BOB = Actor("user", "2", "bob")


def fresh(incident: Incident) -> Incident:
    with bound(incident.tenant_id):
        found: Incident = Incident.objects.for_tenant(incident.tenant_id).get(pk=incident.pk)
    return found


def why_woken(incident: Incident) -> str:
    with bound(incident.tenant_id):
        mine = JournalEntry.objects.for_tenant(incident.tenant_id).filter(verb="woken")
        return str(mine.get(subject_id=str(incident.pk)).detail.get("reason", ""))


# ---- acknowledged for a time ---------------------------------------------------------------------


def test_an_acknowledgement_ends_by_itself_when_its_time_is_over(
    acme: Tenant, time_travel: Travel
) -> None:
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        lifecycle.acknowledge(incident, by=ALICE, now=now, until=now + timedelta(minutes=30))
    assert acknowledging.end_due() == 0
    time_travel(minutes=31)
    assert acknowledging.end_due() == 1
    assert acknowledging.end_due() == 0
    ended = fresh(incident)
    assert (ended.acknowledged_at, ended.acknowledged_by, ended.acknowledged_until) == (
        None,
        "",
        None,
    )
    assert journal_of(acme, incident.pk) == ["acknowledged", "acknowledgement_ended"]


def test_a_second_acknowledgement_changes_nothing_unless_it_says_until_when(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        lifecycle.acknowledge(incident, by=ALICE, now=now)
        lifecycle.acknowledge(incident, by=BOB, now=now)
        assert fresh(incident).acknowledged_by == "alice"
        lifecycle.acknowledge(incident, by=BOB, now=now, until=now + timedelta(hours=1))
        assert fresh(incident).acknowledged_by == "bob"


# ---- given to somebody ---------------------------------------------------------------------------


def test_an_incident_is_given_to_a_member_and_to_nobody(acme: Tenant, alice: User) -> None:
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        to = assigning.person(acme.pk, "ALICE@example.org", me=None)
        assigning.assign(incident, to=to, by=BOB, now=now)
        again = assigning.assign(incident, to=to, by=BOB, now=now)
        assert (again.assignee, again.version) == (alice, incident.version + 1)
        assert assigning.assign(incident, to=None, by=BOB, now=now).assignee is None
    assert journal_of(acme, incident.pk) == ["assigned", "unassigned"]


def test_people_are_found_among_the_members_only(acme: Tenant, alice: User, mallory: User) -> None:
    with bound(acme.pk):
        assert assigning.person(acme.pk, "me", me=alice.pk) == alice
        for name, me in (("mallory", None), ("me", mallory.pk), ("me", None), ("", None)):
            with pytest.raises(NobodyByThatName):
                assigning.person(acme.pk, name, me=me)
        assert assigning.people(acme.pk) == [alice]


# ---- asleep --------------------------------------------------------------------------------------


def asleep(incident: Incident, kind: str, value: Any) -> Incident:
    with bound(incident.tenant_id) as now:
        end = now + value if kind == "until" else value
        return snoozing.snooze(incident, Terms(kind, end), by=ALICE, now=now)


def test_a_snooze_ends_at_its_time(acme: Tenant, time_travel: Travel) -> None:
    incident = IncidentFactory(tenant=acme)
    asleep(incident, "until", timedelta(hours=2))
    assert snoozing.wake_due() == 0
    time_travel(hours=3)
    assert (snoozing.wake_due(), snoozing.wake_due()) == (1, 0)
    assert (fresh(incident).snoozed_until, why_woken(incident)) == (None, "The time is over.")


def test_a_snooze_ends_after_so_many_more_events(acme: Tenant) -> None:
    submit(acme, **event(run_id="run-1"))
    digest_all()
    incident = asleep(only_incident(acme), "count", 2)
    for n, woken in ((2, 0), (3, 1)):
        submit(acme, **event(run_id=f"run-{n}"))
        digest_all()
        assert snoozing.wake_due() == woken
    assert why_woken(incident) == "2 more events."


def test_a_snooze_ends_when_it_fails_often(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme, event_count=500)
    asleep(incident, "rate_per_hour", 30)
    with bound(acme.pk) as now:
        mine = Incident.objects.for_tenant(acme).filter(pk=incident.pk)
        # many events, long ago: no rate of now
        old = now - timedelta(hours=5)
        IncidentHour.objects.create(tenant=acme, incident=incident, hour=old, n_events=500)
        mine.update(event_count=540)
    assert snoozing.wake_due() == 0
    with bound(acme.pk) as now:
        hour = now.replace(minute=0, second=0, microsecond=0)
        IncidentHour.objects.create(tenant=acme, incident=incident, hour=hour, n_events=35)
    assert snoozing.wake_due() == 1
    assert why_woken(incident) == "35 events in the last hour."


def test_a_snooze_ends_when_it_becomes_severe(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme, severity="medium")
    asleep(incident, "severity", "high")
    assert snoozing.wake_due() == 0
    with bound(acme.pk):
        Incident.objects.for_tenant(acme).filter(pk=incident.pk).update(severity="critical")
    assert snoozing.wake_due() == 1
    assert why_woken(incident) == "It is critical now."


def test_a_snooze_ends_with_the_first_success_of_a_run(acme: Tenant) -> None:
    for run in ("run-1", "run-2"):
        submit(acme, **event(run_id=run))
    digest_all()
    incident = asleep(only_incident(acme), "on_success", True)
    assert snoozing.wake_due() == 0
    submit(acme, **event(run_id="run-2", event_type="payment.completed"))
    digest_all()
    assert snoozing.wake_due() == 1
    assert why_woken(incident) == "Run run-2 has succeeded."


def test_what_waits_for_something_waits_30_days_at_most(acme: Tenant, time_travel: Travel) -> None:
    incident = IncidentFactory(tenant=acme)
    asleep(incident, "count", 1000)
    time_travel(days=31)
    assert snoozing.wake_due() == 1
    assert why_woken(incident) == "30 days are over."


@pytest.mark.parametrize(
    ("kind", "value", "field"),
    [
        ("until", timedelta(seconds=-1), "until"),
        ("until", timedelta(days=91), "until"),
        ("severity", "low", "severity"),
    ],
)
def test_a_snooze_that_would_end_at_once_or_never_is_refused(
    acme: Tenant, kind: str, value: Any, field: str
) -> None:
    incident = IncidentFactory(tenant=acme, severity="medium")
    with pytest.raises(SnoozeRefused) as refused:
        asleep(incident, kind, value)
    assert refused.value.field == field


@pytest.mark.parametrize("status", [Status.RESOLVED, Status.IGNORED])
def test_a_closed_incident_does_not_sleep(acme: Tenant, status: Status) -> None:
    incident = IncidentFactory(tenant=acme, status=status)
    with pytest.raises(TransitionRefused):
        asleep(incident, "count", 1)
    assert journal_of(acme, incident.pk) == []


def test_nobody_sleeps_through_an_escalation_or_a_regression(acme: Tenant) -> None:
    incident = asleep(IncidentFactory(tenant=acme), "count", 5)
    with bound(acme.pk) as now:
        moved = lifecycle.escalate(incident, by=SYSTEM, now=now, reason="not verified")
    assert (moved.snoozed_until, moved.snooze) == (None, None)


# ---- noted ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("note", "shown"),
    [
        ("**on it** since `10:00`", "<p><strong>on it</strong> since <code>10:00</code></p>\n"),
        ("# loud", "<h4>loud</h4>\n"),
        ("### deep\n# loud\n### deep", "<h4>deep</h4>\n<h4>loud</h4>\n<h5>deep</h5>\n"),
        (
            "[runbook](https://example.org/r)",
            '<p><a href="https://example.org/r" rel="noopener nofollow">runbook</a></p>\n',
        ),
        ("line\nline", "<p>line<br>\nline</p>\n"),
    ],
)
def test_a_note_is_shown_as_its_markdown_says(note: str, shown: str) -> None:
    assert notes.as_html(note) == shown


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://evil.example/pixel.png)",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&#58;alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    '[x](https://e.org "onmouseover=alert(1)")',
    "<a href='javascript:alert(1)'>x</a>",
    "<svg/onload=alert(1)>",
    "<style>*{display:none}</style>",
    "<iframe src=//evil.example></iframe>",
    "<form action=//evil.example><input></form>",
    "<!-- <script> -->",
    "`<script>`",
    "<https://e.org/<script>>",
    "[a]: javascript:alert(1)\n\n[a]",
    "<p style='position:fixed'>x",
    "[x](//evil.example)",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]


ALLOWED = (
    r"</?[a-z0-9]+>"
    r'|<ol start="\d+">'
    r'|<a href="(https?://|mailto:)[^"<>]*" rel="noopener nofollow">|<a rel="noopener nofollow">'
)


@pytest.mark.parametrize("note", HOSTILE)
def test_hostile_notes_hold_no_tag_but_plain_text_and_safe_links(note: str) -> None:
    shown = notes.as_html(note)
    for tag in re.findall(r"<[^>]*>", shown):
        assert re.fullmatch(ALLOWED, tag), shown


@given(st.text(max_size=300) | st.text("<>[]()!`*_#|-\\&;:/ ax\"'\n", max_size=300))
def test_any_note_is_shown_with_known_tags_only(note: str) -> None:
    shown = notes.as_html(note)
    opened = {tag.strip("</>").split()[0] for tag in re.findall(r"<[^>]*>", shown)}
    assert opened <= notes.TAGS


def test_a_note_is_a_line_of_the_timeline(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        noted = notes.comment(incident, note="on it", by=ALICE, now=now)
    assert noted.version == incident.version + 1  # open pages read it again
    assert journal_of(acme, incident.pk) == ["commented"]


# ---- taken back ----------------------------------------------------------------------------------

Act = Callable[[Incident, datetime], Incident]
STEPS: dict[str, Act] = {
    "acknowledge": lambda row, now: lifecycle.acknowledge(row, by=ALICE, now=now),
    "acknowledge_for": lambda row, now: lifecycle.acknowledge(
        row, by=BOB, now=now, until=now + timedelta(hours=1)
    ),
    "analyze": lambda row, now: lifecycle.analyze(row, by=ALICE, now=now),
    "escalate": lambda row, now: lifecycle.escalate(row, by=ALICE, now=now, reason="loud"),
    "resolve": lambda row, now: lifecycle.resolve(row, by=ALICE, now=now, reason="done"),
    "ignore": lambda row, now: lifecycle.ignore(row, by=ALICE, now=now, reason="known"),
    "reopen": lambda row, now: lifecycle.reopen(row, by=ALICE, now=now),
    "snooze": lambda row, now: snoozing.snooze(
        row, Terms("until", now + timedelta(hours=1)), by=ALICE, now=now
    ),
    "snooze_count": lambda row, now: snoozing.snooze(row, Terms("count", 7), by=ALICE, now=now),
    "wake": lambda row, now: snoozing.wake(row, by=ALICE, now=now),
}


def state_of(incident: Incident) -> dict[str, Any]:
    return keeping.snapshot(Incident.objects.for_tenant(incident.tenant_id).get(pk=incident.pk))


def do(incident: Incident, verb: str, now: datetime, people: list[User]) -> Undo | None:
    acts = STEPS | {
        "assign": lambda row, now: assigning.assign(row, to=people[0], by=ALICE, now=now),
        "unassign": lambda row, now: assigning.assign(row, to=None, by=ALICE, now=now),
    }
    try:
        done = undo.remembered(incident, verb, lambda row: acts[verb](row, now), by=ALICE, now=now)
    except TransitionRefused:
        return None
    return done.step


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(verbs=st.lists(st.sampled_from([*STEPS, "assign", "unassign"]), min_size=1, max_size=6))
def test_steps_taken_back_one_by_one_restore_exactly_what_was(
    acme: Tenant, alice: User, verbs: list[str]
) -> None:
    incident = IncidentFactory(tenant=acme, assignee=None)
    with bound(acme.pk) as now:
        states: list[tuple[Undo, dict[str, Any]]] = []
        for verb in verbs:
            before = state_of(incident)
            step = do(incident, verb, now, [alice])
            if step is None:
                assert state_of(incident) == before
            else:
                states.append((step, before))
        for step, before in reversed(states):
            undo.take_back(step, by=ALICE, now=now)
            assert state_of(incident) == before  # assignee and snooze too


def test_a_step_is_taken_back_once_and_the_timeline_says_so(acme: Tenant, alice: User) -> None:
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        step = do(incident, "escalate", now, [alice])
        assert step is not None
        undo.take_back(step, by=ALICE, now=now)
        undo.take_back(step, by=ALICE, now=now)
    assert journal_of(acme, incident.pk) == ["escalated", "undone"]


def test_what_another_has_changed_since_is_not_taken_back(acme: Tenant, alice: User) -> None:
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        step = do(incident, "escalate", now, [alice])
        assert step is not None
        lifecycle.resolve(incident, by=BOB, now=now, reason="fixed")
        with pytest.raises(ChangedSince, match="changed since"):
            undo.take_back(step, by=ALICE, now=now)
        assert fresh(incident).status == Status.RESOLVED


def test_what_others_changed_beside_it_stays(acme: Tenant, alice: User) -> None:
    """Alice takes her acknowledgement back; that Bob gave the incident to her is none of its business."""
    incident = IncidentFactory(tenant=acme, event_count=1)
    with bound(acme.pk) as now:
        step = do(incident, "acknowledge", now, [alice])
        assert step is not None
        assigning.assign(incident, to=alice, by=BOB, now=now)
        Incident.objects.for_tenant(acme).filter(pk=incident.pk).update(event_count=9)
        undo.take_back(step, by=ALICE, now=now)
        after = fresh(incident)
    assert (after.acknowledged_at, after.assignee_id, after.event_count) == (None, alice.pk, 9)


def test_an_incident_stays_closed_while_another_of_its_failure_is_open(
    acme: Tenant, alice: User
) -> None:
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        step = do(incident, "resolve", now, [alice])
        assert step is not None
        IncidentFactory(tenant=acme, signature=incident.signature)
        with pytest.raises(ChangedSince, match="open by now"):
            undo.take_back(step, by=ALICE, now=now)


def test_after_ten_minutes_nothing_is_taken_back(acme: Tenant, alice: User) -> None:
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        step = do(incident, "escalate", now, [alice])
        assert step is not None
        with pytest.raises(ChangedSince, match="10 minutes"):
            undo.take_back(step, by=ALICE, now=now + timedelta(minutes=11))


def test_runs_that_were_given_up_stay_so(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme, affected_runs=1, unrecovered_runs=1)
    AffectedRunFactory(tenant=acme, incident=incident, run__state=RunState.FAILED)
    with bound(acme.pk) as now:
        done = undo.remembered(
            incident,
            "resolve",
            lambda row: lifecycle.resolve(
                row, by=ALICE, now=now, reason="refunded", waive_unrecovered=True
            ),
            by=ALICE,
            now=now,
            with_sharers=True,
        )
    assert (done.incident.status, done.step) == (Status.RESOLVED, None)


def test_the_latest_step_of_a_person_is_theirs(acme: Tenant, alice: User, bob: User) -> None:
    incident = IncidentFactory(tenant=acme)
    by = acting(alice)
    with bound(acme.pk) as now:
        made = undo.remembered(
            incident, "wake", lambda row: lifecycle.acknowledge(row, by=by, now=now), by=by, now=now
        )
        assert undo.latest(acme.pk, by=by, now=now) == made.step
        with pytest.raises(undo.NothingToUndo):
            undo.latest(acme.pk, by=acting(bob), now=now)


def test_yesterdays_steps_are_forgotten(acme: Tenant, alice: User, time_travel: Travel) -> None:
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        do(incident, "escalate", now, [alice])
    assert undo.forget_old() == 0
    time_travel(hours=25)
    assert undo.forget_old() == 1


def test_verbs_together_do_what_each_does_alone(acme: Tenant, alice: User) -> None:
    """Many rows in two statements: the same fields, lines and versions as one by one."""
    alone, together = IncidentFactory(tenant=acme), IncidentFactory(tenant=acme)
    acts = ["acknowledge_for", "snooze_count", "escalate", "resolve"]
    with bound(acme.pk) as now:
        for verb in acts:
            STEPS[verb](alone, now)
            with keeping.together(acme.pk, [together.pk]) as rows:
                STEPS[verb](rows[together.pk], now)
        one, other = state_of(alone), state_of(together)
    assert one | {"opened_at": ""} == other | {"opened_at": ""}
    assert fresh(alone).version == fresh(together).version
    assert journal_of(acme, alone.pk) == journal_of(acme, together.pk)
    assert fresh(together).status not in OPEN
