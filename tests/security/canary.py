"""The only place that plants a word of one tenant in every text column that takes it, found in the catalog."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
from psycopg import sql

from events.models import KeptEvent
from incidents.models import SignatureAlias
from safety.models import SwitchRelease
from tenants import scoping, sealing
from tenants.models import Tenant
from tests import factories
from tests.architecture.catalog import of_tenants, rows
from tests.databases import Owner

WORD = "zq7canary"
_COLUMNS = """
select a.attname::text, format_type(a.atttypid, a.atttypmod)
from pg_attribute a where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped
  and a.attgenerated = '' order by a.attnum
"""
# Behind what stands there already, so that what is unique stays so.
_TEXT = "left(coalesce({column}, ''), ROOM) || '-' || {word}"
_PLANTS = {
    "jsonb": "case jsonb_typeof({column}) when 'object' then {column} || jsonb_build_object({word}, {word}::text)"
    " when 'array' then {column} || to_jsonb(array[{word}::text]) else to_jsonb({word}::text) end",
    "text[]": "array_append({column}, {word})",
    "bytea": "coalesce({column}, '') || convert_to({word}, 'UTF8')",
}
_ROOM_OF_TEXT = 5000
# Without these nobody of the tenant gets in: there would be nothing to compare with.
_CREDENTIALS = {"tenants_membership.role", "tenants_apikey.prefix", "tenants_apikey.scopes"}
_PEOPLE = "id in (select user_id from tenants_membership where tenant_id = %s)"
_OF_PEOPLE = ("username", "first_name", "last_name", "email")

# Made with the incident that it needs, in tests/api/world.py.
_NEED_MORE = {factories.AffectedRunFactory}


@dataclass
class Planted:
    """`table.column` of what has the word now, of what takes certain words only and of what had no row."""

    taken: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


def used(tenant: Tenant, owner: Owner) -> None:
    """A row of everything, by every factory there is; a table that stays empty has none yet."""
    for one in set(_factories(factories.OwnedFactory)) - _NEED_MORE:
        one(tenant=tenant)
    with scoping.bound(tenant.pk) as now:
        SignatureAlias(tenant=tenant, signature="a", counts_as="b", created_at=now).save()
        SwitchRelease(tenant=tenant, switch_id=tenant.pk, next_at=now, recent=[]).save()
    names = sql.SQL(", ").join(
        sql.Identifier(one.attname) for one in KeptEvent._meta.concrete_fields
    )
    copy = sql.SQL(
        "insert into events_keptevent ({0}) select {0} from events_event where tenant_id = %s"
    )
    owner.connection.execute(copy.format(names), [tenant.pk])
    sealing.seal_all()


def _factories(parent: type[factories.OwnedFactory]) -> Iterator[type[factories.OwnedFactory]]:  # type: ignore[type-arg]
    for one in parent.__subclasses__():
        yield one
        yield from _factories(one)


def plant(owner: Owner, tenant_id: UUID) -> Planted:
    """As on a replica: no trigger and no foreign key asks. What a check constraint refuses, states mostly, stays."""
    planted = Planted()
    owner.connection.execute("set session_replication_role = replica")
    for table in sorted(name for name, one in of_tenants(owner).items() if not one.is_partition):
        whose = "id = %s" if table == "tenants_tenant" else "tenant_id = %s"
        for column, kind in rows(owner, _COLUMNS, table):
            value = None if f"{table}.{column}" in _CREDENTIALS else _value(kind)
            if value is not None:
                _plant(owner, planted, (table, column), value, (whose, tenant_id))
    for column in _OF_PEOPLE:
        _plant(owner, planted, ("auth_user", column), _room(_TEXT, 30), (_PEOPLE, tenant_id))
    owner.connection.execute("reset session_replication_role")
    return planted


def _value(kind: str) -> str | None:
    if kind.endswith("[]"):
        return _PLANTS["text[]"] if kind.startswith(("text", "character varying")) else None
    if kind.startswith("character varying"):
        room = int(kind.rpartition("(")[2].rstrip(")")) - len(WORD) - 1
        return _room(_TEXT, room) if room >= 0 else None
    return _room(_TEXT, _ROOM_OF_TEXT) if kind == "text" else _PLANTS.get(kind)


def _room(text: str, room: int) -> str:
    return text.replace("ROOM", str(room))


def _plant(
    owner: Owner, planted: Planted, place: tuple[str, str], value: str, whose: tuple[str, UUID]
) -> None:
    """Where nothing stands too, unless only some rows may hold anything there."""
    name = ".".join(place)
    for where in ("true", "{column} is not null"):
        statement = _update(place, value, f"{whose[0]} and {where}")
        try:
            changed = owner.connection.execute(statement, [whose[1]])
        except psycopg.errors.IntegrityError:
            continue
        (planted.taken if changed.rowcount else planted.empty).append(name)
        return
    planted.refused.append(name)


def _update(place: tuple[str, str], value: str, where: str) -> sql.Composed:
    table, column = map(sql.Identifier, place)
    text = f"update {{table}} set {{column}} = {value} where {where}"
    return sql.SQL(text).format(table=table, column=column, word=sql.Literal(WORD))


def ids_of(owner: Owner, tenant_id: UUID) -> set[str]:
    """The ids of everything the tenant has."""
    found = {str(tenant_id)}
    for table, one in of_tenants(owner).items():
        if table != "tenants_tenant" and not one.is_partition and "id" in one.columns:
            query = sql.SQL("select id::text from {} where tenant_id = %s").format(
                sql.Identifier(table)
            )
            found |= {row[0] for row in owner.connection.execute(query, [tenant_id])}
    return {one for one in found if len(one) == 36}
