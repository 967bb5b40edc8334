"""The only place that measures retries: a thousand due at once, a steady stream, and what a claim costs.

python -m tests.bench.actions [--retries 1000] [--slow-ms 50] [--waiting 10000 100000]
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import psutil

from tests import conftest, databases

if TYPE_CHECKING:
    from tenants.models import Workflow

BOUND_SECONDS = 15  # PERFORMANCE.md: a thousand due at once, to a target of 50 ms, one worker
PER_SECOND = 20  # of the steady stream
STEADY_SECONDS = 15
LEAD_SECONDS = 2.0  # from making the rows until the first is due
PATIENCE_SECONDS = 120
CLAIMS = 20
AT_ONCE = 16  # as many as a worker claims
CELERY = "-m celery -A awfdrs_site.celery worker --pool threads --concurrency 8 -Q digest,actions,default"
# Rows that wait for a person, and rows that are due tomorrow, as many of the one as of the other.
WAITING = """
insert into actions_action (id, tenant_id, action_type, status, verification, dedupe_key, parameters, policy, gates,
  waiting_reason, previous_state, result, attempts_made, attempts_max, run_at, requested_by, requested_by_id,
  correlation_id, created_at, version)
select gen_random_uuid(), %(tenant)s, 'retry', case n %% 2 when 0 then 'pending' else 'awaiting_approval' end, '',
  'waiting:' || n, '{}', '{}', '[]', '', '{}', '{}', 0, 1, awf_now() + interval '1 day' + n * interval '1 second',
  'bench', '', '', awf_now(), 1
from generate_series(1, %(n)s) n
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--retries", type=int, default=1000)
    parser.add_argument("--slow-ms", type=int, default=50)
    parser.add_argument("--waiting", type=int, nargs="*", default=[10_000, 100_000])
    asked = parser.parse_args()
    owner = databases.prepare(conftest.RUN)
    # Tests do without it; a figure that leaves it out would be none.
    owner.connection.execute(f"alter database {databases.NAME} set synchronous_commit = on")
    print(f"load average {os.getloadavg()[0]:.1f}")
    with TemporaryDirectory() as scratch, _target(asked.slow_ms, Path(scratch)) as target:
        workflow = _workflow(target.url)
        with _worker(Path(scratch)) as worker:
            _warm_up(workflow, target)
            _at_once(workflow, target, worker, asked.retries)
            _steadily(workflow, target)
    for n_waiting in asked.waiting:
        _claims_beside(owner, workflow, n_waiting)


class Target:
    """The workflow's side: where it is, and when each request came."""

    def __init__(self, port: int, ledger: Path) -> None:
        self.url = f"http://127.0.0.1:{port}/retry"
        self._ledger = ledger

    def came(self) -> dict[str, float]:
        lines = [line.split() for line in self._ledger.read_text().splitlines()]
        return {key: float(at) for at, key in lines}

    def wait_for(self, due: dict[str, float]) -> list[float]:
        """Seconds each came after it was due."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not due.keys() <= (came := self.came()).keys():
            if time.monotonic() > deadline:
                missing = len(due.keys() - came.keys())
                raise SystemExit(f"{missing} of {len(due)} never came")
            time.sleep(0.2)
        return [came[key] - at for key, at in due.items()]


@contextmanager
def _target(slow_ms: int, scratch: Path) -> Iterator[Target]:
    ledger = scratch / "ledger"
    command = [sys.executable, "-m", "tests.bench.target", str(slow_ms), str(ledger)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield Target(int(running.stdout.readline()), ledger)
        finally:
            running.kill()


@contextmanager
def _worker(scratch: Path) -> Iterator[psutil.Process]:
    """One worker process, as `make run` starts it."""
    from django.conf import settings

    environment = os.environ | {
        "DATABASE_URL": settings.DATABASE_URL,
        "REDIS_URL": settings.REDIS_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "ENCRYPTION_KEY": settings.ENCRYPTION_KEY,
        "OUTBOUND_ALLOW_CIDRS": "127.0.0.1/32",
    }
    log = (scratch / "worker").open("w")
    command = [sys.executable, *CELERY.split(), "--without-gossip", "--without-mingle"]
    with log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as running:
        try:
            yield psutil.Process(running.pid)
        finally:
            running.terminate()


def _workflow(url: str) -> "Workflow":
    """Acme's, with a vendor, and limits that are not what is measured."""
    from actions import signing
    from safety import rules
    from tenants import scoping, secrets
    from tenants.journal import SYSTEM
    from tests.factories import TenantFactory, VendorFactory, WorkflowFactory

    tenant = TenantFactory(name="Acme", slug="acme", max_in_flight=10_000)
    vendor = VendorFactory(tenant=tenant, name="acquirer", max_in_flight=10_000)
    with scoping.bound(tenant.pk) as now:
        rules.override(
            tenant_id=tenant.pk,
            scope="vendor",
            target=vendor.name,
            values={
                "rate_limit.requests_per_second": 10_000,
                "rate_limit.burst_size": 10_000,
                "retry_budget.floor_per_minute": 100_000,
            },
            reason="ample",
            by=SYSTEM,
            now=now,
        )
    made = WorkflowFactory(tenant=tenant, retry_url=url, max_in_flight=10_000, vendor=vendor)
    with scoping.bound(tenant.pk):
        made.retry_secret_sealed = secrets.seal(
            signing.new_secret(), tenant_id=tenant.pk, row_id=made.pk
        )
        made.save()
    return made


def _retries(workflow: "Workflow", due: list[timedelta]) -> dict[str, float]:
    """As many retries, allowed by a person, each due so long after now; by idempotency key, as seconds."""
    from actions.models import Action
    from awfdrs_site.lib import clock
    from incidents.models import Run
    from tenants import scoping
    from tests.factories import IncidentFactory

    tenant = workflow.tenant
    incident = IncidentFactory(tenant=tenant, workflow=workflow, vendor=workflow.vendor)
    base, prefix = clock.read() + timedelta(seconds=LEAD_SECONDS), incident.number
    runs = [
        Run(
            tenant=tenant,
            workflow=workflow,
            run_id=f"{prefix}-{n}",
            incident=incident,
            state="retry_scheduled",
            first_failed_at=base,
            last_failed_at=base,
            planned_at=base,
        )
        for n in range(len(due))
    ]
    actions = [
        Action(
            tenant=tenant,
            incident=incident,
            run=run,
            workflow=workflow,
            vendor=workflow.vendor,
            action_type="retry",
            dedupe_key=f"bench:{run.run_id}",
            parameters={"approved_by": "bench"},
            attempts_max=3,
            run_at=base + after,
            requested_by="bench",
            correlation_id="bench",
            created_at=base,
        )
        for run, after in zip(runs, due, strict=True)
    ]
    with scoping.bound(tenant.pk):
        Run.objects.bulk_create(runs)
        Action.objects.bulk_create(actions)
    return {action.idempotency_key: action.run_at.timestamp() for action in actions}


def _warm_up(workflow: "Workflow", target: Target) -> None:
    target.wait_for(_retries(workflow, [timedelta()]))


def _at_once(workflow: "Workflow", target: Target, worker: psutil.Process, n_retries: int) -> None:
    before = sum(worker.cpu_times()[:2])
    late = target.wait_for(_retries(workflow, [timedelta()] * n_retries))
    verdict = "met" if max(late) < BOUND_SECONDS else "NOT met"
    print(
        f"{n_retries} due at once: all sent in {max(late):.1f} s (bound {BOUND_SECONDS} s: {verdict})"
    )
    print(f"  lateness {_spread(late)}")
    # What a busy machine changes least.
    used_ms = (sum(worker.cpu_times()[:2]) - before) * 1000 / n_retries
    print(f"  {used_ms:.1f} ms of the worker's processor time each")


def _steadily(workflow: "Workflow", target: Target) -> None:
    spread = [timedelta(seconds=n / PER_SECOND) for n in range(PER_SECOND * STEADY_SECONDS)]
    late = target.wait_for(_retries(workflow, spread))
    print(
        f"{PER_SECOND} a second for {STEADY_SECONDS} s: lateness {_spread(late)} (bound p99 500 ms)"
    )


def _spread(late: list[float]) -> str:
    cuts = quantiles(late, n=100)
    return f"p50 {cuts[49] * 1000:,.0f} ms, p95 {cuts[94] * 1000:,.0f} ms, p99 {cuts[98] * 1000:,.0f} ms"


def _claims_beside(owner: databases.Owner, workflow: "Workflow", n_waiting: int) -> None:
    from actions import execution

    owner.connection.execute("delete from actions_attempt")
    owner.connection.execute("delete from actions_action")
    owner.connection.execute(WAITING, {"tenant": workflow.tenant_id, "n": n_waiting})
    _retries(workflow, [timedelta(seconds=-LEAD_SECONDS)] * AT_ONCE * CLAIMS)
    owner.connection.execute("vacuum analyze actions_action")
    took = []
    for _ in range(CLAIMS):
        began = time.perf_counter()
        assert execution.run_due(limit=AT_ONCE, submit=_drop) > 0
        took.append((time.perf_counter() - began) * 1000)
    print(
        f"a claim of {AT_ONCE} beside {n_waiting:,} that wait: p50 {median(took):.1f} ms, most {max(took):.1f} ms"
    )


def _drop(job: Any) -> None:
    """Claimed, and left to its lease."""


if __name__ == "__main__":
    main()
