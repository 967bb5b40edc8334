"""The only place that erases a tenant: its rows go, its journal stays as blanked lines under a chain that is whole."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import sql

from tenants import journal, scoping, sealing
from tenants.journal import Actor
from tenants.models import Membership, PlatformJournalEntry, Tenant
from tenants.verifying import ERASED_VERB

OWNER = "owner"  # no running role may do any of this
NAME = "Erased tenant"
# What proves the past outlives it; what waits for the sealer is waited for.
_KEPT = frozenset(
    {
        "tenants_tenant",
        "tenants_journalentry",
        "tenants_journalseal",
        "tenants_unsealedentry",
    }
)
_WAIT_FOR_SEALER = "select pg_advisory_xact_lock(%s)"
_WAITING = "select count(*) from tenants_unsealedentry where tenant_id = %s"
_BLANK = """
update tenants_journalentry
set actor_id = '', actor_label = 'erased', correlation_id = '', detail = '{"erased": true}'
where tenant_id = %s
"""
_THROUGH = "select coalesce(max(seq), 0) from tenants_journalseal where tenant_id = %s"
_FORGET = "update tenants_tenant set name = %s, slug = %s, is_active = false where id = %s"


class NotErased(Exception):
    """Lines kept coming. The tenant is switched off; run it again."""


@dataclass(frozen=True)
class Erased:
    """What went, and up to which seal the journal is blank."""

    rows: int
    people: int
    through_seq: int


def erase(tenant_id: UUID, *, by: Actor) -> Erased:
    """Irrevocable. Safe to run again: what came meanwhile goes too."""
    with scoping.platform(durable=True):
        Tenant.objects.filter(pk=tenant_id).update(is_active=False)
    for _ in range(3):  # work under way may still write a line
        sealing.seal_all()
        if (erased := _erase(tenant_id, by=by)) is not None:
            sealing.seal_all()  # the tombstone counts once it is sealed
            return erased
    raise NotErased("Lines are still being written for this tenant. Run it again in a minute.")


def _erase(tenant_id: UUID, *, by: Actor) -> Erased | None:
    """In one transaction of the owner; None when a line waits for its seal, which must come first."""
    with transaction.atomic(using=OWNER), connections[OWNER].cursor() as cursor:
        cursor.execute(_WAIT_FOR_SEALER, [sealing.OF_TENANTS.lock])
        cursor.execute(_WAITING, [tenant_id])
        if cursor.fetchone()[0]:
            return None
        people = list(
            Membership.objects.for_tenant(tenant_id).using(OWNER).values_list("user_id", flat=True)
        )
        n_rows = _delete(cursor, tenant_id)
        cursor.execute("select set_config('awf.erasing', 'yes', true)")
        cursor.execute(_BLANK, [tenant_id])
        cursor.execute("select set_config('awf.erasing', '', true)")
        cursor.execute(_THROUGH, [tenant_id])
        through = int(cursor.fetchone()[0])
        cursor.execute(_FORGET, [NAME, f"erased-{tenant_id}", tenant_id])
        n_people = _forget_people(people)
        cursor.execute("select awf_now()")
        told = {"through_seq": through, "rows": n_rows, "people": n_people}
        _entomb(tenant_id, by=by, at=cursor.fetchone()[0], told=told)
    return Erased(n_rows, n_people, through)


def _delete(cursor: CursorWrapper, tenant_id: UUID) -> int:
    """One statement over all tables: keys between them are asked when all of it has gone."""
    names = [name for name in _tables() if name not in _KEPT]
    gone = [
        sql.SQL("{} as (delete from {} where tenant_id = {} returning 1)").format(
            sql.Identifier(f"gone_{n}"), sql.Identifier(name), sql.Literal(tenant_id)
        )
        for n, name in enumerate(names)
    ]
    counts = [
        sql.SQL("(select count(*) from {})").format(sql.Identifier(f"gone_{n}"))
        for n in range(len(names))
    ]
    statement = sql.SQL("with {} select {}")
    cursor.execute(statement.format(sql.SQL(", ").join(gone), sql.SQL(" + ").join(counts)))
    return int(cursor.fetchone()[0])


def _tables() -> list[str]:
    return [
        model._meta.db_table
        for model in apps.get_models()
        if any(one.attname == "tenant_id" for one in model._meta.local_fields)
    ]


def _forget_people(people: list[int]) -> int:
    """Those who belong to nobody else and run nothing here."""
    mine = get_user_model()._default_manager.using(OWNER).filter(pk__in=people)
    alone = mine.filter(memberships=None, is_staff=False, is_superuser=False)
    n_people = alone.count()
    alone.delete()
    return n_people


def _entomb(tenant_id: UUID, *, by: Actor, at: datetime, told: dict[str, int]) -> None:
    """The platform's line that says why lines are blank: sealed itself, it is what `verify_audit` believes."""
    PlatformJournalEntry.objects.using(OWNER).create(
        verb=ERASED_VERB,
        subject_type="tenant",
        subject_id=str(tenant_id),
        **journal.said_by(by, at),
        detail=told,
    )
