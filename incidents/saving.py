"""The only place that keeps views of the incident list by name, shares and orders them, and lets them go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max, Q

from incidents.models import SavedView
from tenants import journal
from tenants.journal import Actor

MOST = 20  # of one person's; each is counted beside the list


class ViewRefused(Exception):
    """A name that is taken, or one view too many; its text is for people."""


@dataclass(frozen=True)
class Asked:
    """What a view shows."""

    tab: str = ""
    query: str = ""
    ordering: str = ""


def seen_by(tenant_id: UUID, user_id: int | None) -> Sequence[SavedView]:
    """Their own, then those that others share."""
    mine = SavedView.objects.for_tenant(tenant_id)
    found = mine.filter(Q(owner_id=user_id) | Q(is_shared=True)).select_related("owner")
    ordered = found.order_by("position", "id")
    return sorted(ordered, key=lambda view: view.owner_id != user_id)  # stable


def save(
    *,
    tenant_id: UUID,
    owner_id: int,
    name: str,
    asked: Asked,
    is_shared: bool,
    by: Actor,
    now: datetime,
) -> SavedView:
    """Keep it behind the others. Raises ViewRefused."""
    mine = SavedView.objects.for_tenant(tenant_id).filter(owner_id=owner_id)
    if mine.count() >= MOST:
        raise ViewRefused(f"You keep {MOST} views already: let one go first.")
    last = mine.aggregate(last=Max("position"))["last"]
    view = SavedView(
        tenant_id=tenant_id,
        owner_id=owner_id,
        name=name,
        tab=asked.tab,
        query=asked.query,
        ordering=asked.ordering,
        is_shared=is_shared,
        position=0 if last is None else last + 1,
        created_at=now,
    )
    return _write(view, "view_saved", by=by, now=now)


def change(view: SavedView, *, name: str, is_shared: bool, by: Actor, now: datetime) -> SavedView:
    """Call it otherwise, share it or keep it to oneself. Raises ViewRefused."""
    if (view.name, view.is_shared) == (name, is_shared):
        return view
    view.name, view.is_shared = name, is_shared
    return _write(view, "view_changed", by=by, now=now)


def move(view: SavedView, *, up: bool, by: Actor, now: datetime) -> None:
    """One place up or down among its owner's; at an end it stays."""
    with transaction.atomic():
        mine = SavedView.objects.for_tenant(view.tenant_id).filter(owner_id=view.owner_id)
        order = list(mine.select_for_update().order_by("position", "id"))
        place = next((n for n, one in enumerate(order) if one.pk == view.pk), None)
        to = None if place is None else place + (-1 if up else 1)
        if place is None or to is None or not 0 <= to < len(order):
            return
        order.insert(to, order.pop(place))
        for position, one in enumerate(order):
            one.position = position
        SavedView.objects.bulk_update(order, ["position"])
        journal.record(view, "view_moved", by=by, at=now, name=view.name)


def delete(view: SavedView, *, by: Actor, now: datetime) -> None:
    """Quiet when it is gone already."""
    with transaction.atomic():
        mine = SavedView.objects.for_tenant(view.tenant_id).filter(pk=view.pk)
        n_deleted, _ = mine.delete()
        if n_deleted:
            journal.record(view, "view_deleted", by=by, at=now, name=view.name, query=view.query)


def _write(view: SavedView, verb: str, *, by: Actor, now: datetime) -> SavedView:
    try:
        with transaction.atomic():
            view.save()
            detail = {"name": view.name, "query": view.query, "shared": view.is_shared}
            journal.record(view, verb, by=by, at=now, **detail)
    except IntegrityError:
        raise ViewRefused(f"You keep a view called “{view.name}” already.") from None
    return view
