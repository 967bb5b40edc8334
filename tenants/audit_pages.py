"""The only place that finds the lines of the audit log, and turns its pages by what was last seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q
from django.urls import reverse

from tenants import audit_words
from tenants.audit_forms import AuditForm
from tenants.audit_words import Told
from tenants.journal import SYSTEM
from tenants.models import JournalEntry, Membership

PAGE_SIZE = 50
OFFERED = 200
# Jumps from one verb to the next along its index, so that it costs as much as there are verbs, not lines.
_VERBS = """
with recursive verbs (verb) as (
  (select verb from tenants_journalentry where tenant_id = %(tenant)s order by verb limit 1)
  union all
  select (select entry.verb from tenants_journalentry entry
          where entry.tenant_id = %(tenant)s and entry.verb > verbs.verb order by entry.verb limit 1)
  from verbs where verbs.verb is not null
)
select verb from verbs where verb is not null limit %(most)s
"""
_PAGES = {
    "action": "actions:detail",
    "approval": "approvals:detail",
    "campaign": "campaigns:detail",
    "incident": "incidents:detail",
    "run": "runs:detail",
    "vendor": "vendors:detail",
}


@dataclass(frozen=True)
class AuditLine:
    id: UUID
    at: datetime
    who: str
    by_whom: str  # a person, a key, or the product itself
    verb: str
    what: str
    kind: str
    subject: str  # as the filter takes it
    subject_url: str
    told: tuple[Told, ...]
    correlation_id: str


@dataclass(frozen=True)
class AuditPage:
    lines: tuple[AuditLine, ...]
    older: UUID | None  # the line that the next page begins after
    newer: UUID | None


def page(tenant_id: UUID, form: AuditForm) -> AuditPage:
    """Newest first."""
    before, after = form.place
    found = matching(tenant_id, form)
    place = after or before
    if place is not None:
        found = found.filter(_beyond(tenant_id, place, is_newer=after is not None))
    order = ("at", "id") if after else ("-at", "-id")
    entries = list(found.order_by(*order)[: PAGE_SIZE + 1])
    has_more, entries = len(entries) > PAGE_SIZE, entries[:PAGE_SIZE]
    if after:
        entries.reverse()
    return _page(entries, has_older=has_more or after is not None, has_newer=_newer(form, has_more))


def matching(tenant_id: UUID, form: AuditForm) -> Any:
    """The tenant's lines of this view, in no order yet."""
    asked = form.cleaned_data
    found = JournalEntry.objects.for_tenant(tenant_id)
    kind, subject_id = asked["subject"]
    exact = {
        "actor_label": asked["who"],
        "verb": asked["what"],
        "subject_type": kind,
        "subject_id": subject_id,
        "at__gte": asked["since"],
        "at__lt": asked["until"],
    }
    found = found.filter(**{name: value for name, value in exact.items() if value})
    if asked["who"] and asked["who"] != SYSTEM.label:
        found = found.exclude(actor_kind=SYSTEM.kind)  # what people did has an index of its own
    return found


def verbs(tenant_id: UUID) -> list[tuple[str, str]]:
    """What happened here so far, as the filter offers it."""
    with connection.cursor() as cursor:
        cursor.execute(_VERBS, {"tenant": tenant_id, "most": OFFERED})
        return [(name, audit_words.verb(name)) for (name,) in cursor.fetchall()]


def people(tenant_id: UUID) -> list[str]:
    """Whom the filter suggests; others may be typed."""
    members = Membership.objects.for_tenant(tenant_id).select_related("user")
    names = {m.user.get_full_name() or m.user.get_username() for m in members[:OFFERED]}
    return [*sorted(names), SYSTEM.label]


def _newer(form: AuditForm, has_more: bool) -> bool:
    before, after = form.place
    return has_more if after else before is not None


def _beyond(tenant_id: UUID, place: UUID, *, is_newer: bool) -> Q:
    """The lines on one side of the one with this id; a foreign or unknown one narrows to nothing."""
    at = JournalEntry.objects.for_tenant(tenant_id).filter(pk=place).values_list("at", flat=True)
    here = at.first()
    if here is None:
        return Q(pk__in=())
    side = "gt" if is_newer else "lt"
    return Q(**{f"at__{side}": here}) | Q(**{"at": here, f"id__{side}": place})


def _page(entries: Sequence[JournalEntry], *, has_older: bool, has_newer: bool) -> AuditPage:
    return AuditPage(
        lines=tuple(map(_line, entries)),
        older=entries[-1].pk if entries and has_older else None,
        newer=entries[0].pk if entries and has_newer else None,
    )


def _line(entry: JournalEntry) -> AuditLine:
    return AuditLine(
        id=entry.pk,
        at=entry.at,
        who=entry.actor_label,
        by_whom={"user": "person", "key": "API key"}.get(entry.actor_kind, "system"),
        verb=entry.verb,
        what=audit_words.verb(entry.verb),
        kind=audit_words.kind(entry.subject_type),
        subject=f"{entry.subject_type}:{entry.subject_id}",
        subject_url=_url(entry.subject_type, entry.subject_id),
        told=audit_words.told(entry.detail),
        correlation_id=entry.correlation_id,
    )


def _url(subject_type: str, subject_id: str) -> str:
    name = _PAGES.get(subject_type)
    return reverse(name, args=[subject_id]) if name else ""
