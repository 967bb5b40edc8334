"""The only place that cuts lists into pages: by number, or for deep paging by a signed cursor."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core import signing
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django_filters import FilterSet
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from awfdrs_site.lib import params

PAGE_SIZE = 20
PAGE_SIZE_MOST = 100
DEPTH_MOST = 100_000  # rows an OFFSET may skip; a cursor skips none
DEEP = 1000  # from here on a page is found by its ids first
CURSOR_SECONDS = 24 * 60 * 60
PAGING = ("page", "page_size", "cursor")
_SALT = "awfdrs.cursor"


@dataclass(frozen=True)
class Order:
    """`word` as the query says it; rows that are equal in `column` follow their id."""

    word: str
    column: str

    @property
    def is_descending(self) -> bool:
        return self.word.startswith("-")

    def by(self, *, backwards: bool) -> list[str]:
        sign = "-" if self.is_descending != backwards else ""
        return list(dict.fromkeys([f"{sign}{self.column}", f"{sign}id"]))

    def beyond(self, value: Any, row_id: UUID, *, backwards: bool) -> Q:
        """The rows after (or before) the one with this value and id."""
        beyond = "lt" if self.is_descending != backwards else "gt"
        if self.column == "id":
            return Q(**{f"id__{beyond}": row_id})
        tied = Q(**{self.column: value, f"id__{beyond}": row_id})
        return Q(**{f"{self.column}__{beyond}": value}) | tied


@dataclass(frozen=True)
class Place:
    """Where a cursor stands. The value keeps its type: instants are written as ISO text."""

    value: Any
    row_id: UUID
    backwards: bool


@dataclass(frozen=True)
class Listing:
    """How one list answers: how a row is written, what may be asked of it, in which orders it comes."""

    serializer: type[BaseSerializer[Any]]
    filters: type[FilterSet] | None = None
    orders: Mapping[str, str] = field(default_factory=lambda: {"id": "id"})  # word -> column
    default_order: str = "-id"
    # (rows, how many, before which) -> the first of rows that come newest first, where days make that cheaper
    newest: Callable[..., list[Any]] | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        asked = tuple(self.filters.base_filters) if self.filters else ()
        return (*asked, *PAGING, *(["ordering"] if len(self.orders) > 1 else []))

    @property
    def words(self) -> list[str]:
        return [sign + word for word in self.orders for sign in ("", "-")]

    def answer(
        self,
        request: Request,
        rows: QuerySet[Any],
        *,
        keys: QuerySet[Any] | None = None,
        prepare: Callable[[list[Any]], None] = lambda _page: None,
        extra: Mapping[str, Any] = MappingProxyType({}),
    ) -> Response:
        """`{count, next, previous, results}` of the rows that the request asks for.

        `keys` are rows of another table with the same ids, which finds and counts them more cheaply;
        `prepare` completes the rows of the page before they are written; `extra` stands beside.
        """
        query = request.query_params
        order = self._order(query)
        if self.filters is not None:
            rows = params.narrowed(rows, request, self.filters)
        size = params.whole(query, "page_size", default=PAGE_SIZE, most=PAGE_SIZE_MOST)
        cut = self._by_number if "page" in query else self._by_cursor
        counted = rows if keys is None else keys
        page, following, preceding = cut(request, counted, order, size)
        if keys is not None:
            page = _by_id(rows, [key.pk for key in page])
        prepare(page)
        written = self.serializer(page, many=True, context={"request": request}).data
        return Response(
            {
                "count": counted.count(),
                "next": following,
                "previous": preceding,
                "results": written,
            }
            | dict(extra)
        )

    def _order(self, query: QueryDict) -> Order:
        word = query.get("ordering", self.default_order)
        column = self.orders.get(word.removeprefix("-"))
        if column is None:
            known = ", ".join(self.orders)
            raise params.refused("ordering", "choice", f"This must be one of {known}, or with a -.")
        return Order(word, column)

    def _by_number(
        self, request: Request, rows: QuerySet[Any], order: Order, size: int
    ) -> tuple[list[Any], str | None, str | None]:
        query = request.query_params
        if "cursor" in query:
            raise params.refused("cursor", "ambiguous", "Send page or cursor, not both.")
        number = params.whole(query, "page", default=1, most=DEPTH_MOST // size)
        start = (number - 1) * size
        chosen = rows.order_by(*order.by(backwards=False))[start : start + size + 1]
        if start < DEEP:
            found = list(chosen)
        else:  # what is skipped is not joined
            found = _by_id(rows, list(chosen.values_list("pk", flat=True)))
        if not found and number > 1:
            raise params.refused("page", "range", "There is no such page.")
        following = _link(request, page=number + 1) if len(found) > size else None
        preceding = _link(request, page=number - 1) if number > 1 else None
        return found[:size], following, preceding

    def _by_cursor(
        self, request: Request, rows: QuerySet[Any], order: Order, size: int
    ) -> tuple[list[Any], str | None, str | None]:
        bond = _bond(request)
        given = request.query_params.get("cursor")
        place = None if given is None else _read(given, bond)
        backwards = place is not None and place.backwards
        if place is not None:
            rows = rows.filter(order.beyond(place.value, place.row_id, backwards=backwards))
        ordered = rows.order_by(*order.by(backwards=backwards))
        if self.newest is not None and order.word == "-id" and not backwards:
            found = self.newest(ordered, size + 1, before=place.row_id if place else None)
        else:
            found = list(ordered[: size + 1])
        has_more, page = len(found) > size, found[:size]
        if backwards:
            page.reverse()
        ahead = page and (has_more or backwards)
        behind = page and place is not None and (has_more or not backwards)
        return (
            page,
            _cursor_link(request, bond, page[-1], order, backwards=False) if ahead else None,
            _cursor_link(request, bond, page[0], order, backwards=True) if behind else None,
        )


def _by_id(rows: QuerySet[Any], ids: list[UUID]) -> list[Any]:
    found = rows.in_bulk(ids)
    return [found[row_id] for row_id in ids if row_id in found]


def sign(place: Place, bond: str) -> str:
    value = place.value.isoformat() if isinstance(place.value, datetime) else place.value
    kind = "at" if isinstance(place.value, datetime) else "is"
    parts = [kind, value, str(place.row_id), place.backwards]
    return signing.dumps(parts, salt=f"{_SALT}:{bond}")


def _read(cursor: str, bond: str) -> Place:
    """Raises Problem 422 for a cursor that is altered, too old, another tenant's or another list's."""
    try:
        kind, value, row_id, backwards = signing.loads(
            cursor, salt=f"{_SALT}:{bond}", max_age=CURSOR_SECONDS
        )
    except signing.BadSignature:
        raise params.refused(
            "cursor", "cursor", "This cursor is altered, too old or of another list."
        ) from None
    moment = datetime.fromisoformat(value) if kind == "at" else value
    return Place(moment, UUID(row_id), backwards)


def _bond(request: Request) -> str:
    """What a cursor belongs to: one tenant's list with these filters in this order."""
    tenant_id = request.tenant.id  # type: ignore[attr-defined]  # the caller's, from TenantMiddleware
    query = request.query_params
    asked = sorted((name, query[name]) for name in query if name not in (*PAGING, "tenant_id"))
    text = repr((str(tenant_id), request.path.rstrip("/").lower(), asked))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _cursor_link(request: Request, bond: str, row: Any, order: Order, *, backwards: bool) -> str:
    place = Place(None if order.column == "id" else getattr(row, order.column), row.pk, backwards)
    return _link(request, cursor=sign(place, bond))


def _link(request: Request, **position: Any) -> str:
    kept = {
        name: value
        for name, value in request.query_params.items()
        if name not in ("page", "cursor")
    }
    return request.build_absolute_uri(f"{request.path}?{urlencode(kept | position)}")
