"""The only place that works simulations: one at a time in a process, under a lease that it renews while it works.

1. Claim the oldest by a lease (a transaction of the pipeline role). 2. Go over its days in memory, telling how far it
is. 3. Keep the result where the lease still fits. Killed anywhere, the next claim begins anew: nothing was stored
before its end. What killed three workers is given up, and what nobody worked within the hour is cancelled.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from threading import Lock
from typing import Any
from uuid import UUID

from django.db import OperationalError

from actions.models import Simulation
from actions.simulation import change, running
from actions.simulation.world import TooMuch
from actions.states import SimulationState
from awfdrs_site.lib import sweeping
from tenants import journal, scoping
from tenants.journal import SYSTEM

logger = logging.getLogger(__name__)

TRIES = 3
BROKE = "Something broke on our side; nothing was changed."
_CLAIM = """
with due as (
  select id from actions_simulation
  where state = 'working' and (lease_until is null or lease_until < awf_now())
  order by created_at, id limit 1 for update skip locked
)
update actions_simulation simulation
set lease_token = nextval('awf_lease'), lease_until = awf_now() + interval '2 minutes', tries = tries + 1
from due where simulation.id = due.id
returning simulation.tenant_id, simulation.id, simulation.lease_token
"""
_LEASE = timedelta(minutes=2)
_working = Lock()


class Lost(Exception):
    """Another worker has it by now, or it is over."""


def work_due(*, submit: Callable[[Callable[[], None]], object] = sweeping.now_and_here) -> int:
    """The sweep: claim the one that waits longest and hand it to `submit`; returns how many."""
    if _working.locked():
        return 0
    claimed = scoping.found(_CLAIM, [])
    for tenant_id, pk, token in claimed:
        submit(lambda tenant_id=tenant_id, pk=pk, token=token: _work(tenant_id, pk, token))  # type: ignore[misc]
    return len(claimed)


def _work(tenant_id: UUID, simulation_id: UUID, token: int) -> None:
    with _working:
        try:
            simulation = _claimed(tenant_id, simulation_id, token)
            if simulation is not None:
                _finish(simulation, SimulationState.DONE, result=_simulate(simulation))
        except Lost:
            logger.info("simulation %s is not ours any more", simulation_id)
        except OperationalError:
            logger.exception("simulation %s was left to its lease", simulation_id)


def _claimed(tenant_id: UUID, simulation_id: UUID, token: int) -> Simulation | None:
    """What can still be worked; the rest is closed here."""
    with scoping.bound(tenant_id) as now:
        mine = Simulation.objects.for_tenant(tenant_id)
        simulation: Simulation = mine.get(pk=simulation_id)
    if simulation.lease_token != token:
        raise Lost
    if simulation.expires_at <= now:
        _finish(simulation, SimulationState.CANCELLED, error="Nobody had the time for it.")
        return None
    if simulation.tries > TRIES:
        _finish(simulation, SimulationState.FAILED, error=f"{TRIES} workers stopped over it.")
        return None
    return simulation


def _simulate(simulation: Simulation) -> dict[str, Any]:
    try:
        return running.simulate(
            simulation.tenant_id,
            change.from_json(simulation.change),
            since=simulation.since,
            until=simulation.until,
            assumed=simulation.assumed,
            n_events=simulation.n_events,
            beat=lambda percent: _beat(simulation, percent),
        )
    except (Lost, OperationalError):
        raise
    except TooMuch as much:
        _finish(simulation, SimulationState.FAILED, error=str(much))
    except Exception:
        logger.exception("simulation %s failed", simulation.pk)
        _finish(simulation, SimulationState.FAILED, error=BROKE)
    raise Lost


def _beat(simulation: Simulation, percent: int) -> None:
    with scoping.bound(simulation.tenant_id) as now:
        if not _held(simulation).update(percent=percent, lease_until=now + _LEASE):
            raise Lost


def _finish(
    simulation: Simulation, state: SimulationState, *, result: Any = None, error: str = ""
) -> None:
    with scoping.bound(simulation.tenant_id) as now:
        about = {"state": state, "result": result, "error": error, "percent": 100}
        if not _held(simulation).update(**about, finished_at=now, lease_until=None):
            raise Lost
        found = "no difference" if result and result["is_empty"] else "a difference"
        said = {"found": found} if result else {"error": error}
        journal.record(simulation, f"simulation_{state}", by=SYSTEM, at=now, **said)
        journal.announce(simulation)


def _held(simulation: Simulation) -> Any:
    """The row, as long as it is ours and not over."""
    mine = Simulation.objects.for_tenant(simulation.tenant_id)
    return mine.filter(
        pk=simulation.pk, lease_token=simulation.lease_token, state=SimulationState.WORKING
    )
