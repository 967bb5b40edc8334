"""What a query of incidents finds: every key, its short forms, its opposite, and what means nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from awfdrs_site.lib.query import QueryError
from incidents import query_filters, query_values
from incidents.models import Incident
from incidents.query_filters import Asker
from incidents.query_keys import KEYS
from incidents.query_values import NotMeant
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import Api, key_of
from tests.factories import IncidentFactory, VendorFactory, WorkflowFactory
from tests.support.problem_answers import members

pytestmark = pytest.mark.django_db
LIST = "/api/v1/incidents"


@pytest.fixture
def two(acme: Tenant, globex: Tenant, alice: User) -> Asker:
    """INC-1: loud, at Stripe, alice's, back after it was resolved. INC-2: quiet, asleep, seen. And Globex's."""
    with bound(acme.pk) as now:
        stripe, adyen = (VendorFactory(tenant=acme, name=name) for name in ("stripe", "adyen"))
        billing = WorkflowFactory(tenant=acme, slug="billing")
        IncidentFactory(
            tenant=acme,
            number=1,
            title="Capture timed out",
            error_code="payment_timeout",
            category="transient_error",
            severity="critical",
            vendor=stripe,
            workflow=billing,
            assignee=alice,
            regression_count=2,
            event_count=1500,
            affected_runs=40,
            unrecovered_runs=3,
            classification={"rule": "code:payment_timeout"},
            first_seen_at=now - timedelta(hours=5),
            last_seen_at=now - timedelta(minutes=2),
        )
        IncidentFactory(
            tenant=acme,
            number=2,
            title="Ledger write refused",
            error_code="ledger_500",
            category="unknown",
            status="escalated",
            severity="low",
            vendor=None,
            workflow=WorkflowFactory(tenant=acme, slug="billing-check"),
            acknowledged_at=now,
            snoozed_until=now + timedelta(hours=1),
            classification={"rule": "none"},
            first_seen_at=now - timedelta(days=3),
            last_seen_at=now - timedelta(days=2),
        )
        VendorFactory(tenant=acme, name="stripe-eu")
        assert adyen.pk
    IncidentFactory(tenant=globex, number=3, title="Capture timed out", severity="critical")
    return Asker(acme.pk, now, alice.pk)


def found(asker: Asker, text: str) -> set[int | None]:
    with bound(asker.tenant_id):
        rows = Incident.objects.for_tenant(asker.tenant_id)
        narrowed = query_filters.narrowed(rows, text, asker=asker)
        return set(narrowed.values_list("number", flat=True))


ONE, TWO, BOTH, NEITHER = {1}, {2}, {1, 2}, set[int]()


FINDS = {
    "": BOTH,
    "capture": ONE,
    "TIMED capture": ONE,
    '"capture timed"': ONE,
    '"timed capture"': NEITHER,
    "-capture": TWO,
    "PAYMENT_TIME": ONE,
    "INC-2": TWO,
    "500": TWO,
    "%": NEITHER,
    "Capture: timed": NEITHER,
    "is:open": BOTH,
    "is:closed": NEITHER,
    "is:escalated": TWO,
    "is:ack": TWO,
    "is:attention": ONE,
    "is:snoozed": TWO,
    "-is:snoozed": ONE,
    "is:assigned": ONE,
    "is:mine": ONE,
    "is:regressed": ONE,
    "is:unrecovered": ONE,
    "is:storm,merged": NEITHER,
    "status:detected,escalated": BOTH,
    "severity:critical": ONE,
    "sev:crit": ONE,
    "severity:>=high": ONE,
    "severity:<high": TWO,
    "severity:*": BOTH,
    "-severity:*": NEITHER,
    "vendor:stripe": ONE,  # though stripe-eu begins so too
    "-vendor:stripe": TWO,  # who has no vendor has not that one either
    "vendor:STR*": ONE,
    "vendor:ady": NEITHER,
    "vendor:nobody": NEITHER,
    "vendor:*": ONE,
    "-vendor:*": TWO,
    "workflow:billing": ONE,
    "workflow:billing*": BOTH,
    'workflow:"billing*"': NEITHER,
    "workflow:billing-c": TWO,
    "assignee:me": ONE,
    "assignee:ali": ONE,
    "assignee:none": TWO,
    "assignee:*": ONE,
    "-assignee:*": TWO,
    "category:unk": TWO,
    "code:PAYMENT_TIMEOUT": ONE,
    "code:pay*": ONE,
    "code:pay": NEITHER,
    'title:"timed out"': ONE,
    "-rule:*": TWO,
    "rule:none": TWO,
    "rule:*": ONE,
    "rule:payment_timeout": ONE,
    "-rule:payment_timeout": TWO,
    "age:>2h": BOTH,
    "age:<1d12h": ONE,
    "seen:<10m": ONE,
    "seen:>1d": TWO,
    "events:>100": ONE,
    "events:1": TWO,
    "runs:40": ONE,
    "left:>0": ONE,
    "regressions:>=2": ONE,
    "since:2020-01-01": BOTH,
    "until:2020-01-01T10:00": NEITHER,
    "storm:INC-7": NEITHER,
    "tenant:acme": BOTH,
    "ten:ac sev:crit": ONE,
    "tenant:globex": NEITHER,
}


def test_a_query_finds_what_it_says(two: Asker) -> None:
    assert {text: found(two, text) for text in FINDS} == FINDS


MEANS_NOTHING = [
    ("is:open sevrity:high", 9, "“sevrity” is no key. Expected"),
    ("s:high", 1, "“s” may be severity, status"),
    ("severity:purple", 10, "Expected low, medium, high or critical."),
    ("is:open  severity:", 19, "Expected a value, such as high, >=high."),
    ("status:>open", 8, "status has no order: leave > out."),
    ("vendor:str", 8, "“str” may be stripe or stripe-eu."),
    ("events:many", 8, "Expected a whole number"),
    ("age:2h", 5, "Expected > or < and how long"),
    ("age:>soon", 5, "Expected how long"),
    ("since:yesterday", 7, "Expected a time"),
    ("events:*", 8, "Expected a value"),
    ("storm:x", 7, "Expected the number of a storm"),
    ("http://x.example", 1, "Put quotes around text"),
    ("events:>=1.5k", 8, "Expected a whole number"),
]


def test_what_means_nothing_is_refused_at_its_column(two: Asker) -> None:
    for text, column, words in MEANS_NOTHING:
        with pytest.raises(QueryError) as raised:
            found(two, text)
        assert (raised.value.column, text) == (column, text)
        assert words in raised.value.message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from([*KEYS, "", "sev"]),
    value=st.text(max_size=12)
    | st.sampled_from(
        ["*", ">", "99999999w", "9999999999999999", "9999-12-31", "2026-01-19T10:00"]
    ),
)
def test_any_value_of_any_key_is_asked_of_the_database_or_refused(
    two: Asker, key: str, value: str
) -> None:
    for text in (f"{key}:{value}", f'-{key}:>"{value}"'):
        try:
            found(two, text)
        except QueryError as wrong:
            assert 1 <= wrong.column <= len(text) + 1  # noqa: PT017  # both ends are fine


def test_the_api_takes_the_language_and_says_where_it_is_wrong(two: Asker, acme: Tenant) -> None:
    api = Api(key_of(acme))
    assert api.get(f"{LIST}?q=severity:>=high+-is:snoozed").json()["count"] == 1
    answer = api.get(f"{LIST}?q=is:open+severity:purple")
    assert answer.status_code == 422
    error = members(answer)["errors"][0]
    assert (error["pointer"], error["code"]) == ("/q", "query")
    assert error["detail"].startswith("Column 18: “purple” is no severity.")
    assert "name the person" in members(api.get(f"{LIST}?q=assignee:me"))["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("90s", timedelta(seconds=90)),
        ("1d12h", timedelta(hours=36)),
        ("2W", timedelta(weeks=2)),
        ("999999999w", timedelta(days=36_500)),
    ],
)
def test_durations(text: str, means: timedelta) -> None:
    assert query_values.duration(text) == means


@pytest.mark.parametrize("text", ["", "2", "h", "2x", "2h ", "-2h", "٢h", "1s1s1s1s1s1s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(NotMeant):
        query_values.duration(text)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2026-01-19", datetime(2026, 1, 19, tzinfo=UTC)),
        ("2026-01-19T10:30", datetime(2026, 1, 19, 10, 30, tzinfo=UTC)),
        ("2026-01-19T10:30+02:00", datetime(2026, 1, 19, 8, 30, tzinfo=UTC)),
        ("2026-01-19T10:30:05Z", datetime(2026, 1, 19, 10, 30, 5, tzinfo=UTC)),
    ],
)
def test_instants(text: str, means: datetime) -> None:
    assert query_values.instant(text) == means


@pytest.mark.parametrize("text", ["", "2026-13-01", "2026-02-30", "now", "2026-01-19T25:00"])
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(NotMeant):
        query_values.instant(text)


@pytest.mark.parametrize(("text", "means"), [("0", 0), ("2k", 2000), ("1M", 1_000_000)])
def test_whole_numbers(text: str, means: int) -> None:
    assert query_values.whole(text) == means
