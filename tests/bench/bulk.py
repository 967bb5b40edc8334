"""The only place that measures one verb for ten thousand incidents, and taking it back (CONSOLE.md, goal 12).

python -m tests.bench.bulk [--incidents 10000]
"""

import argparse
import os
import time
from typing import TYPE_CHECKING, Any

from tests import conftest, databases

if TYPE_CHECKING:
    from incidents.models import BulkJob

BOUND_SECONDS = 30
# What an undo has to bring back: different states, assignees and snoozes.
VARY = """
update incidents_incident set
  status = case when mod(number, 3) = 0 then 'escalated' else 'detected' end,
  assignee_id = case when mod(number, 2) = 0 then %(user)s end,
  snoozed_until = case when mod(number, 5) = 0 then last_seen_at + interval '30 days' end
where tenant_id = %(tenant)s
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--incidents", type=int, default=10_000)
    asked = parser.parse_args()
    owner = databases.prepare(conftest.RUN)
    owner.connection.execute(f"alter database {databases.NAME} set synchronous_commit = on")
    from incidents.states import Status
    from tests.incidents import test_bulk as bulk
    from tests.support.console import world

    cast = world()
    bulk.some(cast.acme, asked.incidents)
    owner.connection.execute(VARY, {"tenant": cast.acme.pk, "user": cast.alice.pk})
    before = bulk.states(cast.acme)
    print(f"{len(before)} incidents, load average {os.getloadavg()[0]:.1f}")

    began = time.perf_counter()
    job = bulk.asked(cast.acme, "resolve", query="", reason="over")
    bulk.worked()
    _say("resolved by one job", began, _progress(job))
    resolved = {row["status"] for row in bulk.states(cast.acme).values()}

    began = time.perf_counter()
    bulk.taken_back(job)
    _say("taken back", began, _progress(job))
    is_exact = bulk.states(cast.acme) == before
    print(f"all resolved: {resolved == {Status.RESOLVED}}; afterwards as they were: {is_exact}")


def _say(what: str, began: float, progress: Any) -> None:
    seconds = time.perf_counter() - began
    print(f"{what:<24} {seconds:5.1f} s (bound {BOUND_SECONDS} s)  {progress}", flush=True)


def _progress(job: "BulkJob") -> Any:
    from tests.incidents import test_bulk as bulk

    return bulk.counts(job)


if __name__ == "__main__":
    main()
