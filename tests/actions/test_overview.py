"""The overview says what needs a person, what recovered alone, and what took longest; all from rows."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from actions import overview_pages, recovered
from actions.overview_pages import Overview
from actions.recovered import Recovered
from actions.states import Status, Verification
from awfdrs_site.lib import clock
from events import conservation
from events.conservation import Tally
from incidents.states import RunState
from incidents.states import Status as IncidentStatus
from safety import killswitch
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Tenant
from tests.cast import signed_in
from tests.factories import (
    ActionFactory,
    ApprovalFactory,
    IncidentFactory,
    RunFactory,
    VendorFactory,
)

pytestmark = pytest.mark.django_db


def _overview(tenant: Tenant) -> Overview:
    with scoping.bound(tenant.pk) as now:
        return overview_pages.overview(overview_pages.reader_of(tenant.pk, None, now=now))


def _run(
    tenant: Tenant, state: str, *, hours_ago: float = 1, took_hours: float = 0, **said: Any
) -> Any:
    failed_at = clock.read() - timedelta(hours=hours_ago)
    recovered_at = failed_at + timedelta(hours=took_hours) if took_hours else None
    return RunFactory(
        tenant=tenant, state=state, first_failed_at=failed_at, recovered_at=recovered_at, **said
    )


def test_it_counts_what_only_people_can_do(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        IncidentFactory(tenant=tenant, status=IncidentStatus.ESCALATED, severity="critical")
    ActionFactory(tenant=acme, status=Status.UNKNOWN)
    ActionFactory(
        tenant=acme, status=Status.AWAITING_APPROVAL, approval=ApprovalFactory(tenant=acme)
    )
    with scoping.bound(acme.pk) as now:
        killswitch.activate(
            tenant_id=acme.pk,
            scope="tenant",
            target="",
            reason="double posting",
            expires_at=None,
            by=SYSTEM,
            now=now,
        )
    shown = _overview(acme)
    assert {need.label: need.n.n for need in shown.needs} == {
        "Approvals": 1,
        "Escalated incidents": 1,
        "Unknown outcomes": 1,
        "Kill switches on": 1,
    }
    assert shown.rows[0].severity == "critical"
    assert not shown.is_calm


def test_recovered_alone_leaves_out_whom_people_helped_and_counts_all_that_failed(
    acme: Tenant,
) -> None:
    _run(acme, RunState.RECOVERED_AUTO)
    for who in ({}, {"requested_by_id": "7"}, {"approval": ApprovalFactory(tenant=acme)}):
        run = _run(acme, RunState.RECOVERED_BY_ACTION)
        ActionFactory(
            tenant=acme,
            run=run,
            status=Status.COMPLETED,
            verification=Verification.VERIFIED,
            **who,
        )
    _run(acme, RunState.FAILED)
    _run(acme, RunState.WAIVED)
    _run(acme, RunState.RECOVERED_AUTO, hours_ago=30)  # not of this day
    with scoping.bound(acme.pk) as now:
        found = recovered.since(acme.pk, now - timedelta(hours=24))
    assert found == Recovered(n_failed=6, alone=2, helped=2, waived=1, left=1)
    assert found.percent == 33


def test_it_names_what_waited_longest_and_what_took_longest(acme: Tenant) -> None:
    for hours in (1, 50, 3):
        _run(acme, RunState.FAILED, hours_ago=hours, run_id=f"waits-{hours}")
    _run(acme, RunState.RECOVERED_AUTO, hours_ago=9, took_hours=2, run_id="quick")
    _run(acme, RunState.RECOVERED_AUTO, hours_ago=9, took_hours=7, run_id="slow")
    shown = _overview(acme)
    assert [one.line.run_id for one in shown.waiting] == ["waits-50", "waits-3", "waits-1"]
    assert shown.waiting[0].lasted == "2 days"
    assert [one.line.run_id for one in shown.slowest] == ["slow", "quick"]


def test_events_are_counted_by_the_hour_from_the_books(acme: Tenant) -> None:
    with scoping.bound(acme.pk) as now:
        conservation.count(acme.pk, None, Tally(received=7, accepted=5, replayed=2), now=now)
    assert _overview(acme).volume.total == 5


def test_the_page_leads_in_and_says_when_there_is_nothing_to_do(acme: Tenant, bob: User) -> None:
    client, url = signed_in(bob), reverse("actions:overview")
    assert client.get("/")["Location"] == url
    assert "Send your first event" in client.get(url).content.decode()
    IncidentFactory(tenant=acme, status=IncidentStatus.RESOLVED)
    VendorFactory(tenant=acme)
    page = client.get(url).content.decode()
    assert "Nothing needs a person" in page
    assert "no run failed in 24 hours" in page
