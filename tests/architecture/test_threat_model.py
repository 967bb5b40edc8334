"""The threat model promises nothing that no test holds."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/threat-model.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_test_that_the_threat_model_names_is_there() -> None:
    missing = []
    for file, name in NAMED.findall(PAGE):
        path = ROOT / file
        functions = [
            n.name
            for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        if name not in functions:
            missing.append(f"{file}::{name}")
    assert missing == []


def test_every_promise_names_a_test() -> None:
    promises = PAGE.split("## Promised")[1].split("## Not promised")[0].splitlines()
    rows = [line for line in promises if line.startswith("| ") and not line.startswith("| threat")]
    assert len(rows) > 20
    assert [row for row in rows if not NAMED.search(row)] == []
