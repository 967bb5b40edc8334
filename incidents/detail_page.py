"""The only place that gathers what the incident page shows; `presentation` then words it."""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Case, Q, Value, When
from django.urls import reverse

from events.models import Event
from incidents import (
    aliases,
    analysing,
    console,
    evidence,
    evidence_case,
    remedies,
    runbooks,
    track_record,
)
from incidents.console import Reader
from incidents.detail_address import PARTS, SPANS, Asked
from incidents.hours import hour_of
from incidents.models import Decision, Incident, Run
from incidents.presentation import (
    causes,
    chart,
    checklist,
    details,
    grouped,
    members,
    recommended,
    rows,
    timeline,
)
from incidents.presentation import runs as run_words
from incidents.presentation.causes import Causes
from incidents.presentation.checklist import Checklist
from incidents.presentation.figures import Chart
from incidents.presentation.rows import Surroundings
from incidents.presentation.shapes import Detail, Storm, Why
from incidents.states import OPEN
from safety.models import CircuitBreaker
from tenants.models import JournalEntry

RUNS_SHOWN = 10  # the rest has a page of its own
CHILDREN_SHOWN = 50
LINES_SHOWN = 100


def detail(reader: Reader, incident: Incident, *, allowed: Collection[str], asked: Asked) -> Detail:
    around = console.surroundings(reader, [incident])[incident.pk]
    decisions = Decision.objects.for_tenant(reader.tenant_id).filter(incident=incident)
    latest = decisions.order_by("-id").first()
    runs = list(_runs(reader, incident))
    event = _latest_event(reader, incident)
    newer, older = _neighbours(reader, incident)
    tally = evidence.tally(incident)
    span = asked.span or _span_of(reader, incident)
    return Detail(
        row=rows.row(incident, around),
        first_seen_at=incident.first_seen_at,
        category=incident.category.replace("_", " "),
        error_code=incident.error_code,
        acknowledged_at=incident.acknowledged_at,
        acknowledged_by=incident.acknowledged_by,
        regression_count=incident.regression_count,
        verbs=details.verbs(incident, allowed=allowed),
        decision=details.decided(latest, gates_now=_held_by(around)) if latest else None,
        earlier_decisions=max(0, decisions.count() - 1),
        counts=run_words.counts(incident, tally),
        shares=run_words.shares(incident, tally),
        runs=tuple(run_words.line(run) for run in runs),
        runs_url=run_words.listed(incident),
        n_more_runs=max(0, incident.affected_runs - len(runs)),
        days=timeline.days(_lines(reader, incident, asked.timeline), now=reader.now),
        parts=asked.parts(),
        safety=details.safety(around, stop_url=_stop_url(incident) if "stop" in allowed else ""),
        chart=_chart(reader, incident, SPANS[span]),
        spans=asked.spans(span),
        why=_why(reader, incident),
        causes=_causes(reader, incident),
        recommended=recommended.recommended(
            incident,
            track_record.of(incident),
            allowed=allowed,
            has_decision=latest is not None,
        ),
        payload=details.payload_text(event.payload) if event else "",
        payload_at=event.received_at if event else None,
        previous_url=newer,
        next_url=older,
        storm=_storm(reader, incident),
        members=members.members(incident, aliases.grouped_here(incident), allowed=allowed),
        checklist=_checklist(incident, allowed),
        merged=members.merged(incident),
        note_url=details.note_url(incident, allowed=allowed),
        snoozed=details.snooze_words(incident),
    )


def _checklist(incident: Incident, allowed: Collection[str]) -> Checklist | None:
    book = runbooks.of(incident)
    done = runbooks.ticks(incident) if book else {}
    return checklist.checklist(incident, book, done, allowed=allowed)


def _storm(reader: Reader, incident: Incident) -> Storm | None:
    mine = Incident.objects.for_tenant(reader.tenant_id)
    if incident.parent is not None:
        return Storm(str(incident.parent), incident.parent.get_absolute_url())
    if not incident.is_storm:
        return None
    found = mine.filter(parent=incident).for_list()
    still_open = Case(When(status__in=OPEN, then=Value(0)), default=Value(1))
    shown = list(found.order_by(still_open, "-last_seen_at", "-id")[:CHILDREN_SHOWN])
    return Storm(
        str(incident),
        incident.get_absolute_url(),
        console.rows_of(reader, shown),
        found.count() - len(shown),
    )


def _held_by(around: Surroundings) -> Iterable[Mapping[str, Any]]:
    return around.outlook.gates if around.outlook else ()


def _stop_url(incident: Incident) -> str:
    query = urlencode(
        {"what": f"workflow:{incident.workflow_id}", "next": incident.get_absolute_url()}
    )
    return f"{reverse('safety:stop')}?{query}"


def _runs(reader: Reader, incident: Incident) -> Iterable[Run]:
    mine = Run.objects.for_tenant(reader.tenant_id).of_incident(incident.pk)
    # by id, as the page with all of them: the ledger's index has them in that order
    return mine.select_related("workflow", "incident").order_by("-id")[:RUNS_SHOWN]


def _span_of(reader: Reader, incident: Incident) -> str:
    age = reader.now - hour_of(incident.first_seen_at)
    return "24h" if age < timedelta(hours=evidence.DAY_HOURS) else "7d"


def _chart(reader: Reader, incident: Incident, n_hours: int) -> Chart:
    found = evidence.hours(reader.tenant_id, [incident.pk], n_hours=n_hours, now=reader.now)
    return chart.chart(found[incident.pk], n_hours=n_hours, now=reader.now)


def _why(reader: Reader, incident: Incident) -> Why:
    near = evidence.neighbours(incident)
    done = remedies.of(reader.tenant_id, [other for other, _ in near])
    return Why(
        components=grouped.components(evidence.components(incident)),
        signature=incident.signature,
        version=incident.signature_version,
        neighbours=tuple(
            grouped.neighbour(other, likeness, done[other.pk], now=reader.now)
            for other, likeness in near
        ),
    )


def _causes(reader: Reader, incident: Incident) -> Causes:
    found = analysing.shown(incident, now=reader.now)
    return causes.causes(incident, found, evidence_case.changes_about(incident))


def _lines(reader: Reader, incident: Incident, part: str) -> Iterable[JournalEntry]:
    """The incident's own lines, and its vendor's breaker's while it was open; of one part, if one is asked for."""
    mine = JournalEntry.objects.for_tenant(reader.tenant_id)
    own = Q(subject_type="incident", subject_id=str(incident.pk))
    breakers = CircuitBreaker.objects.for_tenant(reader.tenant_id)
    breaker = breakers.filter(vendor_id__in=[incident.vendor_id]).first()
    if breaker is not None:
        until = incident.resolved_at or reader.now
        own |= Q(
            subject_type="circuitbreaker",
            subject_id=str(breaker.pk),
            at__range=(incident.opened_at, until),
        )
    if part:
        own &= Q(verb__in=PARTS[part])
    return mine.filter(own).order_by("-at", "-id")[:LINES_SHOWN]


def _latest_event(reader: Reader, incident: Incident) -> Event | None:
    """Gone once its partition was dropped; the incident stays readable."""
    if incident.last_event_id is None:
        return None
    return Event.objects.for_tenant(reader.tenant_id).filter(pk=incident.last_event_id).first()


def _neighbours(reader: Reader, incident: Incident) -> tuple[str, str]:
    """The addresses of the next newer and next older open incident, for j and k."""
    mine = Incident.objects.for_tenant(reader.tenant_id).open()
    at, pk = incident.last_seen_at, incident.pk
    newer = mine.filter(Q(last_seen_at__gt=at) | Q(last_seen_at=at, pk__gt=pk))
    older = mine.filter(Q(last_seen_at__lt=at) | Q(last_seen_at=at, pk__lt=pk))
    found = (newer.order_by("last_seen_at", "pk"), older.order_by("-last_seen_at", "-pk"))
    first = [query.values_list("pk", flat=True).first() for query in found]
    newer_url, older_url = (reverse("incidents:detail", args=[pk]) if pk else "" for pk in first)
    return newer_url, older_url
