"""The only place that draws the events of a list by the hour: stacked by severity, as numbers for SVG attributes."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from awfdrs_site.lib import query, rfc3339
from incidents.breakdown import N_HOURS, BySeverity
from incidents.hours import hour_of
from incidents.presentation.addresses import listed
from incidents.presentation.list_shapes import Column, Histogram, Piece
from incidents.states import Severity

HEIGHT = 40
STEP, WIDTH = 6, 5
_TICKS = 4
_LEAST = 1.5  # of a bar with anything in it: one event beside a thousand is still seen
_STACKED = tuple(map(str, Severity.values))  # the mildest at the bottom


def histogram(
    counted: BySeverity, *, now: datetime, tab: str, text: str, ordering: str
) -> Histogram:
    """The last hours, the current one included; heights are of the highest hour."""
    since = hour_of(now.astimezone(UTC)) - timedelta(hours=N_HOURS - 1)
    hours = [since + timedelta(hours=place) for place in range(N_HOURS)]
    totals = [sum(counted.get((hour, severity), 0) for severity in _STACKED) for hour in hours]
    peak = max(totals)
    return Histogram(
        width=N_HOURS * STEP - (STEP - WIDTH),
        columns=tuple(
            Column(
                x=place * STEP,
                pieces=tuple(_pieces(counted, hour, peak)),
                label=f"{hour:%a %d %b %H:%M} UTC: {total:,} event{'' if total == 1 else 's'}",
                url=listed(tab, _within(text, hour), ordering),
            )
            for place, (hour, total) in enumerate(zip(hours, totals, strict=True))
            if total
        ),
        label=_label(totals, hours),
        ticks=tuple(f"{hours[N_HOURS * part // _TICKS]:%a %H:%M}" for part in range(_TICKS)),
    )


def _pieces(counted: BySeverity, hour: datetime, peak: int) -> Iterable[Piece]:
    bottom = float(HEIGHT)
    for severity in _STACKED:
        if n := counted.get((hour, severity), 0):
            height = round(max(_LEAST, HEIGHT * n / peak), 1)
            height = min(height, bottom)
            bottom = round(bottom - height, 1)
            yield Piece(severity, bottom, height)


def _within(text: str, hour: datetime) -> str:
    """The query narrowed to what was seen in that hour; an hour that it named before gives way."""
    parsed = query.parse(text)
    kept = [
        parsed.written(term)
        for term in parsed.terms
        if term.key not in ("since", "until") or term.is_negated
    ]
    until = hour + timedelta(hours=1)
    since, until_ = (rfc3339.format(at).removesuffix(":00Z") + "Z" for at in (hour, until))
    return query.added("", *kept, f"since:{since}", f"until:{until_}")


def _label(totals: list[int], hours: list[datetime]) -> str:
    total, peak = sum(totals), max(totals)
    if not total:
        return f"No event in {N_HOURS} hours"
    at = hours[totals.index(peak)]
    return f"{total:,} event{'' if total == 1 else 's'} in {N_HOURS} hours, most from {at:%a %H:%M} UTC: {peak:,}"
