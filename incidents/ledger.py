"""The recovery ledger's rules: what one report makes of a run, pure and in any order of arrival."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from incidents.states import UNRECOVERED, RunState

Kind = Literal["started", "failure", "success"]


@dataclass(frozen=True)
class RunReport:
    """What an event says of its run."""

    event_id: UUID
    kind: Kind
    occurred_at: datetime


@dataclass(frozen=True)
class RunView:
    """What the ledger knows of a run; mirrors the columns of Run that reports can change."""

    state: str = RunState.RUNNING
    episode: int = 0
    was_attempted: bool = False
    first_failed_at: datetime | None = None
    last_failed_at: datetime | None = None
    last_event_id: UUID | None = None
    success_occurred_at: datetime | None = None
    success_event_id: UUID | None = None
    waived_at: datetime | None = None
    failed_anew: bool = False

    @property
    def is_unrecovered(self) -> bool:
        return self.state in UNRECOVERED

    def is_over_by(self, moment: datetime) -> bool:
        """Whether what happened then is known to have come before a success or a waiver."""
        ends = (self.success_occurred_at, self.waived_at)
        return any(end is not None and moment <= end for end in ends)


def fold(view: RunView, report: RunReport) -> RunView:
    """The run after one more report.

    1. A success recovers a failed run: by our action when one was attempted, else alone.
    2. A failure older than the success or the waiver we know is late: it is counted, and changes no state.
    3. A failure of a run that had ended begins a new episode, so that it can be recovered anew.
    """
    if report.kind == "started":
        return view
    if report.kind == "success":
        return _succeeded(view, report)
    heard: dict[str, Any] = {
        "first_failed_at": min(view.first_failed_at or report.occurred_at, report.occurred_at),
        "last_failed_at": max(view.last_failed_at or report.occurred_at, report.occurred_at),
        "last_event_id": report.event_id,
    }
    if view.is_unrecovered or view.is_over_by(report.occurred_at):
        return replace(view, **heard)
    had_ended = view.state != RunState.RUNNING
    return replace(
        view,
        **heard,
        state=RunState.FAILED,
        episode=view.episode + had_ended,
        was_attempted=False,
        waived_at=None,
        failed_anew=had_ended,
    )


def _succeeded(view: RunView, report: RunReport) -> RunView:
    if view.last_failed_at is not None and report.occurred_at < view.last_failed_at:
        return view  # it failed again after this success
    known = view.success_occurred_at
    if known is not None and report.occurred_at < known:
        return view  # else a failure between the two would look like news, and be retried
    states = {
        RunState.RUNNING: RunState.SUCCEEDED,
        RunState.FAILED: RunState.RECOVERED_AUTO,
        RunState.RETRY_SCHEDULED: RunState.RECOVERED_AUTO,
    }
    state = states.get(RunState(view.state), RunState(view.state))
    if view.is_unrecovered and view.was_attempted:
        state = RunState.RECOVERED_BY_ACTION
    return replace(
        view,
        state=state,
        success_occurred_at=report.occurred_at,
        success_event_id=report.event_id,
    )
