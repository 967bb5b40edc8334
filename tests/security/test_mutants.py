"""The list of security mutants keeps to the code: what it breaks stands where it says, and its tests are there."""

import ast
from pathlib import Path

from tests.security.mutant_table import MUTANTS

ROOT = Path(__file__).parents[2]


def _functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_mutant_breaks_one_place_that_is_there() -> None:
    assert len({mutant.name for mutant in MUTANTS}) >= 20
    for mutant in MUTANTS:
        if mutant.file:
            assert (ROOT / mutant.file).read_text().count(mutant.before) == 1, mutant.name


def test_every_mutant_names_tests_that_are_there() -> None:
    for mutant in MUTANTS:
        for file, name in (test.split("::") for test in mutant.tests):
            assert name in _functions(file), (mutant.name, name)
