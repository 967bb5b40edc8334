"""The only place that runs the tests with their coverage measured: python -m tests.measured PYTEST'S ARGUMENTS.

Only the workers measure: what starts them and merges what they saw runs no test, and would keep them waiting
while it rewrites bytecode as they do.
"""

import json
import os
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from tests.coverage_floors import Measured, failures

_SETTINGS = Path(__file__).resolve().parent.parent / "pyproject.toml"


def main() -> None:
    _tell_workers()
    if failed := pytest.main(sys.argv[1:]):
        sys.exit(failed)
    if short := list(failures(_measured())):
        sys.exit("\n".join(short))


def _tell_workers() -> None:
    """What SlipCover's plugin reads in each of them."""
    asked = tomllib.loads(_SETTINGS.read_text())["tool"]["slipcover"]
    os.environ |= {
        "SLIPCOVER_ENABLED": "1",
        "SLIPCOVER_BRANCH": str(int(asked["branch"])),
        "SLIPCOVER_SOURCE": ",".join(asked["source"]),
        "SLIPCOVER_EXCLUDE_LINES": "\n".join(asked["exclude-lines"]),
    }


def _measured() -> Measured:
    """What the plugin merged when the last worker had ended."""
    merged = Path(os.environ["SLIPCOVER_COVERAGE_DIR"])
    files: Measured = json.loads((merged / "merged.json").read_text())["files"]
    shutil.rmtree(merged)
    return files


if __name__ == "__main__":
    main()
