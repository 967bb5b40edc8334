"""A log that nobody reads stops nobody: lines are dropped and counted."""

import logging
import sys
import threading

from awfdrs_site.celery import app
from awfdrs_site.lib.logsink import Sink


class Blocked:
    """A pipe whose reader has stopped."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.goes_on = threading.Event()

    def write(self, text: str) -> None:
        self.goes_on.wait(10)
        self.lines.append(text)

    def flush(self) -> None: ...


def logger_to(sink: Sink) -> logging.Logger:
    logger = logging.Logger("apart")
    logger.addHandler(sink)
    return logger


def test_a_blocked_sink_costs_lines_and_no_time() -> None:
    stream = Blocked()
    sink = Sink(stream, limit=5)  # type: ignore[arg-type]
    logger = logger_to(sink)
    for n in range(20):
        logger.warning("line %d", n)
    # one is in the writer's hands or still queued, five wait, the rest is counted
    assert sink.n_dropped in (14, 15)
    stream.goes_on.set()
    sink.flush()
    assert len(stream.lines) + sink.n_dropped == 20


def test_a_line_that_cannot_be_written_ends_nothing() -> None:
    class Gone(Blocked):
        def write(self, text: str) -> None:
            if text == "first\n":
                raise BrokenPipeError
            super().write(text)

    stream = Gone()
    stream.goes_on.set()
    sink = Sink(stream)  # type: ignore[arg-type]
    logger = logger_to(sink)
    logger.warning("first")
    logger.warning("second")
    sink.flush()
    assert stream.lines == ["second\n"]


def test_a_worker_does_not_log_its_own_log() -> None:
    """Were sys.stderr a logger, as Celery likes it, the sink's thread would feed the sink for ever."""
    app.log.setup(loglevel=logging.INFO, redirect_stdouts=app.conf.worker_redirect_stdouts)
    sink = Sink()
    logging.getLogger().addHandler(sink)
    try:
        logging.getLogger("celery").warning("said once")
        sink.flush()
        assert sink._lines.empty()
    finally:
        logging.getLogger().removeHandler(sink)
    assert not hasattr(sys.stderr, "logger")
