"""The simulated workflow: runs what is signed, once, and says when it is done."""

import json
from datetime import UTC, datetime
from ipaddress import ip_network
from queue import Queue
from uuid import uuid4

import pytest
from pytest_django.fixtures import Settings

from actions import signing
from actions.executors import retry
from actions.executors.base import Call, Result
from awfdrs_site.demo import workflow_side
from awfdrs_site.demo.workflow_side import Part, Retry, WorkflowSide

SECRET = signing.new_secret()
Done = Queue[Retry]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow_side, "REPORT_AFTER_SECONDS", 0)


def playing(done: Done, *, accepts: bool = True) -> WorkflowSide:
    side = WorkflowSide()
    side.play("checkout", Part(SECRET, accepts=lambda _: accepts, completed=done.put))
    return side


def body_of(**fields: object) -> bytes:
    asked = {"workflow": "checkout", "run_id": "run-1", "attempt": 1, "payload": {"order": 7}}
    return json.dumps(asked | fields).encode()


def signed(body: bytes, *, secret: str = SECRET, key: str = "act_1") -> dict[str, str]:
    headers = signing.headers(message_id="1", at=datetime.now(UTC), body=body, secrets=[secret])
    return {**headers, "idempotency-key": key}


def test_a_signed_retry_is_run_and_reported() -> None:
    done: Done = Queue()
    assert playing(done).answer(signed(body_of()), body_of()) == 200
    assert done.get(timeout=5) == Retry("checkout", "run-1", 1, {"order": 7})


def test_the_same_key_runs_once() -> None:
    done: Done = Queue()
    with playing(done) as side:
        statuses = [side.answer(signed(body_of()), body_of()) for _ in range(3)]
    assert statuses == [200, 200, 200]
    assert done.qsize() == 1


def test_another_key_of_the_same_run_runs_again() -> None:
    done: Done = Queue()
    with playing(done) as side:
        for key in ("act_1", "act_2"):
            side.answer(signed(body_of(), key=key), body_of())
    assert done.qsize() == 2


def test_what_it_cannot_run_now_may_come_again() -> None:
    done: Done = Queue()
    with playing(done, accepts=False) as side:
        assert side.answer(signed(body_of()), body_of()) == 503
        side.play("checkout", Part(SECRET, accepts=lambda _: True, completed=done.put))
        assert side.answer(signed(body_of()), body_of()) == 200
    assert done.qsize() == 1


def test_a_test_call_is_answered_and_runs_nothing() -> None:
    done: Done = Queue()
    body = json.dumps({"test": True, "workflow": "checkout"}).encode()
    with playing(done) as side:
        assert side.answer(signed(body), body) == 200
        assert side.answer(signed(body, secret=signing.new_secret()), body) == 401
    assert done.empty()


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, body_of()),
        (signed(body_of(), secret=signing.new_secret()), body_of()),
        (signed(body_of()), body_of(run_id="run-2")),
        (signed(body_of(workflow="unknown")), body_of(workflow="unknown")),
        (signed(b"[]"), b"[]"),
        (signed(b"{"), b"{"),
    ],
    ids=["unsigned", "other secret", "altered", "unknown workflow", "no object", "no JSON"],
)
def test_what_is_not_signed_by_whom_it_knows_is_not_run(
    headers: dict[str, str], body: bytes
) -> None:
    done: Done = Queue()
    with playing(done) as side:
        assert side.answer(headers, body) == 401
    assert done.empty()


def sent(side: WorkflowSide) -> Result:
    return retry.perform(
        Call(
            tenant_id=uuid4(),
            action_id=uuid4(),
            action_type="retry",
            attempt=1,
            correlation_id="c-1",
            idempotency_key="act_1",
            deadline_seconds=5,
            url=side.retry_url,
            secrets=(SECRET,),
            body=json.loads(body_of()),
        )
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("accepts", "ending", "status"), [(True, "succeeded", 200), (False, "retryable", 503)]
)
def test_it_understands_what_the_product_really_sends(
    settings: Settings, accepts: bool, ending: str, status: int
) -> None:
    settings.OUTBOUND_ALLOW_CIDRS = [ip_network("127.0.0.1/32")]
    with playing(Queue(), accepts=accepts) as side:
        result = sent(side)
    assert (result.ending, result.response_status) == (ending, status)


def test_what_was_accepted_is_reported_before_it_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow_side, "REPORT_AFTER_SECONDS", 0.2)
    done: Done = Queue()
    with playing(done) as side:
        side.answer(signed(body_of()), body_of())
        assert done.empty()
    assert done.qsize() == 1
