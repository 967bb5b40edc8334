"""Actions and workflows over HTTP: shown with their attempts and gates, moved by people, registered with a secret."""

from datetime import timedelta

import pytest
from django.test import override_settings

from actions.models import Action
from actions.states import Status
from awfdrs_site.lib import clock, rfc3339
from tenants import scoping, secrets
from tenants.models import Tenant, Workflow
from tests.api.world import Things, one_of_everything
from tests.cast import Api, journal_of, key_of
from tests.factories import (
    ActionFactory,
    AttemptFactory,
    BreakerFactory,
    IncidentFactory,
    RunFactory,
    VendorFactory,
)
from tests.support.problem_answers import members

ACTIONS, WORKFLOWS = "/api/v1/actions", "/api/v1/workflows"


@pytest.fixture
def api(acme: Tenant) -> Api:
    return Api(key_of(acme))


@pytest.fixture
def mine(acme: Tenant) -> Things:
    return one_of_everything(acme, "acme-word")


def test_the_detail_has_attempts_gates_and_when_it_may_start(api: Api, acme: Tenant) -> None:
    open_until = clock.read() + timedelta(minutes=5)
    vendor = VendorFactory(tenant=acme)
    BreakerFactory(tenant=acme, vendor=vendor, state="open", open_until=open_until)
    incident = IncidentFactory(tenant=acme, vendor=vendor, classification={"is_certain": True})
    run = RunFactory(tenant=acme, workflow=incident.workflow, incident=incident)
    action = ActionFactory(tenant=acme, incident=incident, run=run, vendor=vendor)
    AttemptFactory(tenant=acme, action=action, status="failed", response_status=503, latency_ms=12)
    detail = api.get(f"{ACTIONS}/{action.pk}").json()
    assert detail["earliest_possible_at"] == rfc3339.format(open_until)
    [gate] = [gate for gate in detail["gates"] if not gate["passed"]]
    assert gate["name"] == "circuit_breaker"
    assert gate["value"].startswith("open until")
    assert gate["source"] == "circuit breaker of the vendor"
    assert gate["clears_at"] == rfc3339.format(open_until)
    attempt = detail["attempts"][0]
    assert (attempt["number"], attempt["response_status"], attempt["latency_ms"]) == (1, 503, 12)
    assert detail["idempotency_key"] == f"act_{action.pk}"


def test_what_is_over_shows_its_gates_as_they_were(api: Api, acme: Tenant) -> None:
    gate = {
        "name": "kill_switch",
        "passed": True,
        "value": "off",
        "limit": "off",
        "source": "kill switches",
        "clears_at": None,
        "detail": "",
    }
    action = ActionFactory(tenant=acme, status=Status.COMPLETED, gates=[gate])
    detail = api.get(f"{ACTIONS}/{action.pk}").json()
    assert (detail["gates"], detail["earliest_possible_at"]) == ([gate], None)


def test_filters_narrow_the_list(api: Api, mine: Things) -> None:
    for query, count in {
        "status=awaiting_approval": 1,
        "action_type=circuit_breaker_open": 1,
        f"incident={mine['incident']}&action_type=retry": 2,
        "vendor=acme-word-vendor": 4,
        "workflow=nobody": 0,
        "until=2020-01-01T00:00:00Z": 0,
    }.items():
        assert api.get(f"{ACTIONS}?{query}").json()["count"] == count, query
    assert api.get(f"{ACTIONS}?status=bogus").status_code == 422
    assert api.get(f"{ACTIONS}?run=7").status_code == 422


@pytest.mark.parametrize(
    ("verb", "of", "status"),
    [
        ("approve", "awaiting_action", "pending"),
        ("reject", "awaiting_action", "skipped"),
        ("skip", "pending_action", "skipped"),
        ("run", "pending_action", "pending"),
    ],
)
def test_a_verb_moves_the_action(api: Api, mine: Things, verb: str, of: str, status: str) -> None:
    before = len(journal_of(mine.tenant, mine[of]))
    answer = api.post(f"{ACTIONS}/{mine[of]}/{verb}", {"reason": "looked at it"})
    assert (answer.status_code, answer.json()["status"]) == (200, status)
    assert len(journal_of(mine.tenant, mine[of])) == before + 1


@pytest.mark.parametrize("verb", ["approve", "reject", "skip", "run"])
def test_a_verb_out_of_its_state_is_refused_with_what_is_allowed(
    api: Api, acme: Tenant, verb: str
) -> None:
    done = ActionFactory(tenant=acme, status=Status.REVERSED)
    problem = members(api.post(f"{ACTIONS}/{done.pk}/{verb}"))
    assert (problem["status"], problem["code"]) == (409, "transition_refused")
    assert problem["allowed"] == []


def test_reversing_makes_the_reversing_action_once(api: Api, mine: Things) -> None:
    path = f"{ACTIONS}/{mine['reversible_action']}/reverse"
    answer = api.post(path, {"reason": "not needed"})
    assert answer.status_code == 201
    assert answer.json()["reverses_id"] == str(mine["reversible_action"])
    assert api.get(f"{ACTIONS}/{mine['reversible_action']}").json()["status"] == "reversed"
    assert (api.post(path).status_code, members(api.post(path))["code"]) == (409, "conflict")


def test_a_retry_is_honestly_not_reversible(api: Api, acme: Tenant) -> None:
    sent = ActionFactory(tenant=acme, status=Status.COMPLETED)
    problem = members(api.post(f"{ACTIONS}/{sent.pk}/reverse"))
    assert (problem["code"], problem["detail"]) == (
        "conflict",
        "A retry that was sent cannot be called back.",
    )


def test_a_dry_run_of_a_reversal_leaves_the_breaker_alone(api: Api, mine: Things) -> None:
    path = f"{ACTIONS}/{mine['reversible_action']}"
    answer = api.post(f"{path}/reverse?dry_run=true")
    assert (answer.status_code, answer.json()["dry_run"]) == (200, True)
    assert api.get(path).json()["status"] == "completed"
    with scoping.bound(mine.tenant.pk):
        assert not Action.objects.for_tenant(mine.tenant).exclude(reverses=None).exists()


def test_a_workflow_is_registered_and_its_secret_shown_once(api: Api, acme: Tenant) -> None:
    said = {
        "slug": "refunds",
        "name": "Refunds",
        "retry_url": "https://example.org/retry",
        "idempotent": "key",
        "vendor": "stripe",
    }
    answer = api.post(WORKFLOWS, said)
    assert answer.status_code == 201
    made = answer.json()
    assert made["retry_secret"].startswith("whsec_")
    listed = api.get(f"{WORKFLOWS}?slug=refunds").json()["results"]
    assert listed == [{k: v for k, v in made.items() if k != "retry_secret"}]
    with scoping.bound(acme.pk):
        row = Workflow.objects.for_tenant(acme).get(slug="refunds")
    assert made["retry_secret"] not in row.retry_secret_sealed
    opened = secrets.open_sealed(row.retry_secret_sealed, tenant_id=acme.pk, row_id=row.pk)
    assert opened == made["retry_secret"]


def test_a_slug_is_registered_once(api: Api, acme: Tenant) -> None:
    first = api.post(WORKFLOWS, {"slug": "refunds"}).json()
    problem = members(api.post(WORKFLOWS, {"slug": "refunds"}))
    assert (problem["code"], problem["id"]) == ("conflict", first["id"])


@pytest.mark.parametrize(
    "field",
    [
        {"retry_url": "http://127.0.0.1/retry"},
        {"status_url": "ftp://example.org/"},
        {"compensate_url": "http://169.254.169.254/latest"},
        {"slug": "No Slug"},
        {"slug": 7},
        {"idempotent": "maybe"},
        {"retry_secret": "whsec_mine"},
        {"name": None},
    ],
)
def test_what_a_workflow_may_not_say_is_refused_by_its_field(
    api: Api, field: dict[str, object]
) -> None:
    answer = api.post(WORKFLOWS, {"slug": "refunds"} | field)
    assert answer.status_code == 422
    assert [error["pointer"] for error in members(answer)["errors"]] == [f"/{next(iter(field))}"]


@override_settings(OUTBOUND_ALLOW_CIDRS=[])
def test_a_refused_url_registers_nothing(api: Api, acme: Tenant) -> None:
    api.post(WORKFLOWS, {"slug": "refunds", "retry_url": "http://10.0.0.1/", "vendor": "stripe"})
    assert api.get(WORKFLOWS).json()["count"] == 0
    assert api.get("/api/v1/vendors").json()["count"] == 0
