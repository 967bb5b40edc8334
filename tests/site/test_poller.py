"""The worker's places for calls: counted while one is under way, and announced when it comes free."""

import threading

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


def test_sweeps_that_take_long_keep_no_due_action_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    step, looked = poller.Poller(None), threading.Barrier(2)

    def slow() -> int:
        looked.wait(PATIENCE_SECONDS)  # a look for due actions comes while it runs
        step._stop.set()
        return 0

    def looks() -> int:
        if not step._stop.is_set():
            looked.wait(PATIENCE_SECONDS)
        return 0

    monkeypatch.setattr(poller, "run_due", looks)
    monkeypatch.setattr(poller, "sweeps", lambda: [slow])
    monkeypatch.setattr(poller, "seldom", list)
    monkeypatch.setattr(poller, "close_old_connections", lambda: None)
    monkeypatch.setattr(poller, "calls", Calls())
    step.start(None)
    for thread in step._threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    assert looked.n_waiting == 0
    assert not looked.broken
