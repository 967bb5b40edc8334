"""Each test here is a cell of the outage table: what broke, whom it is about, and what must be so."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Owner
from tests.faults.outages.stack import Stack, stack
from tests.faults.sizes import IS_FULL

RESULTS = Path(__file__).with_name("results.json")
_results: dict[str, dict[str, str]] = {}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cell(outage, part, promise): one cell of the outage table")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What breaks a whole product of its own takes minutes: that is left to `make faults`."""
    whole = {"product", "on_a_small_disk"}
    cells = (item for item in items if item.get_closest_marker("cell"))
    long = {
        item for item in cells if not IS_FULL and whole & set(getattr(item, "fixturenames", ()))
    }
    if long:
        config.hook.pytest_deselected(items=list(long))
        items[:] = [item for item in items if item not in long]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    cell = item.get_closest_marker("cell")
    if cell is not None and (report.when == "call" or report.outcome != "passed"):
        outage, part, promise = cell.args
        said = {"passed": "shown", "failed": "FAILS"}.get(report.outcome, "")
        if report.outcome == "skipped":
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "skipped"
            said = reason.removeprefix("Skipped: ")
        _results[f"{outage} · {part}"] = {
            "outage": outage,
            "part": part,
            "promise": promise,
            "result": said,
            "test": item.nodeid.partition("outages/")[2],
        }
        _keep()
    return report


def _keep() -> None:
    """Full runs only: the small ones show less, and must not change what is checked in."""
    if IS_FULL:
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(kept | _results, indent=1, ensure_ascii=False) + "\n")


@pytest.fixture(scope="session")
def _running(owner: Owner) -> Iterator[Stack]:
    with stack() as made:
        yield made


@pytest.fixture
def product(_running: Stack) -> Iterator[Stack]:
    """The whole product but workers and beat; each cell gets it whole, and breaks what it is about."""
    try:
        yield _running
    finally:
        _running.repair()
