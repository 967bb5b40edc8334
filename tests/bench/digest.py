"""The only place that measures the digest: events a second, from the inbox to incidents, runs and links.

python -m tests.bench.digest [--events 10000] [--only NAME] [--tasks 1000] [--profile]; `--tasks 0`: no rival.
"""

import argparse
import cProfile
import os
import pstats
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from awfdrs_site.lib import memory
from tests import conftest, databases

if TYPE_CHECKING:
    from tenants.models import Tenant

ROUNDS = 3
STORED_AT_ONCE = 1000
Body = Callable[[int], dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--only", default="")
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    owner = databases.prepare(conftest.RUN)
    # Tests do without it; a figure that leaves it out would be none.
    owner.connection.execute(f"alter database {databases.NAME} set synchronous_commit = on")
    print(
        f"{asked.events} events a round, median of {ROUNDS}, load average {os.getloadavg()[0]:.1f}"
    )
    rival = _of_rival(owner, asked.tasks) if asked.tasks else 0.0
    memory.settle()  # as a worker does when it is ready
    for name, body in _kinds().items():
        if asked.only not in name:
            continue
        rates = sorted(_round(owner, asked.events, body) for _ in range(ROUNDS))
        middle, rounds = rates[ROUNDS // 2], ", ".join(f"{rate:,.0f}" for rate in rates)
        beside = f"  {middle / rival:.1f} times the rival (target 30)" if rival else ""
        print(f"{name:<40} {middle:7,.0f} events/s  (of {rounds}){beside}", flush=True)
    if asked.profile:
        _profile(owner, asked.events, _kinds()["one signature, a run each"])


def _of_rival(owner: databases.Owner, n_events: int) -> float:
    """One Celery task for each event, into an incident that is there."""
    from tests.bench import task_per_event

    body = _kinds()["one signature, no runs"]
    tenant = _store(owner, 1, body)
    _digest()
    _submit(tenant, n_events, body)
    rate = task_per_event.rate(owner.connection, str(tenant.pk))
    print(f"{'one Celery task per event, prefork 2':<40} {rate:7,.0f} events/s", flush=True)
    return rate


def _kinds() -> dict[str, Body]:
    from tests.cast import failure

    return {
        "one signature, a run each": lambda n: {"run_id": f"run-{n}"},
        "one signature, no runs": lambda n: {"payload": failure(amount=n)},
        "one signature, ten events a run": lambda n: {
            "run_id": f"run-{n // 10}",
            "payload": failure(n=n),
        },
        "a thousand signatures, a run each": lambda n: {
            "run_id": f"run-{n}",
            "payload": failure(error_code=f"code_{n % 1000}"),
        },
    }


def _round(owner: databases.Owner, n_events: int, body: Body) -> float:
    """Events a second of one round on an empty database."""
    _store(owner, n_events, body)
    began = time.perf_counter()
    _digest()
    return n_events / (time.perf_counter() - began)


def _store(owner: databases.Owner, n_events: int, body: Body) -> "Tenant":
    from tests.factories import TenantFactory

    owner.empty()
    tenant = TenantFactory(name="Acme", slug="acme")
    _submit(tenant, n_events, body)
    owner.connection.execute("vacuum analyze")  # as autovacuum would, between bursts
    return tenant


def _submit(tenant: "Tenant", n_events: int, body: Body) -> None:
    from tests.cast import submit_all

    for first in range(0, n_events, STORED_AT_ONCE):
        numbers = range(first, min(first + STORED_AT_ONCE, n_events))
        submit_all(tenant, [body(number) for number in numbers])


def _digest() -> None:
    from incidents import detection

    while detection.digest():
        pass


def _profile(owner: databases.Owner, n_events: int, body: Body) -> None:
    _store(owner, n_events, body)
    profile = cProfile.Profile()
    profile.runcall(_digest)
    pstats.Stats(profile).sort_stats("cumulative").print_stats(60)


if __name__ == "__main__":
    main()
