"""The only place that gathers what stands around the incident list: its query box, and what it says when empty."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db.models import Count

from awfdrs_site.lib import query
from awfdrs_site.lib.query import Query, QueryError, Term
from incidents import console, query_filters, saving
from incidents.console import Reader
from incidents.forms import ASKS, ORDERS, TABS, FilterForm
from incidents.models import Incident, SavedView
from incidents.presentation.addresses import listed
from incidents.presentation.figures import UpTo
from incidents.presentation.list_shapes import (
    Box,
    Chip,
    Choice,
    Fewer,
    Mistake,
    Recovered,
    SavedLine,
)
from incidents.query_keys import KEYS
from tenants.models import JournalEntry

DAY = timedelta(hours=24)
FEWER_COUNTED = 1000
SAVED_COUNTED, SAVED_MOST = 20, 1000  # views, and incidents of each
FEWER_TRIED = 6  # conditions, the last first: that is the one which was just added


def box(filters: FilterForm, *, wrong: QueryError | None = None) -> Box:
    text, tab = filters.text, filters.cleaned_data["tab"]
    ordering = filters.cleaned_data["ordering"]
    kept = {"tab": tab, "ordering": ordering}

    def about(name: str) -> str:
        return listed(tab, text, ordering, name=name)

    return Box(
        text=text,
        whole=filters.whole,
        chips=() if wrong else tuple(_chips(query.parse(text), filters)),
        kept={name: value for name, value in kept.items() if value},
        orders=tuple(Choice(label, word, word == filters.order) for word, label in ORDERS.items()),
        clear_url=listed(tab=tab, ordering=ordering),
        facets_url=about("facets"),
        volume_url=about("volume"),
        save_url=about("save-view"),
        mistake=_mistake(text, wrong) if wrong else None,
    )


def empty(reader: Reader, filters: FilterForm, *, n_open: UpTo | None) -> dict[str, Any]:
    """What an empty list says depends on whether there ever was an incident, and on what was asked."""
    if filters.text:
        return {"empty": "filtered", "fewer": tuple(_fewer(reader, filters))}
    if not Incident.objects.for_tenant(reader.tenant_id).exists():
        return {"empty": "first"}
    if filters.current_tab == "attention":
        return {"empty": "calm", "n_open": n_open, "recovered": recovered(reader)}
    return {"empty": filters.current_tab}


def recovered(reader: Reader) -> Recovered:
    """Of the incidents resolved in the last 24 hours, those that the machine closed on evidence."""
    mine = JournalEntry.objects.for_tenant(reader.tenant_id).filter(at__gt=reader.now - DAY)
    resolved = mine.filter(subject_type="incident", verb="resolved").order_by()
    by_kind = dict(resolved.values_list("actor_kind").annotate(Count("subject_id", distinct=True)))
    return Recovered(alone=by_kind.get("system", 0), resolved=sum(by_kind.values()))


def address_of(filters: FilterForm) -> str:
    """As a saved view would write it: what is left to its default is left out."""
    asked = filters.cleaned_data
    return listed(asked["tab"], filters.text, asked["ordering"])


def saved(reader: Reader, current: str) -> tuple[SavedLine, ...]:
    """The views beside the list; `current` is the address that is open."""
    views = saving.seen_by(reader.tenant_id, reader.user_id)
    lines = (kept(view, me=reader.user_id) for view in views)
    return tuple(replace(line, is_current=line.url == current) for line in lines)


def saved_counts(reader: Reader) -> tuple[SavedLine, ...]:
    """The same with how many each finds; a query that means nothing any more has no count."""
    views = saving.seen_by(reader.tenant_id, reader.user_id)[:SAVED_COUNTED]
    lines = ((view, kept(view, me=reader.user_id)) for view in views)
    return tuple(replace(line, count=_count(reader, view)) for view, line in lines)


def kept(view: SavedView, *, me: int | None, may_change: bool = False) -> SavedLine:
    owner = view.owner.get_full_name() or view.owner.get_username()
    return SavedLine(
        id=view.pk,
        name=view.name,
        url=address(view),
        query=query.added(ASKS[view.tab or TABS[0]], view.query),
        is_shared=view.is_shared,
        owner="" if view.owner_id == me else owner,
        may_change=may_change,
    )


def address(view: SavedView) -> str:
    return listed(view.tab, view.query, view.ordering)


def _count(reader: Reader, view: SavedView) -> UpTo | None:
    mine = console.view(reader, view.tab or TABS[0])
    try:
        rows = query_filters.narrowed(mine, view.query, asker=reader.asker)
    except QueryError:
        return None
    return console.up_to(rows, most=SAVED_MOST)


def _chips(parsed: Query, filters: FilterForm) -> Iterable[Chip]:
    for term in parsed.terms:
        yield Chip(parsed.written(term), _without(parsed, term, filters))


def _without(parsed: Query, term: Term, filters: FilterForm) -> str:
    asked = filters.cleaned_data
    return listed(asked["tab"], parsed.without(term), asked["ordering"])


def _fewer(reader: Reader, filters: FilterForm) -> Iterable[Fewer]:
    """The views that leave one condition out and show something."""
    parsed = query.parse(filters.text)
    for term in parsed.terms[::-1][:FEWER_TRIED]:
        mine = console.view(reader, filters.current_tab)
        rows = query_filters.narrowed(mine, parsed.without(term), asker=reader.asker)
        count = console.up_to(rows, most=FEWER_COUNTED)
        if count.n:
            yield Fewer(parsed.written(term), _without(parsed, term, filters), count)


def _mistake(text: str, wrong: QueryError) -> Mistake:
    place = min(wrong.column - 1, len(text))
    return Mistake(
        words=wrong.message,
        column=wrong.column,
        before=text[:place],
        here=text[place : place + 1],
        after=text[place + 1 :],
        keys=tuple((key.name, key.hint) for key in KEYS.values()),
    )
