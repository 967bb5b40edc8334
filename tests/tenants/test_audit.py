"""The audit log: who may read it, how a line is found, and what leaves with it."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from awfdrs_site.lib import rfc3339
from tenants import audit_pages, audit_words, journal
from tenants.audit_export import harmless
from tenants.audit_words import Told
from tenants.journal import SYSTEM, Actor
from tenants.models import Tenant, Vendor
from tenants.scoping import bound
from tenants.states import Role, Scope
from tenants.templatetags.console import short_ids
from tests.cast import Api, acting, journal_of, key_of, signed_in
from tests.factories import MembershipFactory, VendorFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def vendor(acme: Tenant) -> Vendor:
    return VendorFactory(tenant=acme)


@pytest.fixture
def desk(ann: User) -> Client:
    return signed_in(ann)


def say(vendor: Vendor, verb: str, *, by: Actor = SYSTEM, days: int = 0, **detail: Any) -> str:
    with bound(vendor.tenant_id) as now:
        at = now + timedelta(days=days)
        return str(journal.record(vendor, verb, by=by, at=at, **detail).pk)


def page(client: Client, **query: str) -> str:
    answer = client.get("/audit/", query)
    assert answer.status_code == 200, answer.content.decode()[-300:]
    return str(answer.content.decode())


def download(client: Client, **query: str) -> list[dict[str, str]]:
    answer = client.post("/audit/export/", query)
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    assert answer["Content-Disposition"].startswith('attachment; filename="audit-acme-')
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def test_a_line_says_who_did_what_to_what_and_what_was_before(
    desk: Client, vendor: Vendor, alice: User
) -> None:
    say(vendor, "breaker_forced", by=acting(alice), before="closed", after="open")
    say(vendor, "edited", changes={"max_in_flight": [10, 20]}, reason="<b>slow</b>")
    shown = page(desk)
    for said in ("Breaker forced", "alice", "closed → open", "10 → 20", f"/vendors/{vendor.pk}/"):
        assert said in shown
    assert "&lt;b&gt;slow" in shown


@pytest.mark.parametrize(
    ("role", "status"),
    [("viewer", 403), ("operator", 403), ("approver", 403), ("auditor", 200), ("admin", 200)],
)
def test_auditors_and_admins_read_it_and_nobody_else(acme: Tenant, role: str, status: int) -> None:
    person = signed_in(MembershipFactory(tenant=acme, role=Role(role)).user)
    assert person.get("/audit/").status_code == status
    assert person.post("/audit/export/").status_code == status
    # the way there is shown to those who may go it
    assert ("/audit/" in person.get("/incidents/").content.decode()) is (status == 200)


def test_another_tenants_lines_are_nowhere(desk: Client, vendor: Vendor, globex: Tenant) -> None:
    foreign = say(VendorFactory(tenant=globex), "globex_secret")
    say(vendor, "ours")
    for query in ({}, {"before": foreign}, {"after": foreign}):
        assert "lobex" not in page(desk, **query)
    assert [row["verb"] for row in download(desk)] == ["ours"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"who": "alice"}, {"forced"}),
        ({"who": "AWFDRS"}, {"edited", "planned"}),
        ({"what": "edited"}, {"edited"}),
        ({"subject": "vendor"}, {"forced", "edited", "planned"}),
        ({"subject": "incident:7"}, set()),
        ({"since": "2100-01-01", "until": "2100-01-02T00:00"}, set()),
        ({"since": "1970-01-01", "until": "2100-01-01T00:00:00Z", "what": "forced"}, {"forced"}),
    ],
)
def test_lines_are_found_by_who_what_which_and_when(
    desk: Client, vendor: Vendor, alice: User, query: dict[str, str], expected: set[str]
) -> None:
    say(vendor, "forced", by=acting(alice))
    say(vendor, "edited")
    say(vendor, "planned")
    assert {row["verb"] for row in download(desk, **query)} == expected


def test_a_day_begins_at_midnight_utc(desk: Client, vendor: Vendor) -> None:
    say(vendor, "today")
    say(vendor, "later", days=3)
    with bound(vendor.tenant_id) as now:
        tomorrow = f"{now + timedelta(days=1):%Y-%m-%d}"
    assert [row["verb"] for row in download(desk, since=tomorrow)] == ["later"]
    assert "later" not in {row["verb"] for row in download(desk, until=tomorrow)}


@pytest.mark.parametrize(
    "query",
    [{"since": "yesterday"}, {"before": "7"}, {"who": "\0"}, {"what": "x" * 61}, {"until": "²"}],
)
def test_a_filter_that_means_nothing_is_said_and_never_an_empty_log(
    desk: Client, query: dict[str, str]
) -> None:
    assert desk.get("/audit/", query).status_code == 422
    assert desk.post("/audit/export/", query).status_code == 422


def test_its_pages_are_turned_without_missing_or_repeating_a_line(
    desk: Client, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_pages, "PAGE_SIZE", 2)
    with bound(vendor.tenant_id) as now:
        verbs = [f"v{n}" for n in range(5)]
        lines = [journal.Line(vendor, verb, {}) for verb in verbs]
        journal.record_many(lines, by=SYSTEM, at=now)  # all at one moment
    seen: list[str] = []
    query: dict[str, str] = {}
    for _ in range(3):
        shown = desk.get("/audit/", query).context["page"]
        seen += [line.verb for line in shown.lines]
        query = {"before": str(shown.older)}
    assert seen == verbs[::-1]
    assert (shown.older, [line.verb for line in shown.lines]) == (None, ["v0"])
    back = desk.get("/audit/", {"after": str(shown.newer)}).context["page"]
    assert [line.verb for line in back.lines] == ["v2", "v1"]
    first = desk.get("/audit/", {"after": str(back.newer)}).context["page"]
    assert ([line.verb for line in first.lines], first.newer) == (["v4", "v3"], None)


def test_taking_it_along_is_a_line_of_it(desk: Client, vendor: Vendor, acme: Tenant) -> None:
    say(vendor, "edited")
    rows = download(desk, what="edited")
    assert [row["verb"] for row in rows] == ["edited"]
    assert journal_of(acme, acme.pk) == ["audit_exported"]
    told = download(desk, what="audit_exported")[0]
    assert (told["actor"], told["subject_id"]) == ("ann", str(acme.pk))
    assert '"rows": 1' in told["detail"]
    assert '"what": "edited"' in told["detail"]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", "\nx"])
def test_a_spreadsheet_computes_nothing_that_somebody_typed(
    desk: Client, vendor: Vendor, cell: str
) -> None:
    assert harmless(cell) == f"'{cell}"
    say(vendor, "edited", by=Actor("user", "7", cell))
    assert [row["actor"] for row in download(desk)] == [f"'{cell}"]


@pytest.mark.parametrize("cell", ["", "ann", "a=1", "2026-01-01", 'a "quote", and a comma'])
def test_what_is_no_formula_stays_as_it_is(cell: str) -> None:
    assert harmless(cell) == cell


def test_keys_that_configure_read_it_through_the_api(acme: Tenant, vendor: Vendor) -> None:
    say(vendor, "edited", reason="slow")
    api = Api(key_of(acme, Scope.CONFIGURE))
    answer = api.get("/api/v1/audit?verb=edited&subject_type=vendor").json()
    assert [(row["verb"], row["detail"]) for row in answer["results"]] == [
        ("edited", {"reason": "slow"})
    ]
    assert Api(key_of(acme, Scope.READ)).get("/api/v1/audit").status_code == 403
    with bound(acme.pk) as now:
        later = rfc3339.format(now + timedelta(hours=1))
    assert api.get(f"/api/v1/audit?verb=edited&since={later}").json()["count"] == 0


def test_the_page_costs_the_same_however_much_it_shows(desk: Client, vendor: Vendor) -> None:
    costs = []
    for n_lines in (2, 9):
        for n in range(n_lines):
            say(vendor, f"verb{n}")
        page(desk)
        with CaptureQueriesContext(connection) as asked:
            page(desk)
        costs.append(len(asked))
    assert costs[0] == costs[1]


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ({"before": None, "after": True}, (Told("", "–", "yes"),)),
        ({"role": ["viewer", "admin"]}, (Told("role", "viewer", "admin"),)),
        ({"changes": {"a_b": [1, 2]}}, (Told("changes · a b", "1", "2"),)),
        ({"before": "a"}, (Told("before", None, "a"),)),
        ({"ids": [1, 2, 3], "none": []}, (Told("ids", None, "1, 2, 3"), Told("none", None, "–"))),
        ({"runs": [["a"], ["b"]]}, (Told("runs", None, "a, b"),)),
        ({}, ()),
    ],
)
def test_what_a_line_tells_is_worded(detail: dict[str, Any], expected: tuple[Told, ...]) -> None:
    assert audit_words.told(detail) == expected


def test_ids_are_told_by_their_ends() -> None:
    one = "01a217bd-e561-758c-8df2-d3ddc2d5e087"
    assert short_ids(f"run {one}, again {one}") == "run …c2d5e087, again …c2d5e087"
    assert short_ids(3) == "3"
