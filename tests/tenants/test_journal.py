"""The journal: written with the change, told once it has committed, never rewritten."""

import pytest
from django.db import DatabaseError
from pytest_django import DjangoCaptureOnCommitCallbacks

from awfdrs_site.lib import correlation, live
from awfdrs_site.lib.live import Fact
from tenants import journal, scoping
from tenants.journal import SYSTEM, Actor, Line
from tenants.models import JournalEntry, PlatformJournalEntry, Tenant, Vendor
from tenants.scoping import bound
from tests.cast import journal_of
from tests.factories import IncidentFactory, VendorFactory

pytestmark = pytest.mark.django_db

ANN = Actor("user", "7", "ann")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Fact]:
    facts: list[Fact] = []
    monkeypatch.setattr(live, "publish", facts.append)
    return facts


def test_a_line_says_who_did_what_to_which_and_belongs_to_the_request(acme: Tenant) -> None:
    vendor = VendorFactory(tenant=acme)
    with bound(acme.pk) as now, correlation.correlated("corr-9"):
        line = journal.record(vendor, "renamed", by=ANN, at=now, before="a", after="b")
    assert (line.subject_type, line.subject_id, line.verb) == ("vendor", str(vendor.pk), "renamed")
    assert (line.actor_kind, line.actor_id, line.actor_label) == ("user", "7", "ann")
    assert (line.at, line.correlation_id, line.tenant_id) == (now, "corr-9", acme.pk)
    assert line.detail == {"before": "a", "after": "b"}


def test_a_batch_of_lines_is_one_statement_in_order(
    acme: Tenant, django_assert_num_queries: object
) -> None:
    vendor = VendorFactory(tenant=acme)
    with bound(acme.pk) as now:
        lines = [Line(vendor, verb, {}) for verb in ("one", "two", "three")]
        with django_assert_num_queries(1):  # type: ignore[operator]
            entries = journal.record_many(lines, by=SYSTEM, at=now)
    assert [entry.verb for entry in entries] == ["one", "two", "three"]
    assert journal_of(acme) == ["one", "two", "three"]


def test_a_change_that_is_undone_leaves_no_line(acme: Tenant) -> None:
    vendor = VendorFactory(tenant=acme)
    with pytest.raises(ZeroDivisionError), bound(acme.pk) as now:
        1 / len(journal.record(vendor, "", by=SYSTEM, at=now).verb)
    assert journal_of(acme) == []


def test_open_consoles_hear_which_row_changed_and_its_version(
    acme: Tenant, told: list[Fact]
) -> None:
    incident = IncidentFactory(tenant=acme, version=4)
    with bound(acme.pk) as now:
        journal.record(incident, "noted", by=SYSTEM, at=now)
        journal.announce(incident, event="touched")
    assert told == [
        Fact(acme.pk, "incident", str(incident.pk), 4, "changed"),
        Fact(acme.pk, "incident", str(incident.pk), 4, "touched"),
    ]


def test_a_fact_is_handed_over_only_after_the_commit(
    acme: Tenant,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    nudges: list[object] = []
    monkeypatch.setattr(live, "nudge", nudges.append)
    vendor = VendorFactory(tenant=acme)
    with django_capture_on_commit_callbacks(execute=True), bound(acme.pk) as now:
        journal.record(vendor, "noted", by=SYSTEM, at=now)
        assert nudges == []
    assert len(nudges) == 1


@pytest.mark.parametrize("role", ["app", "platform"])
def test_nobody_rewrites_or_removes_a_line(acme: Tenant, role: str) -> None:
    vendor = VendorFactory(tenant=acme)
    with bound(acme.pk) as now:
        journal.record(vendor, "noted", by=SYSTEM, at=now)
    lines = JournalEntry.objects.for_tenant(acme)
    for rewrite in (lambda: lines.update(verb="forged"), lines.delete):
        block = bound(acme.pk) if role == "app" else scoping.platform()
        with pytest.raises(DatabaseError, match="permission denied"), block:
            rewrite()
    assert journal_of(acme) == ["noted"]


def test_what_belongs_to_no_tenant_is_the_platforms_journal(acme: Tenant) -> None:
    with scoping.platform() as now:
        journal.record_platform(
            subject_type="tenant", subject_id=acme.pk, verb="created", by=ANN, at=now, slug="acme"
        )
        line = PlatformJournalEntry.objects.get()
    assert (line.subject_id, line.verb, line.detail) == (str(acme.pk), "created", {"slug": "acme"})
    with bound(acme.pk):
        # every role may read it, only the platform writes it
        assert PlatformJournalEntry.objects.count() == 1
    with pytest.raises(DatabaseError, match="permission denied"), bound(acme.pk) as now:
        journal.record_platform(subject_type="x", subject_id="x", verb="x", by=ANN, at=now)


def test_names_of_vendors_are_how_they_print(acme: Tenant) -> None:
    vendor: Vendor = VendorFactory(tenant=acme, name="stripe")
    assert str(vendor) == "stripe"
