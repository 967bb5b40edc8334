"""Everything under load while one process after the other is SIGKILLed, whichever: then the books are audited."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from threading import Event as Flag
from uuid import uuid4

import httpx
import psycopg
import pytest
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

from awfdrs_site.wheels.machine import LOOPBACK, free_port
from tests.cast import event
from tests.databases import Owner
from tests.faults.outages.stack import WORKER, Stack, end, stack, until
from tests.faults.sizes import on_demand, sized
from tests.faults.table import Row
from tests.support.receiver import Receiver

pytestmark = [pytest.mark.faults, on_demand]

N_KILLS = sized(small=6, full=150)
KILL_EVERY_SECONDS = 2.0  # with 150 kills: five minutes
N_SENDERS, PAUSE_SECONDS = 4, 0.2
AUDIT_SECONDS = 60.0

CELERY = ("-m", "celery", "-A", "awfdrs_site.celery")
# The shapes that a workflow's failures have; each is an incident of its own.
CODES = ("service_unavailable", "payment_timeout", "rate_limit_exceeded")

_UNDIGESTED = "select count(*) from events_pendingevent"
_LOST = "select count(*) from unnest(%s::uuid[]) told left join events_event e on e.id = told where e.id is null"
_UNGROUPED = """
select count(*) from events_event e left join incidents_eventlink l on l.tenant_id = e.tenant_id and l.id = e.id
where l.id is null
"""
# What an incident counts is what is linked to it, and what is stored is one event for each key.
_MISCOUNTED = """
select count(*) from (
  select i.id from incidents_incident i left join incidents_eventlink l
    on l.tenant_id = i.tenant_id and l.incident_id = i.id
  where not i.is_storm group by i.id, i.event_count having count(l.id) <> i.event_count) wrong
"""
_TWICE = "select (select count(*) from events_event) - (select count(distinct event_id) from events_eventkey)"
_PLANT = """
set session_replication_role = replica;
update incidents_incident set event_count = event_count + 1
  where id = (select id from incidents_incident where not is_storm limit 1);
update tenants_journalentry set verb = 'edited' where id = (select id from tenants_journalentry limit 1)
"""


class Product:
    """A web process, two workers and beat on servers that nobody else uses; whoever is killed is started again."""

    def __init__(self, made: Stack, port: int) -> None:
        self._made, self.port, self._any = made, port, Random(1)
        listening = ("--host", LOOPBACK, "--port", str(port))
        self._programs = {
            "web": ("-m", "awfdrs_site.web", *listening),
            "worker": (*CELERY, *WORKER.split(), "-n", "one"),
            "other worker": (*CELERY, *WORKER.split(), "-n", "two"),
            "beat": (
                *CELERY,
                "beat",
                "-S",
                "django_celery_beat.schedulers:DatabaseScheduler",
                "--pidfile=",
            ),
        }
        self._processes = {name: self._start(name) for name in self._programs}
        self.killed: Counter[str] = Counter()

    def kill_any(self) -> None:
        name = self._any.choice([*self._programs, "Postgres", "Redis"])
        self.killed[name] += 1
        if name == "Postgres":
            self._made.postgres.signal(signal.SIGKILL)
            self._start_postgres()
        elif name == "Redis":
            self._made.redis.refuse()
            self._made.redis.start()
        else:
            end(self._processes[name])
            self._processes[name] = self._start(name)

    def _start_postgres(self) -> None:
        """Again, as a supervisor would: the first start may still meet the memory of the dead."""
        for _ in range(20):
            with suppress(AssertionError):
                return self._made.postgres.start()
            time.sleep(0.5)
        raise AssertionError("Postgres does not come back")

    def close(self) -> None:
        for process in self._processes.values():
            end(process)

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        return self._made.start(*self._programs[name], OUTBOUND_ALLOW_CIDRS="127.0.0.1/32")


class Senders:
    """They send each event with the same key until it is acknowledged, and remember what they were told."""

    def __init__(self, product: Product, token: str) -> None:
        self._url = f"http://{LOOPBACK}:{product.port}/api/v1/events"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._template = event(workflow="refunds")
        self._is_over = Flag()
        self.told: list[str] = []
        self.answers: Counter[int | str] = Counter()
        self._threads = [threading.Thread(target=self._send_on) for _ in range(N_SENDERS)]

    @contextmanager
    def sending(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in self._threads:
                thread.join()

    def _send_on(self) -> None:
        with httpx.Client(headers=self._headers, timeout=10, trust_env=False) as client:
            while not self._is_over.wait(PAUSE_SECONDS):
                key = str(uuid4())
                code = CODES[hash(key) % len(CODES)]
                body = {"idempotency_key": key, "run_id": key, "payload": {"error_code": code}}
                self._until_told(client, self._template | body)

    def _until_told(self, client: httpx.Client, body: dict[str, object]) -> None:
        until_then = time.monotonic() + AUDIT_SECONDS
        while time.monotonic() < until_then:
            try:
                answer = client.post(self._url, json=body)
            except httpx.HTTPError as gone:
                self.answers[type(gone).__name__] += 1
            else:
                self.answers[answer.status_code] += 1
                if answer.status_code in (200, 201):
                    self.told.append(answer.json()["event_id"])
                    return
            self._is_over.wait(0.1)


def findings(made: Stack, told: list[str], ledger: Path) -> list[str]:
    """What is not as it was promised; nothing when all of it is."""
    with psycopg.connect(made.postgres.url(settings.DATABASE_OWNER_URL)) as owner:

        def count(query: str, *given: object) -> int:
            row = owner.execute(query, given or None).fetchone()
            return int(row[0]) if row else -1

        asked = {
            "acknowledged events are lost": count(_LOST, told),
            "events have a key of another, or none": count(_TWICE),
            "events are in no incident's books": count(_UNGROUPED),
            "incidents count what is not theirs": count(_MISCOUNTED),
        }
    lines = [json.loads(line)["headers"] for line in ledger.read_text().splitlines()]
    sent = Counter((line["idempotency-key"], line["x-awfdrs-attempt"]) for line in lines)
    asked["attempts were sent twice"] = sum(n - 1 for n in sent.values())
    return [what for what, n in asked.items() if n] + _journal(made)


def _journal(made: Stack) -> list[str]:
    asked = [sys.executable, "manage.py", "verify_audit"]
    done = subprocess.run(
        asked, env=dict(made.environment), cwd=settings.BASE_DIR, capture_output=True, text=True
    )
    if done.returncode or "not sealed yet" in done.stdout:
        return ["the journal is not whole"]
    return []


def test_whatever_is_killed_every_two_seconds_the_books_are_right_a_minute_later(
    owner: Owner, tmp_path: Path, row: Row
) -> None:
    ledger, pace = tmp_path / "ledger", Flag()  # never set: its timeout is the pace
    ledger.touch()
    with stack("chaos") as made, Receiver(ledger=ledger) as receiver:
        # What the other tests' database leaves out is what is tested here.
        database = conninfo_to_dict(settings.DATABASE_OWNER_URL)["dbname"]
        made.postgres.execute(f"alter database {database} reset synchronous_commit")
        product = Product(made, free_port())
        senders = Senders(product, made.token)
        try:
            until(lambda: httpx.get(f"http://{LOOPBACK}:{product.port}/api/v1/health").is_success)
            workflow = {
                "slug": "refunds",
                "retry_url": receiver.url("/retry"),
                "idempotent": "key",
            }
            ours = replace(made, port=product.port)
            answer = ours.call("POST", "/api/v1/workflows", within=30, json=workflow)
            assert answer.status_code == 201, answer.text
            began = time.monotonic()
            with senders.sending():
                for _ in range(N_KILLS):
                    pace.wait(KILL_EVERY_SECONDS)
                    product.kill_any()
            fire, calm = time.monotonic() - began, time.monotonic()
            with suppress(AssertionError):
                until(
                    lambda: (
                        not made.postgres.ask(_UNDIGESTED)
                        and not findings(made, senders.told, ledger)
                    ),
                    seconds=AUDIT_SECONDS,
                )
            recovery = time.monotonic() - calm
            assert findings(made, senders.told, ledger) == []
            assert len(senders.told) == len(set(senders.told)) > N_KILLS
            n_calls = len(ledger.read_text().splitlines())
        finally:
            product.close()
        # the same audit finds what is planted: a lost event, a miscount, a doubled call, an edited line
        made.postgres.execute(_PLANT)
        doubled = tmp_path / "doubled"
        line = json.dumps({"headers": {"idempotency-key": "k", "x-awfdrs-attempt": "1"}})
        doubled.write_text(f"{line}\n{line}\n")
        found = findings(made, [*senders.told, str(uuid4())], doubled)
        assert len(found) == 4, found
    row.tell(
        f"{N_KILLS} kills: " + ", ".join(f"{n} {name}" for name, n in product.killed.items()),
        load=f"{len(senders.told)} events ({len(senders.told) / fire:.0f}/s), {n_calls} retries sent",
        losses=0,
        recovery_seconds=recovery,
        control=f"{len(found)} of 4 planted faults found",
    )
