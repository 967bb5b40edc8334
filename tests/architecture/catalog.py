"""What the database itself says of its tables; asked as the owner, who sees all of them."""

from dataclasses import dataclass
from typing import Any, LiteralString

from django.apps import apps

from tenants.roles import OF_PEOPLE, OURS
from tests.databases import Owner

# Rows of nobody in particular: every role reads them, only the platform role writes them.
PLATFORM = {
    "tenants_platformjournalentry",
    "tenants_platformjournalseal",
    "tenants_unsealedplatformentry",
    "safety_globalkillswitch",
    "actions_platformchannel",
}
# A tenant's own row is known by its id.
TENANT = "tenants_tenant"

_TABLES = """
select c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relispartition, pg_get_userbyid(c.relowner),
       (select array_agg(a.attname::text) from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
       (select coalesce(array_agg(p.polname::text), '{}') from pg_policy p where p.polrelid = c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'public' and c.relkind in ('r', 'p', 'v', 'm', 'f')
"""


@dataclass(frozen=True)
class Table:
    name: str
    kind: str  # of pg_class: r table, p partitioned, v view …
    is_walled: bool
    is_forced: bool
    is_partition: bool
    owner: str
    columns: frozenset[str]
    policies: frozenset[str]


def rows(owner: Owner, query: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
    return owner.connection.execute(query, parameters).fetchall()


def tables(owner: Owner) -> dict[str, Table]:
    found = [
        Table(
            name, kind, walled, forced, partition, owned_by, frozenset(columns), frozenset(policies)
        )
        for name, kind, walled, forced, partition, owned_by, columns, policies in rows(
            owner, _TABLES
        )
    ]
    return {table.name: table for table in found}


def of_tenants(owner: Owner) -> dict[str, Table]:
    """Every table with rows of tenants, partitions included."""
    known = tables(owner)
    return {
        name: table
        for name, table in known.items()
        if name == TENANT or "tenant_id" in table.columns
    }


def of_frameworks() -> set[str]:
    """Tables of Django and of what we install, and ours about people: of no tenant."""
    models = apps.get_models(include_auto_created=True)
    return {m._meta.db_table for m in models if m._meta.app_label not in OURS} | {
        "django_migrations",
        *OF_PEOPLE,
    }
