"""The only place that starts the stack of the pictures: the demo, with a day of failures before it."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOME = Path(__file__).parents[2]
HOUR = 3600.0


@dataclass(frozen=True)
class Stack:
    address: str
    password: str


@dataclass(frozen=True)
class Failing:
    """One kind of failure, and how often it came in each hour of the day; the last hour is now."""

    workflow: str
    event_type: str
    hours: str  # a digit an hour
    payload: Mapping[str, Any]


DAY = (
    Failing(
        "receipts.email",
        "email.failed",
        "321231213212312132123232",
        {
            "error_code": "rate_limit_exceeded",
            "error_message": "429 Too Many Requests from SendGrid /v3/mail/send",
            "step": "send",
            "vendor": "sendgrid",
        },
    ),
    Failing(
        "hr.onboarding",
        "onboarding.failed",
        "000000110000004211000012",
        {
            "error_code": "internal_server_error",
            "error_message": "Okta SCIM push returns 503, onboarding stuck",
            "step": "provision",
            "vendor": "okta",
        },
    ),
    Failing(
        "statements.export",
        "export.failed",
        "000000000000000265321111",
        {
            "error_code": "forbidden",
            "error_message": "S3 PutObject AccessDenied on statements-prod bucket",
            "step": "upload",
            "vendor": "aws",
        },
    ),
    Failing(
        "billing.invoice",
        "invoice.failed",
        "001002000110030010020103",
        {
            "error_code": "deadlock",
            "error_message": "Serialization failure in invoice numbering",
            "step": "number",
        },
    ),
    Failing(
        "catalog.import",
        "import.failed",
        "000000001000000003000001",
        {
            "error_code": "bad_request",
            "error_message": "CSV import fails: unexpected column vat_id_2",
            "step": "parse",
        },
    ),
)


@contextmanager
def running() -> Iterator[Stack]:
    """`make run` in a directory of its own."""
    with tempfile.TemporaryDirectory() as data, socket.socket() as free:
        os.chmod(data, 0o755)  # noqa: S103  # the embedded Postgres runs as somebody else
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        os.environ |= {"AWFDRS_DATA": data, "PORT": str(port)}
        command = [sys.executable, "manage.py", "up"]
        up = subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE, text=True)
        try:
            stack = Stack(f"http://127.0.0.1:{port}", _password(up))
            tell_of_the_day()
            yield stack
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(30)


def tell_of_the_day() -> None:
    """Through the API, as `simulate --file` tells failures; the retries it leads to are answered for a while."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(f"{json.dumps(line)}\n" for line in _lines())
        file.flush()
        command = [sys.executable, "manage.py", "simulate", "--file", file.name]
        subprocess.run(command, cwd=HOME, check=True)


def promote(username: str) -> None:
    """Makes somebody an admin of the tenant that they are in."""
    said = f"Membership.objects.filter(user__username={username!r}).update(role='admin')"
    code = f"""
from tenants import scoping
from tenants.models import Membership
with scoping.platform():
    {said}
"""
    subprocess.run([sys.executable, "manage.py", "shell", "-c", code], cwd=HOME, check=True)


def _lines() -> list[dict[str, Any]]:
    lines = [
        {
            "at_offset_seconds": hour * HOUR + (number + 1) * HOUR / (int(many) + 2),
            "workflow": failing.workflow,
            "event_type": failing.event_type,
            "payload": dict(failing.payload),
            "run_id": f"{failing.workflow}-{hour:02}{number}",
            "idempotency_key": f"{failing.workflow}-{hour:02}{number}-failed",
        }
        for failing in DAY
        for hour, many in enumerate(failing.hours)
        for number in range(int(many))
    ]
    return sorted(lines, key=lambda line: line["at_offset_seconds"])


def _password(up: "subprocess.Popen[str]") -> str:
    assert up.stdout is not None
    for line in up.stdout:
        if line.startswith("password: "):
            password: str = line.removeprefix("password: ").strip()
            return password
    raise SystemExit("the stack did not start")
