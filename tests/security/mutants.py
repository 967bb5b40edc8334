"""The only place that breaks the product on purpose: each security mutant in a copy of the tree, under its tests.

python -m tests.security.mutants [words of a name …] prints a table for docs/threat-model.md.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from awfdrs_site import embedded
from awfdrs_site.wheels import postgres
from tests import conftest
from tests.security.mutant_table import MUTANTS, Mutant

FAILED = 1  # what pytest returns for tests that ran and failed; anything else proves nothing
SECONDS_MOST = 600
PLAIN = ("-p", "no:xdist", "-p", "no:cacheprovider")
VERDICTS = {FAILED: "killed", 0: "SURVIVED"}


def main(words: list[str]) -> int:
    chosen = [mutant for mutant in MUTANTS if all(word in mutant.name for word in words)]
    with tempfile.TemporaryDirectory(prefix="awfdrs-mutants-") as directory:
        tree = _copied(Path(directory))
        # A test that fails without any mutant would kill all of them.
        if ran := _run(tree, sorted({test for mutant in chosen for test in mutant.tests}), "none"):
            print(f"the tests fail by themselves ({ran}): nothing is proven")
            return ran
        print("| broken on purpose | noticed by | verdict | took |\n|---|---|---|---|", flush=True)
        verdicts = [_verdict(tree, number, mutant) for number, mutant in enumerate(chosen)]
    n_killed = verdicts.count("killed")
    print(f"\n{n_killed}/{len(chosen)} killed")
    return int(n_killed < len(chosen))


def _copied(directory: Path) -> Path:
    """What git knows and what it is about to know; never what it ignores."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True).stdout
    there = b"\0".join(name for name in names.split(b"\0") if name and Path(name.decode()).exists())
    packing = ["tar", "-c", "--null", "-T", "-"]
    packed = subprocess.run(packing, check=True, capture_output=True, input=there).stdout
    subprocess.run(["tar", "-x", "-C", directory], check=True, input=packed)
    return directory


def _verdict(tree: Path, number: int, mutant: Mutant) -> str:
    began = time.perf_counter()
    with _applied(tree, mutant):
        verdict = VERDICTS.get(_run(tree, mutant.tests, f"mutant{number}"), "BROKEN")
    took = time.perf_counter() - began
    print(f"| {mutant.name} | `{mutant.tests[0]}` | {verdict} | {took:.0f} s |", flush=True)
    return verdict


@contextmanager
def _applied(tree: Path, mutant: Mutant) -> Iterator[None]:
    if not mutant.file:
        _as_owner(mutant.before)
        try:
            yield
        finally:
            _as_owner(mutant.after)
        return
    path = tree / mutant.file
    whole = path.read_text()
    if whole.count(mutant.before) != 1:
        raise LookupError(f"{mutant.name}: {mutant.before!r} is not once in {mutant.file}")
    path.write_text(whole.replace(mutant.before, mutant.after))
    try:
        yield
    finally:
        path.write_text(whole)


def _as_owner(statement: str) -> None:
    """In the database that every run's own is copied from."""
    running = embedded.start(conftest.RUN)
    template = make_conninfo(running.database_owner_url, dbname=postgres.DATABASE)
    with psycopg.connect(template, autocommit=True) as owner:
        owner.execute(statement.encode())


def _run(tree: Path, tests: list[str] | tuple[str, ...], name: str) -> int:
    """As one more worker of this run: the first migrates its database, all copy it."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", *PLAIN, *tests],
        cwd=tree,
        env={
            **os.environ,
            "PYTEST_XDIST_WORKER": name,
            "AWFDRS_DATA": str(conftest.RUN),
            "PYTHONDONTWRITEBYTECODE": "1",  # a mutant leaves within a second: its file may look as new
        },
        capture_output=True,
        text=True,
        timeout=SECONDS_MOST,
    )
    if ran.returncode not in VERDICTS or (name == "none" and ran.returncode):
        print(ran.stdout[-3000:], ran.stderr[-1000:])
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
