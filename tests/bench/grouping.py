"""The only place that measures grouping: real logs whose templates people wrote down, and its cost.

    LOGHUB=directory python -m tests.bench.grouping

The directory holds one CSV a system: content,template_id. GA is the share of lines whose group is
exactly their template's lines; F1 weighs exact groups against all groups found and all templates.
"""

import csv
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from time import thread_time

from incidents import templates
from incidents.signature import normalise
from incidents.templates import Template

PROJECT = Path(__file__).parents[2]
LOGHUB = PROJECT.parent / "shared" / "data" / "loghub"
HOSTILE_SIZE = 64 * 1024
HOSTILE = (
    "1",
    "a.",
    "1:",
    "a@b.",
    "/a",
    "<",
    "ff:",
    "1s",
    "'a",
    "a=",
    "<num> ",
    "jan 1 ",
    'k="a b',
)


@dataclass(frozen=True)
class Score:
    accuracy: float
    f1: float


def main() -> None:
    directory = Path(os.environ.get("LOGHUB") or LOGHUB)
    systems = sorted(directory.glob("*.csv"))
    if not systems:
        print(f"No *.csv in {directory}: LOGHUB=directory names another one.", file=sys.stderr)
        sys.exit(2)
    print(f"{'':<14}{'GA':>7}{'F1':>7}   masking alone: GA, F1")
    ours, plain = zip(*(_system(path) for path in systems), strict=True)
    _line("mean", _mean(ours), _mean(plain))
    _cost()


def _system(path: Path) -> tuple[Score, Score]:
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    texts, true = [row["content"] for row in rows], [row["template_id"] for row in rows]
    grouped, masked = score(groups(texts), true), score([normalise(text) for text in texts], true)
    _line(path.stem, grouped, masked)
    return grouped, masked


def _line(name: str, ours: Score, plain: Score) -> None:
    print(f"{name:<14}{ours.accuracy:7.3f}{ours.f1:7.3f} {plain.accuracy:17.3f}{plain.f1:7.3f}")


def _mean(scores: Sequence[Score]) -> Score:
    return Score(mean(s.accuracy for s in scores), mean(s.f1 for s in scores))


def groups(texts: Sequence[str]) -> list[str]:
    """What the product's own command says."""
    answer = subprocess.run(
        [sys.executable, PROJECT / "manage.py", "group_texts"],
        input="".join(f"{json.dumps(text)}\n" for text in texts),
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.splitlines()


def score(found: Sequence[Hashable], true: Sequence[Hashable]) -> Score:
    predicted, expected = _sets(found), _sets(true)
    exact = predicted & expected
    precision, recall = len(exact) / len(predicted), len(exact) / len(expected)
    f1 = 2 * precision * recall / (precision + recall) if exact else 0.0
    return Score(sum(map(len, exact)) / len(true), f1)


def _sets(labels: Sequence[Hashable]) -> set[frozenset[int]]:
    members: dict[Hashable, set[int]] = defaultdict(set)
    for line, label in enumerate(labels):
        members[label].add(line)
    return {frozenset(lines) for lines in members.values()}


# --- cost -------------------------------------------------------------------------------------


def _cost() -> None:
    """Processor time; the text of a ratio fits the normaliser's limit, or it would be flattered."""
    seconds, worst = max((_seconds(_repeated(piece, HOSTILE_SIZE)), piece) for piece in HOSTILE)
    print(f"64 KiB of hostile text: {seconds * 1000:.2f} ms at worst (of {worst!r})")
    ratio = max(_seconds(_repeated(p, 2000)) / _seconds(_repeated(p, 1000)) for p in HOSTILE)
    print(f"time(2n) / time(n): {ratio:.2f} at worst")
    print(f"placing in a full leaf: {_fastest(_full_leaf()) * 1000:.2f} ms")


def _repeated(piece: str, size: int) -> str:
    return (piece * (size // len(piece) + 1))[:size]


def _seconds(text: str) -> float:
    # Another first character each time: not the remembered answer of the turn before.
    fresh = iter("abcdefghij")
    return _fastest(lambda: normalise(next(fresh) + text))


def _full_leaf() -> Callable[[], object]:
    """A leaf where every template differs from the text in its last word only."""
    words = " ".join("abcdefghij" * 20)
    leaves: dict[str, list[Template]] = {}
    for n in range(templates.LEAF_LIMIT):
        templates.learn(f"{words} error{'x' * n}", leaves)
    (full,) = leaves.values()
    return lambda: templates.place(f"{words} errorless", full[:-1])


def _fastest(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(7):
        began = thread_time()
        work()
        spent.append(thread_time() - began)
    return min(spent)


if __name__ == "__main__":
    main()
