"""The only place where tests get a PgBouncer of their own, in transaction mode, before the tests' Postgres."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from awfdrs_site.wheels import machine

# Debian keeps it where only root looks.
PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
STARTING_SECONDS = 15
_CONFIGURATION = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = {host}
listen_port = {listen_port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {directory}/users.txt
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 200
"""


@contextmanager
def before(*, port: int, user: str, password: str, size: int) -> Iterator[int]:
    """Its port; `size` connections of the server are shared by everybody who comes as `user`."""
    assert PROGRAM is not None
    listen_port = machine.free_port()
    with tempfile.TemporaryDirectory(prefix="awfdrs-pgbouncer-") as made:
        directory = Path(made)
        (directory / "users.txt").write_text(f'"{user}" "{password}"\n')
        configuration = directory / "pgbouncer.ini"
        configuration.write_text(
            _CONFIGURATION.format(
                host=machine.LOOPBACK,
                port=port,
                listen_port=listen_port,
                directory=directory,
                size=size,
            )
        )
        runs_as = _owned_by_nobody(directory)
        process = subprocess.Popen(
            [PROGRAM, "--quiet", str(configuration)],
            user=runs_as,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(process, listen_port)
            yield listen_port
        finally:
            process.kill()  # its clients are gone already
            process.wait()


def _owned_by_nobody(directory: Path) -> int | None:
    """It refuses root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    for path in (directory, *directory.iterdir()):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return nobody.pw_uid


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    until = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, "PgBouncer ended while starting"
        try:
            socket.create_connection((machine.LOOPBACK, port), timeout=1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise AssertionError("PgBouncer did not start")
