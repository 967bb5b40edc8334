"""The only place that makes, replaces and ends API keys for people: two secrets live while one is replaced."""

import secrets
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from tenants import journal
from tenants.auth import NewKey, hash_secret, issue_key
from tenants.journal import Actor
from tenants.models import ApiKey

OVERLAP = timedelta(hours=24)  # to bring the new secret to every machine that sends
NOBODY: Final = "key"  # the one person that all keys are which no person has made


def make(
    tenant_id: UUID,
    *,
    name: str,
    scopes: list[str],
    expires_at: datetime | None,
    by: Actor,
    now: datetime,
) -> NewKey:
    """A new key; its secret is shown once and never again."""
    made = issue_key(
        tenant_id=tenant_id,
        name=name,
        scopes=scopes,
        expires_at=expires_at,
        made_by=_person(by),
        now=now,
    )
    journal.record(made.key, "api_key_added", by=by, at=now, name=name, scopes=scopes)
    return made


def is_made(tenant_id: UUID, *, name: str) -> bool:
    """Whether one of that name is in use."""
    return ApiKey.objects.for_tenant(tenant_id).filter(name=name, revoked_at=None).exists()


def rotate(key: ApiKey, *, by: Actor, now: datetime) -> NewKey:
    """A new secret at once; the one before goes on for a day. The one before that ends now."""
    key = _locked(key)
    secret = secrets.token_urlsafe(32)
    key.previous_secret_hash, key.secret_hash = key.secret_hash, hash_secret(secret)
    key.previous_expires_at, key.made_by = now + OVERLAP, _person(by)
    key.save(
        update_fields=["secret_hash", "previous_secret_hash", "previous_expires_at", "made_by"]
    )
    journal.record(key, "api_key_rotated", by=by, at=now, name=key.name)
    return NewKey(key, f"awf_{key.prefix}_{secret}")


def revoke(key: ApiKey, *, by: Actor, now: datetime) -> ApiKey:
    """From the next request on it is refused. Revoking twice is a quiet no-op."""
    key = _locked(key)
    if key.revoked_at is None:
        key.revoked_at = now
        key.save(update_fields=["revoked_at"])
        journal.record(key, "api_key_revoked", by=by, at=now, name=key.name)
    return key


def person_behind(tenant_id: UUID, actor_id: str) -> str:
    """Whose hand it is, as an actor's id: of a key whoever was shown its secret last. One person counts once."""
    try:
        key_id = UUID(actor_id)
    except ValueError:
        return actor_id  # a person, or the machine
    mine = ApiKey.objects.for_tenant(tenant_id).filter(pk=key_id)
    return mine.values_list("made_by", flat=True).first() or NOBODY


def _person(by: Actor) -> str:
    return by.id if by.kind == "user" else ""


def _locked(key: ApiKey) -> ApiKey:
    mine = ApiKey.objects.for_tenant(key.tenant_id)
    locked: ApiKey = mine.select_for_update().get(pk=key.pk)
    return locked
