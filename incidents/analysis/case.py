"""The only shape in which an outage is handed to analysis: what was reported around an incident, and what changed."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from incidents.analysis import numbers
from incidents.analysis.numbers import Onset

Attributes = tuple[tuple[str, str], ...]  # name of a field, its value in words

_FEW = 40  # failures; an incident of fewer may be a part of what its workflow suffers
_PART = 0.2  # of those it must be, to be looked at together with them


@dataclass(frozen=True, slots=True)
class Report:
    """One event. `at` is when it happened, in seconds since 1970; `failed` is None when it says neither."""

    id: UUID
    at: float
    workflow: str
    vendor: str = ""
    step: str = ""
    run: str = ""
    failed: bool | None = None
    is_mine: bool = False  # counted on the incident that is asked about
    attributes: Attributes = ()


@dataclass(frozen=True, slots=True)
class Change:
    """Something somebody did. Empty `workflow` and `vendor`: it may touch everything."""

    at: float
    kind: str
    summary: str
    workflow: str = ""
    vendor: str = ""

    def touches(self, report: Report) -> bool:
        return self.workflow in ("", report.workflow) and self.vendor in ("", report.vendor)


@dataclass(frozen=True)
class Case:
    """`reports` are in order of happening; what happened before `start` was not looked at."""

    start: float
    end: float
    reports: tuple[Report, ...]
    changes: tuple[Change, ...] = ()

    @cached_property
    def judged(self) -> tuple[Report, ...]:
        return tuple(r for r in self.reports if r.failed is not None)

    @cached_property
    def mine(self) -> tuple[Report, ...]:
        return tuple(r for r in self.judged if r.is_mine and r.failed)

    @cached_property
    def kin(self) -> tuple[Report, ...]:
        """This incident's failures; of a small one all of its workflow, which grouping may have told apart."""
        workflows = {r.workflow for r in self.mine}
        together = tuple(r for r in self.judged if r.failed and r.workflow in workflows)
        is_part = len(self.mine) < _FEW and len(self.mine) >= _PART * len(together)
        return together if is_part else self.mine

    @cached_property
    def has_successes(self) -> bool:
        return any(r.failed is False for r in self.judged)

    @cached_property
    def onset(self) -> Onset | None:
        """When this incident's failures began to come faster; None when they always came like this."""
        return numbers.onset([r.at for r in self.kin], start=self.start, end=self.end)

    @cached_property
    def began_at(self) -> float:
        return self.onset.at if self.onset else self.start

    @cached_property
    def focus(self) -> tuple[Report, ...]:
        """What was reported while it lasted."""
        last = self.kin[-1].at if self.kin else self.end
        return tuple(r for r in self.judged if self.began_at <= r.at <= last)

    @cached_property
    def suffered(self) -> tuple[Report, ...]:
        """This incident's failures since it began, and whatever else failed in the same runs."""
        runs = {(r.workflow, r.run) for r in self.mine if r.run and r.at >= self.began_at}
        since = (r for r in self.judged if r.failed and r.at >= self.began_at)
        return tuple(r for r in since if r.is_mine or (r.workflow, r.run) in runs)


def one_a_run(reports: Iterable[Report]) -> list[Report]:
    """The first of each run: what a run tries again says nothing new. What has no run stands alone."""
    first: dict[object, Report] = {}
    for report in reports:
        first.setdefault((report.workflow, report.run) if report.run else report.id, report)
    return list(first.values())
