"""The only place that prints what faults did: one line for each test, with what it says of itself."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

_NAME = "fault"
_COLUMNS = ("fault", "load", "losses", "recovered in", "control", "took")


class Row:
    """What a test of faults tells of itself when all of it held."""

    def __init__(self, node: pytest.Item) -> None:
        self._node = node

    def tell(
        self,
        fault: str,
        *,
        load: str,
        losses: int = 0,
        recovery_seconds: float | None = None,
        story_seconds: float | None = None,
        control: str = "",
    ) -> None:
        """`story_seconds` went by on the clock that `time_travel` moves, not on the wall."""
        recovered = "" if recovery_seconds is None else f"{recovery_seconds:.1f} s"
        if story_seconds is not None:
            recovered = f"{story_seconds:.0f} s of the story"
        told = dict(zip(_COLUMNS, (fault, load, losses, recovered, control), strict=False))
        self._node.user_properties.append((_NAME, json.dumps(told)))


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    return Row(request.node)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """After the tests: those that are marked `faults` and ran."""
    ran = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        if report.when == "call" and "faults" in report.keywords
    ]
    if not ran:
        return
    terminalreporter.section("faults")
    for line in _lines([_told(report) for report in sorted(ran, key=lambda one: one.nodeid)]):
        terminalreporter.write_line(line)


def _told(report: Any) -> dict[str, str]:
    said = dict(report.user_properties).get(_NAME)
    told = json.loads(said) if said else {"fault": _in_words(report.nodeid)}
    verdict = {} if report.passed else {"losses": "FAILED"}
    return {**told, **verdict, "took": f"{report.duration:.1f} s"}


def _in_words(node: str) -> str:
    return node.partition("::test_")[2].replace("_", " ")


def _lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in (dict(zip(_COLUMNS, _COLUMNS, strict=True)), *rows):
        yield " | ".join(str(row.get(name, "")) for name in _COLUMNS)
