"""The only writer of the journal: audit log, timeline and live feed are the same rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from awfdrs_site.lib import correlation, live
from tenants.models import JournalEntry, PlatformJournalEntry, TenantOwned


@dataclass(frozen=True)
class Actor:
    """Who did it, as the journal will still say when the person or key is gone."""

    kind: str  # user | key | system
    id: str
    label: str


SYSTEM = Actor("system", "", "AWFDRS")


@dataclass(frozen=True)
class Line:
    """One journal line before it is written."""

    subject: TenantOwned
    verb: str
    detail: dict[str, Any]


def record(
    subject: TenantOwned, verb: str, *, by: Actor, at: datetime, **detail: Any
) -> JournalEntry:
    """Write one line in the transaction of the change and tell open consoles once it has committed."""
    return record_many([Line(subject, verb, detail)], by=by, at=at)[0]


def record_many(lines: Iterable[Line], *, by: Actor, at: datetime) -> list[JournalEntry]:
    """Write the lines of a batch in one statement, in their order."""
    lines = list(lines)
    said = said_by(by, at)
    entries = [
        JournalEntry(
            tenant_id=line.subject.tenant_id,
            verb=line.verb,
            subject_type=line.subject._meta.model_name or "",
            subject_id=str(line.subject.pk),
            **said,
            detail=line.detail,
        )
        for line in lines
    ]
    for line in lines:
        announce(line.subject)
    return list(JournalEntry.objects.bulk_create(entries))


def record_tenant(
    tenant_id: UUID, verb: str, *, by: Actor, at: datetime, **detail: Any
) -> JournalEntry:
    """Write a line about the tenant as a whole: what was taken along is journalled as what was changed."""
    return JournalEntry.objects.create(
        tenant_id=tenant_id,
        verb=verb,
        subject_type="tenant",
        subject_id=str(tenant_id),
        **said_by(by, at),
        detail=detail,
    )


def said_by(by: Actor, at: datetime) -> dict[str, Any]:
    """Who, when, and in the course of what: the same of every line, whichever journal it stands in."""
    return {
        "actor_kind": by.kind,
        "actor_id": by.id,
        "actor_label": by.label,
        "at": at,
        "correlation_id": correlation.current(),
    }


def announce(subject: TenantOwned, *, event: str = "changed") -> None:
    """Tell open consoles that this row changed, for changes too small for a line of their own."""
    live.publish(
        live.Fact(
            tenant_id=subject.tenant_id,
            topic=subject._meta.model_name or "",
            id=str(subject.pk),
            version=getattr(subject, "version", 0),
            event=event,
        )
    )


def record_platform(
    *, subject_type: str, subject_id: UUID | str, verb: str, by: Actor, at: datetime, **detail: Any
) -> PlatformJournalEntry:
    """Write a line that belongs to no tenant; needs a platform block."""
    return PlatformJournalEntry.objects.create(
        verb=verb,
        subject_type=subject_type,
        subject_id=str(subject_id),
        **said_by(by, at),
        detail=detail,
    )
