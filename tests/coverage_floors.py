"""The only place that holds the coverage floors of the house (STYLE.md): which files are short of which, and where."""

from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

WHOLE = 85.0
API = 90.0
# Where a branch nobody tested costs money or sleep.
WHOLLY_TESTED = (
    "*/states.py",
    "*/lifecycle.py",
    "*/ledger.py",
    "safety/breaker.py",
    "safety/breaker_step.py",
    "safety/gate.py",
    "safety/gatechecks.py",
    "actions/retry.py",
    "incidents/masking.py",
    "incidents/signature.py",
    "incidents/templates.py",
    "incidents/values.py",
)

Measured = dict[str, dict[str, Any]]


def failures(measured: Measured) -> Iterator[str]:
    if (whole := percent(measured)) < WHOLE:
        yield f"covered: {whole:.1f} %, the floor is {WHOLE:g} %"
    api = {name: file for name, file in measured.items() if name.endswith("api.py")}
    if (of_api := percent(api)) < API:
        yield f"covered of the API: {of_api:.1f} %, the floor is {API:g} %"
        yield from map(_short, api.items())
    for pattern in WHOLLY_TESTED:
        found = {name: file for name, file in measured.items() if fnmatch(name, pattern)}
        if not found:
            yield f"{pattern}: nothing was measured"
        yield from map(_short, (pair for pair in found.items() if percent(dict([pair])) < 100))


def percent(measured: Measured) -> float:
    """Lines and branches together; what has none is covered."""
    done = sum(_sum(file, "covered") for file in measured.values())
    left = sum(_sum(file, "missing") for file in measured.values())
    return 100 * done / (done + left) if done + left else 100.0


def _sum(file: dict[str, Any], what: str) -> int:
    return int(file["summary"][f"{what}_lines"] + file["summary"][f"{what}_branches"])


def _short(pair: tuple[str, dict[str, Any]]) -> str:
    name, file = pair
    branches = [f"{start}→{end or 'exit'}" for start, end in file["missing_branches"]]
    return f"{name}: lines {file['missing_lines']}, branches {', '.join(branches) or 'none'}"
