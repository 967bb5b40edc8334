"""The only place that seals stored secrets anew with the key in use, batch by batch, until an old key can go."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import connection, models
from psycopg import sql

from tenants import journal, scoping, secrets
from tenants.journal import Actor
from tenants.secrets import NOBODY, SecretUnreadable

BATCH = 100
ENDING = "_sealed"  # what every column of a secret is called
_STEP = "mfa_authenticator"  # secrets of people's second step lie inside one document

_TAKE = """
select id, {tenant}, {column} from {table}
where {column} <> '' and {column} not like %s and (%s::text is null or id > %s)
order by id limit %s for update
"""
_PUT = "update {table} set {column} = %s where id = %s and {column} = %s"
_STEPS = (
    "select id, data::text from mfa_authenticator where id > %s order by id limit %s for update"
)
_PUT_STEP = "update mfa_authenticator set data = %s::jsonb where id = %s"


@dataclass(frozen=True)
class Place:
    """One column of secrets."""

    table: str
    column: str
    has_tenant: bool

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


@dataclass
class Rotated:
    """What became of one place; those that cannot be read stay as they are."""

    place: str
    n_sealed: int = 0
    unreadable: list[str] = field(default_factory=list)


def places() -> list[Place]:
    """Found by name in the models, so that a new one is not forgotten."""
    return [
        Place(model._meta.db_table, column.name, has_tenant="tenant_id" in _columns(model))
        for model in apps.get_models()
        for column in model._meta.local_fields
        if isinstance(column, models.TextField) and column.name.endswith(ENDING)
    ]


def rotate(*, by: Actor) -> Iterator[Rotated]:
    """Each batch is committed; run again after an interruption, it goes on with what is left."""
    for place in places():
        yield _rotated(str(place), partial(_column, place), by)
    if _STEP in {model._meta.db_table for model in apps.get_models()}:
        yield _rotated(f"{_STEP}.data", _documents, by)


def _rotated(name: str, batch: Callable[[Any, Rotated], Any], by: Actor) -> Rotated:
    done, after = Rotated(name), None
    while (after := batch(after, done)) is not None:
        pass
    if done.n_sealed:
        with scoping.platform(durable=True) as now:
            journal.record_platform(
                subject_type="secrets",
                subject_id=name[:64],
                verb="secrets_rotated",
                by=by,
                at=now,
                sealed=done.n_sealed,
                unreadable=len(done.unreadable),
            )
    return done


def _column(place: Place, after: UUID | None, to: Rotated) -> UUID | None:
    """One batch after this id; returns the last id of it, or None behind the end."""
    names = {
        "table": sql.Identifier(place.table),
        "column": sql.Identifier(place.column),
        "tenant": sql.Identifier("tenant_id") if place.has_tenant else sql.SQL("null::uuid"),
    }
    with scoping.platform(durable=True), connection.cursor() as cursor:
        asked = [f"{secrets.current()}%", after, after, BATCH]
        cursor.execute(sql.SQL(_TAKE).format(**names), asked)
        rows = cursor.fetchall()
        for row_id, tenant_id, sealed in rows:
            renewed = _renewed(sealed, tenant_id or NOBODY, row_id, f"{row_id}", to)
            if renewed != sealed:
                cursor.execute(sql.SQL(_PUT).format(**names), [renewed, row_id, sealed])
    return rows[-1][0] if rows else None


def _documents(after: int | None, to: Rotated) -> int | None:
    with scoping.platform(durable=True), connection.cursor() as cursor:
        cursor.execute(_STEPS, [after or 0, BATCH])
        rows = cursor.fetchall()
        for row_id, text in rows:
            kept = json.loads(text)
            renewed = _walked(kept, partial(_of_step, row_id, to))
            if renewed != kept:
                cursor.execute(_PUT_STEP, [json.dumps(renewed), row_id])
    return rows[-1][0] if rows else None


def _of_step(row_id: int, to: Rotated, value: str) -> str:
    if not value.startswith(f"{secrets.FORMAT}.") or value.startswith(secrets.current()):
        return value
    return _renewed(value, NOBODY, NOBODY, str(row_id), to)


def _renewed(sealed: str, tenant_id: UUID, row_id: UUID, name: str, to: Rotated) -> str:
    place = {"tenant_id": tenant_id, "row_id": row_id}
    try:
        plaintext = secrets.open_sealed(sealed, **place)
    except SecretUnreadable:
        to.unreadable.append(name)
        return sealed
    to.n_sealed += 1
    return secrets.seal(plaintext, **place)


def _walked(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {name: _walked(one, change) for name, one in value.items()}
    if isinstance(value, list):
        return [_walked(one, change) for one in value]
    return change(value) if isinstance(value, str) else value


def _columns(model: type[models.Model]) -> Iterable[str]:
    return {one.attname for one in model._meta.local_fields}
