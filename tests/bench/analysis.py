"""The only place that measures root causes: generated outages whose cause is known, and what an answer costs.

python -m tests.bench.analysis [seed]
"""

import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from time import thread_time
from typing import Any
from uuid import UUID

from incidents.analysis import outcome, payloads, root_cause
from incidents.analysis.case import Case, Change, Report
from incidents.analysis.facts import facts_from
from incidents.analysis.hypothesis import Hypothesis
from incidents.states import Outcome
from tests.support.outages_generator import Outage, outages

_BEFORE = 6 * 3600.0


@dataclass
class Tally:
    first: int = 0
    among_three: int = 0
    n: int = 0


def case_of(outage: Outage) -> Case:
    """The case of the incident that somebody would look at first: the largest of the workflow that is hurt."""
    read = [_report(number, body) for number, body in enumerate(outage.bodies)]
    sizes = Counter(key for report, key in read if report.failed and _is_hurt(report, outage))
    mine = sizes.most_common(1)[0][0]
    reports = sorted(
        (_as_mine(report, key == mine) for report, key in read), key=lambda report: report.at
    )
    last = max(report.at for report in reports if report.is_mine)
    first = min(report.at for report in reports if report.is_mine)
    changes = tuple(
        Change(_seconds(c["occurred_at"]), c["kind"], c["summary"], c.get("workflow", ""))
        for c in outage.changes
    )
    start = first - _BEFORE
    return Case(start, last, tuple(r for r in reports if start <= r.at <= last), changes)


def is_right(outage: Outage, card: Hypothesis) -> bool:
    if card.kind != outage.label:
        return False
    if card.kind == "cycle":
        minutes = int(outage.culprit)
        every = f"{minutes} minutes" if minutes < 60 else f"{minutes // 60} hours"
        return ("every hour" if minutes == 60 else every) in card.subject
    return (
        outage.culprit in card.subject if card.kind == "change" else outage.culprit == card.subject
    )


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    made = outages(200, n_without=50, seed=seed)
    tallies: dict[str, Tally] = defaultdict(Tally)
    n_false, seconds, n_events = 0, 0.0, 0
    for outage in made:
        case = case_of(outage)
        began = thread_time()
        cards = root_cause.explain(case)
        seconds += thread_time() - began
        n_events += len(case.reports)
        n_false += bool(cards) and not outage.label
        if outage.label:
            _count(tallies[outage.label], outage, cards)
    _print(tallies, n_false, seconds, n_events)


def _count(tally: Tally, outage: Outage, cards: list[Hypothesis]) -> None:
    right = [is_right(outage, card) for card in cards]
    tally.n += 1
    tally.first += bool(right[:1] and right[0])
    tally.among_three += any(right[:3])


def _print(tallies: dict[str, Tally], n_false: int, seconds: float, n_events: int) -> None:
    print(f"{'cause':<12}{'top-1':>8}{'top-3':>8}{'n':>6}")
    n = first = three = 0
    for label, tally in sorted(tallies.items()):
        print(
            f"{label:<12}{tally.first / tally.n:>8.0%}{tally.among_three / tally.n:>8.0%}{tally.n:>6}"
        )
        n, first, three = n + tally.n, first + tally.first, three + tally.among_three
    print(f"{'all':<12}{first / n:>8.1%}{three / n:>8.1%}{n:>6}")
    print(f"false claims {n_false} of 50 without a cause")
    print(f"{1000 * seconds / n_events:.3f} s per 1000 events, {n_events} events")


def _report(number: int, body: dict[str, Any]) -> tuple[Report, tuple[str, ...]]:
    payload = body["payload"]
    said = facts_from(body["event_type"], payload, body["workflow"])
    result = outcome.outcome(event_type=body["event_type"], payload=payload)
    failed = {Outcome.FAILURE: True, Outcome.SUCCESS: False}.get(result)
    report = Report(
        id=UUID(int=number),
        at=_seconds(body["occurred_at"]),
        workflow=said.workflow,
        vendor=said.vendor,
        step=said.step,
        run=body.get("run_id", ""),
        failed=failed,
        attributes=payloads.attributes(payload),
    )
    return report, (said.workflow, said.vendor, said.error_code, said.step)


def _is_hurt(report: Report, outage: Outage) -> bool:
    if outage.label == "vendor":
        return report.vendor == outage.culprit
    return report.workflow == outage.hurt


def _as_mine(report: Report, is_mine: bool) -> Report:
    return Report(
        report.id,
        report.at,
        report.workflow,
        report.vendor,
        report.step,
        report.run,
        report.failed,
        is_mine and bool(report.failed),
        report.attributes,
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    main()
