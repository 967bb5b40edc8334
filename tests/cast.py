"""The cast, always the same: Acme's alice, ann and bob, Globex's mallory, the platform's staff, and what they send."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from awfdrs_site.lib import clock, rfc3339
from events import ingest
from events.ingest import Submission, Verdict
from events.models import Event
from events.validation import parse_event
from incidents import decisions, detection
from incidents.models import Incident
from tenants import auth, scoping
from tenants.journal import Actor
from tenants.models import JournalEntry, Tenant
from tenants.states import Role, Scope
from tests.factories import MembershipFactory, TenantFactory, UserFactory

Travel = Callable[..., None]  # the fixture time_travel: `time_travel(hours=25)`


def _joined(tenant: Tenant, username: str, role: Role) -> User:
    return MembershipFactory(tenant=tenant, user__username=username, role=role).user


@pytest.fixture
def acme(db: None) -> Tenant:
    return TenantFactory(name="Acme", slug="acme")


@pytest.fixture
def globex(db: None) -> Tenant:
    return TenantFactory(name="Globex", slug="globex")


@pytest.fixture
def alice(acme: Tenant) -> User:
    """Acme's operator."""
    return _joined(acme, "alice", Role.OPERATOR)


@pytest.fixture
def ann(acme: Tenant) -> User:
    """Acme's admin."""
    return _joined(acme, "ann", Role.ADMIN)


@pytest.fixture
def bob(acme: Tenant) -> User:
    """Acme's viewer."""
    return _joined(acme, "bob", Role.VIEWER)


@pytest.fixture
def mallory(globex: Tenant) -> User:
    """Operator at Globex, outsider at Acme."""
    return _joined(globex, "mallory", Role.OPERATOR)


@pytest.fixture
def staff(db: None) -> User:
    """Runs the platform; a member of nobody."""
    return UserFactory(username="staff", is_staff=True, is_superuser=True)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def acting(user: User) -> Actor:
    """The actor that the journal names when `user` does something."""
    return Actor("user", str(user.pk), user.get_full_name() or user.get_username())


def key_of(tenant: Tenant, *scopes: Scope, **limits: Any) -> str:
    """A fresh API key's token; without scopes it may do everything."""
    with scoping.bound(tenant.pk) as now:
        made = auth.issue_key(
            tenant_id=tenant.pk,
            name="test",
            scopes=[str(scope) for scope in scopes or Scope],
            now=now,
            **limits,
        )
    return made.token


def secret_of(token: str) -> str:
    """The part of a key that nobody may see again; it may have underscores of its own."""
    return token.split("_", 2)[2]


@dataclass(frozen=True)
class Api:
    """Calls the API with one key: `Api(key_of(acme)).post("/api/v1/events", {...})`."""

    token: str
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        return self.client.generic(
            method,
            path,
            content,
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.token}"} | headers,
        )

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("POST", path, body, **headers)


def event(**fields: Any) -> dict[str, Any]:
    """A body as a workflow reports it: the checkout's payment timed out just now, unless `fields` say otherwise."""
    return {
        "workflow": "checkout",
        "event_type": "payment.failed",
        "occurred_at": rfc3339.format(clock.read()),
        "payload": failure(),
    } | fields


def failure(**fields: Any) -> dict[str, Any]:
    """What a timed-out payment says of itself."""
    return {
        "error_code": "payment_timeout",
        "error_message": "The payment provider did not answer in time",
        "vendor": "stripe",
    } | fields


def post_event(token: str, **fields: Any) -> Any:
    """The response to one event, through the front door."""
    return Api(token).post("/api/v1/events", event(**fields))


def submission(tenant: Tenant, **fields: Any) -> Submission:
    body, now = event(**fields), clock.read()
    parsed = parse_event(
        body, tenant_id=tenant.pk, now=now, retention_days=settings.EVENT_RETENTION_DAYS
    )
    return Submission(parsed, "corr-1")


def submit(tenant: Tenant, **fields: Any) -> Verdict:
    """Store one event without the front door."""
    return ingest.store(tenant.pk, [submission(tenant, **fields)])[0]


def submit_all(tenant: Tenant, bodies: list[dict[str, Any]]) -> list[Verdict]:
    return ingest.store(tenant.pk, [submission(tenant, **body) for body in bodies])


def digest_all() -> int:
    """Digest until nothing is left that may be claimed now; returns how many events that were."""
    total = 0
    while claimed := detection.digest():
        total += claimed
    return total


def decide_all() -> int:
    return decisions.decide_due()


def only_incident(tenant: Tenant) -> Incident:
    with scoping.bound(tenant.pk):
        return Incident.objects.for_tenant(tenant).get()


def stored(tenant: Tenant) -> list[Event]:
    with scoping.bound(tenant.pk):
        return list(Event.objects.for_tenant(tenant).order_by("id"))


def journal_of(tenant: Tenant, subject_id: UUID | str | None = None) -> list[str]:
    """The verbs of the tenant's journal, oldest first; of one subject if it is named."""
    with scoping.bound(tenant.pk):
        lines = JournalEntry.objects.for_tenant(tenant).order_by("at", "id")
        if subject_id is not None:
            lines = lines.filter(subject_id=str(subject_id))
        return list(lines.values_list("verb", flat=True))
