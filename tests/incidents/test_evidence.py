"""What stands behind an incident: its ledger, its hours, its text and its nearest others, a query each."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from awfdrs_site.lib import clock
from incidents import evidence
from incidents.hours import hour_of
from incidents.models import Incident, IncidentHour, Template
from incidents.presentation import grouped, runs
from tenants import scoping
from tenants.models import Tenant
from tests.cast import digest_all, event, failure, only_incident, submit_all
from tests.factories import AffectedRunFactory, IncidentFactory, VendorFactory, WorkflowFactory

pytestmark = pytest.mark.django_db


def _hurt(incident: Incident, **n_runs: int) -> Incident:
    """Runs by state, counted as the digest counts them."""
    for state, n in n_runs.items():
        for _ in range(n):
            AffectedRunFactory(tenant=incident.tenant, incident=incident, run__state=state)
    incident.affected_runs = sum(n_runs.values())
    incident.unrecovered_runs = n_runs.get("failed", 0) + n_runs.get("retry_scheduled", 0)
    return incident


def test_the_ledger_adds_up(acme: Tenant) -> None:
    incident = _hurt(
        IncidentFactory(tenant=acme),
        failed=2,
        retry_scheduled=1,
        recovered_auto=3,
        succeeded=1,
        recovered_by_action=5,
        waived=1,
    )
    with scoping.bound(acme.pk), CaptureQueriesContext(connection) as asked:
        tally = evidence.tally(incident)
    assert len(asked) == 1
    assert (tally.affected, tally.unrecovered, tally.retry_scheduled) == (13, 3, 1)
    # a run that had succeeded before its failure was heard of needed nobody
    assert (tally.recovered_auto, tally.recovered_by_action, tally.waived) == (4, 5, 1)
    assert tally.recovered == 9


def test_the_ledger_reads_as_a_sentence_whose_numbers_lead_to_the_runs(acme: Tenant) -> None:
    incident = _hurt(IncidentFactory(tenant=acme, number=12), failed=2, recovered_auto=3)
    with scoping.bound(acme.pk):
        tally = evidence.tally(incident)
    # N1: "1,284 affected · 1,279 recovered · 5 left"
    said = [(count.n, count.word, count.url) for count in runs.counts(incident, tally)]
    assert said == [
        (5, "affected", "/runs/?incident=INC-12"),
        (3, "recovered", "/runs/?incident=INC-12&state=recovered"),
        (2, "left", "/runs/?incident=INC-12&state=left"),
    ]


def test_the_meter_is_full_and_leaves_out_what_did_not_happen(acme: Tenant) -> None:
    incident = _hurt(IncidentFactory(tenant=acme), failed=1, recovered_by_action=2, waived=1)
    with scoping.bound(acme.pk):
        shares = runs.shares(incident, evidence.tally(incident))
    assert [share.kind for share in shares] == ["retried", "waived", "failed"]
    assert [(share.x, share.width) for share in shares] == [(0, 50), (50, 25), (75, 25)]


def test_hours_come_for_a_page_of_incidents_in_one_query(acme: Tenant) -> None:
    one, other = IncidentFactory(tenant=acme), IncidentFactory(tenant=acme)
    with scoping.bound(acme.pk) as now:
        hour = hour_of(now)
        for incident, back, n in ((one, 0, 3), (one, 23, 4), (one, 24, 9), (other, 1, 5)):
            IncidentHour.objects.create(
                tenant=acme, incident=incident, hour=hour - timedelta(hours=back), n_events=n
            )
        with CaptureQueriesContext(connection) as asked:
            found = evidence.hours(acme.pk, [one.pk, other.pk], n_hours=24, now=now)
    assert len(asked) == 1
    assert found[one.pk] == {hour: 3, hour - timedelta(hours=23): 4}
    assert found[other.pk] == {hour - timedelta(hours=1): 5}


def _parts(**parts: str) -> list[list[str]]:
    return [[name, value] for name, value in parts.items()]


@pytest.fixture
def near(acme: Tenant) -> dict[str, Any]:
    """What incidents of one workflow and vendor have in common."""
    return {
        "tenant": acme,
        "workflow": WorkflowFactory(tenant=acme, slug="billing"),
        "vendor": VendorFactory(tenant=acme, name="stripe"),
    }


def test_a_template_is_shown_by_its_text_and_else_by_the_title(
    acme: Tenant, near: dict[str, Any]
) -> None:
    parts = _parts(workflow="billing", vendor="stripe", code="", template="a" * 16)
    incident = IncidentFactory(**near, signature_components=parts, title="Timed out after 30 s")
    with scoping.bound(acme.pk):
        assert evidence.components(incident)["template"] == "Timed out after 30 s"
        Template.objects.create(
            tenant=acme,
            workflow=near["workflow"],
            key="a" * 16,
            leaf="4 timed out",
            tokens=["timed", "out", "after", "<*>"],
        )
        shown = grouped.components(evidence.components(incident))
    assert [part.name for part in shown] == ["Workflow", "Vendor", "Text"]
    assert [(p.text, p.varies) for p in shown[-1].pieces] == [
        ("timed out after ", False),
        ("<*>", True),
    ]


def test_the_nearest_come_first_with_what_differs(acme: Tenant, near: dict[str, Any]) -> None:
    def opened(title: str, **parts: str) -> Incident:
        return IncidentFactory(
            **near, title=title, error_code=parts["code"], signature_components=_parts(**parts)
        )

    here = opened("timed out", workflow="billing", code="timeout", template="t1")
    far = opened("no money", workflow="billing", code="declined", template="t2")
    close = opened("timed out late", workflow="billing", code="timeout", template="t3")
    IncidentFactory(tenant=acme)  # shares nothing
    with scoping.bound(acme.pk), CaptureQueriesContext(connection) as asked:
        found = evidence.nearest(here)
    assert list(found) == [close.pk, far.pk]
    assert len(asked) == 3
    assert found[close.pk].same == ("workflow", "code")
    differs = found[close.pk].different[0]
    assert (differs.component, differs.here, differs.there) == (
        "template",
        "timed out",
        "timed out late",
    )


def test_storms_merged_ones_and_other_tenants_are_no_neighbours(
    acme: Tenant, globex: Tenant, near: dict[str, Any]
) -> None:
    parts = _parts(workflow="billing", code="boom", template="")
    here = IncidentFactory(**near, error_code="boom", signature_components=parts)
    storm = IncidentFactory(**near, is_storm=True, signature_components=parts)
    IncidentFactory(**near, merged_into=here, status="resolved", signature_components=parts)
    IncidentFactory(tenant=globex, error_code="boom", signature_components=parts)
    with scoping.bound(acme.pk):
        assert evidence.nearest(here) == {}
        assert evidence.nearest(storm) == {}


def test_the_digest_fills_what_is_drawn(acme: Tenant) -> None:
    submit_all(acme, [event(run_id=f"r-{n}", payload=failure()) for n in range(3)])
    digest_all()
    incident = only_incident(acme)
    with scoping.bound(acme.pk):
        found = evidence.hours(acme.pk, [incident.pk], n_hours=24, now=clock.now())
    assert sum(found[incident.pk].values()) == 3
