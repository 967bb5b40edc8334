"""Lays down the demo data: every step adds what is missing and leaves what people changed since."""

import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model

from awfdrs_site.demo import kept
from awfdrs_site.demo.cast import (
    COMPANIES,
    EVENTS,
    KEYS,
    PEOPLE,
    VENDORS,
    WORKFLOWS,
    Company,
    DemoVendor,
    DemoWorkflow,
    Person,
)
from awfdrs_site.lib import clock
from events import ingest
from events.ingest import Submission, Verdict
from events.models import PendingEvent
from events.validation import parse_event
from incidents import detection, runbooks
from incidents.runbooks import WrittenSince
from safety import breaker, killswitch
from safety.models import CircuitBreaker, KillSwitch
from safety.states import SwitchScope
from tenants import scoping
from tenants.journal import Actor
from tenants.models import Membership, Tenant, Vendor, Workflow

BY = Actor("system", "", "demo data")
DIGEST_SECONDS = 20  # a worker beside us may hold the events; it needs less


def seed(*, password: str) -> None:
    """All of it. Safe to run again and beside a running stack."""
    _companies()
    for person in PEOPLE:
        _person(person)
    kept.keep("password.set", lambda before: _give_password(before, password))
    for company in COMPANIES:
        _catalogue(company)
        for name in KEYS:
            kept.key(company, name)
    _events()


def store(company_id: UUID, bodies: Sequence[dict[str, Any]], *, now: datetime) -> list[Verdict]:
    """Store events like any door does, and digest them here unless a worker is quicker."""
    submissions = [
        Submission(
            parse_event(
                body,
                tenant_id=company_id,
                now=now,
                retention_days=settings.EVENT_RETENTION_DAYS,
            ),
            f"demo-{body['idempotency_key']}"[:128],
        )
        for body in bodies
    ]
    verdicts = ingest.store(company_id, submissions)
    _digest(company_id, [verdict.event_id for verdict in verdicts if verdict.event_id])
    return verdicts


def _companies() -> None:
    with scoping.platform():
        for company in COMPANIES:
            Tenant.objects.get_or_create(
                id=company.id,
                defaults={
                    "name": company.name,
                    "slug": company.slug,
                    "is_active": company.is_active,
                },
            )


def _person(person: Person) -> None:
    first, _, last = person.full_name.partition(" ")
    is_staff = person.role is None
    user, _ = get_user_model().objects.get_or_create(
        username=person.username,
        defaults={
            "first_name": first,
            "last_name": last,
            "email": person.email,
            "is_staff": is_staff,
            "is_superuser": is_staff,
        },
    )
    if person.works_at is not None and person.role is not None:
        with scoping.platform():
            Membership.objects.get_or_create(
                tenant_id=person.works_at.id, user=user, defaults={"role": person.role}
            )


def _give_password(before: str, password: str) -> str:
    """All of them the one that is printed, when it is another than last time or they have none."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    people = get_user_model().objects.filter(username__in=[each.username for each in PEOPLE])
    for user in people:
        if before != digest or not user.password:
            user.set_password(password)
            user.save(update_fields=["password"])
    return digest


def _catalogue(company: Company) -> None:
    with scoping.bound(company.id) as now:
        for workflow in (each for each in WORKFLOWS if each.company == company):
            _workflow(workflow, now=now)
        for vendor in (each for each in VENDORS if each.company == company):
            _vendor(vendor, now=now)


def _workflow(workflow: DemoWorkflow, *, now: datetime) -> None:
    kept_workflow, _ = Workflow.objects.for_tenant(workflow.company).get_or_create(
        id=workflow.id,
        defaults={
            "tenant_id": workflow.company.id,
            "slug": workflow.slug,
            "name": workflow.slug.replace("_", " ").capitalize(),
        },
    )
    _runbook(kept_workflow, workflow.runbook, now=now)
    target = {"scope": SwitchScope.WORKFLOW, "target": str(workflow.id)}
    switches = KillSwitch.objects.for_tenant(workflow.company).filter(**target)
    if workflow.is_killed and not switches.exists():
        killswitch.activate(
            tenant_id=workflow.company.id,
            scope=SwitchScope.WORKFLOW,
            target=str(workflow.id),
            reason="Demo: this workflow is switched off.",
            expires_at=None,
            by=BY,
            now=now,
        )


def _runbook(workflow: Workflow, text: str, *, now: datetime) -> None:
    if text:
        with suppress(WrittenSince):  # there is one already
            runbooks.write(workflow, text, seen=0, by=BY, now=now)


def _vendor(wanted: DemoVendor, *, now: datetime) -> None:
    vendor, _ = Vendor.objects.for_tenant(wanted.company).get_or_create(
        name=wanted.name, defaults={"tenant_id": wanted.company.id}
    )
    if CircuitBreaker.objects.for_tenant(wanted.company).filter(vendor=vendor).exists():
        return
    breaker.record(vendor, [], now=now)
    if wanted.is_down:
        # Held open: by itself it would half-open after minutes, and the demo wants one to look at.
        reason = "Demo: this vendor is down until a person says otherwise."
        breaker.force(vendor, mode="forced_open", reason=reason, until=None, by=BY, now=now)


def _events() -> None:
    now = clock.now()
    for company in COMPANIES:
        mine = [event for event in EVENTS if event.workflow.company == company]
        bodies = [
            {
                "workflow_id": str(event.workflow.id),
                "event_type": event.event_type,
                "payload": event.payload,
                "occurred_at": (now - timedelta(minutes=event.minutes_ago)).isoformat(),
                "idempotency_key": event.key,
            }
            for event in mine
        ]
        if bodies:
            # Seeded before, they happened at another minute: refused as reused, which is right.
            store(company.id, bodies, now=now)


def _digest(company_id: UUID, event_ids: Sequence[UUID]) -> None:
    deadline = time.monotonic() + DIGEST_SECONDS
    while time.monotonic() < deadline:
        with scoping.bound(company_id):
            mine = PendingEvent.objects.for_tenant(company_id).filter(pk__in=event_ids)
            if not mine.filter(poisoned_at=None).exists():
                return
        if detection.digest() == 0:
            time.sleep(0.1)  # a worker has them
