"""The whole product on a Postgres and a Redis of Debian's packages: from nothing to a seeded console, with its time."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from awfdrs_site.wheels import machine
from tests.faults.sizes import on_demand
from tests.faults.table import Row
from tests.site.test_up import Stack, _stop, fetched, until
from tests.site.test_up import data as data

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/nowhere"))
MIGRATED_SECONDS = 600  # on a busy machine; a quiet one takes a tenth
REDIS = shutil.which("redis-server")

pytestmark = [
    pytest.mark.faults,
    on_demand,
    pytest.mark.skipif(not BINARIES.exists(), reason="Debian's postgresql is not installed"),
    pytest.mark.skipif(REDIS is None, reason="Debian's redis-server is not installed"),
]


@dataclass(frozen=True)
class Servers:
    environment: dict[str, str]
    versions: str


@pytest.fixture
def servers(data: Path) -> Iterator[Servers]:
    """Both on ports of their own; Postgres never runs as root."""
    home = data.parent
    account = "postgres" if os.getuid() == 0 else None
    places, port, redis_port = home / "pg", machine.free_port(), machine.free_port()
    places.mkdir()
    if account:
        shutil.chown(places, account)

    def postgres(program: str, *words: str) -> None:
        subprocess.run(
            [BINARIES / program, "-D", places / "cluster", *words],
            user=account,
            cwd="/",
            check=True,
            stdout=subprocess.DEVNULL,
        )

    postgres("initdb", "-A", "trust", "-U", "postgres")
    options = f"-p {port} -k {places} -c listen_addresses={machine.LOOPBACK}"
    postgres("pg_ctl", "start", "-w", "-l", str(places / "log"), "-o", options)
    redis = subprocess.Popen(
        [REDIS or "", "--port", str(redis_port), "--bind", machine.LOOPBACK, "--save", ""],
        cwd=home,
        stdout=subprocess.DEVNULL,
    )
    try:
        at = f"{machine.LOOPBACK}:{port}"
        with psycopg.connect(f"postgresql://postgres@{at}/postgres", autocommit=True) as owner:
            version = str(owner.info.server_version // 10_000)
            # As docs/production.md asks: an owner that may make roles once, and a login that owns nothing.
            owner.execute("create role boss login createrole")
            owner.execute("create role awf_login login noinherit")
            owner.execute("create database awfdrs owner boss")
        environment = {
            "DATABASE_URL": f"postgresql://awf_login@{at}/awfdrs",
            "DATABASE_OWNER_URL": f"postgresql://boss@{at}/awfdrs",
            "REDIS_URL": f"redis://{machine.LOOPBACK}:{redis_port}/0",
            "SECRET_KEY": "of-no-use-anywhere-but-in-this-test-0123456789-abcdefghij",
            "ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
            "ALLOWED_HOSTS": machine.LOOPBACK,
            "DEBUG": "true",  # the demo data are for nobody's production
        }
        yield Servers(environment, f"Postgres {version}, Redis")
    finally:
        redis.kill()
        redis.wait()
        postgres("pg_ctl", "stop", "-m", "immediate")


def test_servers_of_debians_packages_carry_the_whole_product(
    data: Path, servers: Servers, row: Row
) -> None:
    began = time.monotonic()
    stack = Stack(data, **servers.environment)
    try:
        until(
            lambda: "ready: " in stack.said or stack.process.poll() is not None,
            seconds=MIGRATED_SECONDS,
        )
        stack.wait_until_ready()
        took = time.monotonic() - began
        assert fetched(f"{stack.url}/sign-in/") == 200
        with psycopg.connect(servers.environment["DATABASE_OWNER_URL"]) as owner:
            [incidents] = owner.execute("select count(*) from incidents_incident").fetchone() or (
                0,
            )
        assert incidents > 0
    finally:
        _stop(stack)
    row.tell(
        f"{servers.versions} of Debian's packages",
        load=f"{incidents} incidents in the seeded console",
        control=f"ready {took:.1f} s after the start on empty servers",
    )
