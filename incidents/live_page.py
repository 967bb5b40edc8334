"""The only place that gathers what an open list reads anew: once for all consoles of a tenant that heard the same."""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from awfdrs_site.lib.shared import Shared
from incidents import console
from incidents.console import OPEN_TABS, Reader
from incidents.forms import FilterForm
from incidents.models import Incident
from incidents.presentation.figures import UpTo
from incidents.presentation.shapes import Row
from tenants import scoping

MINE = "mine"
NOW, COUNTS, ASSIGNED = "now", "counts", "assigned"

_shared: Shared[Hashable, Any] = Shared()


@dataclass(frozen=True)
class News:
    """`staying` are those of the rows that the view still shows; the others say that they left it."""

    now: datetime
    rows: tuple[Row, ...]
    staying: frozenset[UUID]
    counts: Mapping[str, UpTo]


def news(
    ask: Callable[[datetime], Reader],
    filters: FilterForm,
    ids: Collection[UUID],
    *,
    tenant_id: UUID,
    since: float,
    with_first_page: bool = False,
) -> News:
    """What `ids` and the counts say now, read after `since` (monotonic seconds), in blocks of its own.

    Raises QueryError.
    """
    tab = filters.current_tab
    ids, staying = set(ids), None
    # What a text asks for may depend on who asks.
    if filters.text or tab == MINE or with_first_page:
        with scoping.bound(tenant_id) as now:
            found = console.matching(ask(now), filters)
            if with_first_page:
                ids |= set(found.values_list("pk", flat=True)[: console.PAGE_SIZE])
            staying = frozenset(found.filter(pk__in=ids).order_by().values_list("pk", flat=True))
    wanted: list[Hashable] = [NOW, COUNTS, ASSIGNED, *((Row, pk) for pk in ids)]
    if staying is None:
        wanted += [(tab, pk) for pk in ids]

    def read(missing: Collection[Hashable]) -> Mapping[Hashable, Any]:
        with scoping.bound(tenant_id) as now:
            return _read(ask(now), missing)

    known = _shared.get(tenant_id, wanted, since=since, read=read)
    if staying is None:
        staying = frozenset(pk for pk in ids if (tab, pk) in known)
    rows = (known[Row, pk] for pk in ids if (Row, pk) in known)
    me = ask(known[NOW]).user_id or console.NOBODY
    return News(
        now=known[NOW],
        rows=tuple(row if row.id in staying else replace(row, is_gone=True) for row in rows),
        staying=staying,
        counts=known[COUNTS] | {MINE: known[ASSIGNED].get(me, UpTo(0))},
    )


def _read(reader: Reader, missing: Collection[Hashable]) -> dict[Hashable, Any]:
    """Whatever is asked for of the tenant, the same for everybody who asks."""
    read: dict[Hashable, Any] = {NOW: reader.now}
    if COUNTS in missing:
        read[COUNTS] = console.counts(reader, [slug for slug in OPEN_TABS if slug != MINE])
    if ASSIGNED in missing:
        read[ASSIGNED] = console.assigned(reader)
    for kind, ids in _named(missing).items():
        if kind is Row:
            found = Incident.objects.for_tenant(reader.tenant_id).filter(pk__in=ids).for_list()
            read |= {(Row, row.id): row for row in console.rows_of(reader, list(found))}
        else:
            fitting = console.view(reader, kind).filter(pk__in=ids).order_by()
            read |= {(kind, pk): True for pk in fitting.values_list("pk", flat=True)}
    return read


def _named(missing: Iterable[Hashable]) -> dict[Any, list[UUID]]:
    """The incidents by what is asked of them: their rows, or whether a tab shows them."""
    named: dict[Any, list[UUID]] = defaultdict(list)
    for one in missing:
        if isinstance(one, tuple):
            named[one[0]].append(one[1])
    return named
