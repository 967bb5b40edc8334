"""The pages of permission: what would run is said before anybody approves it, with and without JavaScript."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from actions import approval_plans, approvals, vote_refusals, voting
from actions.models import Action, Approval
from actions.states import Status
from incidents.models import Incident
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Tenant, Workflow
from tests.cast import acting
from tests.factories import (
    ActionFactory,
    CampaignFactory,
    IncidentFactory,
    RunFactory,
    WorkflowFactory,
)
from tests.support.console import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def incident(acme: Tenant) -> Incident:
    workflow = WorkflowFactory(
        tenant=acme, slug="refunds", retry_url="https://refunds.example/", idempotent="no"
    )
    return IncidentFactory(tenant=acme, workflow=workflow, title="Refund timed out")


@pytest.fixture
def page(alice: User) -> Client:
    return client_of(alice)


def waiting(incident: Any, n: int = 1, **fields: Any) -> Approval:
    actions = []
    for _ in range(n):
        run = RunFactory(tenant=incident.tenant, workflow=incident.workflow, incident=incident)
        actions.append(
            ActionFactory(
                tenant=incident.tenant,
                incident=incident,
                run=run,
                status=Status.AWAITING_APPROVAL,
                policy={"max_retries": 3, "enabled": True},
                **fields,
            )
        )
    with scoping.bound(incident.tenant.pk) as now:
        approvals.ask(actions, by=SYSTEM, now=now)
    asked: Approval = actions[0].approval
    return asked


def url(approval: Approval, verb: str = "detail") -> str:
    return reverse(f"approvals:{verb}", args=[approval.pk])


def plan_hash(approval: Approval) -> str:
    with scoping.bound(approval.tenant_id):
        return approval_plans.plan_of(approval).plan_hash


def statuses(tenant: Tenant) -> set[str]:
    with scoping.bound(tenant.pk):
        return set(Action.objects.for_tenant(tenant).values_list("status", flat=True))


def test_the_list_says_what_would_run_who_asked_and_how_many_have_agreed(
    page: Client, incident: Incident
) -> None:
    approval = waiting(incident, 3)
    text = page.get("/approvals/").content.decode()
    assert "3 retries of refunds" in text
    assert "https://refunds.example/" in text
    assert "0 of 1 have approved" in text
    assert f'href="{url(approval)}"' in text
    # the menu counts it, on every page
    menu = page.get("/kill-switches/").content.decode()
    assert '1<span class="unseen"> waiting</span>' in menu
    assert "Nothing has been decided yet" in page.get("/approvals/?tab=decided").content.decode()


def test_nothing_that_waits_says_what_would(page: Client) -> None:
    text = page.get("/approvals/?page=1").content.decode()
    assert "Nothing waits for approval" in text
    assert page.get("/approvals/count/").content.decode().count("unseen") == 0
    # a view that there is not is not shown as one that there is
    assert page.get("/approvals/?tab=mine").status_code == 404


def test_the_page_says_the_blast_and_the_terms_before_anybody_decides(
    page: Client, incident: Incident
) -> None:
    approval = waiting(incident, 25)
    text = page.get(url(approval)).content.decode()
    assert "25 calls to https://refunds.example/, each tried up to 3 times" in text
    assert "and 5 more" in text
    assert "A second call is harmless" in text
    assert f'name="plan_hash" value="{plan_hash(approval)}"' in text


def test_a_plain_form_approves_the_plan_that_was_shown(
    page: Client, incident: Incident, acme: Tenant
) -> None:
    approval = waiting(incident, 2)
    said = {"plan_hash": plan_hash(approval), "reason": "checked", "next": "/incidents/"}
    answer = page.post(url(approval, "approve"), said)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/incidents/")
    assert statuses(acme) == {"pending"}
    text = page.get(url(approval)).content.decode()
    assert "checked" in text
    assert 'data-verb="approve"' not in text
    assert "2 retries of refunds" in page.get("/approvals/?tab=decided").content.decode()


def test_a_stale_page_is_told_so_and_shows_the_plan_as_it_is(
    page: Client, incident: Incident, acme: Tenant
) -> None:
    approval = waiting(incident)
    htmx = {"HX-Request": "true"}
    answer = page.post(url(approval, "approve"), {"plan_hash": "0" * 64}, headers=htmx)
    assert answer.status_code == 409
    assert "The plan has changed since you saw it" in answer.headers["HX-Trigger"]
    assert plan_hash(approval) in answer.content.decode()
    assert statuses(acme) == {"awaiting_approval"}
    plain = page.post(url(approval, "approve"), {"plan_hash": "old", "next": "/incidents/"})
    assert plain.headers["Location"] == url(approval)


def test_rejecting_says_why(page: Client, incident: Incident, acme: Tenant) -> None:
    approval = waiting(incident)
    page.post(url(approval, "reject"), {"reason": "paid by hand"})
    assert statuses(acme) == {"skipped"}
    assert "alice rejected it: paid by hand" in page.get(url(approval)).content.decode()


def test_whoever_asked_sees_why_they_may_not_and_a_viewer_sees_no_button(
    page: Client, incident: Incident, alice: User, bob: User
) -> None:
    approval = waiting(incident, requested_by="alice", requested_by_id=acting(alice).id)
    text = page.get(url(approval)).content.decode()
    assert "You asked for this, so somebody else has to approve it." in text
    assert 'data-verb="approve"' not in text
    viewer = client_of(bob)
    assert 'data-verb="approve"' not in viewer.get(url(approval)).content.decode()
    assert viewer.post(url(approval, "approve"), {}).status_code == 403


def test_a_first_of_two_votes_says_that_it_is_counted(
    page: Client, incident: Incident, acme: Tenant
) -> None:
    with scoping.platform():
        Tenant.objects.filter(pk=acme.pk).update(approvals_needed=2)
    approval = waiting(incident)
    answer = page.post(url(approval, "approve"), {}, headers={"HX-Request": "true"})
    assert "Counted." in answer.headers["HX-Trigger"]
    text = answer.content.decode()
    assert "You have approved. 2 people have to." in text
    assert "1 of 2 have approved" in text


def test_an_edit_shows_as_a_difference(page: Client, incident: Incident, acme: Tenant) -> None:
    approval = waiting(incident)
    with scoping.bound(acme.pk):
        Workflow.objects.for_tenant(acme).update(retry_url="https://elsewhere.example/")
    text = page.get(url(approval)).content.decode()
    assert "Edited since" in text
    assert "https://elsewhere.example/" in text


def test_an_incident_shows_what_of_it_waits_with_the_buttons(
    page: Client, incident: Incident
) -> None:
    approval = waiting(incident, 4)
    panel = page.get(reverse("actions:panel", args=[incident.pk])).content.decode()
    assert ">4 retries of refunds</a>" in panel
    assert f'action="{url(approval, "approve")}"' in panel
    assert f'name="next" value="{incident.get_absolute_url()}"' in panel


def test_a_campaigns_approval_is_the_campaigns(
    page: Client, incident: Incident, acme: Tenant, ann: User
) -> None:
    approval = waiting(incident)
    with scoping.bound(acme.pk):
        Approval.objects.for_tenant(acme).update(terms={"campaign": "x"})
    CampaignFactory(tenant=acme, incident=incident, approval=approval)
    assert page.get(url(approval)).status_code == 404
    assert "Nothing waits" in page.get("/approvals/").content.decode()
    with scoping.bound(acme.pk) as now, pytest.raises(vote_refusals.OfCampaign):
        voting.approve(approval, by=acting(ann), now=now)
