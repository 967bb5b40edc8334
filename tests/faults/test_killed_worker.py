"""A worker that is SIGKILLed between `started` and settle: at most one request per attempt, and the doubt is said."""

import os
import signal
import subprocess
import sys

import pytest
from django.conf import settings

from actions import execution, lifecycle
from actions.executors.base import Result
from actions.models import Attempt
from tenants import scoping
from tenants.journal import Actor
from tests.cast import submit
from tests.journeys.conftest import Stage, Travel
from tests.journeys.conftest import stage as stage

WORKER = """
import django; django.setup()
from actions import execution
execution.run_due()
"""


def work_and_die(at: str) -> None:
    """One pass of a worker in a process of its own, killed at the failpoint."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "awfdrs_site.settings",
        "DATABASE_URL": settings.DATABASE_URL,
        "REDIS_URL": settings.REDIS_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "ENCRYPTION_KEY": settings.ENCRYPTION_KEY,
        "OUTBOUND_ALLOW_CIDRS": "127.0.0.1/32",
        "DEBUG": "true",  # failpoints are refused in production
        "AWF_FAILPOINTS": f"{at}=kill9",
    }
    ended = subprocess.run([sys.executable, "-c", WORKER], env=environment, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL


def attempts(stage: Stage) -> list[str]:
    with scoping.bound(stage.tenant.pk):
        mine = Attempt.objects.for_tenant(stage.tenant).filter(action__action_type="retry")
        return list(mine.order_by("number").values_list("status", flat=True))


def recover(stage: Stage, time_travel: Travel) -> None:
    """The lease lapses, and other workers go on for a while."""
    for _ in range(5):
        time_travel(seconds=70)
        stage.turn()


@pytest.mark.parametrize(
    ("at", "n_requests"),
    [
        ("action.after_started_commit", 0),
        ("action.mid_send", 0),
        ("action.after_send_before_result", 1),
    ],
)
def test_a_workflow_that_is_not_idempotent_is_never_asked_twice(
    stage: Stage, time_travel: Travel, at: str, n_requests: int
) -> None:
    stage.opens("refunds", idempotent="no")
    submit(
        stage.tenant,
        workflow="refunds",
        run_id="run-1",
        payload={"error_code": "timeout", "vendor": "acquirer"},
    )
    stage.turn()
    [action] = stage.actions()
    with scoping.bound(stage.tenant.pk) as now:
        lifecycle.approve(action, by=Actor("user", "1", "alice"), now=now)
    work_and_die(at)
    recover(stage, time_travel)

    # it may or may not have arrived: never again without a person, and that is what it says
    assert len(stage.calls) == n_requests
    [action] = stage.actions()
    assert action.status == "unknown"
    assert attempts(stage) == ["unknown"]
    [incident] = stage.incidents()
    assert incident.status == "escalated"
    assert "unknown" in incident.escalated_reason


def test_a_workflow_that_is_idempotent_is_asked_again_with_the_same_key(
    stage: Stage, time_travel: Travel
) -> None:
    stage.fails("run-1")
    stage.turn()
    time_travel(seconds=10)
    work_and_die("action.after_send_before_result")
    recover(stage, time_travel)

    # the positive control of the test above: here a second request is what should come
    assert len(stage.calls) == 2
    keys = {request.headers["idempotency-key"] for request in stage.receiver.requests}
    numbers = [request.headers["x-awfdrs-attempt"] for request in stage.receiver.requests]
    assert len(keys) == 1
    assert numbers == ["1", "2"]
    assert attempts(stage) == ["unknown", "succeeded"]


def test_a_worker_killed_after_its_claim_delays_and_loses_nothing(
    stage: Stage, time_travel: Travel
) -> None:
    stage.fails("run-1")
    stage.turn()
    time_travel(seconds=10)
    work_and_die("action.after_claim")
    stage.turn()
    assert stage.calls == []  # leased by the dead one
    recover(stage, time_travel)
    assert [call["attempt"] for call in stage.calls] == [1]


def test_a_late_result_changes_nothing(stage: Stage, time_travel: Travel) -> None:
    stage.fails("run-1")
    stage.turn()
    [action] = stage.actions()
    stale = execution.Claim(stage.tenant.pk, action.pk, token=1)
    time_travel(seconds=10)
    stage.turn()
    [before] = stage.actions()

    assert execution.settle(stale, Result("final", error="late")) is None
    [after] = stage.actions()
    assert (after.status, after.version) == (before.status, before.version)
