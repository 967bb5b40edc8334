"""The only place that copies everything out of the database as of one moment, and back into an empty one.

Plain COPY as the owner: no program of Postgres's own is needed, and any server with the same migrations takes it.
"""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connections, transaction
from psycopg import sql

from awfdrs_site.lib import rfc3339

FORMAT = 1
MANIFEST = "manifest.json"
_PRIVATE, _PRIVATE_FILE = 0o700, 0o600
_TABLES = """
select c.relname::text,
  (select array_agg(a.attname::text order by a.attnum) from pg_attribute a
   where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''),
  (select array_agg(array[a.attname::text, (a.attcollation <> 0)::text] order by key.place)
   from pg_index i cross join lateral unnest(i.indkey) with ordinality key (attnum, place)
   join pg_attribute a on a.attrelid = c.oid and a.attnum = key.attnum
   where i.indrelid = c.oid and i.indisprimary)
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  and c.relname <> 'django_migrations'
order by 1
"""
# Those that are checked at once; Django's own wait until the commit.
_PARENTS = """
select conrelid::regclass::text, confrelid::regclass::text from pg_constraint
where contype = 'f' and not condeferrable and conparentid = 0 and conrelid <> confrelid
"""
_PARTITIONS = """
select parent.relname::text, substring(child.relname from '\\d{8}$')
from pg_inherits join pg_class child on child.oid = inhrelid join pg_class parent on parent.oid = inhparent
where parent.relkind = 'p' and child.relkind in ('r', 'p') and parent.relnamespace = 'public'::regnamespace
order by 1, 2
"""
_SEQUENCES = """
select sequencename::text, coalesce(last_value, start_value), last_value is not null
from pg_sequences where schemaname = 'public' order by 1
"""
# The same bytes for the same rows, whatever the server is set to.
_SPELLING = (
    "set local timezone = 'UTC'; set local datestyle = 'ISO, YMD'; set local intervalstyle = 'postgres';"
    " set local extra_float_digits = 1; set local bytea_output = 'hex'"
)
_MADE_BY_PEOPLE = ("tenants_tenant", "auth_user", "events_event", "tenants_journalentry")

Say = Callable[[str], object]


class Refused(Exception):
    """Why nothing was written; a sentence for whoever asked."""


@dataclass(frozen=True)
class Table:
    """How one table is written down; the columns are named, so that their order in the database does not matter."""

    columns: list[str]
    order: list[list[str]]  # primary key: name, and "true" where it must be compared bytewise
    rows: int = 0
    sha256: str = ""


def make(directory: Path, *, say: Say) -> dict[str, Any]:
    """Write everything into `directory`, which must not exist or be empty; returns the manifest."""
    if directory.exists() and any(directory.iterdir()):
        raise Refused(f"{directory} is not empty: a backup never writes over another one.")
    directory.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
    with _snapshot() as cursor:
        manifest = _about(cursor)
        for name, table in _tables(cursor).items():
            path = _file(directory, name)
            path.touch(mode=_PRIVATE_FILE)  # whoever made the directory may have left it open
            with gzip.open(path, "wb", compresslevel=3) as file:
                written = _copy_out(cursor, name, table, file.write)
            manifest["tables"][name] = asdict(written)
            say(f"{name}: {written.rows}")
    # Last: without it this is no backup, so that one broken off is never taken for whole.
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=1))
    return manifest


def restore(directory: Path, *, say: Say) -> None:
    """Fill the empty, migrated database from `directory`: all of it or nothing. Raises Refused."""
    manifest = read(directory)
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        cursor.execute(_SPELLING)
        _refuse_other_schema(cursor, manifest)
        _refuse_filled(cursor)
        order = _parents_first(cursor, set(manifest["tables"]))
        with _no_triggers(cursor, order):
            for name in reversed(order):  # what migrations put there
                cursor.execute(sql.SQL("delete from {}").format(sql.Identifier(name)))
            for parent, day in manifest["partitions"]:
                cursor.execute("select awf_make_partition(%s, %s::date)", [parent, day])
            for name in order:
                _copy_in(cursor, directory, name, Table(**manifest["tables"][name]))
                say(f"{name}: {manifest['tables'][name]['rows']}")
        for name, value, is_used in manifest["sequences"]:
            cursor.execute("select setval(%s::regclass, %s, %s)", [name, value, is_used])


def differences(directory: Path) -> list[str]:
    """What the database holds otherwise than the backup says, a sentence for each table; [] when they are equal."""
    manifest = read(directory)
    found = []
    with _snapshot() as cursor:
        for name, known in manifest["tables"].items():
            table = Table(**known)
            now = _copy_out(cursor, name, table, lambda _: None)
            if now.sha256 != table.sha256:
                found.append(f"{name} differs: {table.rows} rows in the backup, {now.rows} here.")
    return found


def read(directory: Path) -> dict[str, Any]:
    """The manifest. Raises Refused when there is none of a format that we know."""
    path = directory / MANIFEST
    if not path.exists():
        raise Refused(f"{directory} holds no finished backup: {MANIFEST} is missing.")
    manifest: dict[str, Any] = json.loads(path.read_text())
    if manifest.get("format") != FORMAT:
        raise Refused(
            f"This backup has format {manifest.get('format')}; this release reads {FORMAT}."
        )
    return manifest


def unreadable_secrets(manifest: dict[str, Any]) -> bool:
    """Whether none of our keys is one that sealed the backup's secrets."""
    return not set(manifest["keys"]) & set(_key_ids())


@contextmanager
def _snapshot() -> Iterator[Any]:
    """Every table as of one moment, however long it takes to read them."""
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        if not connections[
            "owner"
        ].savepoint_ids:  # inside a test's transaction it is too late to ask
            cursor.execute("set transaction isolation level repeatable read, read only")
        cursor.execute(_SPELLING)
        yield cursor


def _about(cursor: Any) -> dict[str, Any]:
    cursor.execute("select clock_timestamp(), current_setting('server_version')")
    now, server = cursor.fetchone()
    return {
        "format": FORMAT,
        "made_at": rfc3339.format(now),
        "postgres": server,
        "migrations": _migrations(cursor),
        "keys": _key_ids(),
        "partitions": _rows(cursor, _PARTITIONS),
        "sequences": _rows(cursor, _SEQUENCES),
        "tables": {},
    }


def _key_ids() -> list[str]:
    """Names of the keys, not the keys: without them sealed secrets stay sealed."""
    keys = [key.strip() for key in settings.ENCRYPTION_KEY.split(",")]
    return [hashlib.sha256(b"backup" + key.encode()).hexdigest()[:8] for key in keys]


def _migrations(cursor: Any) -> list[list[str]]:
    return _rows(cursor, "select app, name from django_migrations order by app, name")


def _rows(cursor: Any, statement: str) -> list[list[Any]]:
    cursor.execute(statement)
    return [list(row) for row in cursor.fetchall()]


def _tables(cursor: Any) -> dict[str, Table]:
    return {name: Table(columns, order) for name, columns, order in _rows(cursor, _TABLES)}


def _file(directory: Path, name: str) -> Path:
    return directory / f"{name}.copy.gz"


def _copy_out(cursor: Any, name: str, table: Table, write: Callable[[bytes], object]) -> Table:
    statement = sql.SQL("copy (select {} from {} order by {}) to stdout").format(
        _names(table.columns), sql.Identifier(name), _order(table)
    )
    digest, rows = hashlib.sha256(), 0
    with cursor.copy(statement) as copied:
        for block in copied:
            digest.update(block)
            rows += bytes(block).count(b"\n")  # within values it is written \\n
            write(bytes(block))
    return Table(table.columns, table.order, rows, digest.hexdigest())


def _copy_in(cursor: Any, directory: Path, name: str, table: Table) -> None:
    """By way of a temporary table: COPY does not write through row-level security, INSERT does."""
    columns, target = _names(table.columns), sql.Identifier(name)
    cursor.execute(
        sql.SQL("create temporary table restoring as select {} from {} with no data").format(
            columns, target
        )
    )
    digest = hashlib.sha256()
    with (
        gzip.open(_file(directory, name)) as file,
        cursor.copy(sql.SQL("copy restoring ({}) from stdin").format(columns)) as copying,
    ):
        while block := file.read(1 << 20):
            digest.update(block)
            copying.write(block)
    if digest.hexdigest() != table.sha256:
        raise Refused(f"The file of {name} is not what was written: its checksum differs.")
    cursor.execute(
        sql.SQL("insert into {} ({}) overriding system value select {} from restoring").format(
            target, columns, columns
        )
    )
    cursor.execute("drop table restoring")


def _names(columns: list[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _order(table: Table) -> sql.Composable:
    parts = [
        sql.SQL('{} collate "C"' if is_text == "true" else "{}").format(sql.Identifier(name))
        for name, is_text in table.order
    ]
    return sql.SQL(", ").join(parts)


def _parents_first(cursor: Any, tables: set[str]) -> list[str]:
    sorter: TopologicalSorter[str] = TopologicalSorter({name: set() for name in sorted(tables)})
    for child, parent in _rows(cursor, _PARENTS):
        if {child, parent} <= tables:
            sorter.add(child, parent)
    return list(sorter.static_order())


@contextmanager
def _no_triggers(cursor: Any, tables: list[str]) -> Iterator[None]:
    """Ours, not those of foreign keys: the journal's would seal again what was sealed, and refuse to be emptied.

    The lock that this takes keeps everybody else from writing meanwhile.
    """
    for name in tables:
        cursor.execute(sql.SQL("alter table {} disable trigger user").format(sql.Identifier(name)))
    yield
    cursor.execute("set constraints all immediate")  # tables with checks to come cannot be altered
    for name in tables:
        cursor.execute(sql.SQL("alter table {} enable trigger user").format(sql.Identifier(name)))


def _refuse_other_schema(cursor: Any, manifest: dict[str, Any]) -> None:
    here, there = (set(map(tuple, m)) for m in (_migrations(cursor), manifest["migrations"]))
    if here == there:
        return
    lacking = [
        f"{app}.{name} is only {where}"
        for where, more in (("in the backup", there - here), ("here", here - there))
        for app, name in sorted(more)
    ]
    raise Refused(
        f"The backup was made by another release ({lacking[0]}): restore with that one, then upgrade."
    )


def _refuse_filled(cursor: Any) -> None:
    for name in _MADE_BY_PEOPLE:
        cursor.execute(sql.SQL("select exists (select from {})").format(sql.Identifier(name)))
        if cursor.fetchone()[0]:
            raise Refused(f"The database is not empty ({name} has rows): restore into a fresh one.")
