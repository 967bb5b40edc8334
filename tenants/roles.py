"""The only maker of the cluster's roles (DESIGN.md rule 11) and of grants on tables that belong to no tenant.

Roles are cluster-wide, so no migration makes them: `migrate` calls `ensure()` first, tests before they fork.
"""

from typing import Any

import psycopg
from django.apps import apps
from django.conf import settings
from django.db import connections
from psycopg import sql

APP = "awf_app"
PIPELINE = "awf_pipeline"
PLATFORM = "awf_platform"
LOOKUP = "awf_lookup"
OWNER = "awf_owner"
OURS = ("tenants", "safety", "events", "incidents", "actions")
# Ours, but about people and not of a tenant: read before a request has one, like Django's own of users.
OF_PEOPLE = frozenset({"tenants_personsession", "tenants_person", "tenants_letter"})

_LOCK = 0x61776672  # "awfr": two migrates at once make the roles one after the other

_ENSURE = """
do $$
declare r text;
begin
  foreach r in array array['awf_owner', 'awf_app', 'awf_pipeline', 'awf_platform', 'awf_lookup'] loop
    if not exists (select from pg_roles where rolname = r) then
      execute format('create role %I nologin noinherit', r);
    end if;
  end loop;
end $$;
"""

# Deadlines belong to the role, so that they hold behind PgBouncer too.
_DEADLINES = {
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "15s",
}


def ensure(*, owner_url: str, login: str) -> None:
    """Make the five roles and the login's memberships; safe to run again and at the same time as itself."""
    with psycopg.connect(owner_url, autocommit=True, connect_timeout=5) as connection:
        connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        connection.execute(_ENSURE)
        name = sql.Identifier(login)
        for statement in (
            "grant awf_app, awf_pipeline, awf_platform to {login}",
            "grant awf_owner, awf_lookup to current_user",
            "grant awf_lookup to awf_owner",
            "grant usage, create on schema public to awf_owner with grant option",
            "grant usage on schema public to awf_app, awf_pipeline, awf_platform, awf_lookup, {login}",
        ):
            connection.execute(sql.SQL(statement).format(login=name))
        for setting, value in _DEADLINES.items():
            connection.execute(
                sql.SQL("alter role {login} set {setting} = {value}").format(
                    login=name, setting=sql.Identifier(setting), value=sql.Literal(value)
                )
            )


def grant_framework_tables(using: str, **_: Any) -> None:
    """After migrate: Django's own tables and ours of people are open to every running role."""
    if using != "owner":
        return
    tables = {
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label not in OURS and model._meta.managed
    } | {"django_migrations", *OF_PEOPLE}
    roles = [APP, PIPELINE, PLATFORM, settings.DATABASE_LOGIN]
    everyone = sql.SQL(", ").join(map(sql.Identifier, roles))
    with connections[using].cursor() as cursor:
        existing = set(connections[using].introspection.table_names(cursor))
        for table in sorted(tables & existing):
            statement = sql.SQL("grant select, insert, update, delete on {} to {}")
            cursor.execute(statement.format(sql.Identifier(table), everyone))
        cursor.execute(
            sql.SQL("grant usage, select on all sequences in schema public to {}").format(everyone)
        )
        # The two look-ups that run before a request has a tenant.
        if existing >= {"tenants_apikey", "tenants_membership"}:
            cursor.execute("set role awf_lookup")  # their owner
            cursor.execute(
                sql.SQL(
                    "grant execute on function awf_api_key(text), awf_memberships(integer) to {}"
                ).format(sql.Identifier(settings.DATABASE_LOGIN))
            )
            cursor.execute("set role awf_owner")
