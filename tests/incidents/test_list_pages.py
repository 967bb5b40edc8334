"""The list as it is asked: tabs, conditions, values with counts, hours, suggestions, and what it says when empty."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.test import Client

from awfdrs_site.lib import query
from incidents import query_complete
from incidents.models import IncidentHour
from incidents.query_filters import Asker
from tenants import journal
from tenants.journal import SYSTEM
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import acting, signed_in
from tests.factories import IncidentFactory, VendorFactory, WorkflowFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(acme: Tenant, globex: Tenant, alice: User) -> Client:
    """Acme has five incidents: a loud one at Stripe, alice's, an asleep one, one under way, and a resolved one."""
    with bound(acme.pk) as now:
        stripe = VendorFactory(tenant=acme, name="stripe")
        billing = WorkflowFactory(tenant=acme, slug="billing")
        common = {"tenant": acme, "workflow": billing, "first_seen_at": now - timedelta(hours=3)}
        loud = IncidentFactory(
            **common, number=1, severity="critical", vendor=stripe, title="Capture timed out"
        )
        IncidentFactory(**common, number=2, assignee=alice, severity="low")
        IncidentFactory(**common, number=3, snoozed_until=now + timedelta(hours=1))
        IncidentFactory(**common, number=4, status="analyzing")
        IncidentFactory(**common, number=5, status="resolved", resolved_at=now)
        hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
        IncidentHour.objects.create(tenant=acme, incident=loud, hour=hour, n_events=7)
    IncidentFactory(tenant=globex, number=6, error_code="globex_only")
    VendorFactory(tenant=globex, name="globex-vendor")
    return signed_in(alice)


def page(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(f"/incidents/{address}", headers={"Accept": "text/html"})
    assert answer.status_code == status, address
    return answer.content.decode()


def shown(client: Client, address: str) -> list[str]:
    return sorted(re.findall(r">INC-(\d+)<", page(client, address)))


def test_every_view_shows_what_it_is_named_for(client: Client) -> None:
    found = {tab: shown(client, f"?tab={tab}") for tab in ("mine", "open", "snoozed", "resolved")}
    assert found == {
        "mine": ["2"],
        "open": ["1", "2", "3", "4"],
        "snoozed": ["3"],
        "resolved": ["5"],
    }
    assert shown(client, "") == ["1", "2"]  # what needs attention is awake and not under way
    counts = dict(re.findall(r'id="count-(\w+)">(\d+)<', page(client, "")))
    assert counts == {"attention": "2", "mine": "1", "open": "4", "snoozed": "1"}


def test_a_query_narrows_the_view_and_its_conditions_can_be_left_out_one_by_one(
    client: Client,
) -> None:
    text = page(client, "?tab=open&q=severity:>=high+vendor:stripe&ordering=-severity")
    assert re.findall(r">INC-(\d+)<", text) == ["1"]
    chips = [unescape(url) for url in re.findall(r'class="chip" href="([^"]+)"', text)]
    assert chips == [
        "/incidents/?tab=open&q=vendor%3Astripe&ordering=-severity",
        "/incidents/?tab=open&q=severity%3A%3E%3Dhigh&ordering=-severity",
    ]
    ordered = re.findall(r">INC-(\d+)<", page(client, "?tab=open&ordering=-severity"))
    assert (ordered[0], ordered[-1]) == ("1", "2")


def test_a_query_that_means_nothing_is_shown_again_with_a_mark_where_it_is_wrong(
    client: Client,
) -> None:
    text = page(client, "?q=is:open+severity:purple", status=422)
    assert 'value="is:open severity:purple"' in text
    assert "Column 18: “purple” is no severity." in text
    assert "is:open severity:<mark>p</mark>urple" in text
    assert 'class="row' not in text
    assert "<mark>&nbsp;</mark>" in page(client, "?q=severity:>=", status=422)
    for panel in ("rows/", "facets/", "volume/"):
        page(client, f"{panel}?q=severity:purple", status=422)


def test_when_nothing_matches_the_page_says_which_condition_to_leave_out(client: Client) -> None:
    text = page(client, "?tab=open&q=vendor:stripe+severity:low")
    assert "No incident matches" in text
    fewer = re.findall(r'<a href="([^"]+)">without <code>([^<]+)</code></a> (\d+)', text)
    assert [(unescape(url), said, n) for url, said, n in fewer] == [
        ("/incidents/?tab=open&q=vendor%3Astripe", "severity:low", "1"),
        ("/incidents/?tab=open&q=severity%3Alow", "vendor:stripe", "1"),
    ]


def test_when_all_is_well_the_page_says_how_many_recovered_alone(acme: Tenant, alice: User) -> None:
    with bound(acme.pk) as now:
        for number in range(1, 5):
            one = IncidentFactory(tenant=acme, status="resolved", resolved_at=now)
            by = acting(alice) if number == 4 else SYSTEM
            journal.record(one, "resolved", by=by, at=now - timedelta(hours=number))
        late = IncidentFactory(tenant=acme, status="resolved", resolved_at=now)
        journal.record(late, "resolved", by=acting(alice), at=now - timedelta(hours=25))
    text = page(signed_in(alice), "")
    assert "Nothing needs you" in text
    assert "<b>75 %</b> recovered alone in the last 24 h: 3 of 4 resolved incidents." in text


def test_values_are_counted_and_each_can_be_chosen_or_left_out(client: Client) -> None:
    text = page(client, "facets/?tab=open&q=-is:snoozed")
    found = re.findall(
        r'class="facet" href="([^"]+)" data-without="([^"]+)"><span>([^<]+)</span>'
        r'<span class="count">(\d+)</span>',
        text,
    )
    values = {label: (int(n), unescape(url), unescape(no)) for url, no, label, n in found}
    kept = "/incidents/?tab=open&q=-is%3Asnoozed"
    assert values["critical"] == (1, f"{kept}+severity%3Acritical", f"{kept}+-severity%3Acritical")
    assert values["billing"][0] == 3
    assert values["stripe"][0] == 1
    assert values["None"] == (3, f"{kept}+-code%3A%2A", f"{kept}+code%3A%2A")
    assert values["Nobody"][:2] == (2, f"{kept}+assignee%3Anone")
    assert "globex" not in text
    for _, url, without in values.values():  # every link says something that can be read
        assert page(client, url.removeprefix("/incidents/"))
        assert page(client, without.removeprefix("/incidents/"))


def test_the_hours_are_counted_by_severity_and_each_narrows_the_view(client: Client) -> None:
    panel = client.get(
        "/incidents/volume/?tab=open&q=vendor:stripe", headers={"HX-Request": "true"}
    )
    text = panel.content.decode()
    assert "7 events in 48 hours" in text
    assert 'class="histogram-critical"' in text
    (url,) = (unescape(url) for url in re.findall(r'<a href="([^"]+)" tabindex', text))
    assert re.search(r"q=vendor%3Astripe\+since%3A[^+]+Z\+until%3A[^+]+Z$", url)
    assert shown(client, url.removeprefix("/incidents/")) == ["1"]
    quiet = page(client, "volume/?tab=open&q=assignee:me")
    assert "No event in 48 hours" in quiet


@pytest.mark.parametrize(
    ("typed", "first", "then"),
    [
        ("sev", "severity:", "severity:"),
        ("is:open sev:cr", "critical", "is:open sev:critical "),
        ("snoo", "is:snoozed", "is:snoozed "),
        ("-vendor:st", "stripe", "-vendor:stripe "),
        ("vendor:a,s", "stripe", "vendor:a,stripe "),
        ("assignee:ali", "alice", "assignee:alice "),
        ("work:b", "billing", "work:billing "),
        ("vendor:globex", "", ""),
        ("nonsense:", "", ""),
        ("events:>", "", ""),
        ('"unclosed', "", ""),
    ],
)
def test_what_may_come_next_is_offered_where_the_cursor_stands(
    client: Client, acme: Tenant, alice: User, typed: str, first: str, then: str
) -> None:
    with bound(acme.pk) as now:
        found = query_complete.suggestions(typed, len(typed), asker=Asker(acme.pk, now, alice.pk))
    assert (found[0].word, found[0].text) == (first, then) if first else found == ()
    for one in found[:1]:
        query.parse(one.text)


def test_suggestions_come_as_options_whatever_is_typed(client: Client) -> None:
    text = page(client, f"complete/?q={quote('sev:cr more')}&at=6")
    assert 'data-text="sev:critical more" data-at="13"' in text
    for odd in ("", "%00", "at=x", quote("é\u2028\"'<"), "a" * 3000):
        page(client, f"complete/?q={odd}&at=99999999")
