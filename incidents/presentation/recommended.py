"""The only place that words what worked for failures like an incident, and what people may say of it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import reverse

from incidents.analysis.recommend import Recommendation
from incidents.models import Incident
from incidents.track_record import Record
from safety.rulefields import CATEGORIES

_DONE = {"retry": "Retry", "escalate": "Call people", "observe": "Watch"}


@dataclass(frozen=True)
class Line:
    """One action: how often it worked, at least, and whether that is enough to go alone."""

    name: str
    says: str
    at_least: str
    alone: str


@dataclass(frozen=True)
class Recommended:
    """The addresses are empty for those who may say nothing."""

    about: str
    lines: tuple[Line, ...]
    category: str
    categories: tuple[tuple[str, str], ...]
    category_url: str = ""
    fixed_url: str = ""


def recommended(
    incident: Incident, record: Record, *, allowed: Collection[str], has_decision: bool
) -> Recommended:
    may = "acknowledge" in allowed and not incident.is_storm
    plain = record.category.replace("_", " ")
    fixed = reverse("incidents:fixed", args=[incident.pk]) if may and has_decision else ""
    return Recommended(
        about=f"{plain} at {record.vendor}" if record.vendor else plain,
        lines=tuple(_line(one) for one in record.actions),
        category=incident.category,
        categories=tuple((name, name.replace("_", " ")) for name in CATEGORIES),
        category_url=reverse("incidents:category", args=[incident.pk]) if may else "",
        fixed_url=fixed,
    )


def _line(one: Recommendation) -> Line:
    threshold: Any = settings.AI_CONFIDENCE_THRESHOLD
    needs = one.needs_person(threshold)
    return Line(
        name=_DONE.get(one.choice, one.choice),
        says=f"{one.worked} of {one.n}",
        at_least="insufficient data" if one.lower is None else f"{one.lower:.0%}",
        alone="needs a person" if needs else f"above the threshold of {threshold:.0%}",
    )
