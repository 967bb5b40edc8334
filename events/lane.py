"""The fast door for the plain case of `POST /events`, in front of Django: ADR 0011 says why, and with what figures.

It serves only senders whom Django let in a moment ago with the same headers, answers with the headers that Django
answered them with, and hands on untouched whatever it would not accept: it refuses nothing and nobody itself.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from django.conf import settings
from django.urls import resolve

from awfdrs_site.lib import correlation, metrics, tracing
from awfdrs_site.lib.asgi_types import Application, Message, Receive, Scope, Send
from events import backlog, fast_json, ingest, rate
from events.lane_group import Group, Hung
from events.lane_store import PLAIN_CORRELATION, Arrival, Landing
from events.rate import Taken
from tenants import auth
from tenants.access import Caller
from tenants.middleware import CALLER

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
Profile: TypeAlias = tuple[Any, ...]

PATHS = frozenset({"/api/v1/events", "/api/v1/events/"})
MOST_BYTES = 64 * 1024  # larger ones would hold up a group
KNOWN_SECONDS = 20.0  # then Django sees the sender again, which also notes that the key was used
KNOWN_MOST = 2000
BACKLOG_SECONDS = backlog.KEPT_SECONDS
# Different for every request, and of no consequence to what Django does with this one.
_OF_EACH_REQUEST = frozenset(
    {b"content-length", b"x-correlation-id", b"traceparent", b"tracestate", b"user-agent"}
)
_OF_EACH_ANSWER = frozenset(
    {
        b"content-length",
        b"x-correlation-id",
        b"ratelimit",
        b"ratelimit-policy",
        b"idempotent-replayed",
    }
)
_NAME = itemgetter(0)
PLAIN_BYTES = 200  # from there on Django packs an answer, with headers that say so


@dataclass(slots=True)
class Known:
    """A sender whom Django let in: with which headers, as whom, and what it answered."""

    caller: Caller
    prefix: str
    secret: str
    headers: Headers
    counts: "dict[int, Counter]"  # by status
    seconds: "Histogram"
    until: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether it was new, and what is sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Lane:
    """`hung` answers for a database that hangs; `database_answers` finds out."""

    def __init__(
        self,
        inner: Application,
        *,
        hung: Application,
        database_answers: Callable[[], Awaitable[bool]],
    ) -> None:
        self._inner, self._hung, self._database_answers = inner, hung, database_answers
        self._known: dict[Profile, Known] = {}
        self._group: Group | None = None
        self._backlog_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        profile = self._profile(scope)
        if profile is None:
            await self._inner(scope, receive, send)
            return
        known = self._known.get(profile)
        if known is None or self._is_to_be_seen_again(known) or self._group_here().is_apart:
            await self._inner(scope, receive, self._learning(profile, scope, send))
            return
        began = time.perf_counter()
        messages = await _messages(receive)
        try:
            answer = await self._through(known, scope, messages)
        except Hung:
            await self._hung(scope, receive, send)
            return
        if answer is None:
            await self._inner(scope, _again(messages, receive), send)
            return
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        )
        await send({"type": "http.response.body", "body": answer.body})
        _measure(known, answer, time.perf_counter() - began)

    async def close(self) -> None:
        """Commit what waits and leave the database."""
        if self._group is not None:
            await self._group.close()
            self._group = None

    def forget(self) -> None:
        """Know nobody, as a new process does."""
        self._known.clear()

    def _profile(self, scope: Scope) -> Profile | None:
        """What Django could tell one plain request from another by; None: it is not plain."""
        if scope["type"] != "http" or scope["path"] not in PATHS or scope["method"] != "POST":
            return None
        if scope["query_string"] or not settings.INGEST_LANE:
            return None
        length, mine = b"", []
        for header in scope["headers"]:
            if header[0] == b"content-length":
                length = header[1]
            elif header[0] == b"cookie":
                return None
            elif header[0] not in _OF_EACH_REQUEST:
                mine.append(header)
        if not length.isdigit() or not 0 < int(length) <= MOST_BYTES:
            return None
        mine.sort(
            key=_NAME
        )  # in which order names come says nothing; of one name it does, and stays
        return (scope["scheme"], scope["path"], scope.get("root_path", ""), *map(tuple, mine))

    def _is_to_be_seen_again(self, known: Known) -> bool:
        """One of many at once goes to Django for the others: to be seen, or to count what waits."""
        now = time.monotonic()
        if now >= known.until:
            known.until = now + 1.0
            return True
        if backlog.waiting.is_due and now >= self._backlog_at:
            self._backlog_at = now + BACKLOG_SECONDS
            return True
        return backlog.waiting.was_above(batch=False)

    def _group_here(self) -> Group:
        loop = asyncio.get_running_loop()
        if self._group is None or self._group.loop is not loop:
            self._group = Group(self._database_answers)
        return self._group

    async def _through(self, known: Known, scope: Scope, messages: list[Message]) -> Answer | None:
        raw = b"".join(message.get("body", b"") for message in messages)
        correlation_id = _correlation_id(scope)
        body = None if len(correlation_id) > PLAIN_CORRELATION else fast_json.event_of(raw)
        if body is None or messages[-1]["type"] != "http.request":
            return None
        taken = await _take(known.caller)
        if not taken.is_allowed:
            return None
        arrival = Arrival(
            body, known.prefix, known.secret, known.caller, correlation_id, n_bytes=len(raw)
        )
        landing = await self._group_here().join(arrival)
        if landing is None:
            _give_back(known.caller)
            return None
        if tracing.is_on():
            tenant_id = known.caller.tenant.id
            ingest.trace(tenant_id, landing.status, landing.event_id, landing.correlation_id)
        return _answer(known, landing, correlation_id, taken)

    def _learning(self, profile: Profile, scope: Scope, send: Send) -> Send:
        async def heard(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] in (200, 201):
                    self._learn(profile, scope, message["headers"])
                elif message["status"] in (401, 403):
                    self._known.pop(profile, None)
            await send(message)

        return heard

    def _learn(self, profile: Profile, scope: Scope, headers: list[tuple[bytes, bytes]]) -> None:
        caller: Caller | None = scope.get(CALLER)
        sent = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        bearer = auth.bearer_of(sent)
        if caller is None or caller.key_id is None or bearer is None or not _is_plain(headers):
            return
        if len(self._known) >= KNOWN_MOST:
            self._known.clear()
        self._known[profile] = Known(
            caller,
            *bearer,
            headers=tuple(one for one in headers if one[0].lower() not in _OF_EACH_ANSWER),
            counts={status: _count_of(scope["path"], caller, status) for status in (200, 201)},
            seconds=metrics.HTTP_SECONDS.labels("POST", _endpoint(scope["path"])),
            until=time.monotonic() + KNOWN_SECONDS,
        )


def _is_plain(headers: list[tuple[bytes, bytes]]) -> bool:
    said = {name.lower(): value for name, value in headers}
    return b"set-cookie" not in said and int(said.get(b"content-length", PLAIN_BYTES)) < PLAIN_BYTES


async def _messages(receive: Receive) -> list[Message]:
    """The whole body, whose length was announced and is small."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def _again(messages: list[Message], receive: Receive) -> Receive:
    left = iter(messages)

    async def replayed() -> Message:
        message = next(left, None)
        return await receive() if message is None else message

    return replayed


def _correlation_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-correlation-id":
            return correlation.accepted(value.decode("latin-1"))
    return correlation.accepted("")


async def _take(caller: Caller) -> Taken:
    assert caller.key_id is not None
    limit = rate.limit_of(caller.rate_per_second, caller.burst)
    taken = rate.spend(caller.key_id, limit)
    if taken is None:  # Redis has to be asked, and may let us wait: not in the loop
        taken = await asyncio.to_thread(rate.take, caller.key_id, limit)
    return taken


def _give_back(caller: Caller) -> None:
    assert caller.key_id is not None
    rate.give_back(caller.key_id, rate.limit_of(caller.rate_per_second, caller.burst))


def _answer(known: Known, landing: Landing, correlation_id: str, taken: Taken) -> Answer:
    body = (
        f'{{"event_id":"{landing.event_id}","status":"accepted",'
        f'"correlation_id":"{landing.correlation_id}"}}'
    ).encode()
    headers = [
        *known.headers,
        (b"content-length", b"%d" % len(body)),
        (b"x-correlation-id", correlation_id.encode()),
        *((name.lower().encode(), value.encode()) for name, value in taken.headers.items()),
    ]
    if landing.status == "accepted":
        return Answer(201, headers, body)
    return Answer(200, [*headers, (b"idempotent-replayed", b"true")], body)


def _endpoint(path: str) -> str:
    return f"/{resolve(path).route}"


def _count_of(path: str, caller: Caller, status: int) -> "Counter":
    return metrics.HTTP_REQUESTS.labels("POST", _endpoint(path), str(status), str(caller.tenant.id))


def _measure(known: Known, answer: Answer, seconds: float) -> None:
    known.counts[answer.status].inc()
    known.seconds.observe(seconds)
    metrics.INGESTION_SECONDS.observe(seconds)
