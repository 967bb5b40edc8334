"""`make run`: everything up, kept up, and down again, for real, on servers of its own."""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from psycopg import sql

from awfdrs_site import embedded
from awfdrs_site.demo import children, kept
from awfdrs_site.demo.children import Children, Program, is_alive
from awfdrs_site.wheels import machine, postgres
from tests import databases
from tests.databases import Owner
from tests.support import web

ROOT = Path(__file__).parents[2]
STEP_SECONDS = 120  # a loaded machine's patience; nothing here waits that long when all is well


def until(is_so: Callable[[], bool], *, seconds: float = STEP_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def python(code: str) -> tuple[str, ...]:
    return ("-c", code)


class Stack:
    """One `manage.py up` and what it says, in a session of its own like under a supervisor."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data, self.port = data, machine.free_port()
        self.out, self.err = data / "out", data / "err"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=ROOT,
                env=os.environ | {"AWFDRS_DATA": str(data), "PORT": str(self.port)} | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.out.read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        until(lambda: "ready: " in self.said or self.process.poll() is not None)
        assert self.process.poll() is None, self.err.read_text()

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A manage.py command beside the stack: only AWFDRS_DATA leads it there."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=os.environ | {"AWFDRS_DATA": str(self.data)},
            capture_output=True,
            text=True,
            check=True,
        )

    def processes(self) -> list[int]:
        """Everybody who was started for this directory."""
        marker = f"AWFDRS_DATA={self.data}".encode()
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if marker in environ.read_bytes().split(b"\0"):
                    found.append(int(environ.parent.name))
            except OSError:  # gone meanwhile
                continue
        return found

    def pid_of(self, words: str) -> int | None:
        """Whose command line has these words."""
        for pid in self.processes():
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            if words in line:
                return pid
        return None


@pytest.fixture
def data() -> Iterator[Path]:
    """Open to every account, which pytest's own temporary directories are not."""
    with tempfile.TemporaryDirectory() as parent:
        home = Path(parent) / "data"
        home.mkdir()
        Path(parent).chmod(0o755)
        yield home
        embedded.remove(home)


def fetched(url: str, *, token: str = "", body: str = "") -> int:
    headers = {"Content-Type": "application/json"} | (
        {"Authorization": f"Bearer {token}"} if token else {}
    )
    request = urllib.request.Request(url, body.encode() or None, headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0


@pytest.mark.faults
@pytest.mark.longest
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_make_run_tells_its_story_survives_deaths_and_leaves_nothing(data: Path) -> None:
    stack = Stack(data)
    try:
        stack.wait_until_ready()
        _check_what_it_says(stack)
        _check_commands_beside_it(stack)
        until(lambda: "the story has ended" in (data / "logs/simulate.log").read_text())
        _check_deaths(stack)
    finally:
        _stop(stack)
    # the next start resumes the data, and AWFDRS_DEMO=0 leaves the outage out
    again = Stack(data, AWFDRS_DEMO="0", WEB_WORKERS="2")
    try:
        again.wait_until_ready()
        url, token, body = _curl(again.said)
        assert fetched(url, token=token, body=body) == 200
        assert again.pid_of("awfdrs_site.web")
        assert again.pid_of("simulate") is None
    finally:
        _stop(again)


def _check_what_it_says(stack: Stack) -> None:
    ready = [line for line in stack.said.splitlines() if "ready:" in line]
    assert ready == [f"ready: {stack.url}"]
    until(lambda: "schema_version" in stack.said)
    for name in ("alice", "ann", "bob", "mallory", "admin"):
        assert name in stack.said
    # the curl it printed, pasted twice
    url, token, body = _curl(stack.said)
    assert json.loads(body)["tenant_id"] == "00000000-0000-0000-0000-000000000001"
    assert [fetched(url, token=token, body=body) for _ in range(2)] == [201, 200]


def _check_commands_beside_it(stack: Stack) -> None:
    values = json.loads(stack.command("fixtures").stdout)
    assert values["BASE_URL"] == stack.url
    assert values["PASSWORD"] in stack.said
    assert fetched(f"{stack.url}/api/v1/incidents", token=values["KEY_VIEWER_A"]) == 200
    refused = Stack(stack.data / "logs", AWFDRS_DATA=str(stack.data))
    assert refused.process.wait(STEP_SECONDS) == 1
    assert "belongs to a running stack" in refused.err.read_text()


def _check_deaths(stack: Stack) -> None:
    worker = stack.pid_of("awfdrs_site.celery worker")
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    until(lambda: "worker ended with SIGKILL" in stack.err.read_text())
    until(lambda: stack.pid_of("awfdrs_site.celery worker") not in (None, worker))
    servers = embedded.attached(stack.data)
    assert servers is not None
    os.kill(servers.postgres_pid, signal.SIGKILL)
    until(lambda: "an embedded server died" in stack.err.read_text())
    until(lambda: fetched(f"{stack.url}/api/v1/health/ready") == 200)


def _stop(stack: Stack) -> None:
    """Two signals within a moment, as a terminal and a supervisor would send them."""
    servers = embedded.attached(stack.data)
    began = time.monotonic()
    stack.process.send_signal(signal.SIGINT)
    stack.process.send_signal(signal.SIGTERM)
    assert stack.process.wait(60) == 0, stack.err.read_text()
    assert time.monotonic() - began < 15
    assert stack.processes() == []
    assert servers is None or not is_alive(servers.postgres_pid)
    assert embedded.attached(stack.data) is None


def _curl(said: str) -> tuple[str, str, str]:
    """Address, key and body of the command that it printed."""
    match = re.search(r"POST (\S+) .*?Bearer (\S+)'.*?-d '(\{.*\})'", said, re.S)
    assert match is not None
    return match[1], match[2], match[3]


@pytest.fixture
def given(owner: Owner) -> Iterator[dict[str, str]]:
    """The settings of a stack on servers it did not start: the tests', and a database of its own there."""
    mine = sql.Identifier(f"{databases.NAME}_stack")
    migrated = sql.Identifier(postgres.DATABASE)
    owner.connection.execute(sql.SQL("create database {} template {}").format(mine, migrated))
    urls = ("DATABASE_URL", "DATABASE_OWNER_URL")
    yield web.environment() | {name: f"{getattr(settings, name)}_stack" for name in urls}
    owner.connection.execute(sql.SQL("drop database {} with (force)").format(mine))


@pytest.mark.faults
@pytest.mark.longest
def test_on_given_servers_it_takes_an_event_and_leaves_nothing(
    tmp_path: Path, given: dict[str, str]
) -> None:
    mine = {"AWFDRS_DATA": str(tmp_path), "AWFDRS_DEMO": "0", "DEBUG": "true"}
    stack = Stack(tmp_path, **given | mine)
    try:
        stack.wait_until_ready()
        until(lambda: "schema_version" in stack.said)
        url, token, body = _curl(stack.said)
        assert [fetched(url, token=token, body=body) for _ in range(2)] == [201, 200]
        assert stack.pid_of("awfdrs_site.celery worker")
    finally:
        _stop(stack)


def refusal(**environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = refusal(AWFDRS_DATA=str(tmp_path), PORT=str(port))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"CommandError: Port {port} of 127.0.0.1 is in use: PORT=8001 make run takes another."
    ]


def test_a_second_stack_of_one_directory_is_one_clear_line(tmp_path: Path) -> None:
    with (tmp_path / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = refusal(AWFDRS_DATA=str(tmp_path), PORT=str(machine.free_port()))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "belongs to a running stack" in done.stderr


def test_a_database_without_redis_is_one_clear_line(tmp_path: Path) -> None:
    done = refusal(
        AWFDRS_DATA=str(tmp_path),
        PORT=str(machine.free_port()),
        DATABASE_URL="postgresql://awf_login@127.0.0.1:1/awfdrs",
        SECRET_KEY="x" * 50,
        ENCRYPTION_KEY="MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("REDIS_URL must be set too.")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
        ("awfdrs.example", "http://awfdrs.example:8000"),
    ],
)
def test_the_address_can_be_opened_from_this_machine(host: str, url: str) -> None:
    assert kept.url_of(host, 8000) == url


@pytest.fixture
def family(tmp_path: Path) -> Iterator[tuple[Children, list[str]]]:
    said: list[str] = []
    made = Children(environment=os.environ, home=tmp_path, logs=tmp_path / "logs", say=said.append)
    yield made, said
    made.stop(within_seconds=0)


def looked(made: Children, is_so: Callable[[], bool]) -> None:
    def look() -> bool:
        made.look()
        return is_so()

    until(look, seconds=30)


def test_a_child_that_dies_is_started_again_and_said(
    family: tuple[Children, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "BACK_OFF_SECONDS", (0, 0, 3600))
    made, said = family
    starts = tmp_path / "starts"
    made.start(Program("moody", python(f"open({str(starts)!r}, 'a').write('x'); exit(3)")))
    looked(made, lambda: len(said) == 3)
    made.look()
    # twice at once, then after an hour
    assert starts.read_text() == "xxx"
    assert "moody ended with exit code 3" in said[0]
    assert "again in 0 s" in said[0]
    assert "again in 3600 s" in said[2]


def test_what_is_done_is_not_started_again(
    family: tuple[Children, list[str]], tmp_path: Path
) -> None:
    made, said = family
    ends = tmp_path / "ends"
    once = python(f"open({str(ends)!r}, 'a').write('x')")
    made.start(Program("once", once, is_lasting=False))
    made.start(Program("broken", python("exit(2)"), is_lasting=False))
    looked(made, lambda: len(said) == 1 and ends.exists())
    assert said[0].startswith("broken ended with exit code 2")
    assert ends.read_text() == "x"


def test_a_child_that_will_not_stop_is_killed_with_its_own_children(
    family: tuple[Children, list[str]], tmp_path: Path
) -> None:
    made, _ = family
    note = tmp_path / "pids"
    made.start(
        Program(
            "stubborn",
            python(
                "import os, signal, subprocess, sys, time\n"
                "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
                f"open({str(note)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}} .')\n"
                "time.sleep(600)\n"
            ),
        )
    )
    until(lambda: note.exists() and note.read_text().endswith("."))
    pids = [int(pid) for pid in note.read_text().split()[:2]]
    assert all(map(is_alive, pids))
    made.stop(within_seconds=0.2)
    until(lambda: not any(map(is_alive, pids)), seconds=10)


def test_a_step_runs_to_its_end_and_gives_its_output(
    family: tuple[Children, list[str]],
) -> None:
    made, _ = family
    done = made.run(Program("step", python("print('done'); exit(4)")))
    assert (done.returncode, done.stdout) == (4, b"done\n")
