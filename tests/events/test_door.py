"""What becomes of every body that reaches a door: an answer, a place in quarantine, a line in the books."""

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from awfdrs_site.lib import clock
from awfdrs_site.lib.problems import Problem
from events import backlog, batches, conservation, quarantine, rate
from events.conservation import Tally
from events.models import QuarantinedEvent
from tenants import scoping
from tenants.models import Tenant
from tenants.states import Scope
from tests.cast import Api, event, key_of, stored, submit_all
from tests.faults.sizes import sized
from tests.support.problem_answers import members

EVENTS, BATCH = "/api/v1/events", "/api/v1/events/batch"


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    rate.forget()
    backlog.waiting.forget()
    yield
    backlog.waiting.forget()


@pytest.fixture
def api(acme: Tenant) -> Api:
    return Api(key_of(acme))


def send(api: Api, path: str, raw: bytes, **headers: str) -> Any:
    said = {"Authorization": f"Bearer {api.token}"} | headers
    content_type = said.pop("Content-Type", "application/json")
    return api.client.generic("POST", path, raw, content_type=content_type, headers=said)


def books(tenant: Tenant) -> Tally:
    with scoping.bound(tenant.pk):
        return conservation.total(
            conservation.by_hour(tenant.pk, since=clock.now() - timedelta(hours=2))
        )


def kept(tenant: Tenant) -> list[QuarantinedEvent]:
    with scoping.bound(tenant.pk):
        return list(QuarantinedEvent.objects.for_tenant(tenant).order_by("id"))


def lines(*items: bytes | dict[str, Any]) -> bytes:
    return b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in items)


@pytest.mark.parametrize(
    ("raw", "status", "reason"),
    [
        (b'{"a":\xff}', 400, "The body is not UTF-8."),
        (b'{"a":', 400, "The body is not valid JSON."),
        (b"", 400, "The body is empty."),
        (
            b'{"workflow":"x"}',
            422,
            "event_type: required, payload: required, occurred_at: required",
        ),
        (b"[]", 422, "body: type"),
    ],
)
def test_a_refused_body_is_kept_with_its_bytes_and_the_reason(
    api: Api, acme: Tenant, raw: bytes, status: int, reason: str
) -> None:
    answer = send(api, EVENTS, raw)
    assert answer.status_code == status
    (one,) = kept(acme)
    assert members(answer)["quarantine_id"] == str(one.pk)
    assert (bytes(one.body), one.reason) == (raw, reason)
    assert one.correlation_id == answer["X-Correlation-ID"]
    assert books(acme) == Tally(received=1, quarantined=1)


def test_what_is_refused_for_another_reason_is_counted_and_not_kept(
    api: Api, acme: Tenant, globex: Tenant
) -> None:
    once = event(idempotency_key="once")
    api.post(EVENTS, once)
    answers = [
        api.post(EVENTS, once | {"payload": {}}),
        api.post(EVENTS, event(tenant_id=str(globex.pk))),
        api.post(EVENTS, event(payload={"m": "a" * 1_100_000})),
        send(api, EVENTS, b"{}", **{"Content-Type": "text/plain"}),
        send(api, f"{EVENTS}?surprise=1", b"{}"),
        send(api, BATCH, b"", **{"Content-Encoding": "br"}),
    ]
    assert [one.status_code for one in answers] == [422, 403, 413, 415, 422, 400]
    assert [one.json().get("quarantine_id") is None for one in answers] == [True] * 5 + [False]
    assert len(kept(acme)) == 1
    assert books(acme) == Tally(received=7, accepted=1, refused=5, quarantined=1)


def test_a_dry_run_leaves_no_trace(api: Api, acme: Tenant) -> None:
    assert api.post(f"{EVENTS}?dry_run=true", event()).status_code == 200
    refused = api.post(f"{EVENTS}?dry_run=true", {})
    assert (refused.status_code, refused.json().get("quarantine_id")) == (422, None)
    assert (kept(acme), books(acme)) == ([], Tally())


def test_a_key_without_the_scope_counts_for_nothing(acme: Tenant) -> None:
    assert Api(key_of(acme, Scope.READ)).post(EVENTS, {}).status_code == 403
    assert (kept(acme), books(acme)) == ([], Tally())


def test_lines_packed_with_gzip_are_a_batch(api: Api, acme: Tenant) -> None:
    known = event(idempotency_key="known")
    api.post(EVENTS, known)
    raw = lines(event(idempotency_key="new"), b'{"a":', known, {"workflow": "x"})
    answer = send(
        api,
        BATCH,
        gzip.compress(raw),
        **{"Content-Encoding": "gzip", "Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 207
    body = answer.json()
    assert (body["accepted"], body["replayed"], body["rejected"]) == (1, 1, 2)
    errors = [one["error"] for one in body["results"] if "error" in one]
    assert [one["code"] for one in errors] == ["malformed_json", "validation_failed"]
    # each with the place where it is kept, and its own bytes there
    assert [one["quarantine_id"] for one in errors] == [str(one.pk) for one in kept(acme)]
    assert bytes(kept(acme)[0].body) == b'{"a":'
    assert books(acme) == Tally(received=5, accepted=2, replayed=1, quarantined=2)


def test_an_atomic_batch_is_stored_whole_or_not_at_all(api: Api, acme: Tenant) -> None:
    known = event(idempotency_key="known")
    api.post(EVENTS, known)
    items = [event(idempotency_key="new"), {}, known]
    answer = api.post(f"{BATCH}?atomic=true", {"events": items})
    body = members(answer)
    assert (answer.status_code, body["code"]) == (422, "validation_failed")
    assert (body["accepted"], body["replayed"], body["rejected"]) == (0, 1, 2)
    codes = [one.get("error", {}).get("code") for one in body["results"]]
    assert codes == ["batch_refused", "validation_failed", None]
    assert len(stored(acme)) == 1
    assert len(kept(acme)) == 1
    assert books(acme) == Tally(received=4, accepted=1, replayed=1, quarantined=1, refused=1)
    whole = api.post(f"{BATCH}?atomic=true", {"events": [items[0], known]})
    assert (whole.status_code, len(stored(acme))) == (207, 2)


def test_an_unknown_workflow_is_kept_like_any_other_invalid_event(api: Api, acme: Tenant) -> None:
    body = event(workflow_id="deadbeef-0000-4000-8000-000000000003")
    del body["workflow"]
    answer = api.post(EVENTS, body)
    (one,) = kept(acme)
    assert (answer.json()["quarantine_id"], one.reason) == (
        str(one.pk),
        "workflow_id: unknown_workflow",
    )


def test_a_key_beyond_its_limit_is_told_when_to_come_back(acme: Tenant) -> None:
    api = Api(key_of(acme, rate_per_second=0.5, burst=5))
    first = api.post(EVENTS, event(idempotency_key="0"))
    assert first["RateLimit-Policy"] == '"default";q=5;w=10'
    assert first["RateLimit"] == '"default";r=4;t=2'
    items = [event(idempotency_key=str(n)) for n in range(1, 6)]
    too_many = api.post(BATCH, {"events": items})
    assert too_many.status_code == 429
    assert api.post(BATCH, {"events": items[:4]}).status_code == 201
    limited = api.post(EVENTS, items[4])
    assert (limited.status_code, members(limited)["code"]) == (429, "rate_limited")
    assert 1 <= int(limited["Retry-After"]) <= 2
    assert limited["RateLimit"].startswith('"default";r=0;')
    # more than it may ever send at once is said, not left to be tried again
    assert "at once" in api.post(BATCH, {"events": items * 2}).json()["detail"]
    assert books(acme) == Tally(received=5 + 5 + 1 + 10, accepted=5, limited=16)


def test_too_much_waiting_refuses_batches_first_and_then_singles(
    api: Api, acme: Tenant, settings: Settings
) -> None:
    settings.BACKLOG_BATCH_LIMIT = 2
    submit_all(acme, [event(run_id=str(n)) for n in range(3)])
    batch = api.post(BATCH, {"events": [event(), event(run_id="x")]})
    assert (batch.status_code, members(batch)["code"]) == (503, "backlog")
    assert int(batch["Retry-After"]) >= 1
    assert api.post(EVENTS, event()).status_code == 201
    submit_all(acme, [event(run_id=str(n)) for n in range(3, 6)])
    backlog.waiting.forget()
    assert api.post(EVENTS, event(run_id="y")).status_code == 503
    assert books(acme) == Tally(received=4, accepted=1, refused=3)


def test_the_quarantine_is_bounded_and_lets_the_oldest_go(
    api: Api, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "TRIM_EVERY", 1)
    monkeypatch.setattr(quarantine, "ROWS_MOST", 3)
    ids = [send(api, EVENTS, b"%d" % n).json()["quarantine_id"] for n in range(5)]
    assert [str(one.pk) for one in kept(acme)] == ids[2:]
    monkeypatch.setattr(quarantine, "BYTES_MOST", 2)
    send(api, EVENTS, b"7")
    assert [bytes(one.body) for one in kept(acme)] == [b"4", b"7"]


# -- replaying -------------------------------------------------------------------------------------


def replay(api: Api, one: QuarantinedEvent, **body: Any) -> Any:
    return api.post(f"/api/v1/quarantine/{one.pk}/replay", body)


def test_replaying_twice_creates_once(api: Api, acme: Tenant) -> None:
    api.post(EVENTS, event(event_type="!", surprise=1), **{"X-Correlation-ID": "first"})
    (one,) = kept(acme)
    # without a cure it answers 422 again, and is not kept twice
    assert (replay(api, one).status_code, len(kept(acme))) == (422, 1)
    tried = api.post(
        f"/api/v1/quarantine/{one.pk}/replay?dry_run=true", {"patch": {"event_type": "a.failed"}}
    )
    assert (tried.status_code, tried.json()["dry_run"], stored(acme)) == (200, True, [])
    first = replay(api, one, patch={"event_type": "a.failed"})
    again = replay(api, one, patch={"event_type": "b.failed"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.content == again.content
    assert again["Idempotent-Replayed"] == "true"
    assert first.json()["correlation_id"] == "first"
    (made,) = stored(acme)
    assert (made.event_type, str(made.pk)) == ("a.failed", first.json()["event_id"])
    # it had been counted when it came in
    assert books(acme) == Tally(received=1, quarantined=1)


def test_a_patch_takes_fields_away_and_replaces_what_nobody_can_read(
    api: Api, acme: Tenant
) -> None:
    api.post(EVENTS, event(workflow_id="nonsense"))
    send(api, EVENTS, b"\xff")
    surplus, unreadable = kept(acme)
    assert replay(api, surplus, patch={"workflow_id": None}).status_code == 201
    assert replay(api, unreadable, patch=event(run_id="r-2")).status_code == 201
    assert len(stored(acme)) == 2


def test_what_came_in_by_itself_meanwhile_is_not_stored_again(api: Api, acme: Tenant) -> None:
    good = event(idempotency_key="k")
    api.post(EVENTS, good | {"event_type": "!"})
    (one,) = kept(acme)
    sent = api.post(EVENTS, good)
    answer = replay(api, one, patch={"event_type": good["event_type"]})
    assert (answer.status_code, answer.json()["event_id"]) == (200, sent.json()["event_id"])
    other = api.post(EVENTS, good | {"payload": "?"})
    assert replay(api, kept(acme)[1], patch={"payload": {}}).status_code == 422
    assert (other.status_code, len(stored(acme))) == (422, 1)


def test_the_quarantine_is_listed_and_read_with_its_bytes(api: Api, acme: Tenant) -> None:
    send(api, EVENTS, b'{"a":"\xc3\xa9\xff"')
    api.post(EVENTS, {})
    listed = api.get("/api/v1/quarantine?state=waiting&code=malformed_json").json()
    assert listed["count"] == 1
    found = api.get(f"/api/v1/quarantine/{listed['results'][0]['id']}").json()
    assert (found["body"], found["is_cut"]) == ('{"a":"é\ufffd"', False)
    assert api.get("/api/v1/quarantine?state=replayed").json()["count"] == 0
    assert api.get("/api/v1/quarantine?state=gone").status_code == 422


# -- the books balance -----------------------------------------------------------------------------

REQUESTS = sized(small=120, full=20_000)
CURED_MOST = 2000


def _mutated(rng: random.Random) -> bytes:
    """An event of a few hundred, so that some come twice; as it should be, or not quite."""
    number = str(rng.randrange(REQUESTS // 3))
    body = event(idempotency_key=number, run_id=number, occurred_at="2026-01-19T10:00:00Z")
    body |= rng.choice(
        [{}, {}, {}, {"event_type": "!"}, {"occurred_at": 7}, {"payload": []}, {"tenant_id": "x"}]
    )
    if rng.random() < 0.2:
        body.pop(rng.choice(sorted(body)))
    raw = json.dumps(body).encode()
    if rng.random() < 0.15:
        at = rng.randrange(len(raw))
        raw = raw[:at] + rng.choice([b"", b"\x00", b"\xff", b"{", b'"', b"\\u0000"]) + raw[at + 1 :]
    return raw


def _request(rng: random.Random, api: Api) -> tuple[int, Any]:
    """One mixed request: how many events it holds if it can be read, and the answer."""
    kind = rng.random()
    if kind < 0.7:
        return 1, send(api, EVENTS, _mutated(rng))
    items = [_mutated(rng) for _ in range(rng.randrange(1, 6))]
    if kind < 0.85:
        raw = b"\n".join(item.replace(b"\n", b" ") for item in items)
        packed = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        path = rng.choice([BATCH, f"{BATCH}?atomic=true"])
        return len(items), send(api, path, gzip.compress(raw), **packed)
    raw = b'{"events":[' + b",".join(items) + b"]}"
    return _size(raw), send(api, BATCH, raw)


def _size(raw: bytes) -> int:
    """A batch whose frame is broken holds nobody knows how many: it is one request, limited or refused."""
    try:
        return len(batches.items(raw, is_lines=False))
    except Problem:
        return 1


def _fates(n: int, answer: Any) -> Counter[str]:
    """What the caller was told, in the words of the books."""
    body = answer.json()
    results = body.get("results")
    if results is None:
        results = [
            {
                "status": {201: "accepted", 200: "replayed"}.get(answer.status_code, ""),
                "error": body,
            }
        ]
        if answer.status_code in (429, 503):
            return Counter({"limited" if answer.status_code == 429 else "refused": n})
    return Counter(
        one["status"]
        if one["status"] in ("accepted", "replayed")
        else "quarantined"
        if "quarantine_id" in one["error"]
        else "refused"
        for one in results
    )


def test_mixed_requests_balance_and_replaying_the_quarantine_twice_creates_each_once(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound in ("ROWS_MOST", "BYTES_MOST"):  # or the oldest of so many would have fallen out
        monkeypatch.setattr(quarantine, bound, 1 << 40)
    rng = random.Random(20260119)
    api = Api(key_of(acme, rate_per_second=1e6, burst=1_000_000))
    slow = Api(key_of(acme, rate_per_second=0.1, burst=5))
    told: Counter[str] = Counter()
    for _ in range(REQUESTS):
        n, answer = _request(rng, slow if rng.random() < 0.1 else api)
        assert answer.status_code < 500, answer.content
        told += _fates(n, answer)
    tally = books(acme)
    # M6: received = accepted + replayed + quarantined + limited + refused, and it is what callers were told
    assert tally.is_balanced
    assert told == Counter(
        {name: getattr(tally, name) for name in conservation.FATES if getattr(tally, name)}
    )
    assert tally.received == sum(told.values()) >= REQUESTS
    assert len(stored(acme)) == tally.accepted
    assert len(kept(acme)) == tally.quarantined
    assert min(tally.accepted, tally.quarantined, tally.limited, tally.refused, tally.replayed) > 0
    _cure_all(api, acme, tally)


def _cure_all(api: Api, acme: Tenant, tally: Tally) -> None:
    """Refused bodies get what they lack; twice, and the second time with another cure."""
    waiting = kept(acme)[:CURED_MOST]
    for number, one in enumerate(waiting):
        cure = event(idempotency_key=f"cured-{number}") | {"tenant_id": None}
        first, again = (replay(api, one, patch=cure | {"run_id": run}) for run in ("a", "b"))
        assert (first.status_code, again.status_code) == (201, 200), first.content
        assert first.content == again.content
    assert len(stored(acme)) == tally.accepted + len(waiting)
