"""Two doors, one contract: every story is told to Django alone and with the lane in front, with equal answers."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker

from awfdrs_site.asgi import application, lane
from awfdrs_site.lib import clock
from events import backlog, conservation, rate
from events import lane as door
from events.conservation import Tally
from events.models import QuarantinedEvent
from events.signals import events_stored
from tenants import keys, scoping
from tenants.auth import bearer_of
from tenants.journal import SYSTEM
from tenants.models import ApiKey, Tenant
from tests import databases
from tests.cast import Travel, key_of, stored
from tests.factories import TenantFactory, WorkflowFactory

EVENTS = "/api/v1/events"
UUID_TEXT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
AT = "2026-11-20T10:00:00Z"


@dataclass
class World:
    """A tenant, its key, and what was answered so far."""

    tenant: Tenant
    token: str
    workflow_id: str
    answers: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)

    async def say(self, body: Any = None, *, path: str = EVENTS, **headers: str) -> Any:
        """One request, numbered by its correlation id; ids in the answer are numbered as they come."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {
            "host": "localhost",
            "authorization": f"Bearer {self.token}",
            "content-type": "application/json",
            "content-length": str(len(raw)),
            "x-correlation-id": f"corr-{len(self.answers)}",
        } | {name.replace("_", "-"): text for name, text in headers.items()}
        status, answered, content = await ask(path, raw, given)
        text = UUID_TEXT.sub(self._numbered, content.decode())
        answered.pop("content-length", None)
        if "ratelimit" in answered:  # the seconds depend on when it was asked
            answered["ratelimit"] = answered["ratelimit"].partition(";t=")[0]
        self.answers.append((status, answered, text))
        return json.loads(content)

    def _numbered(self, found: re.Match[str]) -> str:
        return self.ids.setdefault(found[0], f"id-{len(self.ids)}")


async def ask(path: str, raw: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    name, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": name,
        "raw_path": name.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(key.encode(), text.encode()) for key, text in headers.items() if text],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    # in two pieces, as a network may bring it
    pieces = [(raw[:10], True), (raw[10:], False)]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not pieces:
            await asyncio.sleep(3600)
        body, is_more = pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": is_more}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    answered = {key.decode().lower(): text.decode() for key, text in sent[0]["headers"]}
    return sent[0]["status"], answered, b"".join(one.get("body", b"") for one in sent[1:])


def plain(**fields: Any) -> dict[str, Any]:
    return {
        "workflow": "checkout",
        "event_type": "payment.failed",
        "occurred_at": AT,
        "payload": {"error_code": "payment_timeout", "amount": 10.5},
    } | fields


# -- the stories: what is said, and how much of it the lane answers ------------------------------------

Story = Callable[[World], Awaitable[None]]


async def new_events(world: World) -> None:
    for n in range(3):
        await world.say(plain(run_id=f"r-{n}", idempotency_key=f"k-{n}"))


async def the_slash_at_the_end(world: World) -> None:
    await world.say(plain(run_id="1"), path=f"{EVENTS}/")
    await world.say(plain(run_id="2"), path=f"{EVENTS}/")


async def by_the_id_of_the_workflow(world: World) -> None:
    body = plain(workflow_id=world.workflow_id.upper(), tenant_id=str(world.tenant.pk))
    del body["workflow"]
    await world.say(body)
    await world.say(body)


async def the_same_again(world: World) -> None:
    first = await world.say(plain(idempotency_key="once"))
    assert await world.say(plain(idempotency_key="once")) == first
    # other white space and order of keys, the same content
    await world.say(json.dumps(dict(reversed(plain(idempotency_key="once").items()))).encode())
    await world.say(json.dumps(plain(idempotency_key="once"), indent=3).encode())


async def without_a_key(world: World) -> None:
    for amount in (1, 1, 1.0, 2):
        await world.say(plain(payload={"amount": amount}))


async def a_key_for_other_content(world: World) -> None:
    await world.say(plain(idempotency_key="once"))
    await world.say(plain(idempotency_key="once", payload={}, event_type="payment.error"))
    await world.say(plain(run_id="after"))


async def warnings(world: World) -> None:
    for _ in range(2):
        await world.say(plain(surprise=1, idempotency_key="w"))
    await world.say(plain(occurred_at="1999-01-01T00:00:00Z"))


async def a_sender_first_met_with_a_long_answer(world: World) -> None:
    lane.forget()
    await world.say(plain(**{"surprise" * 10: 1}))
    await world.say(plain(idempotency_key="first"))
    await world.say(plain(idempotency_key="first"))
    lane.forget()
    await world.say(plain(idempotency_key="first"))
    await world.say(plain(run_id="new"))


async def an_unknown_workflow(world: World) -> None:
    await world.say(plain(workflow="brand-new"))
    await world.say(plain(workflow="brand-new", run_id="2"))
    body = plain(workflow_id="deadbeef-0000-4000-8000-000000000003")
    del body["workflow"]
    await world.say(body)


async def other_letters(world: World) -> None:
    await world.say(
        json.dumps(plain(payload={"m": "é 漢 \U0001f4a5"}), ensure_ascii=False).encode()
    )
    await world.say(plain(payload={"m": "é 漢 \U0001f4a5 \u2028"}))
    await world.say(plain(payload={"m": 'a\\u003a:\\" \x7f\t'}))
    await world.say(plain(payload={"n": 2**70, "x": 1e16, "y": -0.0, "z": 5e-324}))


async def a_long_correlation_id(world: World) -> None:
    await world.say(plain(), x_correlation_id="c" * 128)
    await world.say(plain(), x_correlation_id="short")
    await world.say(plain(run_id="x"), x_correlation_id="c" * 80)


async def more_than_its_limit(world: World) -> None:
    for n in range(8):
        await world.say(plain(run_id=str(n)))


async def headers_that_are_no_plain_ones(world: World) -> None:
    await world.say(plain(run_id="1"), content_type="text/plain")
    await world.say(plain(run_id="2"), content_type="application/json; charset=utf-16")
    await world.say(plain(run_id="3"), content_encoding="gzip")
    await world.say(plain(run_id="4"), accept="text/csv")
    await world.say(plain(run_id="5"), authorization="Bearer nonsense")
    await world.say(plain(run_id="6"), authorization="")
    await world.say(plain(run_id="7"), host="elsewhere.example")
    await world.say(plain(run_id="8"), cookie="a=b")
    await world.say(plain(run_id="9"), content_length="")
    await world.say(plain(run_id="10"), accept_encoding="gzip, br")
    await world.say(plain(run_id="11"), accept_encoding="gzip, br")


async def queries(world: World) -> None:
    await world.say(plain(), path=f"{EVENTS}?dry_run=true")
    await world.say(plain(), path=f"{EVENTS}?surprise=1")
    await world.say({"events": [plain()]}, path=f"{EVENTS}/batch")


NOT_EVENTS: list[bytes | Any] = [
    b"",
    b"{",
    b"[]",
    b'"x"',
    b"null",
    b'{"a":1,"a":2}',
    b'{"payload":{"a":1,"a":2},"workflow":"checkout","event_type":"payment.failed","occurred_at":"%s"}'
    % AT.encode(),
    b'{"workflow":"checkout","event_type":"a\\u003a","event_type":"payment.failed","payload":{},"occurred_at":"%s"}'
    % AT.encode(),
    b"\xef\xbb\xbf{}",
    b'{"a":\xff}',
    json.dumps(plain(payload={"m": "\x00"})).encode(),
    json.dumps(plain(payload={"m": "\ud800"})).encode(),
    json.dumps(plain(payload={"m": float("nan")})).encode(),
    json.dumps(plain()).replace("10.5", "1e999").encode(),
    json.dumps(plain()).replace("10.5", "1" * 5000).encode(),
    json.dumps(plain()).replace("10.5", "[" * 40 + "]" * 40).encode(),
    json.dumps(plain()).encode() + b"\x00",
    plain(event_type="!"),
    plain(event_type=None),
    plain(payload=[]),
    plain(occurred_at="yesterday"),
    plain(occurred_at="2999-01-01T00:00:00Z"),
    plain(occurred_at="1969-12-31T23:59:59Z"),
    plain(schema_version="2.0.0"),
    plain(run_id=""),
    plain(idempotency_key="a b"),
    plain(tenant_id="00000000-0000-0000-0000-00000000dead"),
    plain(tenant_id=None, run_id="fine"),
    plain(workflow_id="10000000-0000-0000-0000-000000000001"),
    plain(payload={"m": "a" * 70_000}),
    plain(payload={"m": "a" * 1_100_000}),
]


async def what_is_no_event(world: World) -> None:
    for body in NOT_EVENTS:
        await world.say(body)


@pytest.fixture(scope="module")
def open_database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """What the lane reads is committed: one emptying for all stories, each has tenants of its own."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def acted(
    open_database: None,
    owner: databases.Owner,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., tuple[World, int]]]:
    """Tells a story to one of the doors; returns the world after it and how often Django was asked."""
    # However slow the machine: nobody has to be seen again, and nothing counted, before a story ends.
    monkeypatch.setattr(door, "KNOWN_SECONDS", 3600.0)
    monkeypatch.setattr(backlog, "KEPT_SECONDS", 3600.0)
    yield lambda story, *, is_lane, **limits: _acted(settings, story, is_lane, limits)
    backlog.waiting.forget()
    owner.empty()


def _acted(
    settings: Settings, story: Story, is_lane: bool, limits: dict[str, Any]
) -> tuple[World, int]:
    settings.INGEST_LANE = is_lane
    rate.forget()
    lane.forget()
    tenant = TenantFactory()
    workflow = WorkflowFactory(tenant=tenant, slug="checkout")
    world = World(tenant, key_of(tenant, **limits), str(workflow.pk))
    django, n_asked = lane._inner, 0

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        nonlocal n_asked
        n_asked += 1
        await django(scope, receive, send)

    async def told() -> None:
        await world.say(plain(run_id="first"))  # Django meets the sender
        await story(world)
        await lane.close()

    lane._inner = counting
    try:
        asyncio.run(told())
    finally:
        lane._inner = django
    return world, n_asked


def books(tenant: Tenant) -> Tally:
    with scoping.bound(tenant.pk):
        hours = conservation.by_hour(tenant.pk, since=clock.now() - timedelta(hours=2))
    return conservation.total(hours)


def rows(tenant: Tenant) -> list[Any]:
    return [
        (one.event_type, one.payload, one.run_ref, one.extra, one.correlation_id, one.vendor_name)
        for one in stored(tenant)
    ]


def kept(tenant: Tenant) -> list[Any]:
    with scoping.bound(tenant.pk):
        found = QuarantinedEvent.objects.for_tenant(tenant).order_by("id")
        return [(bytes(one.body), one.reason, one.correlation_id) for one in found]


@pytest.mark.parametrize(
    ("story", "n_by_lane"),
    [
        (new_events, 3),
        (the_slash_at_the_end, 1),
        (by_the_id_of_the_workflow, 2),
        (the_same_again, 4),
        (without_a_key, 4),
        (a_key_for_other_content, 2),
        (warnings, 0),
        (a_sender_first_met_with_a_long_answer, 2),
        (an_unknown_workflow, 1),
        (other_letters, 4),
        (a_long_correlation_id, 1),
        (headers_that_are_no_plain_ones, 1),
        (queries, 0),
        (what_is_no_event, 1),
    ],
)
def test_both_doors_answer_the_same(
    acted: Callable[..., tuple[World, int]], story: Story, n_by_lane: int
) -> None:
    alone, n_alone = acted(story, is_lane=False)
    beside, n_beside = acted(story, is_lane=True)
    for ours, theirs in zip(beside.answers, alone.answers, strict=True):
        assert ours == theirs
    # and the lane has answered what is plain
    assert (len(alone.answers), len(beside.answers) - n_beside) == (n_alone, n_by_lane)
    # the rows, the books and the quarantine are the same too
    assert rows(beside.tenant) == rows(alone.tenant)
    assert books(beside.tenant) == books(alone.tenant)
    assert kept(beside.tenant) == kept(alone.tenant)


def test_both_doors_limit_the_same(acted: Callable[..., tuple[World, int]]) -> None:
    limits = {"rate_per_second": 0.01, "burst": 5}
    alone, _ = acted(more_than_its_limit, is_lane=False, **limits)
    beside, n_beside = acted(more_than_its_limit, is_lane=True, **limits)

    def without_seconds(world: World) -> list[Any]:
        return json.loads(re.sub(r'(t=|[Rr]etry.[Aa]fter\\*":? ?\\*"?)\d+', r"\1s", json.dumps(world.answers)))  # type: ignore[no-any-return]  # fmt: skip

    assert without_seconds(beside) == without_seconds(alone)
    assert (n_beside, books(beside.tenant)) == (1 + 4, books(alone.tenant))
    assert books(alone.tenant) == Tally(received=9, accepted=5, limited=4)


# -- keys ----------------------------------------------------------------------------------------------


def _in_a_thread(world: World, change: Callable[[ApiKey], None]) -> None:
    prefix, _ = bearer_of(f"Bearer {world.token}") or ("", "")
    with scoping.bound(world.tenant.pk):
        change(ApiKey.objects.for_tenant(world.tenant).get(prefix=prefix))


def _revoke(key: ApiKey) -> None:
    keys.revoke(key, by=SYSTEM, now=clock.now())


def _narrow(key: ApiKey) -> None:
    key.scopes = ["read"]
    key.save()


def _rotate_twice(key: ApiKey) -> None:
    for _ in range(2):
        keys.rotate(key, by=SYSTEM, now=clock.now())


def _stop(key: ApiKey) -> None:
    with scoping.bound(key.tenant_id):
        key.expires_at = clock.now()
        key.save()


@pytest.mark.parametrize(
    ("change", "status"), [(_revoke, 401), (_narrow, 403), (_rotate_twice, 401), (_stop, 401)]
)
def test_a_key_that_changed_lets_nothing_in_from_the_next_request_on(
    acted: Callable[..., tuple[World, int]], change: Callable[[ApiKey], None], status: int
) -> None:
    async def story(world: World) -> None:
        await world.say(plain(run_id="before"))
        await asyncio.to_thread(_in_a_thread, world, change)
        await world.say(plain(run_id="after"))

    world, n_asked = acted(story, is_lane=True)
    assert [answer[0] for answer in world.answers] == [201, 201, status]
    assert (n_asked, len(stored(world.tenant))) == (2, 2)


def test_the_time_that_is_kept_is_the_databases_however_its_clock_moved(
    acted: Callable[..., tuple[World, int]], time_travel: Travel
) -> None:
    async def story(world: World) -> None:
        await world.say(plain(run_id="before"))
        await asyncio.to_thread(time_travel, hours=2)
        await world.say(plain(run_id="after"))

    world, n_asked = acted(story, is_lane=True)
    assert ([answer[0] for answer in world.answers], n_asked) == ([201] * 3, 1)
    _, before, after = stored(world.tenant)
    assert after.received_at - before.received_at >= timedelta(hours=2)


# -- groups --------------------------------------------------------------------------------------------


def test_many_at_once_are_stored_once_each_and_duplicates_find_the_one(
    acted: Callable[..., tuple[World, int]],
) -> None:
    async def story(world: World) -> None:
        bodies = [plain(run_id=str(n % 20), idempotency_key=str(n % 20)) for n in range(60)]
        said = await asyncio.gather(*(world.say(body, x_correlation_id="c") for body in bodies))
        for n, answer in enumerate(said):
            assert answer["event_id"] == said[n % 20]["event_id"]

    world, n_asked = acted(story, is_lane=True)
    assert sorted(answer[0] for answer in world.answers[1:]) == [200] * 40 + [201] * 20
    assert (n_asked, len(stored(world.tenant))) == (1, 21)
    assert books(world.tenant) == Tally(received=61, accepted=21, replayed=40)


def test_one_that_cannot_be_stored_spoils_no_other(
    acted: Callable[..., tuple[World, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: World) -> None:
        # fails in the lane's own statement
        fails = "select 1/0 from (select %s, %s, %s) nothing"
        monkeypatch.setattr("events.lane_store._TAKE_IN", fails)
        answers = await asyncio.gather(*(world.say(plain(run_id=str(n))) for n in range(4)))
        assert len({answer["event_id"] for answer in answers}) == 4
        monkeypatch.undo()
        await world.say(plain(run_id="mended"))

    world, n_asked = acted(story, is_lane=True)
    assert [answer[0] for answer in world.answers] == [201] * 6
    assert (n_asked, len(stored(world.tenant))) == (5, 6)
    # what went the other way is limited and counted once
    assert books(world.tenant) == Tally(received=6, accepted=6)
    assert "r=9994" in world.answers[-1][1]["ratelimit"]


def test_too_much_waiting_is_refused_behind_the_lane(
    acted: Callable[..., tuple[World, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: World) -> None:
        monkeypatch.setattr(backlog.waiting, "_n", 10_000_000)
        await world.say(plain(run_id="2"))

    world, n_asked = acted(story, is_lane=True)
    assert ([answer[0] for answer in world.answers], n_asked) == ([201, 503], 2)


def test_what_is_stored_is_told_to_whoever_digests(
    acted: Callable[..., tuple[World, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    async def story(world: World) -> None:
        monkeypatch.setattr(events_stored, "send", lambda _, event_ids: told.append(event_ids))
        await world.say(plain(run_id="2"))

    world, _ = acted(story, is_lane=True)
    assert told == [[stored(world.tenant)[-1].pk]]


def test_a_body_that_nobody_read_stands_in_the_books_of_its_key(
    acted: Callable[..., tuple[World, int]],
) -> None:
    async def story(world: World) -> None:
        for path in (EVENTS, f"{EVENTS}/batch"):
            await world.say(plain(), path=path, content_length=str(9 * 2**20))
        unannounced = b"a" * (2**20 + 1)
        await world.say(unannounced, content_length="")
        await world.say(unannounced, content_length="", authorization="Bearer of nobody")

    world, _ = acted(story, is_lane=True)
    assert [answer[0] for answer in world.answers] == [201, 413, 413, 413, 401]
    assert world.answers[1][1]["connection"] == "close"
    assert books(world.tenant) == Tally(received=4, accepted=1, refused=3)
