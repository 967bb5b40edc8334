"""`up`: the whole product on one machine, for `make run`; ends all of it when it is ended."""

import errno
import fcntl
import json
import os
import signal
import socket
import time
import urllib.request
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from awfdrs_site.demo import kept, welcome
from awfdrs_site.demo.children import Children, Program, is_alive
from awfdrs_site.lib import metrics

READY_SECONDS = 120
LOOK_SECONDS = 0.2
STOP_SECONDS = 8  # what is under way may end; with the servers all is gone within 15
LOOPBACK = "127.0.0.1/32"  # where the simulated workflow answers
WAITING_CONNECTIONS = 2048
NO_REDIS = "redis://127.0.0.1:1/0"  # what the settings say when nobody said anything
DEMO_SECONDS = "31536000"  # its workflow answers as long as the stack runs

EMBEDDED = ("-m", "awfdrs_site.embedded")
MIGRATE = Program("migrate", ("manage.py", "migrate", "--no-input", "--verbosity", "0"))
SEED = Program("seed_demo", ("manage.py", "seed_demo"))
CELERY = ("-m", "celery", "-A", "awfdrs_site.celery")
_WORKER = "worker --pool threads --concurrency 8 -Q digest,actions,default"
WORKER = Program("worker", (*CELERY, *_WORKER.split(), "--without-gossip", "--without-mingle"))
BEAT = Program("beat", (*CELERY, "beat", "-S", "django_celery_beat.schedulers:DatabaseScheduler"))


class Command(BaseCommand):
    help = "Start everything: servers, migrations, demo data, web, worker, beat, the simulation."
    requires_system_checks: list[str] = []  # noqa: RUF012  # migrate makes them

    def handle(self, *args: Any, **options: Any) -> None:
        self._ended = self._renews = False
        signal.signal(signal.SIGUSR2, self._ask_to_renew)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # A flag and nothing else: a second signal, however soon, changes nothing.
            signal.signal(number, self._end)
        data: Path = settings.AWFDRS_DATA
        data.mkdir(parents=True, exist_ok=True)
        with _only_stack(data), listening(settings.HOST, settings.PORT) as self.listener:
            self._run(data)

    def _end(self, *_: object) -> None:
        self._ended = True

    def _ask_to_renew(self, *_: object) -> None:
        self._renews = True

    def _is_ending(self) -> bool:
        return self._ended

    def _run(self, data: Path) -> None:
        self.has_demo = settings.EMBEDDED or settings.DEBUG
        self.children = Children(
            environment=_environment(has_demo=self.has_demo),
            home=settings.BASE_DIR,
            logs=data / "logs",
            say=self._say,
        )
        self.servers: dict[str, Any] = {}
        try:
            self._prepare(data)
            self._serve(data)
        finally:
            self._stop(data)

    def _prepare(self, data: Path) -> None:
        if settings.EMBEDDED:
            self._start_servers(data)
        elif settings.REDIS_URL == NO_REDIS:
            raise CommandError("With DATABASE_URL set, REDIS_URL must be set too.")
        for step in (MIGRATE, SEED) if self.has_demo else (MIGRATE,):
            if self._is_ending():
                return
            if self.children.run(step).returncode:
                raise CommandError(f"{step.name} failed.")  # it has said why on stderr

        metrics.forget()  # what a former stack counted ends with it

    def _start_servers(self, data: Path) -> None:
        done = self.children.run(Program("servers", (*EMBEDDED, "start", str(data))))
        if done.returncode:
            raise CommandError("The embedded servers do not start.")
        self.servers = json.loads(done.stdout)

    def _serve(self, data: Path) -> None:
        if self._is_ending():
            return
        self.webs = [web(number, self.listener) for number in range(1, settings.WEB_WORKERS + 1)]
        for program in (*self.webs, WORKER, BEAT):
            self.children.start(program)
        url = kept.url_of(settings.HOST, settings.PORT)
        self._wait_until_ready(f"{url}/api/v1/health/ready")
        if self._is_ending():
            return
        kept.announce(url)
        self._welcome(url, logs=data / "logs")
        if self.has_demo and settings.AWFDRS_DEMO:
            self.children.start(_simulation(url))
        while not self._is_ending():
            self._look_after(data)
            self._renew()
            time.sleep(LOOK_SECONDS)

    def _wait_until_ready(self, url: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ending() and not _answers(url):
            if time.monotonic() > deadline:
                raise CommandError(f"Not ready after {READY_SECONDS} s.")
            self.children.look()
            time.sleep(LOOK_SECONDS)

    def _welcome(self, url: str, *, logs: Path) -> None:
        self.stdout.write(f"ready: {url}")
        if self.has_demo:
            self.stdout.write(welcome.text(url, logs=logs))
        self.stdout.flush()

    def _look_after(self, data: Path) -> None:
        """Whoever died comes back: children here, servers with new ports, so all reconnect."""
        self.children.look()
        if all(is_alive(pid) for name, pid in self.servers.items() if name.endswith("_pid")):
            return
        self._say("an embedded server died: starting it again, and everybody with it")
        self._start_servers(data)
        self.children.restart_all()

    def _renew(self) -> None:
        """On SIGUSR2: every web process by a new one, one after the other, and nobody is turned away."""
        if not self._renews:
            return
        self._renews = False
        for program in self.webs:
            if self._is_ending() or not self.children.renew(program, within_seconds=STOP_SECONDS):
                return
        self._say("every web process is a new one")

    def _stop(self, data: Path) -> None:
        kept.withdraw()
        self.children.stop(within_seconds=STOP_SECONDS)
        if settings.EMBEDDED:
            self.children.run(Program("servers", (*EMBEDDED, "stop", str(data))))

    def _say(self, line: str) -> None:
        self.stderr.write(f"awfdrs: {line}")
        self.stderr.flush()


def web(number: int, listener: socket.socket) -> Program:
    """All of them take from one socket, which is ours: it outlives each of them."""
    # Open websockets never end by themselves.
    asked = ("--fd", str(listener.fileno()), "--graceful-seconds", "3")
    name = "web" if number == 1 else f"web-{number}"
    return Program(name, ("-m", "awfdrs_site.web", *asked), fds=(listener.fileno(),))


def _simulation(url: str) -> Program:
    named = ("--base-url", url, "--serve-seconds", DEMO_SECONDS)
    return Program("simulate", ("manage.py", "simulate", "vendor-outage", *named), is_lasting=False)


def _environment(*, has_demo: bool) -> dict[str, str]:
    """Ours; children read the servers' addresses themselves, because these may move."""
    allowed = [str(network) for network in settings.OUTBOUND_ALLOW_CIDRS]
    if has_demo and LOOPBACK not in allowed:
        allowed.append(LOOPBACK)
    return os.environ | {
        "AWFDRS_DATA": str(settings.AWFDRS_DATA),
        "OUTBOUND_ALLOW_CIDRS": ",".join(allowed),
        "DJANGO_SETTINGS_MODULE": "awfdrs_site.settings",
        "PYTHONUNBUFFERED": "1",
    }


def _only_stack(data: Path) -> IO[str]:
    """Held while we run; the kernel lets go of it when we are killed."""
    lock = (data / "up.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise CommandError(f"{data} belongs to a running stack: {kept.base_url()}") from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")  # for `kill -USR2`
    lock.flush()
    return lock


def listening(host: str, port: int) -> socket.socket:
    """Ours from the start: who comes before the first web process, or between two, waits for the next."""
    try:
        family, kind, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(WAITING_CONNECTIONS)
    except OSError as error:
        taken = f"Port {port} of {host} is in use: PORT=8001 make run takes another."
        other = f"{host} port {port} cannot be used: {error.strerror}."
        raise CommandError(taken if error.errno == errno.EADDRINUSE else other) from None
    return listener


def _answers(url: str) -> bool:
    """Asked here, under a name that the site answers to."""
    request = urllib.request.Request(url)  # noqa: S310  # our own address
    named = [host for host in settings.ALLOWED_HOSTS if host.strip(".*")]
    if named and urlsplit(url).hostname not in named:
        request.add_header("Host", named[0].lstrip("."))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=3) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
