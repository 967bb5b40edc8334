"""The only place that words what merges brought to an incident, and where a merged one went."""

from collections.abc import Collection, Sequence

from django.urls import reverse

from incidents.aliases import Grouped
from incidents.models import Incident
from incidents.presentation.shapes import Member, Members, Reference
from incidents.states import OPEN


def members(
    incident: Incident, grouped: Sequence[Grouped], *, allowed: Collection[str]
) -> Members | None:
    """What is counted here, with the doors for those who may; none of a storm, which counts nothing."""
    if incident.is_storm or incident.merged_into_id is not None:
        return None
    is_open = incident.status in OPEN
    own, *others = grouped
    return Members(
        n_own=own.event_count,
        others=tuple(_member(one) for one in others),
        merge_url=_door("merge", incident) if is_open and "merge" in allowed else "",
        split_url=_door("split", incident) if is_open and "split" in allowed else "",
    )


def merged(incident: Incident) -> Reference | None:
    target = incident.merged_into
    return Reference(str(target), target.get_absolute_url()) if target is not None else None


def _member(one: Grouped) -> Member:
    return Member(
        url=reverse("incidents:detail", args=[one.incident_id]),
        number=one.number,
        title=one.title,
        n_events=one.event_count,
        signature=one.hash,
    )


def _door(verb: str, incident: Incident) -> str:
    return reverse(f"incidents:{verb}", args=[incident.pk])
