"""The pages of workflows: how each is, what failed last, and whether and how its runs are retried."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from actions import workflow_pages, workflow_words
from awfdrs_site.lib import clock
from incidents.states import Status
from safety import rules
from safety.effective import Effective
from tenants import scoping
from tenants.models import Tenant, Workflow
from tests.cast import signed_in
from tests.factories import IncidentFactory, RunFactory, WorkflowFactory

pytestmark = pytest.mark.django_db

RETRY_URL = "https://workflow.example/retry"


def _in_force(tenant: Tenant, category: str) -> Effective:
    with scoping.bound(tenant.pk):
        return rules.effective_for(
            tenant_id=tenant.pk, workflow="checkout", vendor="", error_code="", category=category
        )


@pytest.mark.parametrize(
    ("set_as", "category", "headline", "says"),
    [
        ({"retry_url": ""}, "transient_error", "Not retried", "no retry URL"),
        ({"idempotent": "no"}, "transient_error", "A person decides", "not declared harmless"),
        ({}, "validation_error", "Not retried", "no rule allows it"),
        ({}, "transient_error", "Without a person", "up to 3 times, first after"),
    ],
)
def test_it_says_what_stands_in_the_way_of_a_retry(
    acme: Tenant, set_as: dict[str, str], category: str, headline: str, says: str
) -> None:
    workflow = Workflow(**({"retry_url": RETRY_URL, "idempotent": "key"} | set_as))
    found = workflow_words.retried(workflow, _in_force(acme, category))
    assert found.headline == headline
    assert says in found.says


def test_the_list_tells_who_fails_who_failed_and_who_is_well(acme: Tenant, globex: Tenant) -> None:
    now = clock.read()
    failing, troubled, well, _ = (
        WorkflowFactory(tenant=acme, slug=slug) for slug in ("a", "b", "c", "d")
    )
    WorkflowFactory(tenant=globex, slug="foreign")
    IncidentFactory(tenant=acme, workflow=failing, first_seen_at=now, unrecovered_runs=3)
    IncidentFactory(tenant=acme, workflow=troubled, first_seen_at=now - timedelta(hours=5))
    over = now - timedelta(days=3)
    IncidentFactory(tenant=acme, workflow=well, status=Status.RESOLVED, first_seen_at=over)
    with scoping.bound(acme.pk):
        rows = workflow_pages.page(acme.pk, 1, now=now).rows
    assert [(row.slug, row.health.word) for row in rows] == [
        ("a", "Failing"),
        ("b", "Open incidents"),
        ("c", "Well"),
        ("d", "Well"),
    ]
    assert [(row.n_open, row.n_left) for row in rows] == [(1, 3), (1, 0), (0, 0), (0, 0)]
    assert [row.last_failed_at for row in rows][2:] == [over, None]


def test_a_workflow_shows_its_incidents_its_runs_and_when_they_are_retried(
    acme: Tenant, bob: User, mallory: User
) -> None:
    workflow = WorkflowFactory(tenant=acme, slug="checkout", retry_url=RETRY_URL, idempotent="key")
    incident = IncidentFactory(tenant=acme, workflow=workflow)
    RunFactory(tenant=acme, workflow=workflow, run_id="order-1041")
    url = reverse("actions:workflow", args=[workflow.pk])
    page = signed_in(bob).get(url).content.decode()
    for said in (incident.title, "order-1041", RETRY_URL, "Without a person", "3 retries"):
        assert said in page
    other = signed_in(bob).get(f"{url}?category=validation_error").content.decode()
    assert "Nothing is retried after this kind of failure" in other
    assert signed_in(bob).get(f"{url}?category=nonsense").status_code == 422
    assert signed_in(mallory).get(url).status_code == 404
    assert signed_in(bob).get(reverse("actions:workflows")).status_code == 200
