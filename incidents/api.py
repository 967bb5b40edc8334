"""HTTP answers about events and incidents: each translates once."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Case, IntegerField, Q, Value, When
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from awfdrs_site.lib import clock
from awfdrs_site.lib.pagination import Listing
from awfdrs_site.lib.problems import Problem
from events import recent
from events.api import EventDoor
from events.models import Event, KeptEvent
from incidents import aliases, analysing, evidence, keeping, lifecycle, remedies, reported, undo
from incidents.filters import EventFilters, IncidentFilters
from incidents.lifecycle import ChangedSince, StaleVersion, TransitionRefused, UnrecoveredRuns
from incidents.models import Decision, EventLink, Incident
from incidents.presentation.shapes import NOTHING_ABOVE, Above, Outlook
from incidents.serializers import (
    DecisionSerializer,
    EventSerializer,
    IncidentDetailSerializer,
    IncidentSerializer,
    MomentSerializer,
    RunSerializer,
    SimilarSerializer,
    StatusMove,
)
from incidents.states import OPEN, Severity
from tenants.api import TenantAPIView, get_or_404
from tenants.journal import Actor
from tenants.models import JournalEntry
from tenants.serializers import ReasonGiven, ReasonOrNote

RUNS_NAMED = 100  # of those that keep an incident from being resolved; the count says how many
DECISIONS_SHOWN = 20
_RANK = Case(
    *(When(severity=severity, then=Value(rank)) for rank, severity in enumerate(Severity.values)),
    output_field=IntegerField(),
)
_OF_INCIDENT = {"get": "view"}


@contextmanager
def refusals() -> Iterator[None]:
    """What the verbs of `lifecycle` raise, as the problems of API.md."""
    try:
        yield
    except TransitionRefused as refused:
        raise Problem(
            "transition_refused", str(refused.args[0]), allowed=list(refused.allowed)
        ) from refused
    except ChangedSince as changed:
        raise Problem("conflict", str(changed.args[0])) from changed
    except StaleVersion as stale:
        current = IncidentSerializer(stale.incident).data
        raise Problem("stale_version", current=current) from stale
    except UnrecoveredRuns as left:
        raise Problem(
            "unrecovered_runs",
            "Recover them, or waive them with waive_unrecovered and a reason.",
            unrecovered=len(left.runs),
            runs=RunSerializer(left.runs[:RUNS_NAMED], many=True).data,
        ) from left


class Events(EventDoor):
    """POST is the door of `events`; GET knows what became of them, so it lives here."""

    verbs: ClassVar[Mapping[str, str]] = {"get": "view", "post": "ingest"}
    listing = Listing(EventSerializer, EventFilters, newest=recent.newest)

    def get(self, request: Request) -> Response:
        mine = self.caller.tenant.id
        link = partial(reported.link, mine)
        return self.listing.answer(request, reported.events_of(mine), prepare=link)


class EventDetail(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}

    def find(self, **kwargs: Any) -> Event | KeptEvent:
        found = reported.one(self.caller.tenant.id, kwargs["pk"])
        if found is None:
            raise Http404
        return found

    @extend_schema(responses=EventSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(EventSerializer(self.subject).data)


class Incidents(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}
    above: Above = NOTHING_ABOVE  # `is:attention` asks it who waits for people
    listing = Listing(
        IncidentSerializer,
        IncidentFilters,
        orders={
            "last_seen_at": "last_seen_at",
            "first_seen_at": "first_seen_at",
            "severity": "severity_rank",
            "number": "number",
            "event_count": "event_count",
            "unrecovered_runs": "unrecovered_runs",
        },
        default_order="-last_seen_at",
    )

    def get(self, request: Request) -> Response:
        rows = Incident.objects.for_tenant(self.caller.tenant).for_list()
        return self.listing.answer(request, rows.annotate(severity_rank=_RANK))


class OneIncident(TenantAPIView):
    """Finds the incident in the path, for everything below it."""

    subject: Incident

    def find(self, **kwargs: Any) -> Incident:
        mine = Incident.objects.for_tenant(self.caller.tenant).for_page()
        return get_or_404(mine, pk=kwargs["pk"])

    def refuse_stale(self, version: int | None = None, *, waives: bool = False) -> None:
        """If-Match and `version` name what the caller saw; `*` and no header match any."""
        tags = self.request.headers.get("If-Match", "*")
        seen = {tag.strip().removeprefix("W/").strip('"') for tag in tags.split(",")}
        current = keeping.locked(self.subject, with_sharers=waives)
        is_stale = "*" not in seen and str(current.version) not in seen
        if is_stale or version not in (None, current.version):
            raise StaleVersion(current)

    def remembering(
        self, verb: str, act: Callable[[Incident], Incident], *, waives: bool = False
    ) -> None:
        """Do it so that its caller can take it back."""
        by = self.caller.actor
        undo.remembered(self.subject, verb, act, by=by, now=clock.now(), with_sharers=waives)


class IncidentDetail(OneIncident):
    verbs: ClassVar[Mapping[str, str]] = _OF_INCIDENT
    above: Above = NOTHING_ABOVE  # the composition root passes what is planned, and why it waits
    explain: Callable[..., Any] | None = None

    @extend_schema(responses=IncidentDetailSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        incident = self.subject
        mine = Decision.objects.for_tenant(self.caller.tenant).filter(incident=incident)
        incident.recent_decisions = mine.order_by("-id")[:DECISIONS_SHOWN]  # type: ignore[attr-defined]
        found = analysing.shown(incident, now=clock.now())
        incident.analysis = {  # type: ignore[attr-defined]
            "classification": incident.classification,
            "signature_components": incident.signature_components,
            "hypotheses": found.cards,
            "findings": found,
            "similar": _similar(incident),
        }
        incident.ledger = evidence.tally(incident)  # type: ignore[attr-defined]
        incident.by_hour = _by_hour(incident)  # type: ignore[attr-defined]
        incident.signatures = aliases.grouped_here(incident)  # type: ignore[attr-defined]
        incident.next = self._next(incident)  # type: ignore[attr-defined]
        data = IncidentDetailSerializer(incident).data
        return Response(data, headers={"ETag": f'"{incident.version}"'})

    def _next(self, incident: Incident) -> dict[str, Any] | None:
        """Null before it is decided and once it is over."""
        outlook = self.above.outlooks(incident.tenant_id, [incident.pk]).get(incident.pk)
        is_open = incident.status in OPEN and incident.decided_at is not None
        why = self.explain(incident, now=clock.now()) if self.explain and is_open else None
        if outlook is None and why is None:
            return None
        return asdict(outlook or Outlook("none")) | {"explanation": why}


class IncidentEvents(OneIncident):
    verbs: ClassVar[Mapping[str, str]] = _OF_INCIDENT
    listing = Listing(EventSerializer, newest=recent.newest)

    def get(self, request: Request, pk: UUID) -> Response:
        links = EventLink.objects.for_tenant(self.caller.tenant).filter(incident_id=pk)
        mine = self.caller.tenant.id
        link = partial(reported.link, mine)
        return self.listing.answer(request, reported.events_of(mine), keys=links, prepare=link)


class IncidentDecisions(OneIncident):
    verbs: ClassVar[Mapping[str, str]] = _OF_INCIDENT
    listing = Listing(DecisionSerializer)

    def get(self, request: Request, pk: UUID) -> Response:
        mine = Decision.objects.for_tenant(self.caller.tenant)
        return self.listing.answer(request, mine.filter(incident_id=pk))


class IncidentTimeline(OneIncident):
    """Lines about the incident itself, and about what was done for it and for what was merged into it."""

    verbs: ClassVar[Mapping[str, str]] = _OF_INCIDENT
    listing = Listing(MomentSerializer)

    def get(self, request: Request, pk: UUID) -> Response:
        mine = JournalEntry.objects.for_tenant(self.caller.tenant)
        about = Q(subject_type="incident", subject_id=str(pk))
        shown = Incident.objects.for_tenant(self.caller.tenant).with_members(pk)
        ids = [str(one) for one in shown.values_list("pk", flat=True)]
        done_for_it = Q(subject_type="action", detail__incident__in=ids)
        return self.listing.answer(request, mine.filter(about | done_for_it))


class IncidentSimilar(OneIncident):
    """The nearest other incidents, nearest first, and in which components they differ."""

    verbs: ClassVar[Mapping[str, str]] = _OF_INCIDENT
    listing = Listing(SimilarSerializer, orders={"place": "place"}, default_order="place")

    def get(self, request: Request, pk: UUID) -> Response:
        alike = evidence.nearest(self.subject)
        places = [When(pk=pk, then=Value(place)) for place, pk in enumerate(alike)]
        mine = Incident.objects.for_tenant(self.caller.tenant).filter(pk__in=alike).for_list()
        ordered = mine.annotate(place=Case(*places, default=0, output_field=IntegerField()))

        done = remedies.of(self.caller.tenant.id, list(mine))

        def compare(page: list[Any]) -> None:
            for other in page:
                other.likeness, other.remedy = alike[other.pk], done[other.pk]

        return self.listing.answer(request, ordered, prepare=compare)


class IncidentStatus(OneIncident):
    verbs: ClassVar[Mapping[str, str]] = {"patch": "resolve"}

    @extend_schema(request=StatusMove, responses=IncidentSerializer)
    def patch(self, request: Request, pk: UUID) -> Response:
        asked = self.body(StatusMove)
        said = asked | {"by": self.caller.actor, "now": clock.now()}
        waives = asked["waive_unrecovered"]
        with refusals():
            self.refuse_stale(waives=waives)
            self.remembering(
                asked["status"], lambda row: lifecycle.move(row, **said), waives=waives
            )
        return self.wrote(written(self.subject))


class IncidentVerb(OneIncident):
    """POST …/ignore and its like: one verb of `lifecycle`, its body, the incident as it is afterwards."""

    act: Callable[..., Incident]
    said: ClassVar[type[ReasonGiven | ReasonOrNote]] = ReasonOrNote

    @extend_schema(responses=IncidentSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said = self.body(self.said)
        why = said.get("reason") or said.get("note", "")
        by = self.caller.actor
        with refusals():
            self.refuse_stale()
            self.remembering(self.verbs["post"], lambda row: type(self).act(row, why, by=by))
        return self.wrote(written(self.subject))


class IncidentIgnore(IncidentVerb):
    verbs: ClassVar[Mapping[str, str]] = {"post": "ignore"}
    said = ReasonGiven

    @staticmethod
    def act(incident: Incident, why: str, *, by: Actor) -> Incident:
        return lifecycle.ignore(incident, by=by, now=clock.now(), reason=why)


class IncidentEscalate(IncidentVerb):
    verbs: ClassVar[Mapping[str, str]] = {"post": "escalate"}

    @staticmethod
    def act(incident: Incident, why: str, *, by: Actor) -> Incident:
        return lifecycle.escalate(incident, by=by, now=clock.now(), reason=why)


class IncidentReopen(IncidentVerb):
    verbs: ClassVar[Mapping[str, str]] = {"post": "reopen"}

    @staticmethod
    def act(incident: Incident, why: str, *, by: Actor) -> Incident:
        return lifecycle.reopen(incident, by=by, now=clock.now(), reason=why)


def _by_hour(incident: Incident) -> list[dict[str, Any]]:
    hours = evidence.hours(
        incident.tenant_id, [incident.pk], n_hours=evidence.WEEK_HOURS, now=clock.now()
    )
    return [{"hour": hour, "n_events": n} for hour, n in hours[incident.pk].items()]


def _similar(incident: Incident) -> list[Incident]:
    others = evidence.neighbours(incident)
    done = remedies.of(incident.tenant_id, [other for other, _ in others])
    for other, likeness in others:
        other.likeness, other.remedy = likeness, done[other.pk]  # type: ignore[attr-defined]
    return [other for other, _ in others]


def written(incident: Incident) -> Mapping[str, Any]:
    """What a verb answers: the incident as it is afterwards."""
    mine = Incident.objects.for_tenant(incident.tenant_id).for_list()
    data: Mapping[str, Any] = IncidentSerializer(mine.get(pk=incident.pk)).data
    return data
