"""The only place where retries meet workers that are killed: due retries, a ledger on disk, the verdict."""

import ipaddress
import json
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from pytest_django import Settings

from actions import voting
from actions.states import Status
from awfdrs_site.lib import clock
from tenants import scoping
from tenants.journal import Actor
from tenants.models import Tenant, Workflow
from tests.cast import Travel, event, submit_all
from tests.databases import Owner
from tests.faults.nursery import Nursery, nursery
from tests.journeys.conftest import Stage
from tests.support.receiver import Receiver

SLUG = "refunds"
# One pass of a worker that dies at a failpoint, or takes one action and lives.
WORK = """
from actions import execution
def work(at=""):
    settings.AWF_FAILPOINTS = at and f"{at}=kill9"
    execution.run_due(limit=1)
"""
PREPARE = """
from actions import execution, transport
from safety import rules
rules.rulebook()
execution.run_due(limit=0)
"""
_SAID = "select 'act_' || id, status from actions_action where action_type = 'retry'"
_SETTLED = """
select greatest(extract(epoch from max(settled_at) - %s), 0)::float8 from actions_action
where action_type = 'retry'
"""
Request = tuple[str, int]  # idempotency key, attempt


class Ground:
    """What a story about killed workers can do; what it says comes from SQL and the ledger alone."""

    def __init__(self, stage: Stage, owner: Owner, travel: Travel, ledger: Path) -> None:
        self.stage, self.receiver = stage, stage.receiver
        self._owner, self._travel, self._ledger = owner, travel, ledger
        self._broke_at: datetime | None = None

    def due(self, n_runs: int, *, idempotent: str) -> None:
        """That many retries, all due; those that wait for a person are approved."""
        tenant = self.stage.tenant
        self.stage.opens(SLUG, idempotent=idempotent)
        self._lift_caps(n_runs)
        # Without a vendor: breakers, rates and budgets have tests of their own.
        payload = {"error_code": "service_unavailable"}
        failures = [event(workflow=SLUG, run_id=f"run-{n}", payload=payload) for n in range(n_runs)]
        submit_all(tenant, failures)
        self.stage.turn()
        for action in self.stage.actions():
            if action.status == Status.AWAITING_APPROVAL:
                with scoping.bound(tenant.pk) as now:
                    voting.approve_action(action, by=Actor("user", "1", "alice"), now=now)
        self._travel(seconds=30)

    def kill_each(self, nursery: Nursery, at: str, *, times: int) -> None:
        """Workers that take one action each and die there."""
        for _ in range(times):
            assert nursery.wait(nursery.fork(at)) == -signal.SIGKILL
        self.broke_now()

    def recover(self) -> None:
        """Leases lapse, and other workers go on for a while."""
        for _ in range(5):
            self._travel(seconds=70)
            self.stage.turn()

    def lapse(self) -> None:
        """More time than a lease lasts goes by."""
        self._travel(seconds=70)

    def broke_now(self) -> None:
        self._broke_at = clock.read()

    def well_after(self) -> float:
        """Seconds of the story from what broke last until the last action was settled."""
        found = self._owner.connection.execute(_SETTLED, [self._broke_at]).fetchone()
        return float(found[0]) if found else 0.0

    def said(self) -> dict[str, str]:
        """What each action says became of it, by idempotency key."""
        return dict(self._owner.connection.execute(_SAID).fetchall())

    def reached(self) -> Counter[Request]:
        """What reached the workflow, whole or in part."""
        if not self._ledger.exists():
            return Counter()
        lines = [json.loads(line)["headers"] for line in self._ledger.read_text().splitlines()]
        return Counter((line["idempotency-key"], int(line["x-awfdrs-attempt"])) for line in lines)

    def _lift_caps(self, n_runs: int) -> None:
        """Calls of dead workers count as under way until they are found: the caps have tests of their own."""
        mine = Workflow.objects.for_tenant(self.stage.tenant)
        with scoping.bound(self.stage.tenant.pk):
            mine.update(max_in_flight=2 * n_runs)


@pytest.fixture(scope="module")
def workers(owner: Owner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Where workers come from; each test kills its own."""
    errors = tmp_path_factory.mktemp("workers") / "errors"
    with nursery(work=WORK, prepare=PREPARE, errors=errors) as made:
        yield made


@pytest.fixture
def ground(
    transactional_db: None,
    acme: Tenant,
    owner: Owner,
    time_travel: Travel,
    settings: Settings,
    tmp_path: Path,
) -> Iterator[Ground]:
    settings.OUTBOUND_ALLOW_CIDRS = [ipaddress.ip_network("127.0.0.1/32")]
    ledger = tmp_path / "ledger"
    with Receiver(ledger=ledger) as receiver:
        yield Ground(Stage(acme, receiver), owner, time_travel, ledger)
