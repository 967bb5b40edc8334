"""The console's small world: Acme with alice, ann and bob, Globex with mallory, and failures on demand."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.test import Client

from events import ingest
from events.ingest import Submission
from events.validation import parse_event
from incidents import decisions, detection
from incidents.models import Incident
from tenants import scoping
from tenants.models import Membership, Tenant, Workflow
from tenants.states import Role

_numbers = count(1)


@dataclass(frozen=True)
class World:
    acme: Tenant
    globex: Tenant
    alice: User  # operator
    ann: User  # admin
    bob: User  # viewer
    mallory: User  # of Globex


def world() -> World:
    with scoping.platform():
        acme = Tenant.objects.create(name="Acme", slug="acme")
        globex = Tenant.objects.create(name="Globex", slug="globex")
        people = {
            name: _person(name, tenant, role)
            for name, tenant, role in (
                ("alice", acme, Role.OPERATOR),
                ("ann", acme, Role.ADMIN),
                ("bob", acme, Role.VIEWER),
                ("mallory", globex, Role.OPERATOR),
            )
        }
    return World(acme=acme, globex=globex, **people)


def client_of(user: User) -> Client:
    client = Client(headers={"Accept": "text/html"})
    client.force_login(user)
    return client


def report(
    tenant: Tenant,
    *,
    status: str = "failed",
    runs: Iterable[str] = ("run-1",),
    ago: timedelta = timedelta(seconds=30),
    **said: Any,
) -> None:
    """Events of one workflow come in and are digested and decided, as the pipeline does it."""
    workflow = said.pop("workflow", "billing")
    payload = {"error_code": "payment_timeout", "error_message": "Capture timed out", **said}
    with scoping.pipeline() as now:
        pass
    bodies = [
        {
            "workflow": workflow,
            "event_type": f"payment.{status}",
            "occurred_at": (now - ago).isoformat(),
            "idempotency_key": f"key-{next(_numbers)}",
            "payload": {**({} if status == "completed" else payload), "run_id": run},
        }
        for run in runs
    ]
    events = [parse_event(b, tenant_id=tenant.pk, now=now, retention_days=90) for b in bodies]
    ingest.store(tenant.pk, [Submission(event, "test") for event in events])
    detection.digest()
    decisions.decide_due()


def incident_of(tenant: Tenant, **fields: Any) -> Incident:
    with scoping.bound(tenant.pk):
        found: Incident = Incident.objects.for_tenant(tenant).for_list().get(**fields)
        return found


def workflow_with_retries(tenant: Tenant, slug: str, *, idempotent: str = "key") -> UUID:
    with scoping.bound(tenant.pk):
        workflow: Workflow = Workflow.objects.create(
            tenant=tenant,
            slug=slug,
            idempotent=idempotent,
            retry_url="https://workflow.example/retry",
        )
    return workflow.pk


def _person(name: str, tenant: Tenant, role: str) -> User:
    user = User.objects.create(username=name, first_name=name.capitalize(), password="!")
    Membership.objects.create(tenant=tenant, user=user, role=role)
    return user
