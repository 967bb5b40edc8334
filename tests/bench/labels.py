"""The only place that measures categories: real workflow failures that people labelled, by cross-validation.

FAILURES=workflow_failures.csv python -m tests.bench.labels
"""

import csv
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from incidents.analysis import bayes
from incidents.analysis.classify import classify
from incidents.analysis.facts import Facts, facts_from

PROJECT = Path(__file__).parents[2]
FAILURES = PROJECT.parent / "shared" / "data" / "workflow_failures.csv"
FOLDS = 5
RETRYABLE_TAGS = frozenset({"W3", "W7", "W1"})  # the network, a rate limit, a service away


@dataclass(frozen=True)
class Failure:
    said: bayes.Features
    rule: str
    is_retryable_by_rule: bool
    category: str
    tag: str


@dataclass(frozen=True)
class Measured:
    with_labels: float
    rules_alone: float
    majority: float
    precision: float
    recall: float
    n: int


def read(path: Path) -> list[Failure]:
    with path.open(newline="", encoding="utf-8") as lines:
        return [_failure(row) for row in csv.DictReader(lines)]


def measure(failures: Sequence[Failure]) -> Measured:
    """Each fold is judged by what the other four teach."""
    n, by_labels, by_rules = len(failures), 0, 0
    for fold in range(FOLDS):
        held = [f for k, f in enumerate(failures) if k % FOLDS == fold]
        rest = [f for k, f in enumerate(failures) if k % FOLDS != fold]
        guess, tree = _learned(rest), _rules_alone(rest)
        by_labels += sum(guess(f) == f.category for f in held)
        by_rules += sum(tree(f) == f.category for f in held)
    said = [f for f in failures if f.is_retryable_by_rule]
    right = sum(f.tag in RETRYABLE_TAGS for f in said)
    return Measured(
        with_labels=by_labels / n,
        rules_alone=by_rules / n,
        majority=Counter(f.category for f in failures).most_common(1)[0][1] / n,
        precision=right / len(said) if said else 1.0,
        recall=right / sum(f.tag in RETRYABLE_TAGS for f in failures),
        n=n,
    )


def main() -> None:
    path = Path(os.environ.get("FAILURES") or FAILURES)
    if not path.exists():
        print(f"No {path}: FAILURES=file names another one.", file=sys.stderr)
        sys.exit(2)
    found = measure(read(path))
    print(f"five categories of {found.n} failures, {FOLDS}-fold: {found.with_labels:.3f}")
    print(f"rule tree alone {found.rules_alone:.3f}, the largest category {found.majority:.3f}")
    print(f"retryable: precision {found.precision:.2f}, recall {found.recall:.2f}")


def _failure(row: dict[str, str]) -> Failure:
    payload = {"error_message": row["root_cause"], "step": row["step"]}
    facts: Facts = facts_from("job.failed", payload, row["workflow_name"])
    found = classify(facts, code_category=None, code_severity=None)
    return Failure(
        said=bayes.features(facts, rule=found.rule),
        rule=found.rule,
        is_retryable_by_rule=found.retryable_hint and found.confidence >= 0.7,
        category=row["category"],
        tag=row["tag"],
    )


def _learned(failures: Sequence[Failure]) -> Callable[[Failure], str]:
    model = bayes.train([(f.said, f.category) for f in failures])

    def label(failure: Failure) -> str:
        found = bayes.guess(model, failure.said)
        return found.label if found else ""

    return label


def _rules_alone(failures: Sequence[Failure]) -> Callable[[Failure], str]:
    """Each rule stands for the category that most of its failures have."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for failure in failures:
        seen[failure.rule][failure.category] += 1
    return lambda failure: seen[failure.rule].most_common(1)[0][0] if seen[failure.rule] else ""


if __name__ == "__main__":
    main()
