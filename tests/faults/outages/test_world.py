"""What breaks outside: vendors, names, and whoever should read our log."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from threading import Event

import pytest

from actions.transport import NotSent, OutcomeUnknown, send
from tests.faults.table import Row
from tests.support.outgoing import LOOPBACK, NOBODY, request
from tests.support.receiver import Receiver, Reply

pytestmark = pytest.mark.faults

N_LINES = 20_000
BLOCKED = f"""
import logging
import django; django.setup()
from awfdrs_site.lib.logsink import Sink
[handler] = logging.getLogger().handlers
assert isinstance(handler, Sink)
{{control}}
logger = logging.getLogger("talkative")
for n in range({N_LINES}):
    logger.warning("line %d", n)
print(getattr(handler, "n_dropped", 0), flush=True)
"""
CONTROL = "logging.getLogger().handlers = [logging.StreamHandler()]"


@pytest.mark.cell(
    "vendor down", "calls", "nothing was sent: tried again, and counted by the breaker"
)
def test_a_refused_call_was_not_sent(row: Row) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotSent):
        send(request(f"http://127.0.0.1:{port}/"), allow_cidrs=LOOPBACK)
    row.tell("a vendor that is away", load="1 call: said not to be sent")


@pytest.mark.cell(
    "vendor slow", "calls", "given up at the call's deadline; its outcome is `unknown`"
)
def test_a_slow_call_ends_with_its_deadline(row: Row) -> None:
    over = Event()
    with Receiver() as receiver:
        receiver.answer("/retry", lambda _: Reply(after=over))
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            send(request(receiver.url("/retry"), deadline_seconds=0.3), allow_cidrs=LOOPBACK)
        gave_up_after = time.monotonic() - began
        over.set()
    row.tell(
        "a vendor that does not answer",
        load="1 call with 0.3 s: unknown",
        recovery_seconds=gave_up_after,
    )


@pytest.mark.cell("DNS down", "calls", "nothing was sent: tried again, never `unknown`")
def test_without_names_nothing_is_sent(row: Row) -> None:
    def fail(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    with pytest.raises(NotSent):
        send(request("https://example.com/"), allow_cidrs=NOBODY, resolver=fail)
    row.tell("no names are resolved", load="1 call: said not to be sent")


def talk(control: str = "") -> "subprocess.Popen[str]":
    """A process whose log goes into a pipe that nobody reads."""
    return subprocess.Popen(
        [sys.executable, "-c", BLOCKED.format(control=control)],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "awfdrs_site.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.cell("log sink blocked", "all of it", "lines are dropped and counted; nobody waits")
def test_a_log_that_nobody_reads_stops_nobody(row: Row) -> None:
    ours, control = talk(), talk(CONTROL)
    assert ours.stdout is not None
    n_dropped = int(ours.stdout.readline())
    assert n_dropped > 0
    # it ends, too, though its last lines are never read
    assert ours.wait(60) == 0
    # the positive control: a plain handler still waits for its reader
    assert control.poll() is None
    control.kill()
    for process in (ours, control):
        process.communicate()
    row.tell(
        "nobody reads the log",
        load=f"{N_LINES:,} lines, {n_dropped:,} dropped and counted",
        control="a plain handler still waits",
    )
