"""The only place that makes servers to be broken: a Postgres, a Valkey and a web process that nobody else uses."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict
from websockets import ConnectionClosed, Origin
from websockets.sync.client import ClientConnection, connect

from awfdrs_site import embedded
from awfdrs_site.wheels import postgres, valkey
from awfdrs_site.wheels.machine import LOOPBACK, free_port, run_as
from tests import servers
from tests.cast import event
from tests.faults.sizes import sized

PATIENCE_SECONDS = 60.0
SLACK = sized(small=3, full=1)  # what a promised time may take while another test has the machine
WORKER = "worker --pool threads --concurrency 2 -Q digest,actions,default --without-gossip"
SEED = """
import json
import django; django.setup()
from django.conf import settings
from tenants.states import Role
from tests.cast import key_of, signed_in
from tests.factories import MembershipFactory, TenantFactory
acme = TenantFactory(name="Acme", slug="acme")
ann = MembershipFactory(tenant=acme, user__username="ann", role=Role.ADMIN).user
cookie = signed_in(ann).cookies[settings.SESSION_COOKIE_NAME].value
print(json.dumps({"token": key_of(acme), "cookie": cookie}))
"""


@dataclass
class Postgres:
    """A copy of the tests' cluster, on a port that it comes back to."""

    path: Path
    cluster: postgres.Cluster
    port: int = field(default_factory=free_port)

    @classmethod
    def copied(cls, home: Path) -> "Postgres":
        run = Path(os.environ["AWFDRS_DATA"])
        keys = embedded.secrets(run)
        cluster = postgres.place(
            run,
            owner_password=keys["DATABASE_OWNER_PASSWORD"],
            login_password=keys["DATABASE_PASSWORD"],
        )
        if cluster.account:
            os.chown(home, cluster.account.uid, cluster.account.gid)
        made = cls(home / "postgres", cluster)
        at = conninfo_to_dict(settings.DATABASE_OWNER_URL)
        from_there = ("-h", LOOPBACK, "-p", str(at["port"]), "-U", str(at["user"]))
        copying = ("-D", str(made.path), "-X", "stream", "-c", "fast", "--no-sync", "-w")
        made.run("pg_basebackup", *from_there, *copying, PGPASSWORD=str(at["password"]))
        return made

    def run(self, program: str, *arguments: str, **environment: str) -> None:
        binary = str(self.cluster.binaries / program)
        done = run_as(self.cluster.account, binary, *arguments, environment=environment)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        fixed = postgres.SETTINGS | {"port": str(self.port), "shared_buffers": "16MB"}
        options = " ".join(f"-c {name}={value}" for name, value in fixed.items())
        log = str(self.path.with_name("server.log"))
        self.run("pg_ctl", "start", "-w", "-D", str(self.path), "-l", log, "-o", options)

    def refuse(self) -> None:
        self.run("pg_ctl", "stop", "-m", "immediate", "-D", str(self.path))

    def signal(self, number: signal.Signals) -> None:
        """To all of its processes: a postmaster that stops alone leaves its children working."""
        try:
            postmaster = psutil.Process(int((self.path / "postmaster.pid").read_text().split()[0]))
            everyone = [postmaster, *postmaster.children(recursive=True)]
        except (FileNotFoundError, psutil.NoSuchProcess):
            return
        for process in everyone:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def url(self, of: str) -> str:
        at = conninfo_to_dict(of)
        host = f"{LOOPBACK}:{self.port}"
        return f"postgresql://{at['user']}:{at['password']}@{host}/{at['dbname']}"

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url(settings.DATABASE_OWNER_URL), autocommit=True) as owner:
            owner.execute(statement)

    def ask(self, query: str) -> Any:
        with psycopg.connect(self.url(settings.DATABASE_OWNER_URL)) as owner:
            row = owner.execute(query).fetchone()
            return row[0] if row else None


@dataclass
class Redis:
    home: Path
    password: str

    @classmethod
    def fresh(cls, home: Path) -> "Redis":
        home.mkdir()
        made = cls(home, embedded.secrets(Path(os.environ["AWFDRS_DATA"]))["REDIS_PASSWORD"])
        valkey.start(home, password=made.password)
        return made

    @property
    def port(self) -> int:
        return valkey.port(self.home) or 0

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def refuse(self) -> None:
        self.signal(signal.SIGKILL)

    def start(self) -> None:
        """At the port it had."""
        if valkey.answering(self.home, password=self.password) is None:
            valkey._launch(self.home, port=self.port, password=self.password)
        self._pid = None

    _pid: int | None = None

    def signal(self, number: signal.Signals) -> None:
        self._pid = self._pid or valkey.answering(self.home, password=self.password)
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def flush(self) -> None:
        valkey._ask(self.port, "FLUSHALL", password=self.password)


@dataclass(frozen=True)
class Stack:
    """What a cell does to the product, and what it asks of it from outside."""

    postgres: Postgres
    redis: Redis
    environment: Mapping[str, str]
    log: Path
    port: int
    token: str
    cookie: str

    def call(self, method: str, path: str, *, within: float = 5.0, **options: Any) -> Any:
        """An answer that takes longer than `within` is none."""
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        address = f"http://{LOOPBACK}:{self.port}{path}"
        return httpx.request(
            method, address, headers=headers, timeout=within * SLACK, trust_env=False, **options
        )

    def send(self, *, within: float = 5.0, **fields: Any) -> Any:
        return self.call("POST", "/api/v1/events", within=within, json=event(**fields))

    def health(self, part: str = "", *, within: float = 2.0) -> Any:
        return self.call("GET", f"/api/v1/health{part}", within=within)

    def page(self, path: str = "/incidents/", *, within: float = 5.0) -> Any:
        mine = {"Authorization": "", "Accept": "text/html", "Cookie": f"sessionid={self.cookie}"}
        return self.call("GET", path, within=within, headers=mine)

    def listen(self) -> ClientConnection:
        mine = {"Cookie": f"sessionid={self.cookie}"}
        address = f"{LOOPBACK}:{self.port}"
        line: ClientConnection = connect(
            f"ws://{address}/ws/feed",
            origin=Origin(f"http://{address}"),
            additional_headers=mine,
            proxy=None,
        )
        return line

    def hears(self) -> ClientConnection:
        """A line that stays: after an outage the first may still meet what is broken."""
        for _ in range(20):
            line = self.listen()
            with suppress(ConnectionClosed, TimeoutError):
                line.recv(timeout=0.5)
            if line.close_code is None:
                return line
        raise AssertionError("no line stays open")

    def metric(self, name: str) -> float:
        lines = self.call("GET", "/metrics").text.splitlines()
        return sum(
            float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name
        )

    @contextmanager
    def program(self, *words: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A process of the stack, killed with its whole group."""
        process = self.start(*words, **environment)
        try:
            yield process
        finally:
            end(process)

    def start(self, *words: str, **environment: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, *words],
            env={**self.environment, **environment},
            cwd=settings.BASE_DIR,
            stdout=subprocess.DEVNULL,
            stderr=self.log.open("a"),
            start_new_session=True,
        )

    def worker(self, **environment: str) -> Any:
        return self.program(
            "-m", "celery", "-A", "awfdrs_site.celery", *WORKER.split(), **environment
        )

    def repair(self) -> float:
        """As it was, whatever the cell did; returns how many seconds that took."""
        began = time.monotonic()
        self.postgres.signal(signal.SIGCONT)
        self.redis.signal(signal.SIGCONT)
        self.redis.start()
        if run_status(self.postgres):
            self.postgres.start()
        self.postgres.execute("update travel.clock set ahead = '0'")
        until(lambda: self.health("/ready").json().get("status") == "ready")
        return time.monotonic() - began


def run_status(server: Postgres) -> int:
    """0 while it runs."""
    binary = str(server.cluster.binaries / "pg_ctl")
    return run_as(server.cluster.account, binary, "status", "-D", str(server.path)).returncode


def until(is_so: Callable[[], object], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Ask again until it is so; what cannot be asked is not so."""
    give_up_at = time.monotonic() + seconds
    while True:
        with suppress(httpx.HTTPError, ValueError, psycopg.Error):
            if is_so():
                return
        assert time.monotonic() < give_up_at, "it never became so"
        time.sleep(0.05)


def end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def stack(name: str = "outages", *, disk: Path | None = None) -> Iterator[Stack]:
    """`disk`: where Postgres keeps its data, apart from everything else."""
    home = Path(os.environ["AWFDRS_DATA"]) / f"{name}-{servers.WORKER}"
    home.mkdir(exist_ok=True)
    database, redis = Postgres.copied(disk or home), Redis.fresh(home / "redis")
    database.start()
    port = free_port()
    environment = _environment(home, database, redis)
    empty = Stack(database, redis, environment, home / "log", port, "", "")
    try:
        serving = ("awfdrs_site.asgi:application", "--port", str(port), "--no-access-log")
        with empty.program("-m", "uvicorn", *serving):
            keys = json.loads(_seeded(environment))
            made = Stack(database, redis, environment, home / "log", port, **keys)
            until(lambda: made.health("/ready").status_code == 200)
            yield made
    finally:
        redis.signal(signal.SIGCONT)
        valkey.stop(redis.home, password=redis.password)
        database.signal(signal.SIGKILL)


def _seeded(environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SEED],
        env=dict(environment),
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _environment(home: Path, database: Postgres, redis: Redis) -> dict[str, str]:
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "awfdrs_site.settings",
        "AWFDRS_DATA": str(home / "data"),
        "DATABASE_URL": database.url(settings.DATABASE_URL),
        "DATABASE_OWNER_URL": database.url(settings.DATABASE_OWNER_URL),
        "REDIS_URL": redis.url,
        "SECRET_KEY": settings.SECRET_KEY,
        "ENCRYPTION_KEY": settings.ENCRYPTION_KEY,
        "ALLOWED_HOSTS": f"{LOOPBACK},testserver",
        "SECURE_SSL_REDIRECT": "false",
        "PYTHONPATH": str(settings.BASE_DIR),
    }
