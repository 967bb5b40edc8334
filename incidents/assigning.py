"""The only place that gives incidents to people: members of the tenant, found as people name them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Q

from incidents import keeping
from incidents.models import Incident
from tenants.journal import Actor
from tenants.models import Membership

ME = "me"
OFFERED = 200  # people in the menu; more are named by hand


class NobodyByThatName(Exception):
    """No member of the tenant is called this (-> 422)."""


def person(tenant_id: UUID, name: str, *, me: int | None) -> Any:
    """The member with this e-mail address or user name; `me` is who asks. Raises NobodyByThatName."""
    members = _members(tenant_id)
    if name.strip().lower() == ME:
        found = members.filter(user_id=me).first() if me is not None else None
        if found is None:
            raise NobodyByThatName("A key is nobody: name a person.")
        return found.user
    wanted = Q(user__username__iexact=name.strip()) | Q(user__email__iexact=name.strip())
    # Two may share an address: who signs in under the name comes first, then the older account.
    found = sorted(
        members.filter(wanted), key=lambda one: (one.user.username != name.strip(), one.user_id)
    )
    if not found:
        raise NobodyByThatName("No member has this e-mail address or user name.")
    return found[0].user


def people(tenant_id: UUID) -> Sequence[Any]:
    """Whom an incident can be given to, by name."""
    members = _members(tenant_id).order_by("user__first_name", "user__username", "id")
    return [member.user for member in members[:OFFERED]]


def assign(
    incident: Incident, *, to: Any | None, by: Actor, now: datetime, note: str = ""
) -> Incident:
    """Give it to a person, or to nobody. Quiet when it is theirs already."""
    incident = keeping.locked(incident)
    before = _named(incident.assignee)
    if incident.assignee_id == (to.pk if to else None):
        return incident
    incident.assignee = to
    verb = "assigned" if to else "unassigned"
    words = f"to {_named(to)}" if to else f"from {before}"
    moved = {"before": before, "after": _named(to)}
    return keeping.save(incident, verb, by=by, now=now, detail=words, note=note, **moved)


def _members(tenant_id: UUID) -> Any:
    mine = Membership.objects.for_tenant(tenant_id).filter(user__is_active=True)
    return mine.select_related("user")


def _named(user: Any | None) -> str:
    if user is None:
        return ""
    if not hasattr(user, "get_full_name"):
        user = get_user_model()._default_manager.get(pk=user.pk)
    return str(user.get_full_name() or user.get_username())
