"""What became of a call whose answer nobody saw: the workflow is asked, and its word decides what is safe (M33)."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from pytest_django import Settings

from actions import lifecycle, probing, signing, signing_secrets
from actions.claiming import Claim
from actions.models import Action
from actions.probing import ASKED_AT_MOST, Heard
from actions.states import Status, Verification
from awfdrs_site import poller
from incidents.models import Run
from incidents.states import RunState
from tenants import scoping
from tenants.journal import SYSTEM, Actor
from tenants.models import Tenant, Workflow
from tests.cast import Travel, journal_of
from tests.factories import ActionFactory, IncidentFactory, RunFactory, WorkflowFactory
from tests.support.outgoing import LOOPBACK
from tests.support.receiver import Receiver, Reply

pytestmark = pytest.mark.django_db(transaction=True)

ALICE = Actor("user", "1", "alice")
EARLY = {"minutes": 2}  # late enough that "not found" is believed


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.OUTBOUND_ALLOW_CIDRS = LOOPBACK
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def workflow(acme: Tenant, receiver: Receiver) -> Workflow:
    workflow = WorkflowFactory(
        tenant=acme, slug="payouts", status_url=receiver.url("/status?of=us"), idempotent="no"
    )
    with scoping.bound(acme.pk) as now:
        signing_secrets.rotate(workflow, by=SYSTEM, now=now)
    return workflow


def unknown(workflow: Workflow, **fields: Any) -> Action:
    """A retry whose answer nobody saw, as its settlement leaves it."""
    tenant = workflow.tenant
    incident = IncidentFactory(tenant=tenant, workflow=workflow)
    run = RunFactory(tenant=tenant, workflow=workflow, incident=incident, state=RunState.FAILED)
    with scoping.bound(tenant.pk) as now:
        settled = {"started_at": now, "settled_at": now, "attempts_made": 1, "run_at": now}
    common = {"status": Status.UNKNOWN, "verification": Verification.PENDING}
    return ActionFactory(
        **settled | common | {"tenant": tenant, "incident": incident, "run": run} | fields
    )


def says(receiver: Receiver, word: str, **reply: Any) -> None:
    receiver.answer("/status", Reply(body=json.dumps({"status": word}).encode(), **reply))


def stored(action: Action) -> Action:
    with scoping.bound(action.tenant_id):
        found: Action = Action.objects.for_tenant(action.tenant_id).get(pk=action.pk)
    return found


def run_of(action: Action) -> Run:
    with scoping.bound(action.tenant_id):
        return lifecycle.run_of(action)


def test_it_asks_with_a_signed_get_that_names_action_run_and_key(
    workflow: Workflow, receiver: Receiver
) -> None:
    action = unknown(workflow)
    assert probing.ask_due() == 1
    (request,) = receiver.requests
    assert (request.method, request.body) == ("GET", b"")
    query = parse_qs(urlsplit(request.path).query)
    assert query == {
        "of": ["us"],
        "action_id": [str(action.pk)],
        "run_id": [run_of(action).run_id],
        "idempotency_key": [action.idempotency_key],
    }
    # an id of its own: a receiver that remembers ids must not take it for the call
    assert request.headers["webhook-id"] == f"probe_{action.pk}"
    with scoping.bound(workflow.tenant_id) as now:
        row = Workflow.objects.for_tenant(workflow.tenant_id).get(pk=workflow.pk)
        (secret,) = signing_secrets.of(row, now=now)
    signing.verify(headers=request.headers, body=b"", secret=secret, now=now)


def test_succeeded_completes_it_and_the_run_still_has_to_say_so(
    workflow: Workflow, receiver: Receiver
) -> None:
    action = unknown(workflow)
    says(receiver, "succeeded")
    probing.ask_due()
    action = stored(action)
    # completed is not fixed: only the run's own report verifies
    assert (action.status, action.verification) == (Status.COMPLETED, Verification.PENDING)
    assert action.result["probe"]["answer"] == "succeeded"
    assert run_of(action).state == RunState.RETRY_SCHEDULED
    assert journal_of(workflow.tenant, action.pk) == ["probed"]


@pytest.mark.parametrize(
    ("idempotent", "attempts_max", "status"),
    [
        ("no", 3, Status.FAILED),  # it ran and failed: running it again is for people to say
        ("key", 3, Status.PENDING),
        ("yes", 3, Status.PENDING),
        ("key", 1, Status.FAILED),
    ],
)
def test_failed_is_tried_again_only_where_that_is_declared_harmless(
    acme: Tenant,
    workflow: Workflow,
    receiver: Receiver,
    idempotent: str,
    attempts_max: int,
    status: Status,
) -> None:
    with scoping.bound(acme.pk):
        Workflow.objects.for_tenant(acme).filter(pk=workflow.pk).update(idempotent=idempotent)
    action = unknown(workflow, attempts_max=attempts_max)
    says(receiver, "failed")
    probing.ask_due()
    assert stored(action).status == status


def test_not_found_makes_another_attempt_safe_whatever_is_declared(
    workflow: Workflow, receiver: Receiver, time_travel: Travel
) -> None:
    action = unknown(workflow)
    says(receiver, "not_found")
    time_travel(**EARLY)
    probing.ask_due()
    action = stored(action)
    assert (action.status, action.attempts_made) == (Status.PENDING, 1)
    assert action.idempotency_key == f"act_{action.pk}"


def test_not_found_proves_nothing_while_the_request_may_still_be_on_its_way(
    workflow: Workflow, receiver: Receiver, time_travel: Travel
) -> None:
    action = unknown(workflow)
    says(receiver, "not_found")
    probing.ask_due()
    assert stored(action).status == Status.UNKNOWN
    assert probing.ask_due() == 0
    time_travel(seconds=61)
    assert probing.ask_due() == 1
    assert stored(action).status == Status.PENDING


def test_not_found_without_an_attempt_left_is_a_failure_that_says_so(
    workflow: Workflow, receiver: Receiver, time_travel: Travel
) -> None:
    action = unknown(workflow, attempts_max=1)
    says(receiver, "not_found")
    time_travel(**EARLY)
    probing.ask_due()
    assert stored(action).status == Status.FAILED
    assert "never arrived" in stored(action).waiting_reason


def test_running_is_asked_again_ever_later_and_not_forever(
    workflow: Workflow, receiver: Receiver, time_travel: Travel
) -> None:
    action = unknown(workflow)
    says(receiver, "running")
    waits = []
    for asked in range(1, ASKED_AT_MOST + 1):
        assert probing.ask_due() == 1
        action = stored(action)
        waits.append(round((action.run_at - _now(action)).total_seconds(), -1))
        assert action.result["probe"]["asked"] == asked
        time_travel(seconds=3601)
    assert waits == [30, 60, 120, 240, 480, 960, 1920, *[3600] * 5]
    assert probing.ask_due() == 0
    assert (action.status, len(receiver.requests)) == (Status.UNKNOWN, ASKED_AT_MOST)
    assert "not asked again" in action.waiting_reason


@pytest.mark.parametrize(
    ("reply", "says_why"),
    [
        (Reply(status=404, body=b'{"status": "not_found"}'), "answered 404"),
        (Reply(status=500), "answered 500"),
        (Reply(status=302, headers={"Location": "/elsewhere"}), "answered 302"),
        (Reply(body=b"<html>"), "not JSON"),
        (Reply(body=b"[" * 3000), "not JSON"),
        (Reply(body=b'{"status": "succeeded"' + b" " * 5000 + b"}"), "not JSON"),
        (Reply(body=b'["succeeded"]'), "named no status"),
        (Reply(body=b'{"status": "SUCCEEDED"}'), "named no status"),
        (Reply(body=b'{"status": ["succeeded"]}'), "named no status"),
        (Reply(body=b"{}"), "named no status"),
        (Reply(hangs_up=True), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_that_cannot_be_read_leaves_it_unknown_and_says_why(
    workflow: Workflow, receiver: Receiver, time_travel: Travel, reply: Reply, says_why: str
) -> None:
    action = unknown(workflow)
    receiver.answer("/status", reply)
    time_travel(**EARLY)
    probing.ask_due()
    action = stored(action)
    # a 404 may be a wrong path: only the word `not_found` means that it never arrived
    assert (action.status, action.result["probe"]["answer"]) == (Status.UNKNOWN, "unreadable")
    assert says_why in action.waiting_reason
    assert len(receiver.requests) == 1


def test_without_a_status_url_nobody_is_asked(acme: Tenant, receiver: Receiver) -> None:
    unknown(WorkflowFactory(tenant=acme))
    assert probing.ask_due() == 0
    assert receiver.requests == []


def test_without_a_secret_it_says_what_to_do(acme: Tenant, receiver: Receiver) -> None:
    action = unknown(WorkflowFactory(tenant=acme, status_url=receiver.url("/status")))
    probing.ask_due()
    assert receiver.requests == []
    assert "no signing secret" in stored(action).waiting_reason


@pytest.mark.parametrize("status", [each for each in Status if each != Status.UNKNOWN])
def test_only_what_is_unknown_is_asked_about(
    workflow: Workflow, receiver: Receiver, status: Status
) -> None:
    unknown(workflow, status=status)
    assert probing.ask_due() == 0


def test_a_person_who_moves_it_meanwhile_wins(workflow: Workflow, receiver: Receiver) -> None:
    action = unknown(workflow)
    claimed: list[Any] = []
    probing.ask_due(submit=claimed.append)
    with scoping.bound(workflow.tenant_id) as now:
        lifecycle.skip(action, by=ALICE, now=now, reason="refunded by hand")
    says(receiver, "not_found")
    claimed[0]()
    assert stored(action).status == Status.SKIPPED
    assert receiver.requests == []


def test_a_stale_asker_writes_nothing(workflow: Workflow) -> None:
    action = unknown(workflow)
    claim = Claim(workflow.tenant_id, action.pk, token=-1)
    assert probing.settle(claim, Heard("succeeded")) is None
    assert stored(action).status == Status.UNKNOWN


def test_two_sweeps_at_once_ask_once(workflow: Workflow, receiver: Receiver) -> None:
    unknown(workflow)
    claimed: list[Any] = []
    assert probing.ask_due(submit=claimed.append) == 1
    assert probing.ask_due(submit=claimed.append) == 0


def test_an_asker_that_died_is_replaced_when_its_lease_ends(
    workflow: Workflow, receiver: Receiver, time_travel: Travel
) -> None:
    action = unknown(workflow)
    probing.ask_due(submit=lambda job: None)  # claimed, and never asked
    says(receiver, "succeeded")
    time_travel(seconds=61)
    assert probing.ask_due() == 1
    assert stored(action).status == Status.COMPLETED


def test_the_call_is_made_in_no_transaction(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: list[bool] = []

    def hear(call: Any) -> Heard:
        inside.append(connection.in_atomic_block)
        return Heard("running")

    unknown(workflow)
    monkeypatch.setattr(probing, "hear", hear)
    probing.ask_due()
    assert inside == [False]


def test_every_worker_asks_now_and_then() -> None:
    assert poller.ask_due in poller.seldom()


def _now(action: Action) -> Any:
    with scoping.bound(action.tenant_id) as now:
        return now
