"""Two signing secrets in rotation: both sign while one replaces the other, and neither is ever read again."""

import json
from datetime import timedelta

import pytest
from pytest_django import Settings

from actions import calls, signing, signing_secrets
from actions.executors import retry
from actions.models import Action
from tenants.journal import Actor
from tenants.models import Tenant, Workflow
from tenants.scoping import bound
from tests.cast import Api, Travel, journal_of, key_of
from tests.factories import ActionFactory, IncidentFactory, RunFactory, WorkflowFactory
from tests.support.outgoing import LOOPBACK
from tests.support.problem_answers import members
from tests.support.receiver import Receiver

pytestmark = pytest.mark.django_db

ANN = Actor("user", "7", "ann")


@pytest.fixture
def workflow(acme: Tenant) -> Workflow:
    return WorkflowFactory(tenant=acme, slug="payouts")


def rotate(workflow: Workflow) -> str:
    with bound(workflow.tenant_id) as now:
        return signing_secrets.rotate(workflow, by=ANN, now=now)[1]


def stored(workflow: Workflow) -> Workflow:
    with bound(workflow.tenant_id):
        found: Workflow = Workflow.objects.for_tenant(workflow.tenant_id).get(pk=workflow.pk)
    return found


def signing_now(workflow: Workflow) -> tuple[str, ...]:
    with bound(workflow.tenant_id) as now:
        return signing_secrets.of(stored(workflow), now=now)


def test_a_workflow_that_registered_itself_has_none_and_gets_its_first(workflow: Workflow) -> None:
    assert signing_now(workflow) == ()
    secret = rotate(workflow)
    assert signing_now(workflow) == (secret,)


def test_both_sign_for_a_day_and_then_the_new_one_alone(
    workflow: Workflow, time_travel: Travel
) -> None:
    first = rotate(workflow)
    second = rotate(workflow)
    assert signing_now(workflow) == (second, first)
    time_travel(hours=23, minutes=59)
    assert signing_now(workflow) == (second, first)
    time_travel(minutes=2)
    assert signing_now(workflow) == (second,)


def test_rotating_again_at_once_ends_the_oldest(workflow: Workflow) -> None:
    first, second, third = rotate(workflow), rotate(workflow), rotate(workflow)
    assert signing_now(workflow) == (third, second)
    assert first not in signing_now(workflow)


def test_a_rotation_is_in_the_journal_and_the_secret_is_not(
    acme: Tenant, workflow: Workflow
) -> None:
    secret = rotate(workflow)
    assert journal_of(acme, workflow.pk) == ["secret_rotated"]
    assert secret not in stored(workflow).retry_secret_sealed


def test_a_retry_is_signed_with_both_and_a_receiver_with_either_accepts_it(
    acme: Tenant, settings: Settings
) -> None:
    settings.OUTBOUND_ALLOW_CIDRS = LOOPBACK
    with Receiver() as receiver:
        workflow = WorkflowFactory(tenant=acme, retry_url=receiver.url("/retry"))
        both = {rotate(workflow), rotate(workflow)}
        with bound(acme.pk) as now:
            call = calls.of(_retry_of(stored(workflow)), now=now)
        assert set(call.secrets) == both
        assert retry.perform(call).ending == "succeeded"
    (request,) = receiver.requests
    for secret in both:
        signing.verify(headers=request.headers, body=request.body, secret=secret, now=now)
    # what the log keeps has neither a secret nor a signature
    kept = json.dumps(calls.as_request(call))
    assert not any(secret in kept for secret in both)
    assert "webhook-signature" not in kept
    assert call.idempotency_key in kept


def test_without_a_secret_nothing_is_sent_and_it_says_what_to_do(
    acme: Tenant, settings: Settings
) -> None:
    settings.OUTBOUND_ALLOW_CIDRS = LOOPBACK
    with Receiver() as receiver:
        workflow = WorkflowFactory(tenant=acme, retry_url=receiver.url("/retry"))
        with bound(acme.pk) as now:
            result = retry.perform(calls.of(_retry_of(workflow), now=now))
        assert (result.ending, result.error) == ("final", signing_secrets.NONE_YET)
        assert receiver.requests == []


def test_a_secret_sealed_for_another_row_signs_nothing(acme: Tenant, workflow: Workflow) -> None:
    rotate(workflow)
    with bound(acme.pk) as now:
        sealed = stored(workflow).retry_secret_sealed
        thief = WorkflowFactory(tenant=acme, retry_secret_sealed=sealed)
        call = calls.of(_retry_of(thief), now=now)
    assert call.secrets == ()
    assert "cannot be read" in call.refusal


def test_the_api_rotates_and_shows_the_new_secret_once(acme: Tenant, workflow: Workflow) -> None:
    api, path = Api(key_of(acme)), f"/api/v1/workflows/{workflow.pk}/rotate-secret"
    first = rotate(workflow)
    answer = api.post(path)
    assert answer.status_code == 200
    shown = answer.json()
    assert shown["retry_secret"].startswith("whsec_")
    assert signing_now(workflow) == (shown["retry_secret"], first)
    assert shown["previous_secret_until"] is not None
    listed = api.get("/api/v1/workflows?slug=payouts").json()["results"][0]
    assert "retry_secret" not in listed
    assert listed["previous_secret_until"] == shown["previous_secret_until"]


def test_the_overlap_can_be_named_within_a_week(acme: Tenant, workflow: Workflow) -> None:
    api, path = Api(key_of(acme)), f"/api/v1/workflows/{workflow.pk}/rotate-secret"
    rotate(workflow)
    assert api.post(path, {"overlap_hours": 0}).status_code == 200
    assert len(signing_now(workflow)) == 1  # the old one leaked: it ends now
    assert members(api.post(path, {"overlap_hours": 169}))["code"] == "validation_failed"


def test_a_dry_run_rotates_nothing(acme: Tenant, workflow: Workflow) -> None:
    first = rotate(workflow)
    path = f"/api/v1/workflows/{workflow.pk}/rotate-secret?dry_run=true"
    answer = Api(key_of(acme)).post(path)
    assert (answer.status_code, answer.json()["dry_run"]) == (200, True)
    assert answer.json()["retry_secret"] == ""
    assert signing_now(workflow) == (first,)


def test_overlaps_are_measured_by_the_database(workflow: Workflow) -> None:
    rotate(workflow)
    with bound(workflow.tenant_id) as now:
        row, _ = signing_secrets.rotate(workflow, by=ANN, now=now, overlap=timedelta(hours=2))
        assert row.previous_secret_until == now + timedelta(hours=2)


def _retry_of(workflow: Workflow) -> Action:
    incident = IncidentFactory(tenant=workflow.tenant, workflow=workflow)
    run = RunFactory(tenant=workflow.tenant, workflow=workflow, incident=incident)
    return ActionFactory(tenant=workflow.tenant, incident=incident, run=run, workflow=workflow)
