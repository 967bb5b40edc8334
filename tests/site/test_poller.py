"""The worker's places for calls: counted while one is under way, and announced when it comes free."""

import threading

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
