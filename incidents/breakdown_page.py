"""The only place that gathers what the panels about a list show: its values with counts, its hours."""

from collections import Counter

from awfdrs_site.lib import query
from incidents import breakdown, console
from incidents.console import Reader
from incidents.forms import FilterForm
from incidents.presentation import histogram
from incidents.presentation.addresses import listed
from incidents.presentation.figures import UpTo
from incidents.presentation.list_shapes import Facet, Facets, FacetValue, Histogram
from incidents.query_keys import KEYS

SHOWN = 8  # values of a facet; the rest is found by typing
_NOTHING = {"assignee": ("Nobody", "assignee:none", "assignee:*")}
_NO_VALUE = ("None", "-{key}:*", "{key}:*")


def facets(reader: Reader, filters: FilterForm) -> Facets:
    divided = breakdown.divide(console.matching(reader, filters))
    groups = (_facet(key, counts, filters) for key, counts in divided.counts.items())
    return Facets(
        groups=tuple(group for group in groups if group.values),
        n_counted=UpTo(divided.n_counted, divided.is_more),
        back_url=_listed(filters, filters.text),
    )


def volume(reader: Reader, filters: FilterForm) -> Histogram:
    counted = breakdown.by_hour(reader.tenant_id, console.matching(reader, filters), now=reader.now)
    asked = filters.cleaned_data
    return histogram.histogram(
        counted,
        now=reader.now,
        tab=asked["tab"],
        text=filters.text,
        ordering=asked["ordering"],
    )


def _facet(key: str, counts: Counter[str | None], filters: FilterForm) -> Facet:
    found = sorted(
        ((value or None, n) for value, n in counts.items()),
        key=lambda pair: (-pair[1], pair[0] or ""),
    )
    shown = tuple(_value(key, value, n, filters) for value, n in found[:SHOWN])
    return Facet(KEYS[key].label, shown, n_more=max(0, len(found) - SHOWN))


def _value(key: str, value: str | None, n: int, filters: FilterForm) -> FacetValue:
    if value is None:
        label, has, lacks = _NOTHING.get(key, _NO_VALUE)
        has, lacks = has.format(key=key), lacks.format(key=key)
    else:
        label, has = value, query.token(key, value)
        lacks = f"-{has}"
    return FacetValue(
        label=label.replace("_", " ") if key in ("category", "status") else label,
        n=n,
        url=_listed(filters, query.added(filters.text, has)),
        without_url=_listed(filters, query.added(filters.text, lacks)),
    )


def _listed(filters: FilterForm, text: str) -> str:
    asked = filters.cleaned_data
    return listed(asked["tab"], text, asked["ordering"])
