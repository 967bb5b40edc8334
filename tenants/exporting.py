"""The only place that writes down everything a tenant owns, a file per table, without a single secret."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from django.apps import apps
from django.db import connection, models, transaction
from psycopg import sql

from tenants import journal, scoping
from tenants.journal import Actor
from tenants.models import Membership, Tenant

BATCH = 1000
FORMAT = 1
_WITHHELD = ("secret", "sealed", "password", "token")  # in the name of a column
# Whoever has one of these addresses may post there: only its host is told.
_CAPABILITIES = frozenset({("actions_channel", "url")})
_NO_DEADLINE = (
    "select set_config('statement_timeout', '0', true),"
    " set_config('idle_in_transaction_session_timeout', '0', true)"
)
_ROWS = (
    "select {keys}, row_to_json(line)::text from (select {columns} from {table} where {whose}) line"
)
_ORIGIN = r"regexp_replace({column}, '^([a-z]+://)([^/?#@]*@)?([^/?#]*).*$', '\1\3')"


class ExportRefused(Exception):
    """Nothing was written. The message is for whoever asked."""


@dataclass(frozen=True)
class Written:
    """One file of the export, as the manifest names it."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Table:
    """One table of tenants' rows and the columns that may leave."""

    name: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    withheld: tuple[str, ...]
    whose: str  # the column that names the tenant


def tables() -> list[Table]:
    """Found in the models, so that a new table is part of every export from its first day."""
    owned = [model for model in apps.get_models() if "tenant_id" in _attnames(model)]
    return [_table(Tenant, "id"), *(_table(model, "tenant_id") for model in owned)]


def export(tenant_id: UUID, *, to: Path, by: Actor, texts: dict[str, str]) -> list[Written]:
    """Write the tenant's rows, its people and `texts` below `to`; what was taken is a line of the journal.

    All tables are of one moment. Raises ExportRefused for a directory that holds anything.
    """
    _make(to)
    # The first statement, before any reads: from here on we see one moment of the database.
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read")
        with scoping.bound(tenant_id) as now:
            cursor.execute(_NO_DEADLINE)
            files = [
                _file(to, f"{table.name}.ndjson", _rows(table, tenant_id)) for table in tables()
            ]
            files.append(_file(to, "people.ndjson", _people(tenant_id)))
    files += [_file(to, name, [text]) for name, text in sorted(texts.items())]
    manifest = {
        "format": FORMAT,
        "tenant_id": str(tenant_id),
        "exported_at": now.isoformat(),
        "files": [asdict(one) for one in files],
        "withheld": {one.name: one.withheld for one in tables() if one.withheld},
    }
    # Last: a directory without it is not a whole export.
    _file(to, "manifest.json", [json.dumps(manifest, indent=1)])
    with scoping.bound(tenant_id, durable=True) as now:
        told = {"files": len(files), "rows": sum(one.rows for one in files)}
        journal.record_tenant(tenant_id, "tenant_exported", by=by, at=now, **told)
    return files


def verify(directory: Path) -> list[str]:
    """The files that are not what the manifest says."""
    manifest = json.loads((directory / "manifest.json").read_text())
    return [
        one["name"]
        for one in manifest["files"]
        if hashlib.sha256((directory / one["name"]).read_bytes()).hexdigest() != one["sha256"]
    ]


def _make(to: Path) -> None:
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ExportRefused(f"{to} is there already and is not an empty directory.")
    to.mkdir(mode=0o700, parents=True, exist_ok=True)


def _file(to: Path, name: str, lines: Iterator[str] | Sequence[str]) -> Written:
    rows = size = 0
    digest = hashlib.sha256()
    with _private(to / name) as written:
        for line in lines:
            encoded = line.encode() + b"\n"
            written.write(encoded)
            digest.update(encoded)
            rows, size = rows + 1, size + len(encoded)
        written.flush()
        os.fsync(written.fileno())
    return Written(name, rows, size, digest.hexdigest())


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")


def _rows(table: Table, tenant_id: UUID) -> Iterator[str]:
    """In batches by the table's key, one JSON object a row."""
    keys = sql.SQL(", ").join(map(sql.Identifier, table.keys))
    query = sql.SQL(_ROWS).format(
        keys=keys,
        columns=sql.SQL(", ").join(_column(table.name, column) for column in table.columns),
        table=sql.Identifier(table.name),
        whose=sql.SQL("{} = {}").format(sql.Identifier(table.whose), sql.Literal(tenant_id)),
    )
    ending = sql.SQL(" order by {} limit {}").format(keys, sql.Literal(BATCH))
    after: Sequence[Any] | None = None
    while True:
        beyond: sql.Composable = sql.SQL("")
        if after is not None:
            place = sql.SQL(", ").join(map(sql.Literal, after))
            beyond = sql.SQL(" where ({}) > ({})").format(keys, place)
        with connection.cursor() as cursor:
            cursor.execute(sql.Composed([query, beyond, ending]))
            found = cursor.fetchall()
        yield from (row[-1] for row in found)
        if len(found) < BATCH:
            return
        after = found[-1][:-1]


def _column(table: str, column: str) -> sql.Composable:
    name = sql.Identifier(column)
    if (table, column) in _CAPABILITIES:
        return sql.SQL(_ORIGIN + " as {column}").format(column=name)
    return name


def _people(tenant_id: UUID) -> Iterator[str]:
    members = Membership.objects.for_tenant(tenant_id).select_related("user").order_by("id")
    for member in members:
        user = member.user
        names = {"username": user.username, "email": user.email, "name": user.get_full_name()}
        yield json.dumps({"user_id": user.pk, "role": member.role} | names)


def _table(model: type[models.Model], whose: str) -> Table:
    columns = [one.column or "" for one in model._meta.local_fields if one.column]
    kept = tuple(one for one in columns if not any(word in one for word in _WITHHELD))
    return Table(
        name=model._meta.db_table,
        keys=tuple(one.attname for one in model._meta.pk_fields),
        columns=kept,
        withheld=tuple(one for one in columns if one not in kept),
        whose=whose,
    )


def _attnames(model: type[models.Model]) -> set[str]:
    return {one.attname for one in model._meta.local_fields}
