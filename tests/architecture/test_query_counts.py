"""How many statements each page, answer and batch costs: an N+1 becomes a difference in query_counts.json."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from actions.models import Action
from incidents.models import Incident, Run
from tenants.models import Tenant, Vendor
from tenants.scoping import bound
from tests.cast import (
    Api,
    decide_all,
    digest_all,
    event,
    failure,
    key_of,
    signed_in,
    submit_all,
)
from tests.factories import AttemptFactory, QuarantinedEventFactory

pytestmark = pytest.mark.django_db

BASELINE = Path(__file__).parents[1] / "query_counts.json"
# `UPDATE_QUERY_COUNTS=1 make test ARGS="-n0 -k query_counts"` writes what it finds, for the diff to be read.
IS_UPDATING = bool(os.environ.get("UPDATE_QUERY_COUNTS"))
FEW, MANY = 2, 9


def fill(tenant: Tenant, n_rows: int) -> None:
    """Incidents of different problems, each with runs, a decision, an action and an attempt."""
    names = ["alpha", "bravo", "delta", "gamma", "kappa", "omega", "sigma", "theta", "lambda"]
    for name in names[:n_rows]:
        payload = failure(error_code=f"{name}_refused", error_message=f"The {name} is refused")
        submit_all(tenant, [event(run_id=f"{name}-{n}", payload=payload) for n in range(3)])
    digest_all()
    decide_all()
    with bound(tenant.pk):
        for incident in Incident.objects.for_tenant(tenant).select_related("workflow"):
            AttemptFactory(tenant=tenant, action__incident=incident)
            QuarantinedEventFactory(tenant=tenant)


def measured(do: Callable[[], object]) -> int:
    do()  # what is read once per process is not a page's cost
    with CaptureQueriesContext(connection) as asked:
        do()
    return len(asked)


def page(user: User, path: str) -> Callable[[], object]:
    client = signed_in(user)

    def get() -> None:
        response = client.get(path)
        assert response.status_code == 200, path

    return get


def answer(api: Api, path: str) -> Callable[[], object]:
    def get() -> None:
        assert api.get(path).status_code == 200, path

    return get


def doers(tenant: Tenant, user: User, admin: User) -> dict[str, Callable[[], object]]:
    api = Api(key_of(tenant))
    with bound(tenant.pk):
        incident = Incident.objects.for_tenant(tenant).order_by("number")[0]
        action = Action.objects.for_tenant(tenant).order_by("id")[0]
        run = Run.objects.for_tenant(tenant).order_by("id")[0]
        vendor = Vendor.objects.for_tenant(tenant).order_by("name")[0]
    listings = ("events", "incidents", "runs", "actions", "workflows", "vendors")
    return {
        "page overview": page(user, "/overview/"),
        "page analytics": page(user, "/analytics/"),
        "page incidents": page(user, "/incidents/"),
        "page incident": page(user, f"/incidents/{incident.pk}/"),
        "page runs": page(user, "/runs/"),
        "page run": page(user, f"/runs/{run.pk}/"),
        "page workflows": page(user, "/workflows/"),
        "page workflow": page(user, f"/workflows/{run.workflow_id}/"),
        "page events": page(user, "/events/"),
        "page event": page(user, f"/events/{incident.last_event_id}/"),
        "page quarantine": page(user, "/quarantine/"),
        "page audit": page(admin, "/audit/"),
        "page safety": page(user, "/safety/"),
        "page vendors": page(user, "/vendors/"),
        "page vendor": page(user, f"/vendors/{vendor.pk}/"),
        **{f"api {name}": answer(api, f"/api/v1/{name}") for name in listings},
        "api incident": answer(api, f"/api/v1/incidents/{incident.pk}"),
        "api incident runs": answer(api, f"/api/v1/incidents/{incident.pk}/runs"),
        "api incident similar": answer(api, f"/api/v1/incidents/{incident.pk}/similar"),
        "api action": answer(api, f"/api/v1/actions/{action.pk}"),
    }


def judge(name: str, found: int) -> None:
    known: dict[str, int] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    if IS_UPDATING:
        known[name] = found
        BASELINE.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    assert known.get(name) == found, f"{name}: {known.get(name)} → {found} statements"


def test_pages_and_answers_cost_what_they_did_however_many_rows_they_show(
    acme: Tenant, alice: User, ann: User
) -> None:
    first_event = {"page first event": measured(page(alice, "/incidents/"))}
    fill(acme, FEW)
    few = {name: measured(do) for name, do in doers(acme, alice, ann).items()}
    fill(acme, MANY)
    many = {name: measured(do) for name, do in doers(acme, alice, ann).items()}
    # fewer is right: where there are few events, days that have none are looked at too
    assert {name: count for name, count in many.items() if count > few[name]} == {}
    many |= first_event
    for name, count in many.items():
        judge(name, count)


def batch(tenant: Tenant, n_events: int, *, tag: str) -> dict[str, int]:
    """Statements of storing and of digesting that many failures of one problem."""
    declined = failure(error_code="card_declined", error_message="No money")  # opens no breaker
    bodies = [event(run_id=f"{tag}-{n}", payload=declined) for n in range(n_events)]
    with CaptureQueriesContext(connection) as storing:
        submit_all(tenant, bodies)
    with CaptureQueriesContext(connection) as digesting:
        digest_all()
    # reading the clock for each test body is ours
    return {
        "store a batch": len([q for q in storing if "awf_now()" not in q["sql"][:20]]),
        "digest a batch": len(digesting),
    }


def test_a_batch_costs_the_same_statements_whatever_its_size(acme: Tenant) -> None:
    batch(acme, 1, tag="first")  # the workflow, the vendor, the incident and the breaker are known
    few, many = batch(acme, 2, tag="few"), batch(acme, 60, tag="many")
    assert few == many
    for name, count in many.items():
        judge(name, count)
