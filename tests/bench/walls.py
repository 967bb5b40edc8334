"""The only place that measures what row-level security costs: hot reads with the walls and, as a superuser, without.

python -m tests.bench.walls [--events 50000] [--rounds 200]
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from tests import conftest, databases

PROMISED_PERCENT = 10.0  # issue 8: hot queries cost less than that


@dataclass(frozen=True)
class Hot:
    """One read that pages and answers make all the time, as the database gets it."""

    name: str
    statement: str
    parameters: tuple[Any, ...]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=200)
    asked = parser.parse_args()
    owner = databases.prepare(conftest.RUN)
    tenant = _seeded(owner, asked.events)
    print(f"{asked.rounds} rounds each, load average {os.getloadavg()[0]:.1f}")
    for hot in _reads(tenant):
        _compare(owner, tenant, hot, asked.rounds)


def _seeded(owner: databases.Owner, n_events: int) -> Any:
    from awfdrs_site.demo import seeding, volume
    from awfdrs_site.demo.volume import VOLUME
    from tenants import scoping
    from tenants.models import Tenant

    seeding.seed(password="correct horse battery")
    volume.seed(n_events, say=lambda step: print(f"  {step}", flush=True))
    owner.connection.execute("analyze")
    with scoping.platform():
        return Tenant.objects.get(pk=VOLUME.id)


def _reads(tenant: Any) -> list[Hot]:
    from actions.models import Action
    from events.models import Event
    from incidents.models import Incident, Run
    from tenants import scoping

    with scoping.bound(tenant.pk):
        incidents = Incident.objects.for_tenant(tenant)
        one = incidents.order_by("-event_count", "id")[0].pk
        asked = {
            "list of incidents": incidents.open().for_list().newest_first()[:50],
            "one incident": incidents.filter(pk=one).for_list(),
            "runs of an incident": _runs_of(tenant, one),
            "list of runs": Run.objects.for_tenant(tenant).newest_first()[:50],
            "list of actions": Action.objects.for_tenant(tenant).order_by("-id")[:50],
            "newest events": Event.objects.for_tenant(tenant).order_by("-id")[:50],
            "how many are open": incidents.open().order_by().values("status"),
        }
        return [Hot(name, *rows.query.sql_with_params()) for name, rows in asked.items()]


def _runs_of(tenant: Any, incident_id: Any) -> Any:
    """As its page asks."""
    from incidents.models import Run

    mine = Run.objects.for_tenant(tenant).of_incident(incident_id)
    return mine.select_related("workflow", "incident").order_by("-id")[:50]


def _compare(owner: databases.Owner, tenant: Any, hot: Hot, rounds: int) -> None:
    """By turns and by the same client, so that all the rest costs both the same."""
    times: tuple[list[float], list[float]] = ([], [])
    with _behind_the_walls(tenant) as login:
        cursors = [psycopg.ClientCursor(one) for one in (owner.connection, login)]
        for turn in range(rounds):
            for which in (turn % 2, 1 - turn % 2):
                began = time.perf_counter()
                cursors[which].execute(hot.statement.encode(), hot.parameters)
                cursors[which].fetchall()
                times[which].append((time.perf_counter() - began) * 1000)
    without, with_walls = map(_undisturbed, times)
    more = (with_walls / without - 1) * 100
    verdict = "" if more < PROMISED_PERCENT else "  more than promised"
    print(
        f"{hot.name:22} {without:7.2f} ms without, {with_walls:7.2f} ms with: {more:+5.1f} %{verdict}"
    )


@contextmanager
def _behind_the_walls(tenant: Any) -> Iterator[psycopg.Connection[Any]]:
    """As the application comes, in a tenant's block for as long as it lasts."""
    from django.conf import settings

    with psycopg.connect(settings.DATABASE_URL, autocommit=True) as login:
        login.execute(
            "select set_config('role', 'awf_app', false), set_config('awf.tenant', %s, false)",
            [str(tenant.pk)],
        )
        yield login


def _undisturbed(times: list[float]) -> float:
    """The median of the fastest tenth: what the machine did meanwhile is not what a wall costs."""
    return statistics.median(sorted(times)[: max(len(times) // 10, 1)])


if __name__ == "__main__":
    main()
