"""The safety overview and the vendor pages: what they say of breakers, limits and retries, and who may force."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from actions import vendor_use, vendor_words
from actions.states import Status
from actions.vendor_use import Used
from awfdrs_site.lib import clock
from safety import budget, killswitch, limits, rules
from safety.models import CircuitBreaker, RulePause
from safety.ruletypes import RateLimit
from safety.states import BreakerStatus, Forced
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Tenant, Vendor
from tests.cast import decide_all, digest_all, event, failure, journal_of, signed_in, submit_all
from tests.factories import ActionFactory, AttemptFactory, BreakerFactory, VendorFactory

pytestmark = pytest.mark.django_db

HOLD = {"mode": "forced_open", "minutes": "60", "reason": "their status page says so"}
FROM_FORM = {"HX-Request": "true", "HX-Target": "section#force", "Accept": "text/html"}


def _stripe(tenant: Tenant) -> Vendor:
    return VendorFactory(tenant=tenant, name="stripe")


def _shown(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def _detail(vendor: Vendor) -> str:
    return reverse("vendors:detail", args=[vendor.pk])


def _force(client: Client, vendor: Vendor, **said: Any) -> Any:
    url, html = reverse("vendors:force", args=[vendor.pk]), {"Accept": "text/html"}
    return client.post(url, HOLD | said, follow=True, headers=html)


def _breaker(vendor: Vendor) -> CircuitBreaker | None:
    with scoping.bound(vendor.tenant_id):
        found: CircuitBreaker | None = (
            CircuitBreaker.objects.for_tenant(vendor.tenant_id).filter(vendor=vendor).first()
        )
        return found


def test_use_is_counted_for_many_vendors_at_once(acme: Tenant, globex: Tenant) -> None:
    stripe, quiet, foreign = _stripe(acme), VendorFactory(tenant=acme), _stripe(globex)
    calling = ActionFactory(tenant=acme, vendor=stripe, status=Status.IN_PROGRESS)
    ActionFactory(tenant=globex, vendor=foreign, status=Status.IN_PROGRESS)
    with scoping.bound(acme.pk) as now:
        for number, age in enumerate((10, 600, 7200), start=1):
            AttemptFactory(
                tenant=acme,
                action=calling,
                number=number,
                vendor_id=stripe.pk,
                started_at=now - timedelta(seconds=age),
            )
        budget.hear(stripe, 7, now=now)
        limits.take(stripe, RateLimit(1, 5), now=now)
        used = vendor_use.of(acme.pk, [stripe.pk, quiet.pk], now=now)
    assert used[quiet.pk] == Used()
    mine = used[stripe.pk]
    assert (mine.in_flight, mine.in_hour, mine.in_minute, mine.originals) == (1, 2, 1, 7)
    assert mine.arrival_at is not None


def test_the_uses_of_a_vendor_name_their_limits(acme: Tenant) -> None:
    stripe = _stripe(acme)
    with scoping.bound(acme.pk) as now:
        used = Used(in_flight=3, in_hour=40, in_minute=12, originals=100)
        uses = vendor_words.uses(stripe, used, rules.effective_of_vendor(stripe), now=now)
    by_label = {use.label.partition(",")[0]: (use.used, use.limit) for use in uses}
    # a floor of 10 and a fifth of what workflows called by themselves
    assert by_label["Retry budget"] == (12, 30)
    assert by_label["Calls under way"] == (3, stripe.max_in_flight)
    assert by_label["Retries"][0] == 40
    assert by_label["Rate"][0] == 0


def test_the_overview_shows_what_is_stopped_and_how_much_that_holds(
    acme: Tenant, bob: User
) -> None:
    stripe = _stripe(acme)
    with scoping.bound(acme.pk) as now:
        killswitch.activate(
            tenant_id=acme.pk,
            scope="vendor",
            target=str(stripe.pk),
            reason="double posting",
            expires_at=None,
            by=SYSTEM,
            now=now,
        )
    for _ in range(2):
        ActionFactory(tenant=acme, vendor=stripe, status=Status.PARKED)
    page = _shown(signed_in(bob), reverse("actions:safety"))
    assert "Vendor stripe" in page
    assert "double posting" in page
    assert "<b>2</b><small>actions held</small>" in page


def test_the_overview_shows_breakers_that_are_not_simply_closed(acme: Tenant, bob: User) -> None:
    until = clock.read() + timedelta(minutes=5)
    BreakerFactory(tenant=acme, vendor__name="stripe", state=BreakerStatus.OPEN, open_until=until)
    BreakerFactory(tenant=acme, vendor__name="sendgrid")
    page = _shown(signed_in(bob), reverse("actions:safety"))
    assert ">stripe</a>: open" in page
    assert "next probe in" in page
    assert "sendgrid" not in page  # nobody called it, and it would only say that it is closed


def test_the_overview_shows_rules_that_went_too_far(acme: Tenant, ann: User, bob: User) -> None:
    with scoping.bound(acme.pk) as now:
        RulePause.objects.create(
            tenant=acme, rule="code payment_timeout", reason="60 in an hour", paused_at=now
        )
    page = _shown(signed_in(bob), reverse("actions:safety"))
    assert "code payment_timeout" in page
    assert "Resume it" not in page
    assert "Resume it" in _shown(signed_in(ann), reverse("actions:safety"))


def test_an_empty_overview_says_what_to_do(acme: Tenant, bob: User) -> None:
    page = _shown(signed_in(bob), reverse("actions:safety"))
    assert "Nothing is stopped. STOP in the page" in page
    assert "Every breaker is closed" in page
    assert "No vendor was called in the last hour" in page
    assert "No vendor yet" in _shown(signed_in(bob), reverse("vendors:list"))


def test_the_list_counts_failures_and_open_incidents(acme: Tenant, bob: User) -> None:
    submit_all(acme, [event(run_id=f"run-{n}", payload=failure()) for n in range(3)])
    digest_all()
    page = _shown(signed_in(bob), reverse("vendors:list"))
    assert "stripe" in page
    assert "3 events in 24 hours" in page
    assert "1 open" in page


def test_a_vendor_shows_its_incidents_rules_and_timeline(acme: Tenant, alice: User) -> None:
    submit_all(acme, [event(run_id=f"run-{n}", payload=failure()) for n in range(20)])
    digest_all()
    decide_all()
    with scoping.bound(acme.pk):
        stripe = Vendor.objects.for_tenant(acme).get(name="stripe")
    page = _shown(signed_in(alice), _detail(stripe))
    assert "INC-1" in page
    assert "Circuit breaker opened" in page
    assert "Rate limit requests per second" in page
    assert "vendor_config.yaml" in page  # the source of what is in force


def test_an_admin_holds_a_breaker_with_a_reason_and_an_end(acme: Tenant, ann: User) -> None:
    stripe = _stripe(acme)
    page = _force(signed_in(ann), stripe).content.decode()
    assert "Held open" in page
    assert "their status page says so" in page
    row = _breaker(stripe)
    assert row is not None
    assert row.forced == Forced.FORCED_OPEN
    assert row.forced_until is not None
    assert journal_of(acme, row.pk) == ["breaker_forced"]


def test_a_breaker_is_handed_back_and_then_probes(acme: Tenant, ann: User) -> None:
    stripe = _stripe(acme)
    _force(signed_in(ann), stripe)
    assert "Handed back" in _force(signed_in(ann), stripe, mode="auto").content.decode()
    row = _breaker(stripe)
    assert row is not None
    assert (row.forced, row.state) == ("", BreakerStatus.HALF_OPEN)


def test_without_an_end_it_is_held_until_handed_back(acme: Tenant, ann: User) -> None:
    stripe = _stripe(acme)
    assert "until handed back" in _force(signed_in(ann), stripe, minutes="").content.decode()


@pytest.mark.parametrize("said", [{"reason": ""}, {"mode": "ajar"}, {"minutes": "7"}])
def test_a_hold_that_says_too_little_is_refused(
    acme: Tenant, ann: User, said: dict[str, str]
) -> None:
    stripe = _stripe(acme)
    answer = _force(signed_in(ann), stripe, **said)
    assert answer.status_code == 422
    assert "<html" in answer.content.decode()
    assert _breaker(stripe) is None


def test_only_the_form_comes_back_to_htmx(acme: Tenant, ann: User) -> None:
    url = reverse("vendors:force", args=[_stripe(acme).pk])
    answer = signed_in(ann).post(url, HOLD | {"reason": ""}, headers=FROM_FORM)
    assert answer.status_code == 422
    assert answer.content.decode().lstrip().startswith('<section id="force"')


def test_an_operator_sees_a_vendor_and_may_stop_it_but_not_force_its_breaker(
    acme: Tenant, alice: User
) -> None:
    stripe = _stripe(acme)
    page = _shown(signed_in(alice), _detail(stripe))
    assert "Stop every action at this vendor" in page
    assert "Hold this breaker" not in page
    assert _force(signed_in(alice), stripe).status_code == 403
    assert _breaker(stripe) is None


def test_a_viewer_may_neither_stop_nor_force(acme: Tenant, bob: User) -> None:
    stripe = _stripe(acme)
    page = _shown(signed_in(bob), _detail(stripe))
    assert "Stop every action at this vendor" not in page
    assert _force(signed_in(bob), stripe).status_code == 403


def test_an_outsider_finds_nothing(acme: Tenant, mallory: User, globex: Tenant) -> None:
    stripe = _stripe(acme)
    client = signed_in(mallory)
    assert client.get(_detail(stripe)).status_code == 404
    assert "stripe" not in _shown(client, reverse("vendors:list"))
    assert "stripe" not in _shown(client, reverse("actions:safety"))


@pytest.mark.parametrize("name", ["vendors:list", "actions:safety"])
def test_more_vendors_cost_no_more_statements(acme: Tenant, bob: User, name: str) -> None:
    client, path = signed_in(bob), reverse(name)
    counted = []
    for _ in range(2):
        for _ in range(4):
            BreakerFactory(tenant=acme, forced=Forced.SHADOW)
        client.get(path)
        with CaptureQueriesContext(connection) as asked:
            client.get(path)
        counted.append(len(asked))
    assert counted[0] == counted[1]
    assert counted[0] <= 26


def test_pages_answer_htmx_with_their_part_alone(acme: Tenant, bob: User) -> None:
    stripe = _stripe(acme)
    for path in (reverse("actions:safety"), reverse("vendors:list"), _detail(stripe)):
        part = signed_in(bob).get(path, headers={"HX-Request": "true"}).content.decode()
        assert "<html" not in part
        assert 'hx-swap="outerMorph"' in part
