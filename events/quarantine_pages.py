"""The only place that gathers and words what the pages of quarantine and of the books show."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, Max, QuerySet
from django.urls import reverse

from events import conservation
from events.conservation import NO_KEY, Hour, Tally
from events.models import QuarantinedEvent
from events.quarantine_forms import QuarantineFilterForm
from tenants.models import ApiKey

PAGE_SIZE, GROUPS_MOST = 50, 50
BODY_CHARACTERS = 20_000
HOURS = 24
HEIGHT, STEP, WIDTH = 40, 8, 6  # of the drawing of a key's hours


@dataclass(frozen=True)
class Group:
    """Refused events that wait for the same cure."""

    reason: str
    n: int
    latest_at: datetime
    url: str
    is_current: bool


@dataclass(frozen=True)
class Line:
    id: UUID
    url: str
    reason: str
    says: str
    n_bytes: int
    at: datetime
    event_url: str


@dataclass(frozen=True)
class Page:
    groups: tuple[Group, ...]
    lines: tuple[Line, ...]
    number: int
    has_next: bool
    n_waiting: int

    @property
    def has_previous(self) -> bool:
        return self.number > 1


@dataclass(frozen=True)
class Bar:
    """One hour of one fate, in the units of the drawing."""

    kind: str
    x: int
    y: float
    height: float
    label: str


@dataclass(frozen=True)
class KeyBooks:
    """What one key sent in the last day, and what became of it."""

    name: str
    tally: Tally
    bars: tuple[Bar, ...]
    label: str
    width: int = HOURS * STEP


def page(tenant_id: UUID, filters: QuarantineFilterForm) -> Page:
    asked = filters.cleaned_data
    mine = QuarantinedEvent.objects.for_tenant(tenant_id)
    groups = tuple(_group(one, asked["reason"]) for one in _groups(mine))
    found = mine.filter(event_id__isnull=asked["state"] != "replayed").defer("body", "answer")
    if asked["reason"]:
        found = found.filter(reason=asked["reason"])
    number = asked["page"] or 1
    start = (number - 1) * PAGE_SIZE
    shown = list(found.order_by("-id")[start : start + PAGE_SIZE + 1])
    return Page(
        groups=groups,
        lines=tuple(line(one) for one in shown[:PAGE_SIZE]),
        number=number,
        has_next=len(shown) > PAGE_SIZE,
        n_waiting=sum(group.n for group in groups),
    )


def body_text(kept: QuarantinedEvent) -> str:
    """Its bytes as people can read them: what is no text shows as it is written in JSON and Python."""
    text = bytes(kept.body).decode(errors="backslashreplace").replace("\0", "\\x00")
    return text if len(text) <= BODY_CHARACTERS else f"{text[:BODY_CHARACTERS]}…"


def books(tenant_id: UUID, *, now: datetime) -> list[KeyBooks]:
    """Each key that sent anything in the last day, whoever sent most first."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    since = this_hour - timedelta(hours=HOURS - 1)
    by_key: dict[UUID, list[Hour]] = defaultdict(list)
    for hour in conservation.by_hour(tenant_id, since=since):
        by_key[hour.api_key_id].append(hour)
    keys = ApiKey.objects.for_tenant(tenant_id).filter(pk__in=by_key)
    names = {NO_KEY: "people"} | {key.pk: str(key) for key in keys}
    found = [_books(names.get(key, "a removed key"), hours, since) for key, hours in by_key.items()]
    return sorted(found, key=lambda one: -one.tally.received)


def _groups(mine: QuerySet[QuarantinedEvent]) -> list[dict[str, Any]]:
    """Most of them first."""
    waiting = mine.filter(event_id=None).values("reason")
    counted = waiting.annotate(n=Count("*"), latest_at=Max("received_at"))
    return [dict(one) for one in counted.order_by("-n", "reason")[:GROUPS_MOST]]


def _group(one: dict[str, Any], current: str) -> Group:
    url = f"{reverse('quarantine:list')}?{urlencode({'reason': one['reason']})}"
    is_current = one["reason"] == current
    return Group(one["reason"], one["n"], one["latest_at"], url, is_current)


def line(kept: QuarantinedEvent) -> Line:
    return Line(
        id=kept.pk,
        url=reverse("quarantine:detail", args=[kept.pk]),
        reason=kept.reason,
        says=" ".join(str(error["detail"]) for error in kept.errors)[:200] or kept.detail,
        n_bytes=kept.n_bytes,
        at=kept.received_at,
        event_url=reverse("events:detail", args=[kept.event_id]) if kept.event_id else "",
    )


def _books(name: str, hours: list[Hour], since: datetime) -> KeyBooks:
    tally = conservation.total(hours)
    peak = max(one.tally.received for one in hours)
    bars = [bar for one in hours for bar in _bars(one, peak, since)]
    span = f"{tally.received:,} received in {HOURS} hours, most in one hour: {peak:,}"
    return KeyBooks(name, tally, tuple(bars), span)


def _bars(one: Hour, peak: int, since: datetime) -> list[Bar]:
    """The hour's fates on top of each other: came in below, what did not above."""
    tally = one.tally
    kinds = {
        "in": tally.accepted + tally.replayed,
        "kept": tally.quarantined,
        "out": tally.limited + tally.refused,
    }
    place = int((one.hour - since).total_seconds() // 3600)
    bars, top = [], float(HEIGHT)
    for kind, n in kinds.items():
        height = round(HEIGHT * n / peak, 2) if peak else 0.0
        if height:
            top = round(top - height, 2)
            label = f"{one.hour:%a %H:%M} UTC: {n:,} {_WORDS[kind]}"
            bars.append(Bar(kind, place * STEP, top, height, label))
    return bars


_WORDS = {"in": "accepted or replayed", "kept": "quarantined", "out": "limited or refused"}
