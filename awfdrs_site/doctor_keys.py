"""What the doctor asks of the keys: whether what is sealed can be opened, and whether the journal is sealed."""

from typing import Any

from django.db import connection
from psycopg import sql

from awfdrs_site.doctor_findings import BROKEN, OK, Finding, found
from tenants import chain, rotating, scoping, secrets
from tenants.rotating import Place

_STRANGE = """
select count(*) from {table}
where {column} <> '' and split_part({column}, '.', 2) <> all(%s)
"""
_STRANGE_STEPS = """
select count(*) from mfa_authenticator
where exists (select from regexp_matches(data::text, '"v1[.]([0-9a-f]{8})[.]', 'g') sealed
              where sealed[1] <> all(%s))
"""
# The first and the newest link of each chain: between them a key was in use from one day to another.
_STRANGE_SEALS = """
select count(*) from tenants_tenant tenant, lateral (
  (select key_id from tenants_journalseal where tenant_id = tenant.id order by seq limit 1) union
  (select key_id from tenants_journalseal where tenant_id = tenant.id order by seq desc limit 1)
) seal where key_id <> all(%s)
"""
_UNSEALED = """
select count(*) from tenants_unsealedentry waiting join tenants_journalentry line
on (line.tenant_id, line.id) = (waiting.tenant_id, waiting.id) where line.at < awf_now() - interval '1 minute'
"""


def secrets_can_be_opened() -> Finding:
    known = secrets.key_ids()
    strange = {str(place): _count(_in(place), known) for place in rotating.places()}
    strange["mfa_authenticator.data"] = _count(_STRANGE_STEPS, known)
    where = ", ".join(f"{count} in {place}" for place, count in strange.items() if count)
    return found(
        is_well=not where,
        says=f"Sealed with a key that is not here: {where}." if where else "Every key is here.",
        cure="Put the former key into ENCRYPTION_KEYS_OLD; if it is lost, make these secrets anew.",
    )


def journal_is_sealed() -> Finding:
    if n_strange := _count(_STRANGE_SEALS, list(chain.keys())):
        return Finding(
            BROKEN,
            f"{n_strange} chains of the journal are sealed with a key that is not here.",
            "Put the former key into AUDIT_KEYS_OLD, then run manage.py verify_audit.",
        )
    if n_waiting := _count(_UNSEALED):
        return Finding(
            BROKEN,
            f"{n_waiting} lines of the journal wait for their seal for more than a minute.",
            "Start a worker: it seals within a second.",
        )
    return Finding(OK, "The journal is sealed; manage.py verify_audit walks all of it.")


def _in(place: Place) -> Any:
    names = {"table": sql.Identifier(place.table), "column": sql.Identifier(place.column)}
    return sql.SQL(_STRANGE).format(**names)


def _count(statement: Any, keys: list[str] | None = None) -> int:
    with scoping.platform(), connection.cursor() as cursor:
        cursor.execute(statement, keys and [keys])
        return int(cursor.fetchone()[0])
