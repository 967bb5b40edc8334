"""What the doctor asks the database, as the login that serves: it must see no more than that."""

import time
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from awfdrs_site import health
from awfdrs_site.doctor_findings import BROKEN, WARNING, Finding, broken, found
from events.partitions import DAYS_AHEAD

OLDEST_POSTGRES = 150000
SKEW_SECONDS = 2.0
CROWDED = 0.8
_FEWER = (
    "Raise max_connections, lower DATABASE_POOL_SIZE, or put PgBouncer in transaction mode between."
)
# What the server says, and what that calls for; the first that fits.
CURES = {
    "too many c": _FEWER,
    "connection slots": _FEWER,
    "password authentication": "Correct the login or its password in DATABASE_URL.",
    "no password supplied": "Put the login's password into DATABASE_URL.",
    "pg_hba.conf": "Let this login in from this address, in the server's pg_hba.conf.",
    'database "': "Make the database that DATABASE_URL names, or correct the name; then run manage.py migrate.",
    "statement pooling": "Set pool_mode = transaction in PgBouncer; statement mode allows no transactions.",
    "read-only": "Point DATABASE_URL at the primary; if it is the primary, see why it takes no writes.",
    "resolve host": "Correct the host in DATABASE_URL, or mend the name service of this machine.",
}
_SEE_IT = "See that the server runs, that DATABASE_URL names it, and that it lets this machine in."

_SERVER = """
select current_setting('server_version_num')::int, current_setting('server_version'),
       current_setting('fsync') || current_setting('full_page_writes') || current_setting('synchronous_commit'),
       current_setting('transaction_read_only') = 'on'
"""
_CONNECTIONS = """
select count(*), current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
from pg_stat_activity where backend_type = 'client backend'
"""
_LOGIN = """
select rolname::text, rolsuper or rolbypassrls,
       exists (select from pg_class where relowner = oid_of.oid and relnamespace = 'public'::regnamespace),
       (select coalesce(array_agg(needed), '{}') from unnest(array['awf_app', 'awf_pipeline', 'awf_platform']) needed
        where not exists (select from pg_roles r join pg_auth_members m on m.roleid = r.oid
                          where r.rolname = needed and m.member = oid_of.oid))
from (select oid, rolname, rolsuper, rolbypassrls from pg_roles where rolname = session_user) oid_of
"""
_OPEN = """
select c.relname::text from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
  and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
  and not (c.relrowsecurity and c.relforcerowsecurity and exists (select from pg_policy where polrelid = c.oid))
order by 1
"""
_LAST_DAY = """
select min(last_day) from (
  select parent.relname, to_date(max(substring(child.relname from '\\d{8}$')), 'YYYYMMDD') as last_day
  from pg_class parent join pg_inherits on inhparent = parent.oid join pg_class child on child.oid = inhrelid
  where parent.relkind = 'p' and parent.relnamespace = 'public'::regnamespace and child.relkind = 'r'
  group by 1
) by_table
"""


def answers() -> Finding:
    with transaction.atomic():  # what a pooler in statement mode refuses
        number, version, durability, is_read_only = _one(_SERVER)
    if number < OLDEST_POSTGRES:
        return Finding(BROKEN, f"PostgreSQL {version} is too old.", "Upgrade it to 15 or newer.")
    if is_read_only:
        return Finding(
            BROKEN,
            f"PostgreSQL {version} takes no writes: a standby, or default_transaction_read_only is on.",
            "Point DATABASE_URL at the primary; if it is the primary, see why it was made read-only: its disk?",
        )
    return found(
        is_well="off" not in durability,
        says=f"PostgreSQL {version} answers.",
        cure="Set fsync, full_page_writes and synchronous_commit to on: an answer says that an event is kept.",
    )


def what_keeps_us_out() -> Finding | None:
    """Past the pool, which would only say that it has no connection."""
    try:
        health.ask_database()
    except Exception as failure:
        return broken(failure, CURES, otherwise=_SEE_IT)
    return None


def connections_are_free() -> Finding:
    """Also what a pooler in session mode does: it keeps one for each of ours."""
    n_used, n_most = _one(_CONNECTIONS)
    return found(
        is_well=n_used < n_most * CROWDED,
        says=f"{n_used} of {n_most} connections of the server are in use.",
        cure=_FEWER,
        otherwise=WARNING,
    )


def login_is_narrow() -> Finding:
    name, is_mighty, owns, lacks = _one(_LOGIN)
    if is_mighty or owns:
        return Finding(
            BROKEN,
            f"{name} passes every wall between tenants: it is a superuser or owns tables.",
            "Give DATABASE_URL a login of its own, NOINHERIT, that owns nothing; then run manage.py migrate.",
        )
    return found(
        is_well=not lacks,
        says=f"{name} owns nothing"
        + (f", but is no member of {', '.join(lacks)}." if lacks else "."),
        cure="Run manage.py migrate with DATABASE_OWNER_URL: it grants the roles.",
    )


def tables_are_walled() -> Finding:
    unwalled = [name for (name,) in _all(_OPEN)]
    return found(
        is_well=not unwalled,
        says=f"Without row-level security: {', '.join(unwalled)}."
        if unwalled
        else "Every tenant's table is walled.",
        cure="Run manage.py migrate; whoever switched row-level security off must switch it on again.",
    )


def is_migrated() -> Finding:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        first = waiting[0][0]
        return Finding(
            BROKEN,
            f"{len(waiting)} migrations wait, first {first.app_label}.{first.name}.",
            "Run manage.py migrate.",
        )
    unknown = set(executor.loader.applied_migrations) - set(executor.loader.graph.nodes)
    ours = sorted(name for app, name in unknown if app in executor.loader.migrated_apps)
    return found(
        is_well=not ours,
        says=f"The database is newer than this release: {', '.join(ours)}."
        if ours
        else "The database is of this release.",
        cure="Fine while an upgrade or a rollback runs; else run the release that made it.",
        otherwise=WARNING,
    )


def days_are_made() -> Finding:
    last_day, today = _one(f"select ({_LAST_DAY}), (awf_now() at time zone 'UTC')::date")
    ahead = (last_day - today) // timedelta(days=1) if last_day else -1
    return found(
        is_well=ahead >= 1,
        says=f"Partitions reach {ahead} days ahead, of {DAYS_AHEAD}.",
        cure="Start beat and a worker, which make them every hour; the first event of a day makes its own.",
        otherwise=WARNING,
    )


def clock_is_right() -> Finding:
    now: datetime = _one("select clock_timestamp()")[0]
    skew = abs(now.timestamp() - time.time())
    return found(
        is_well=skew < SKEW_SECONDS,
        says=f"This machine and the database differ by {skew:.1f} s.",
        cure="Let both follow NTP; the database's clock counts, this one only stamps logs.",
        otherwise=WARNING,
    )


def _all(statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def _one(statement: str) -> Any:
    return _all(statement)[0]
