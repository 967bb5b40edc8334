"""The only place where a span is asked for: nothing when tracing is off, OpenTelemetry's when it is on.

No column keeps a trace. A trace's id is the correlation id, and a span's id is the end of the id of the row that it is
about: a worker goes on, hours later and on another machine, with the trace that a web process began.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from awfdrs_site.lib.spans import Spans

# What a span says of itself: ids, counts and words of ours. What a sender wrote is in none of them.
Said = str | int
Say = Callable[..., None]

HEADER = "traceparent"
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")
_spans: "Spans | None" = None


@dataclass(frozen=True)
class Came:
    """The span of a caller who brought one, and when the request came."""

    trace_id: int
    span_id: int
    at: datetime | None = None


_came: ContextVar[Came | None] = ContextVar("came", default=None)


def start(*, exporter: "SpanExporter | None" = None) -> None:
    """Once a process, where ENABLE_TRACING says so; ends with the process, which sends what is left."""
    global _spans
    if settings.ENABLE_TRACING and _spans is None:
        from awfdrs_site.lib.spans import Spans  # the extra is installed, or settings had refused

        _spans = Spans(exporter=exporter)


def stop() -> None:
    global _spans
    if _spans is not None:
        _spans.close()
        _spans = None


def is_on() -> bool:
    return _spans is not None


def read(traceparent: str) -> Came | None:
    """A caller's header; None when it is none that W3C Trace Context knows."""
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    return Came(int(found[1], 16), int(found[2], 16)) if found else None


@contextmanager
def coming(came: Came | None) -> Iterator[None]:
    """What is noted inside belongs to this caller's span."""
    token = _came.set(came)
    try:
        yield
    finally:
        _came.reset(token)


def trace_id(correlation_id: str) -> int:
    """The correlation id itself where it is 32 hexadecimal digits, with or without dashes; else a digest of it."""
    digits = correlation_id.replace("-", "")
    if re.fullmatch(r"(?!0{32})[0-9a-f]{32}", digits):
        return int(digits, 16)
    return int(sha256(correlation_id.encode()).hexdigest()[:32], 16)


def span_id(row_id: UUID) -> int:
    """The last 64 bits: of a UUIDv7 they are random, and never 0."""
    return row_id.int & (1 << 64) - 1


def note(
    name: str,
    *,
    correlation_id: str,
    about: UUID,
    after: UUID | None = None,
    since: datetime | None = None,
    **said: Said,
) -> None:
    """What has happened to a row, `since` then until now; `after` is the row whose span it follows."""
    if _spans is None:
        return
    came = _came.get()
    _spans.note(
        name,
        trace_id=trace_id(correlation_id),
        span_id=span_id(about),
        parent_id=span_id(after) if after else None,
        came=came,
        since=since or (came.at if came else None),
        said=said,
    )


@contextmanager
def span(name: str, *, correlation_id: str, after: UUID, **said: Said) -> Iterator[Say]:
    """What is under way; it yields a function that takes what is known at its end."""
    if _spans is None:
        yield lambda **_: None
        return
    under_way = _spans.span(
        name, trace_id=trace_id(correlation_id), parent_id=span_id(after), said=said
    )
    with under_way as say:
        yield say


def headers() -> Mapping[str, str]:
    """What a call carries so that the other side goes on with the span under way."""
    return {} if _spans is None else _spans.headers()
