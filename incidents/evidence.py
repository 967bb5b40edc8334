"""The only place that asks what stands behind an incident: its ledger, its hours, its text, its nearest others."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q

from incidents.analysis import similarity
from incidents.analysis.similarity import Likeness
from incidents.hours import hour_of
from incidents.models import Incident, IncidentHour, Run, Template
from incidents.querysets import RunQuerySet
from incidents.states import RunState

DAY_HOURS, WEEK_HOURS = 24, 168
CANDIDATES = 200  # the latest incidents that share the vendor, the code or the workflow
NEAREST = 5
COMPARED = ("pk", "workflow_id", "title", "signature_components")
_TEXT = "template"  # the component whose value is a key, and whose text people read

Hours = dict[datetime, int]  # start of the hour, UTC -> events that happened in it


@dataclass(frozen=True)
class Tally:
    """What became of the runs an incident hurt. `retry_scheduled` are among `unrecovered`."""

    affected: int
    unrecovered: int
    retry_scheduled: int
    recovered_auto: int
    recovered_by_action: int
    waived: int

    @property
    def recovered(self) -> int:
        return self.affected - self.unrecovered - self.waived


def tally(incident: Incident) -> Tally:
    mine = Run.objects.for_tenant(incident.tenant_id)
    counts = _by_state(mine.filter(incident=incident))  # an index alone answers, however many
    if (
        sum(counts.values()) != incident.affected_runs
    ):  # some of them failed of something else since
        counts = _by_state(mine.of_incident(incident.pk))
    return Tally(
        affected=incident.affected_runs,
        unrecovered=incident.unrecovered_runs,
        retry_scheduled=counts.get(RunState.RETRY_SCHEDULED, 0),
        # a run that had succeeded before its failure was heard of needed nobody
        recovered_auto=sum(
            counts.get(state, 0) for state in (RunState.RECOVERED_AUTO, RunState.SUCCEEDED)
        ),
        recovered_by_action=counts.get(RunState.RECOVERED_BY_ACTION, 0),
        waived=counts.get(RunState.WAIVED, 0),
    )


def _by_state(runs: RunQuerySet) -> dict[str, int]:
    return dict(runs.order_by().values_list("state").annotate(n=Count("*")))


def hours(
    tenant_id: UUID, incident_ids: Iterable[UUID], *, n_hours: int, now: datetime
) -> dict[UUID, Hours]:
    """The hours with events among the last `n_hours`, the current one included: one query."""
    since = hour_of(now) - timedelta(hours=n_hours - 1)
    found: dict[UUID, Hours] = {incident_id: {} for incident_id in incident_ids}
    mine = IncidentHour.objects.for_tenant(tenant_id).filter(incident_id__in=found)
    counted = mine.filter(hour__gte=since).order_by("hour")
    for incident_id, hour, n_events in counted.values_list("incident_id", "hour", "n_events"):
        found[incident_id][hour] = n_events
    return found


def components(incident: Incident) -> dict[str, str]:
    """The parts of its signature for people: the template's text stands for its key."""
    return _texts(incident.tenant_id, [incident])[incident.pk]


def nearest(incident: Incident, *, limit: int = NEAREST) -> dict[UUID, Likeness]:
    """Other incidents by likeness, nearest first; of equally near ones the latest first."""
    if incident.is_storm or not incident.signature_components:
        return {}
    candidates = list({one.pk: one for one in (*_same(incident), *_candidates(incident))}.values())
    texts = _texts(incident.tenant_id, [incident, *candidates])
    here = texts[incident.pk]
    rarity = similarity.rarity(parts.get(_TEXT, "") for parts in texts.values())
    scores = {one.pk: similarity.score(here, texts[one.pk], rarity) for one in candidates}
    ordered = sorted(scores, key=lambda pk: -scores[pk])[:limit]  # stable: the latest first
    return {pk: similarity.likeness(here, texts[pk], rarity) for pk in ordered if scores[pk] > 0}


def neighbours(incident: Incident) -> list[tuple[Incident, Likeness]]:
    """The nearest others as rows for a list, nearest first."""
    alike = nearest(incident)
    rows = Incident.objects.for_tenant(incident.tenant_id).filter(pk__in=alike).for_list()
    found = {row.pk: row for row in rows}
    return [(found[pk], likeness) for pk, likeness in alike.items()]


def _same(incident: Incident) -> Iterable[Any]:
    """Earlier episodes of the very same failure, however long ago."""
    mine = Incident.objects.for_tenant(incident.tenant_id).filter(signature=incident.signature)
    others = mine.exclude(pk=incident.pk).filter(merged_into=None)
    return others.order_by("-resolved_at", "-id").values_list(*COMPARED, named=True)[:NEAREST]


def _candidates(incident: Incident) -> Iterable[Any]:
    kin = Q(workflow_id=incident.workflow_id)
    if incident.vendor_id:
        kin |= Q(vendor_id=incident.vendor_id)
    if incident.error_code:
        kin |= Q(error_code=incident.error_code)
    mine = Incident.objects.for_tenant(incident.tenant_id).filter(kin, merged_into=None)
    others = mine.exclude(pk=incident.pk).filter(is_storm=False)
    return others.newest_first().values_list(*COMPARED, named=True)[:CANDIDATES]


def _texts(tenant_id: UUID, incidents: list[Any]) -> dict[UUID, dict[str, str]]:
    """Each incident's components, with the text of its template or else its title."""
    named = {one.pk: {str(k): str(v) for k, v in one.signature_components} for one in incidents}
    keys = {parts[_TEXT] for parts in named.values() if parts.get(_TEXT)}
    known = _templates(tenant_id, {one.workflow_id for one in incidents}, keys) if keys else {}
    for one in incidents:
        parts = named[one.pk]
        if parts.get(_TEXT):
            parts[_TEXT] = known.get((one.workflow_id, parts[_TEXT]), one.title)
    return named


def _templates(
    tenant_id: UUID, workflow_ids: set[UUID], keys: set[str]
) -> dict[tuple[UUID, str], str]:
    mine = Template.objects.for_tenant(tenant_id).filter(key__in=keys, workflow_id__in=workflow_ids)
    rows: Iterable[tuple[UUID, str, list[Any]]] = mine.values_list("workflow_id", "key", "tokens")
    return {(workflow, key): " ".join(map(str, tokens)) for workflow, key, tokens in rows}
