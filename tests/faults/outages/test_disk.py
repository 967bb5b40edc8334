"""A disk that is full: what cannot be kept is refused, and what was taken is there."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests import servers
from tests.cast import event, failure
from tests.databases import Owner
from tests.faults.outages.stack import Stack, stack, until
from tests.faults.table import Row

pytestmark = pytest.mark.faults

SIZE = "300m"
N_EVENTS = 500
_KEPT = "select count(*) from events_event"


@pytest.fixture
def on_a_small_disk(owner: Owner) -> Iterator[Stack]:
    """A product of its own, its Postgres on a disk that can be filled."""
    disk = Path(os.environ["AWFDRS_DATA"]) / f"disk-{servers.WORKER}"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "none", str(disk)]
    if subprocess.run(mounting, capture_output=True).returncode:
        pytest.skip("a tmpfs may not be mounted here")
    try:
        with stack("full", disk=disk) as made:
            yield made
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(product: Stack) -> Path:
    filler = product.postgres.path.with_name("filler")
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    return filler


def send_many(product: Stack) -> int:
    """The status of a batch of large events."""
    payload = failure(detail="x" * 4000)
    events = [event(run_id=f"run-{n}", payload=payload) for n in range(N_EVENTS)]
    answer = product.call("POST", "/api/v1/events/batch", within=30, json={"events": events})
    return int(answer.status_code)


@pytest.mark.cell(
    "Postgres's disk full",
    "ingest",
    "503, no batch in parts; back by itself once there is room",
)
def test_a_full_disk_refuses_whole_batches(on_a_small_disk: Stack, row: Row) -> None:
    product = on_a_small_disk
    # the positive control: before the disk is full they are taken
    assert send_many(product) == 201
    before = product.postgres.ask(_KEPT)
    filler = fill(product)
    statuses = [send_many(product)]
    while statuses[-1] == 201 and len(statuses) < 50:
        statuses.append(send_many(product))
    assert set(statuses[:-1]) <= {201}
    assert statuses[-1] == 503
    assert product.health().status_code == 200
    filler.unlink()
    emptied_at = time.monotonic()
    product.repair()
    until(lambda: send_many(product) == 201)
    recovery = time.monotonic() - emptied_at
    # all of those that were told 201, and of the refused one nothing
    due = before + N_EVENTS * len(statuses)
    kept = product.postgres.ask(_KEPT)
    assert kept == due
    row.tell(
        "Postgres's disk full",
        load=f"batches of {N_EVENTS}, {len(statuses)} taken, 1 refused whole",
        losses=due - kept,
        recovery_seconds=recovery,
        control="201 before",
    )
