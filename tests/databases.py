"""The only place that lays down a worker's database: migrated once as owner, then copied for each."""

import os
from datetime import timedelta
from pathlib import Path

import django
import environ
import psycopg
from django.apps import apps
from django.conf import settings
from django.test import TransactionTestCase
from psycopg import sql
from psycopg.conninfo import make_conninfo

from awfdrs_site import embedded
from awfdrs_site.wheels import machine, postgres
from tests import migrated
from tests.servers import WORKER

if __name__ != "__main__":  # what is laid down in the background needs no Valkey of its own
    from tests import ready  # noqa: F401  # who asks for a database, a test or a bench, finds Django ready

NAME = f"test_{WORKER}"
# DESIGN.md rule 3. A row, because a transaction under way would not see its function replaced.
_TRAVEL = """
create schema travel;
create table travel.clock (ahead interval not null);
insert into travel.clock values ('0');
grant usage on schema travel to public;
grant select on travel.clock to public;
create or replace function awf_now() returns timestamptz language sql volatile
  as 'select clock_timestamp() + ahead from travel.clock'
"""
# Made by migrate for every model, the same for every test.
_KEPT = {"django_content_type", "auth_permission"}


class Owner:
    """The cluster's owner in this worker's database: may what no running role may."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        models = apps.get_models(include_auto_created=True)
        tables = {model._meta.db_table for model in models if model._meta.managed} - _KEPT
        delete = sql.SQL("delete from {}")
        statements = [delete.format(sql.Identifier(table)) for table in sorted(tables)]
        self._delete_everything = sql.SQL("; ").join(statements).as_string(self.connection)

    def move_clock(self, ahead: timedelta) -> None:
        """How far `awf_now()` runs ahead of the clock on the wall, in this database only."""
        self.connection.execute("update travel.clock set ahead = %s", (ahead,))

    def empty(self) -> None:
        """Instead of Django's flush: ten times faster than TRUNCATE while tables hold a handful of rows."""
        with self.connection.transaction():
            # As on a replica: foreign keys do not ask in which order.
            self.connection.execute("set local session_replication_role = replica")
            self.connection.execute(self._delete_everything)


def prepare(run: Path) -> Owner:
    """Start the run's Postgres unless somebody did, and point `default` and `owner` to our database."""
    with machine.locked(run, "tests"):
        running = _lay_down(run)
        _copy(running)
    _point_to(running, NAME)
    owner = Owner(settings.DATABASE_OWNER_URL)
    TransactionTestCase._fixture_teardown = lambda _: owner.empty()  # type: ignore[attr-defined]
    return owner


def _lay_down(run: Path) -> embedded.Servers:
    running = embedded.start(run)
    _point_to(running, postgres.DATABASE)
    if not (run / "migrated").exists():
        migrated.lay_down()
        (run / "migrated").touch()
    return running


def _copy(running: embedded.Servers) -> None:
    elsewhere = make_conninfo(running.database_owner_url, dbname="postgres")
    with psycopg.connect(elsewhere, autocommit=True) as owner:
        names = map(sql.Identifier, (NAME, postgres.DATABASE))
        owner.execute(sql.SQL("create database {} template {}").format(*names))
        # Thousands of commits; what must survive a crash is tested on servers of its own.
        owner.execute(
            sql.SQL("alter database {} set synchronous_commit = off").format(sql.Identifier(NAME))
        )
    with psycopg.connect(make_conninfo(elsewhere, dbname=NAME), autocommit=True) as owner:
        owner.execute(_TRAVEL)


def _point_to(running: embedded.Servers, name: str) -> None:
    urls = {"default": running.database_url, "owner": running.database_owner_url}
    for alias, url in urls.items():
        settings.DATABASES[alias] |= environ.Env.db_url_config(url) | {
            "ENGINE": settings.DATABASES[alias]["ENGINE"],
            "NAME": name,
        }
    settings.DATABASE_URL, settings.DATABASE_OWNER_URL = (
        url.removesuffix(postgres.DATABASE) + name for url in urls.values()
    )


if __name__ == "__main__":  # what the workers will copy, while they are still importing
    os.environ["DJANGO_SETTINGS_MODULE"] = "awfdrs_site.settings"
    django.setup()
    here = Path(os.environ["AWFDRS_DATA"])
    with machine.locked(here, "tests"):
        _lay_down(here)
