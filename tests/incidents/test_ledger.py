"""The recovery ledger: what reports make of a run, in whatever order they arrive."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awfdrs_site.lib.ids import uuid7
from incidents.ledger import Kind, RunReport, RunView, fold
from incidents.states import UNRECOVERED, RunState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def said(kind: Kind, minute: float) -> RunReport:
    return RunReport(uuid7(), kind, NOON + timedelta(minutes=minute))


def after(*reports: RunReport, view: RunView | None = None) -> RunView:
    view = view or RunView()
    for report in reports:
        view = fold(view, report)
    return view


FAILED = after(said("failure", 0))


@pytest.mark.parametrize(
    ("start", "kind", "minute", "state"),
    [
        (RunView(), "started", 1, "running"),
        (RunView(), "failure", 1, "failed"),
        (RunView(), "success", 1, "succeeded"),
        (FAILED, "started", 1, "failed"),
        (FAILED, "failure", 1, "failed"),
        (FAILED, "success", 1, "recovered_auto"),
        (FAILED, "success", -1, "failed"),  # it failed again after that success
    ],
)
def test_a_report_moves_a_run(start: RunView, kind: Kind, minute: float, state: str) -> None:
    assert fold(start, said(kind, minute)).state == state


def test_it_recovers_by_our_action_only_when_one_was_sent() -> None:
    planned = RunView(state=RunState.RETRY_SCHEDULED, last_failed_at=NOON)
    sent = RunView(state=RunState.RETRY_SCHEDULED, last_failed_at=NOON, was_attempted=True)
    assert fold(planned, said("success", 1)).state == RunState.RECOVERED_AUTO
    assert fold(sent, said("success", 1)).state == RunState.RECOVERED_BY_ACTION


def test_the_evidence_of_recovery_is_kept() -> None:
    success = said("success", 5)
    recovered = fold(FAILED, success)
    assert recovered.success_event_id == success.event_id
    assert recovered.success_occurred_at == success.occurred_at


@pytest.mark.parametrize(
    "ended",
    [RunState.SUCCEEDED, RunState.RECOVERED_AUTO, RunState.RECOVERED_BY_ACTION, RunState.WAIVED],
)
def test_a_failure_after_the_end_begins_a_new_episode(ended: RunState) -> None:
    before = RunView(state=ended, episode=3, was_attempted=True, success_occurred_at=NOON)
    anew = fold(before, said("failure", 1))
    assert (anew.state, anew.episode, anew.failed_anew) == (RunState.FAILED, 4, True)
    assert not anew.was_attempted  # what we did before does not recover this one
    assert fold(anew, said("success", 2)).state == RunState.RECOVERED_AUTO


def test_a_late_failure_is_counted_and_changes_no_state() -> None:
    recovered = after(said("failure", 0), said("success", 10))
    late = fold(recovered, said("failure", 5))
    assert (late.state, late.episode) == (RunState.RECOVERED_AUTO, 0)
    assert late.last_failed_at == NOON + timedelta(minutes=5)


def waived(minute: float) -> RunView:
    """A run that failed at noon and was given up later."""
    view = after(said("failure", 0))
    return replace(view, state=RunState.WAIVED, waived_at=NOON + timedelta(minutes=minute))


@pytest.mark.parametrize("minute", [5, 10])
def test_a_failure_from_before_the_waiver_does_not_take_it_back(minute: float) -> None:
    late = fold(waived(10), said("failure", minute))
    assert (late.state, late.episode, late.failed_anew) == (RunState.WAIVED, 0, False)
    assert late.last_failed_at == NOON + timedelta(minutes=minute)


def test_a_failure_after_the_waiver_is_a_new_episode_whatever_comes_late_then() -> None:
    anew = fold(waived(10), said("failure", 11))
    assert (anew.state, anew.episode) == (RunState.FAILED, 1)
    recovered = after(said("success", 12), said("failure", 5), view=anew)
    assert (recovered.state, recovered.episode) == (RunState.RECOVERED_AUTO, 1)


def test_a_success_after_the_waiver_leaves_it_waived() -> None:
    assert fold(waived(10), said("success", 20)).state == RunState.WAIVED


def test_a_second_failure_belongs_to_the_same_episode() -> None:
    twice = fold(FAILED, said("failure", 3))
    assert (twice.episode, twice.failed_anew) == (0, False)
    assert twice.first_failed_at == NOON
    assert twice.last_failed_at == NOON + timedelta(minutes=3)


def test_an_older_success_does_not_replace_a_newer_one() -> None:
    newer = said("success", 12)
    view = after(newer, said("success", 5), said("failure", 8))
    # it failed between two successes, and the last word was success
    assert not view.is_unrecovered
    assert view.success_event_id == newer.event_id


REPORTS = st.lists(
    st.tuples(st.sampled_from(["started", "failure", "success"]), st.integers(0, 50)),
    min_size=1,
    max_size=5,
    unique_by=lambda report: report[1],
)


@given(REPORTS)
def test_the_order_of_arrival_does_not_decide_whether_a_run_is_hurt(
    told: list[tuple[Kind, int]],
) -> None:
    reports = [said(kind, minute) for kind, minute in told]
    failures = [minute for kind, minute in told if kind == "failure"]
    successes = [minute for kind, minute in told if kind == "success"]
    is_hurt = bool(failures) and max(failures) > max(successes, default=-1)
    for order in permutations(reports):
        view = after(*order)
        assert view.is_unrecovered is is_hurt
        assert (view.state in UNRECOVERED) is is_hurt
        assert view.first_failed_at == (
            NOON + timedelta(minutes=min(failures)) if failures else None
        )
