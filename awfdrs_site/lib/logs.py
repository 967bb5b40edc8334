"""The only place that shapes log lines: one JSON object a line, with the correlation id and tenant of the work."""

import logging
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from awfdrs_site.lib import scrubbing


def _hide_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return scrubbing.named(dict(event))


def _original_names(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["message"] = event.pop("event", "")
    event["level"] = str(event.get("level", "")).upper()
    return event


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


def json_formatter() -> logging.Formatter:
    """The formatter of every handler; records of the standard library and of structlog look the same."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _original_names,
            _hide_secrets,  # last: nothing is added behind it
            structlog.processors.JSONRenderer(),
        ],
    )
