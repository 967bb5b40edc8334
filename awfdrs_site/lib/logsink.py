"""The only place that writes log lines: behind a bounded queue, because a full pipe must not stop a request."""

import logging
import os
import queue
import sys
import threading
import time
import weakref
from typing import TextIO

from awfdrs_site.lib import metrics

QUEUE_LIMIT = 10_000  # lines; beyond this they are dropped and counted
FLUSH_SECONDS = 1.0  # what a process that ends gives its last lines
_LOOK_SECONDS = 0.005


class Sink(logging.Handler):
    """Lines are shaped by who logs, whose context they carry, and written by a thread of the handler's own."""

    def __init__(self, stream: TextIO | None = None, limit: int = QUEUE_LIMIT) -> None:
        super().__init__()
        self.stream = stream
        self.n_dropped = 0
        self._limit = limit
        self._begin()
        forgotten = weakref.WeakMethod(self._begin)
        os.register_at_fork(after_in_child=lambda: (begin := forgotten()) and begin())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        self._ensure_thread()
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.n_dropped += 1
            metrics.LOG_LINES_DROPPED.inc()

    def flush(self) -> None:
        """Wait a little for what is queued; a blocked reader does not keep a process from ending."""
        until = time.monotonic() + FLUSH_SECONDS
        while self._lines.unfinished_tasks and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)

    def _begin(self) -> None:
        """A forked child has neither our thread nor any right to the lines that were queued."""
        self._lines: queue.Queue[str] = queue.Queue(self._limit)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def _ensure_thread(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._write, name="log sink", daemon=True)
                self._thread.start()

    def _write(self) -> None:
        lines = self._lines
        while True:
            line = lines.get()
            try:
                stream = self.stream or sys.stderr
                stream.write(line + "\n")
                stream.flush()
            except (OSError, ValueError):  # its reader is gone: nobody is left to be told
                pass
            finally:
                lines.task_done()
