"""Analytics measures from rows, names what each figure is of, and writes a spreadsheet that computes nothing."""

import csv
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from actions import recovered
from actions.recovered import Retries
from actions.states import Status as ActionStatus
from actions.states import Verification
from awfdrs_site.lib import clock
from incidents import analytics, lifecycle
from incidents.analytics import Took
from incidents.states import Status
from tenants import scoping
from tenants.models import Tenant
from tests.cast import acting, signed_in
from tests.factories import ActionFactory, IncidentFactory

pytestmark = pytest.mark.django_db

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def test_time_to_acknowledge_runs_from_the_opening_to_the_first_acknowledgement(
    acme: Tenant, alice: User
) -> None:
    now = clock.read()
    for opened, took in ((5 * HOUR, 2 * MINUTE), (5 * HOUR, 4 * MINUTE), (40 * HOUR, MINUTE)):
        incident = IncidentFactory(tenant=acme, first_seen_at=now - opened)
        with scoping.bound(acme.pk):
            seen = lifecycle.acknowledge(incident, by=acting(alice), now=now - opened + took)
            # acknowledged anew, and later: the first one counts
            again = now - opened + took + HOUR
            lifecycle.acknowledge(seen, by=acting(alice), now=again, until=again + HOUR)
    IncidentFactory(tenant=acme, first_seen_at=now - HOUR)  # nobody looked yet
    with scoping.bound(acme.pk):
        day = now - 24 * HOUR
        assert analytics.acknowledged(acme.pk, day) == Took(2, 3 * MINUTE, 2 * MINUTE)
        assert analytics.opened(acme.pk, day) == 3


def test_time_to_resolve_leaves_out_what_came_back_and_what_others_count(acme: Tenant) -> None:
    now = clock.read()
    for took, said in (
        (1 * HOUR, {}),
        (3 * HOUR, {}),
        (9 * HOUR, {"status": Status.DETECTED, "resolved_at": None}),
        (9 * HOUR, {"is_storm": True}),
    ):
        over = {"status": Status.RESOLVED, "resolved_at": now - HOUR}
        IncidentFactory(tenant=acme, first_seen_at=now - HOUR - took, **(over | said))
    with scoping.bound(acme.pk):
        assert analytics.resolved(acme.pk, now - 24 * HOUR) == Took(2, 2 * HOUR, HOUR)
        assert analytics.resolved(acme.pk, now) == Took(0, None, None)


def test_retries_are_judged_by_category_when_they_have_ended(
    acme: Tenant, globex: Tenant, bob: User
) -> None:
    incident = IncidentFactory(tenant=acme, category="vendor_error")
    for status, verification in (
        (ActionStatus.COMPLETED, Verification.VERIFIED),
        (ActionStatus.COMPLETED, Verification.NOT_VERIFIED),
        (ActionStatus.COMPLETED, Verification.PENDING),
        (ActionStatus.FAILED, Verification.NONE),
        (ActionStatus.UNKNOWN, Verification.NONE),
        (ActionStatus.PENDING, Verification.NONE),
    ):
        ActionFactory(tenant=acme, incident=incident, status=status, verification=verification)
    ActionFactory(tenant=globex, status=ActionStatus.FAILED)
    with scoping.bound(acme.pk) as now:
        found = recovered.retries(acme.pk, now - HOUR)
    assert found == (Retries("vendor_error", 1, 1, 1, 1),)
    assert (found[0].n, found[0].percent) == (4, 25)
    assert (
        "<td>vendor error</td>" in signed_in(bob).get(reverse("actions:analytics")).content.decode()
    )


def test_the_page_and_the_spreadsheet_say_the_same_and_no_title_is_a_formula(
    acme: Tenant, bob: User
) -> None:
    title = '=HYPERLINK("https://elsewhere.example")'
    IncidentFactory(tenant=acme, title=title, event_count=70, regression_count=2)
    client, page, sheet = (
        signed_in(bob),
        reverse("actions:analytics"),
        reverse("actions:analytics-sheet"),
    )
    assert "70" in client.get(page).content.decode()
    written = client.get(f"{sheet}?range=24h")
    assert written["Content-Disposition"].startswith('attachment; filename="analytics-acme-24h-')
    rows = list(csv.reader(written.content.decode().splitlines()))
    assert ["incidents", "", "opened", "1"] in rows
    noisy = [row for row in rows if row[0] == "noisy signatures"]
    assert [row[2:] for row in noisy] == [
        ["events", "70"],
        ["incidents", "1"],
        ["regressions", "2"],
    ]
    assert all(row[1].startswith("'=HYPERLINK") for row in noisy)
    assert client.get(f"{page}?range=1y").status_code == 422
