"""The only place that words what analysis found of an incident's cause."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from incidents.analysing import SOURCE, Findings
from incidents.models import Change, Incident

_WORDS = {
    "vendor": "Vendor",
    "change": "Change",
    "attribute": "In common",
    "step": "First step to fail",
    "cycle": "Clock",
}
_SURE = 0.0001  # smaller ones are not told apart


@dataclass(frozen=True)
class Cause:
    """One card: the claim, the numbers behind it, the events it counted."""

    word: str
    claim: str
    numbers: str
    n: int
    url: str


@dataclass(frozen=True)
class Changed:
    """Something somebody did about then."""

    at: datetime
    kind: str
    summary: str


@dataclass(frozen=True)
class Causes:
    """Empty `cards`: what it says instead."""

    cards: tuple[Cause, ...]
    says: str
    looked_at: str
    analysed_at: datetime | None
    is_stale: bool
    changes: tuple[Changed, ...]
    source: str = SOURCE


def causes(incident: Incident, found: Findings, changes: Sequence[Change]) -> Causes:
    return Causes(
        cards=tuple(_cause(card) for card in found.cards),
        says=_says(incident, found),
        looked_at=_looked_at(found),
        analysed_at=found.analysed_at,
        is_stale=found.is_stale,
        changes=tuple(Changed(c.occurred_at, c.kind, c.summary) for c in changes),
    )


def _cause(card: dict[str, Any]) -> Cause:
    low, high = card["interval"]["low"], card["interval"]["high"]
    share = f"{100 * low:.0f}–{100 * high:.0f} % of {card['interval']['of']}"
    lift = f" · {card['lift']:g} × as often" if card["lift"] and card["lift"] < 1000 else ""
    return Cause(
        word=_WORDS[card["kind"]],
        claim=card["claim"],
        numbers=f"{card['statistic']} · q {_small(card['q_value'])} · {share}{lift}",
        n=card["n"],
        url=reverse("incidents:evidence", args=[card["evidence"]]),
    )


def _small(q: float) -> str:
    return f"< {_SURE:.4f}" if q < _SURE else f"= {q:.4f}"


def _says(incident: Incident, found: Findings) -> str:
    if found.is_switched_off:
        return "Root-cause analysis is switched off here (ENABLE_AI_RCA)."
    if incident.is_storm:
        return "A storm groups incidents; each of them has its own cause."
    if found.is_stale and found.analysed_at is None:
        return "A worker is asked to look for its cause: what it finds stands here then."
    return "No supported cause: nothing tells these failures from what worked."


def _looked_at(found: Findings) -> str:
    if not found.n_reports:
        return ""
    sample = "a sample of " if found.is_sample else ""
    return f"{sample}{found.n_reports:,} event{'s' if found.n_reports > 1 else ''} looked at"
