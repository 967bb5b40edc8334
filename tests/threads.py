"""The only place where tests run things at once: threads that start together and give their connections back."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connections

T = TypeVar("T")
PATIENCE_SECONDS = 60


def at_once(n_threads: int, work: Callable[[int], T]) -> list[T]:
    """`work(0)` … `work(n - 1)` started together; their results in order, or the first exception."""
    barrier = Barrier(n_threads)

    def run(number: int) -> T:
        barrier.wait(PATIENCE_SECONDS)
        try:
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(n_threads) as threads:
        return list(threads.map(run, range(n_threads), timeout=PATIENCE_SECONDS))
