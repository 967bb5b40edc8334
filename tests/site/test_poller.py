"""The worker's places for calls: counted while one is under way, and announced when it comes free."""

import threading
from collections.abc import Callable

import pytest

from awfdrs_site import poller
from awfdrs_site.poller import AT_ONCE, Calls

PATIENCE_SECONDS = 20


def test_a_call_takes_a_place_and_its_end_is_heard() -> None:
    calls, goes_on = Calls(), threading.Event()
    calls.submit(lambda: goes_on.wait(PATIENCE_SECONDS))
    assert calls.room == AT_ONCE - 1
    assert not calls.wait(0)
    goes_on.set()
    assert calls.wait(PATIENCE_SECONDS)
    assert calls.room == AT_ONCE
    # heard once: the next rest is a rest again
    assert not calls.wait(0)


def test_a_call_that_breaks_gives_its_place_back_too() -> None:
    calls = Calls()

    def breaks() -> None:
        raise RuntimeError("broken")

    calls.submit(breaks)
    assert calls.wait(PATIENCE_SECONDS)
    assert calls.room == AT_ONCE


def test_a_thousand_due_retries_make_no_other_sweep_run_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = poller.Poller(None)
    passes: list[Callable[[], int]] = []

    def sweeps(*, run_due: Callable[[], int]) -> list[Callable[[], int]]:
        passes.append(run_due)
        if len(passes) == 3:
            step._stop.set()
        return [run_due]

    monkeypatch.setattr(poller, "run_due", lambda: 16)
    monkeypatch.setattr(poller, "sweeps", sweeps)
    monkeypatch.setattr(poller, "seldom", list)
    monkeypatch.setattr(step, "_rest", step._stop.set)
    step._run()
    assert len(passes) == 1
