"""The only place that measures what people wait for at a tenant of a million events and fifty thousand incidents.

python -m tests.bench.console [--events 1000000] [--requests 100] [--plans]
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from tests import conftest, databases

if TYPE_CHECKING:
    from django.test import Client

    from tests.cast import Api

WARM_UP = 3
PLANS_ABOVE_MS = 20.0


@dataclass(frozen=True)
class Asked:
    """One kind of request; `send` makes the next one. M27 bounds its 95th percentile."""

    name: str
    bound_ms: float
    send: Callable[[], Any]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--plans", action="store_true", help="of every statement above 20 ms")
    asked = parser.parse_args()
    owner = databases.prepare(conftest.RUN)
    from awfdrs_site import handler

    _seed(owner, asked.events)
    print(f"{asked.requests} requests each, load average {os.getloadavg()[0]:.1f}")
    handler.settle()  # as the server does before its first request
    for each in _everything():
        _measure(each, asked.requests)
        if asked.plans:
            _explain(each)


def _seed(owner: databases.Owner, n_events: int) -> None:
    from django.conf import settings

    from awfdrs_site.demo import seeding, volume

    settings.ALLOWED_HOSTS.append("testserver")
    owner.connection.execute(f"alter database {databases.NAME} reset synchronous_commit")
    seeding.seed(password="correct horse battery")
    began = time.perf_counter()
    made = volume.seed(n_events, say=lambda step: print(f"  {step}", flush=True))
    print(f"{made} in {time.perf_counter() - began:.0f} s")


def _everything() -> list[Asked]:
    from awfdrs_site.demo.volume import VOLUME
    from incidents.models import Incident
    from tenants import scoping
    from tenants.models import Tenant
    from tests.cast import Api, key_of, signed_in
    from tests.factories import MembershipFactory

    with scoping.platform():
        tenant = Tenant.objects.get(pk=VOLUME.id)
    with scoping.bound(tenant.pk):
        mine = Incident.objects.for_tenant(tenant)
        largest = mine.order_by("-event_count", "id")[0].pk
        moving = list(mine.filter(status="detected").order_by("id").values_list("pk", flat=True))
    print(f"the largest incident is {largest}")
    api = Api(key_of(tenant))
    console = signed_in(MembershipFactory(tenant=tenant, user__username="vera").user)
    return [*_lists(api, console), *_details(api, console, largest), _moves(api, moving)]


def _lists(api: "Api", console: "Client") -> list[Asked]:
    asked = [
        "/api/v1/incidents",
        "/api/v1/incidents?status=detected&severity=high",
        "/api/v1/incidents?workflow=billing-check&page_size=100",
        "/api/v1/incidents?vendor=stripe&ordering=-event_count",
        "/api/v1/incidents?ordering=-severity",
        "/api/v1/incidents?page=1000",
        "/api/v1/incidents?q=timed",
        "/incidents/",
        "/incidents/?tab=open",
        "/incidents/?tab=resolved",
        "/incidents/?tab=resolved&page=500",
        "/incidents/?tab=resolved&severity=high&workflow=billing-check",
        "/incidents/?tab=open&q=timed",
        "/incidents/rows/?tab=attention&peek=1",
        "/overview/",
        "/workflows/",
        "/analytics/",
        "/analytics/?range=90d",
    ]
    return [Asked(path, 200, _getting(api, console, path)) for path in asked]


def _details(api: "Api", console: "Client", largest: Any) -> list[Asked]:
    below = ["", "/events", "/events?page=1000", "/runs", "/timeline", "/decisions"]
    paths = [
        *(f"/api/v1/incidents/{largest}{part}" for part in below),
        f"/incidents/{largest}/",
        "/api/v1/events",
        "/api/v1/runs",
    ]
    return [
        Asked(path.replace(str(largest), "…"), 250, _getting(api, console, path)) for path in paths
    ]


def _moves(api: "Api", ids: Sequence[Any]) -> Asked:
    numbers = count()

    def send() -> Any:
        path = f"/api/v1/incidents/{ids[next(numbers) % len(ids)]}/status"
        return api.call("PATCH", path, {"status": "analyzing", "note": "looking"})

    return Asked("PATCH /api/v1/incidents/…/status", 150, send)


def _getting(api: "Api", console: "Client", path: str) -> Callable[[], Any]:
    if path.startswith("/api"):
        return lambda: api.get(path)
    return lambda: console.get(path, HTTP_ACCEPT="text/html")


def _measure(asked: Asked, n_requests: int) -> None:
    for _ in range(WARM_UP):
        answer = asked.send()
        if answer.status_code != 200:
            print(f"{asked.name:<72} answers {answer.status_code}: {answer.content[:300]!r}")
            return
    times = sorted(_timed(asked.send) for _ in range(n_requests))
    p50, p95, p99 = (
        times[min(len(times) - 1, int(len(times) * share))] for share in (0.5, 0.95, 0.99)
    )
    verdict = "" if p95 < asked.bound_ms else f"  over {asked.bound_ms:.0f}"
    print(
        f"{asked.name:<72} p50 {p50:6.1f}  p95 {p95:6.1f}  p99 {p99:6.1f} ms{verdict}", flush=True
    )


def _timed(send: Callable[[], Any]) -> float:
    began = time.perf_counter()
    send()
    return (time.perf_counter() - began) * 1000


def _explain(asked: Asked) -> None:
    """The plans of its slow statements, as the database makes them for the role that asks."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from awfdrs_site.demo.volume import VOLUME
    from tenants import scoping

    with CaptureQueriesContext(connection) as captured:
        asked.send()
    slow = [q["sql"] for q in captured if float(q["time"]) * 1000 > PLANS_ABOVE_MS]
    for statement in slow:
        if not statement.lower().startswith(("select", "with")):
            continue
        print(f"    {statement[:2000]}")
        with scoping.bound(VOLUME.id), connection.cursor() as cursor:
            cursor.execute("explain (analyze, buffers) " + statement.replace("%", "%%"), [])
            print(*(f"      {line}" for (line,) in cursor.fetchall()), sep="\n", flush=True)


if __name__ == "__main__":
    main()
