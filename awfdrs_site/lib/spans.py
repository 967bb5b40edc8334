"""The only place that imports OpenTelemetry; read when tracing is on, since without the extra there is none of it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from awfdrs_site.lib.tracing import HEADER, Came, Said

EXPORT_SECONDS = 2  # a process that ends waits no longer for a collector that is away
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
# What the next span is called; 0 leaves it to chance.
_next_trace: ContextVar[int] = ContextVar("next_trace", default=0)
_next_span: ContextVar[int] = ContextVar("next_span", default=0)


class _Given(IdGenerator):
    """Ids that are known beforehand, and random ones."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        return _next_trace.get() or self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        return _next_span.get() or self._random.generate_span_id()


class Spans:
    """Hands spans to a collector; one that is away loses traces and holds up nothing."""

    def __init__(self, *, exporter: SpanExporter | None) -> None:
        # Not the global provider: what other libraries would add of their own may hold what a sender wrote.
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "awfdrs"}), id_generator=_Given()
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter or OTLPSpanExporter(timeout=EXPORT_SECONDS))
        )
        self._tracer = self._provider.get_tracer("awfdrs")

    def close(self) -> None:
        self._provider.shutdown()

    def note(
        self,
        name: str,
        *,
        trace_id: int,
        span_id: int,
        parent_id: int | None,
        came: Came | None,
        since: datetime | None,
        said: Mapping[str, Said],
    ) -> None:
        links = []
        if came is not None and parent_id is None:
            if came.trace_id == trace_id:
                parent_id = came.span_id
            else:  # who sends a correlation id of its own as well has two names for one thing
                links = [Link(_context(came.trace_id, came.span_id))]
        with _named(trace_id, span_id):
            self._tracer.start_span(
                name,
                context=_under(trace_id, parent_id),
                kind=SpanKind.SERVER if came else SpanKind.INTERNAL,
                links=links,
                start_time=int(since.timestamp() * 1e9) if since else None,
                attributes=dict(said),
            ).end()

    @contextmanager
    def span(
        self, name: str, *, trace_id: int, parent_id: int, said: Mapping[str, Said]
    ) -> Iterator[Callable[..., None]]:
        with self._tracer.start_as_current_span(
            name,
            context=_under(trace_id, parent_id),
            kind=SpanKind.CLIENT,
            attributes=dict(said),
            # An exception's text may hold what nobody else may read.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield lambda **more: span.set_attributes(more)

    def headers(self) -> Mapping[str, str]:
        here = trace.get_current_span().get_span_context()
        if not here.is_valid:
            return {}
        return {HEADER: f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}"}


def _context(trace_id: int, span_id: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=_SAMPLED)


def _under(trace_id: int, parent_id: int | None) -> Context:
    """An empty context is a root's: then the ids that were given name the trace."""
    if parent_id is None:
        return Context()
    return trace.set_span_in_context(NonRecordingSpan(_context(trace_id, parent_id)), Context())


@contextmanager
def _named(trace_id: int, span_id: int) -> Iterator[None]:
    tokens = _next_trace.set(trace_id), _next_span.set(span_id)
    try:
        yield
    finally:
        _next_trace.reset(tokens[0])
        _next_span.reset(tokens[1])
