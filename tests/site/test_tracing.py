"""From the event to the call it led to it is one trace, and it says nothing that a sender wrote."""

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pytest_django import Settings

from awfdrs_site.incoming_traces import IncomingTraces
from awfdrs_site.lib import tracing
from awfdrs_site.lib.asgi_types import Receive, Scope, Send
from tests.cast import Api, Travel, event, key_of
from tests.events.test_lane import World, plain
from tests.events.test_lane import acted as acted
from tests.events.test_lane import open_database as open_database
from tests.journeys.conftest import Stage
from tests.journeys.conftest import stage as stage

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


class Collector:
    """What a collector was sent."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    def spans(self) -> tuple[ReadableSpan, ...]:
        tracing.stop()  # sends what is left
        return self.exporter.get_finished_spans()


@pytest.fixture
def collector(settings: Settings) -> Iterator[Collector]:
    settings.ENABLE_TRACING = True
    made = Collector()
    tracing.start(exporter=made.exporter)
    yield made
    tracing.stop()


def test_event_decision_action_and_webhook_are_one_trace_of_their_sender(
    stage: Stage, collector: Collector, time_travel: Travel
) -> None:
    secret = "pl4nted-in-what-a-sender-wrote"
    payload = {"error_code": "service_unavailable", "note": secret}
    failed = event(workflow="payouts", event_type=secret, run_id=secret, payload=payload)
    with tracing.coming(tracing.read(TRACEPARENT)):
        sent = Api(key_of(stage.tenant)).post(
            "/api/v1/events",
            failed | {"event_type": "payout.failed"},
            **{"X-Correlation-ID": TRACE},
        )
    stage.turn()
    time_travel(seconds=60)
    stage.turn()

    said = collector.spans()
    spans = {
        one.name: one for one in said if (one.attributes or {}).get("type", "retry") == "retry"
    }
    # each follows the one before it, from the caller's own span to the header of the call
    chain = [spans[name] for name in ("event", "decision", "action", "attempt")]
    before = [f"{span.parent.span_id:016x}" for span in chain if span.parent]
    here = [f"{span.context.span_id:016x}" for span in chain if span.context]
    assert before == [SPAN, *here[:-1]]
    assert {span.context.trace_id for span in chain if span.context} == {int(TRACE, 16)}
    [called, *_] = stage.receiver.requests
    assert called.headers["traceparent"] == f"00-{TRACE}-{here[-1]}-01"
    # an event's page leads to its trace, a trace to its event
    assert (spans["event"].attributes or {})["event"] == sent.json()["event_id"]
    assert secret not in "".join(span.to_json() for span in said)


@pytest.mark.parametrize(
    ("headers", "correlation_id", "came"),
    [
        ({"traceparent": TRACEPARENT}, TRACE, (int(TRACE, 16), int(SPAN, 16))),
        (
            {"traceparent": TRACEPARENT, "x-correlation-id": "c"},
            "c",
            (int(TRACE, 16), int(SPAN, 16)),
        ),
        ({"traceparent": f"00-{'0' * 32}-{SPAN}-01"}, None, None),
        ({"traceparent": f"00-{TRACE.upper()}-{SPAN}-01"}, None, None),
        ({}, None, None),
    ],
)
async def test_a_caller_without_a_correlation_id_is_known_by_its_trace(
    headers: dict[str, str],
    correlation_id: str | None,
    came: tuple[int, int] | None,
    collector: Collector,
) -> None:
    seen: list[tuple[bytes | None, tracing.Came | None]] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((dict(scope["headers"]).get(b"x-correlation-id"), tracing._came.get()))

    scope: Scope = {
        "type": "http",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await IncomingTraces(inner)(scope, None, None)  # type: ignore[arg-type]
    [(named, found)] = seen
    assert (named.decode() if named else None) == correlation_id
    assert (found and (found.trace_id, found.span_id)) == came


def test_an_event_that_the_lane_takes_goes_on_with_its_senders_trace_too(
    acted: Callable[..., tuple[World, int]], collector: Collector
) -> None:
    async def story(world: World) -> None:
        await world.say(plain(run_id="traced"), traceparent=TRACEPARENT, x_correlation_id="")

    _, n_asked = acted(story, is_lane=True)
    assert n_asked == 1  # of the two, Django had the first
    spans = [span for span in collector.spans() if span.name == "event"]
    traced = [one.parent.span_id for one in spans if one.parent]
    assert (len(spans), traced) == (2, [int(SPAN, 16)])


def test_who_sends_another_correlation_id_too_is_linked(collector: Collector) -> None:
    with tracing.coming(tracing.read(TRACEPARENT)):
        tracing.note("event", correlation_id="mine-1", about=UUID(int=7))
    [span] = collector.spans()
    assert span.context is not None
    assert (span.context.trace_id, span.parent) == (tracing.trace_id("mine-1"), None)
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [TRACE]


def test_nothing_is_traced_unless_it_is_switched_on(settings: Settings) -> None:
    settings.ENABLE_TRACING = False
    tracing.start()
    assert (tracing.is_on(), tracing.headers()) == (False, {})
