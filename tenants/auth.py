"""The only place that turns credentials into a Caller: API keys, and sessions with their memberships."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.http import HttpRequest, QueryDict
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from awfdrs_site.lib.problems import Problem
from tenants import scoping
from tenants.access import ROLE_VERBS, SCOPE_VERBS, Caller, TenantRef
from tenants.journal import Actor
from tenants.models import ApiKey
from tenants.session_store import SessionStore

_BEARER = re.compile(r"[Bb]earer awf_([A-Za-z0-9]{12})_([A-Za-z0-9_-]{43})")

# Definer functions of awf_lookup: the only reads across tenants that a request may make.
_KEY = "select * from awf_api_key(%s)"
_MEMBERSHIPS = "select tenant_id, tenant_name, tenant_slug, role from awf_memberships(%s)"
_TOUCH = """
update tenants_apikey set last_used_at = awf_now()
where tenant_id = %s and id = %s
  and (last_used_at is null or last_used_at < awf_now() - interval '1 minute')
"""
_SESSION_TENANT = "tenant_id"


@dataclass(frozen=True)
class NewKey:
    """A key just made: `token` is shown once and never again."""

    key: ApiKey
    token: str


def hash_secret(secret: str) -> bytes:
    """SHA-256: the secret has 256 random bits, so a slow hash would only slow ingest down."""
    return hashlib.sha256(secret.encode()).digest()


def issue_key(
    *, tenant_id: UUID, name: str, scopes: list[str], now: datetime, **limits: Any
) -> NewKey:
    """Make an API key in the tenant's block; `limits` are rate_per_second, burst, expires_at."""
    prefix = secrets.token_hex(6)
    secret = secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        tenant_id=tenant_id,
        name=name,
        prefix=prefix,
        secret_hash=hash_secret(secret),
        scopes=scopes,
        created_at=now,
        **limits,
    )
    return NewKey(key, f"awf_{prefix}_{secret}")


def caller_of_key(header: str) -> Caller:
    """The caller of an Authorization header. Raises Problem 401 or 403 `tenant_inactive`."""
    prefix, secret = bearer_of(header) or ("", "")
    row = _key_row(prefix) if prefix else None
    caller = caller_of_row(row, secret)
    if row and row["is_stale"]:
        _touch(caller.tenant.id, row["id"])
    return caller


def bearer_of(header: str) -> tuple[str, str] | None:
    """Prefix and secret of a key as it is sent."""
    match = _BEARER.fullmatch(header)
    return (match[1], match[2]) if match else None


def caller_of_row(row: Mapping[str, Any] | None, secret: str) -> Caller:
    """Whom a row of `awf_api_key` lets in with this secret. Raises as `caller_of_key`."""
    if row is None or not _secret_fits(row, secret) or row["is_over"]:
        raise Problem("unauthenticated", detail="The API key is missing, unknown or expired.")
    if not row["tenant_is_active"]:
        raise Problem("tenant_inactive")
    return Caller(
        actor=Actor("key", str(row["id"]), f"key {row['name']}"),
        tenant=TenantRef(row["tenant_id"], row["tenant_name"], row["tenant_slug"]),
        verbs=frozenset().union(*(SCOPE_VERBS[scope] for scope in row["scopes"])),
        key_id=row["id"],
        rate_per_second=row["rate_per_second"],
        burst=row["burst"],
    )


def _key_row(prefix: str) -> dict[str, Any] | None:
    with connection.cursor() as cursor:
        cursor.execute(_KEY, [prefix])
        row = cursor.fetchone()
        names = [column.name for column in cursor.description]
    return dict(zip(names, row, strict=True)) if row else None


def _secret_fits(row: Mapping[str, Any], secret: str) -> bool:
    given = hash_secret(secret)
    fits = hmac.compare_digest(given, bytes(row["secret_hash"]))
    previous = bytes(row["previous_secret_hash"] or b"")
    return hmac.compare_digest(given, previous) or fits


def _touch(tenant_id: UUID, key_id: UUID) -> None:
    with scoping.bound(tenant_id), connection.cursor() as cursor:
        cursor.execute(_TOUCH, [tenant_id, key_id])


def memberships(user_id: int) -> list[tuple[TenantRef, str]]:
    """The active tenants of a person with their role in each, by name."""
    with connection.cursor() as cursor:
        cursor.execute(_MEMBERSHIPS, [user_id])
        return [(TenantRef(row[0], row[1], row[2]), row[3]) for row in cursor.fetchall()]


def _known_memberships(session: Any, user_id: int) -> list[tuple[TenantRef, str]]:
    """As read with the session, where they were: every page of the console asks."""
    known = session.memberships_of(user_id) if isinstance(session, SessionStore) else None
    if known is None:
        return memberships(user_id)
    return [
        (TenantRef(UUID(row["tenant_id"]), row["tenant_name"], row["tenant_slug"]), row["role"])
        for row in known
    ]


def caller_of_session(request: HttpRequest, *, asked_tenant: str = "") -> Caller | None:
    """The caller of a signed-in person: the tenant asked for, else the selected one, else the first."""
    user = request.user
    if not user.is_authenticated:
        return None
    mine = _known_memberships(request.session, user.pk)
    wanted = asked_tenant or request.session.get(_SESSION_TENANT, "")
    chosen = [entry for entry in mine if str(entry[0].id) == wanted.lower()]
    if asked_tenant and not chosen:
        raise Problem("tenant_mismatch")
    if not mine:
        return None
    tenant, role = (chosen or mine)[0]
    label = user.get_full_name() or user.get_username()
    return Caller(
        actor=Actor("user", str(user.pk), label),
        tenant=tenant,
        verbs=ROLE_VERBS[role],
        role=role,
        user_id=user.pk,
    )


def tenant_of_session(session_key: str) -> UUID | None:
    """The tenant a session cookie works in, for the live feed; None when it is no longer good."""
    return tenants_of_sessions([session_key]).get(session_key)


def tenants_of_sessions(session_keys: Sequence[str]) -> dict[str, UUID]:
    """The same of many, in two statements; those that are no longer good are left out."""
    sessions = SessionStore.several(session_keys)
    users = get_user_model().objects.filter(is_active=True)
    known = users.in_bulk({session.get(SESSION_KEY) for session in sessions} - {None})
    found = {}
    for session in sessions:
        user = known.get(int(session.get(SESSION_KEY) or 0))
        if user is None or session.get(HASH_SESSION_KEY) != user.get_session_auth_hash():
            continue
        mine = [tenant.id for tenant, _ in _known_memberships(session, user.pk)]
        chosen = [one for one in mine if str(one) == session.get(_SESSION_TENANT)]
        if mine:
            found[str(session.session_key)] = (chosen or mine)[0]
    return found


def select_tenant(request: HttpRequest, tenant_id: str) -> bool:
    """Remember the tenant the person works in; False when it is not theirs."""
    if not any(str(tenant.id) == tenant_id for tenant, _ in memberships(request.user.pk)):  # type: ignore[arg-type]
        return False
    request.session[_SESSION_TENANT] = tenant_id
    return True


class _KeyUser(AnonymousUser):
    """A system that signed in with a key: authenticated, but nobody of django.contrib.auth."""

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]
        return True


def _ask_for_csrf_token(request: HttpRequest) -> None:
    """In its header: whoever looks for it in the body takes from the view what the view shall read."""
    request.POST = QueryDict()
    SessionAuthentication().enforce_csrf(request)  # type: ignore[arg-type]


class CallerAuthentication(BaseAuthentication):
    """Reads what TenantMiddleware resolved; sessions must bring their CSRF token."""

    def authenticate(self, request: Request) -> tuple[Any, Caller] | None:
        refusal: Problem | None = getattr(request._request, "caller_refusal", None)
        if refusal is not None:
            raise refusal
        caller: Caller | None = getattr(request._request, "caller", None)
        if caller is None:
            return None
        if caller.key_id is not None:
            return _KeyUser(), caller
        _ask_for_csrf_token(request._request)
        return request._request.user, caller

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
