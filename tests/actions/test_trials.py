"""The test button: one signed call that asks for nothing, and the real answer shown (M34)."""

import json
from collections.abc import Iterator

import pytest
from django.db import connection
from pytest_django import Settings

from actions import signing, signing_secrets, transport, trials
from actions.executors import webhook
from actions.models import Action
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Tenant, Workflow
from tests.cast import Api, journal_of, key_of
from tests.factories import WorkflowFactory
from tests.support.outgoing import LOOPBACK
from tests.support.receiver import Receiver, Reply

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.OUTBOUND_ALLOW_CIDRS = LOOPBACK
    with Receiver() as receiver:
        yield receiver


def opened(tenant: Tenant, url: str) -> tuple[Workflow, str]:
    workflow = WorkflowFactory(tenant=tenant, slug="payouts", retry_url=url)
    with scoping.bound(tenant.pk) as now:
        return signing_secrets.rotate(workflow, by=SYSTEM, now=now)


def test_the_real_answer_is_shown(acme: Tenant, receiver: Receiver) -> None:
    workflow, secret = opened(acme, receiver.url("/retry"))
    headers = {"Retry-After": "7", "Content-Type": "text/plain", "Set-Cookie": "a=b"}
    receiver.answer("/retry", Reply(status=503, headers=headers, body=b"not now"))
    answer = Api(key_of(acme)).post(f"/api/v1/workflows/{workflow.pk}/test")
    shown = answer.json()
    assert answer.status_code == 200  # the test was made; what it found is inside
    assert (shown["status"], shown["is_accepted"], shown["error"]) == (503, False, "")
    assert shown["excerpt"] == "not now"
    assert shown["headers"] == {"retry-after": "7", "content-type": "text/plain"}
    assert shown["latency_ms"] >= 0
    (request,) = receiver.requests
    assert json.loads(request.body) == {"test": True, "workflow": "payouts"}
    assert request.headers["idempotency-key"].startswith("test_")
    with scoping.bound(acme.pk) as now:
        signing.verify(headers=request.headers, body=request.body, secret=secret, now=now)
    assert secret not in answer.content.decode()
    assert journal_of(acme, workflow.pk)[-1] == "tested"


def test_it_is_no_action_and_no_attempt(acme: Tenant, receiver: Receiver) -> None:
    workflow, _ = opened(acme, receiver.url("/retry"))
    assert trials.run(workflow, by=SYSTEM).is_accepted
    with scoping.bound(acme.pk):
        assert not Action.objects.for_tenant(acme).exists()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", trials.NO_URL),
        ("http://10.0.0.1/retry", "10.0.0.1 is not a public address."),
        ("http://127.0.0.1:1/retry", "could not"),
    ],
)
def test_without_an_answer_it_says_why(
    acme: Tenant, settings: Settings, url: str, why: str
) -> None:
    settings.OUTBOUND_ALLOW_CIDRS = LOOPBACK
    trial = trials.run(opened(acme, url)[0], by=SYSTEM)
    assert (trial.status, trial.is_accepted) == (None, False)
    assert why in trial.error


def test_without_a_secret_nothing_leaves(acme: Tenant, receiver: Receiver) -> None:
    workflow = WorkflowFactory(tenant=acme, retry_url=receiver.url("/retry"))
    assert trials.run(workflow, by=SYSTEM).error == signing_secrets.NONE_YET
    assert receiver.requests == []


def test_the_call_leaves_in_no_transaction(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow, _ = opened(acme, "https://example.org/retry")
    inside: list[bool] = []

    def send(call: object) -> transport.Answer:
        inside.append(connection.in_atomic_block)
        raise transport.OutcomeUnknown("no answer")

    monkeypatch.setattr(webhook, "send", send)
    answer = Api(key_of(acme)).post(f"/api/v1/workflows/{workflow.pk}/test")
    assert (inside, answer.json()["error"]) == ([False], "no answer")


def test_a_dry_run_shows_the_call_and_makes_none(acme: Tenant, receiver: Receiver) -> None:
    workflow, secret = opened(acme, receiver.url("/retry"))
    answer = Api(key_of(acme)).post(f"/api/v1/workflows/{workflow.pk}/test?dry_run=true")
    assert answer.json()["request"]["url"] == receiver.url("/retry")
    assert (answer.json()["dry_run"], answer.json()["status"]) == (True, None)
    assert receiver.requests == []
    assert secret not in answer.content.decode()
