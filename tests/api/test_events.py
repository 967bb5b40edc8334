"""The doors for events: what is accepted, replayed and refused, and what a caller can read back."""

from typing import Any
from uuid import uuid4

import pytest

from safety import killswitch
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Tenant
from tenants.states import Scope
from tests.cast import Api, digest_all, event, key_of, stored
from tests.support.problem_answers import members

EVENTS, BATCH = "/api/v1/events", "/api/v1/events/batch"


@pytest.fixture
def api(acme: Tenant) -> Api:
    return Api(key_of(acme))


def test_an_event_is_accepted_with_its_id_and_the_requests_correlation_id(
    api: Api, acme: Tenant
) -> None:
    answer = api.post(EVENTS, event(), **{"X-Correlation-ID": "mine-1"})
    assert answer.status_code == 201
    body = answer.json()
    assert (body["status"], body["correlation_id"]) == ("accepted", "mine-1")
    assert answer["X-Correlation-ID"] == "mine-1"
    assert [str(one.pk) for one in stored(acme)] == [body["event_id"]]


def test_a_replay_answers_the_same_bytes_and_says_so(api: Api, acme: Tenant) -> None:
    body = event(idempotency_key="once", surprise=1)
    first, again = api.post(EVENTS, body), api.post(f"{EVENTS}/", body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.content == again.content
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    # the body keeps the first correlation id, the header is the new request's
    assert again["X-Correlation-ID"] != again.json()["correlation_id"]
    assert len(stored(acme)) == 1


def test_a_key_used_for_other_content_is_refused_with_the_fields_that_differ(api: Api) -> None:
    body = event(idempotency_key="once")
    api.post(EVENTS, body)
    answer = api.post(EVENTS, body | {"payload": {}, "event_type": "payment.error"})
    assert answer.status_code == 422
    problem = members(answer)
    assert problem["code"] == "idempotency_key_reused"
    assert [error["pointer"] for error in problem["errors"]] == ["/event_type", "/payload"]


def test_an_unknown_workflow_id_is_named_by_its_pointer(api: Api) -> None:
    body = event(workflow_id=str(uuid4()))
    del body["workflow"]
    problem = members(api.post(EVENTS, body))
    assert (problem["code"], problem["errors"][0]["pointer"]) == (
        "validation_failed",
        "/workflow_id",
    )


def test_a_dry_run_evaluates_and_stores_nothing(api: Api, acme: Tenant) -> None:
    answer = api.post(f"{EVENTS}?dry_run=true", event())
    assert (answer.status_code, answer.json()["dry_run"]) == (200, True)
    assert stored(acme) == []


def test_a_kill_switch_never_refuses_evidence(api: Api, acme: Tenant) -> None:
    with scoping.bound(acme.pk) as now:
        killswitch.activate(
            tenant_id=acme.pk,
            scope="tenant",
            target="",
            reason="stop",
            expires_at=None,
            by=SYSTEM,
            now=now,
        )
    assert api.post(EVENTS, event()).status_code == 201


def test_another_tenant_in_the_body_is_refused_and_not_repeated(
    api: Api, acme: Tenant, globex: Tenant
) -> None:
    foreign = api.post(EVENTS, event(tenant_id=str(globex.pk)))
    unknown = api.post(EVENTS, event(tenant_id=str(uuid4())))
    assert members(foreign)["code"] == members(unknown)["code"] == "tenant_mismatch"
    assert foreign.status_code == 403
    assert str(globex.pk) not in foreign.content.decode()
    assert stored(acme) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Accept": "text/csv"}, 406),
        ({"Accept": ";;;q=,/"}, 406),
    ],
)
def test_what_is_no_plain_json_is_refused_by_its_headers(
    api: Api, headers: dict[str, str], status: int
) -> None:
    content_type = headers.pop("Content-Type", "application/json")
    answer = api.client.generic(
        "POST",
        EVENTS,
        b"{}",
        content_type=content_type,
        headers={"Authorization": f"Bearer {api.token}"} | headers,
    )
    assert answer.status_code == status
    members(answer)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b'{"a":1,"a":2}', 400), (b"[]", 422), (b'"x"', 422)],
)
def test_a_body_that_is_no_json_object_is_refused(api: Api, body: bytes, status: int) -> None:
    answer = api.client.generic(
        "POST",
        EVENTS,
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {api.token}"},
    )
    assert answer.status_code == status
    members(answer)


def test_a_body_above_a_mebibyte_is_too_large(api: Api) -> None:
    answer = api.post(EVENTS, event(payload={"m": "a" * 1_100_000}))
    assert (answer.status_code, members(answer)["code"]) == (413, "too_large")


def test_a_batch_of_new_events_is_created(api: Api, acme: Tenant) -> None:
    answer = api.post(BATCH, {"events": [event(idempotency_key=str(n)) for n in range(3)]})
    assert answer.status_code == 201
    body = answer.json()
    assert (body["accepted"], body["replayed"], body["rejected"]) == (3, 0, 0)
    assert [result["index"] for result in body["results"]] == [0, 1, 2]
    assert len(stored(acme)) == 3


def test_one_bad_item_of_a_batch_never_fails_another(
    api: Api, acme: Tenant, globex: Tenant
) -> None:
    known = event(idempotency_key="known")
    api.post(EVENTS, known)
    items: list[Any] = [
        event(idempotency_key="new"),
        {"event_type": "x"},
        known,
        7,
        event(tenant_id=str(globex.pk)),
        known | {"payload": {}},
    ]
    answer = api.post(BATCH, {"events": items})
    assert answer.status_code == 207
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [
        "accepted",
        "rejected",
        "replayed",
        "rejected",
        "rejected",
        "rejected",
    ]
    assert [result["error"]["code"] for result in results if "error" in result] == [
        "validation_failed",
        "validation_failed",
        "tenant_mismatch",
        "idempotency_key_reused",
    ]
    assert len(stored(acme)) == 2


@pytest.mark.parametrize(
    "body",
    [{}, {"events": []}, {"events": "x"}, {"events": True}, {"events": [{}], "more": 1}, []],
)
def test_a_batch_that_is_none_is_refused_whole(api: Api, body: Any) -> None:
    assert api.post(BATCH, body).status_code == 422


def test_a_batch_has_at_most_a_thousand_events(api: Api, acme: Tenant) -> None:
    assert api.post(BATCH, {"events": [{}] * 1001}).status_code == 422
    assert stored(acme) == []


def test_events_are_read_back_with_what_became_of_them(api: Api) -> None:
    api.post(EVENTS, event(run_id="r-1"))
    api.post(EVENTS, event(event_type="payment.completed", payload={}, run_id="r-2"))
    digest_all()
    failed = api.get(f"{EVENTS}?outcome=failure&run_id=r-1&vendor=stripe&workflow=checkout").json()
    assert failed["count"] == 1
    found = failed["results"][0]
    assert (found["outcome"], found["run_id"], found["workflow"]) == ("failure", "r-1", "checkout")
    assert api.get(f"{EVENTS}?incident={found['incident_id']}").json()["count"] == 1
    assert api.get(f"{EVENTS}/{found['id'].upper()}").json() == found
    assert api.get(f"{EVENTS}?since=2999-01-01T00:00:00Z").json()["count"] == 0


def test_a_key_that_may_only_write_cannot_read(acme: Tenant) -> None:
    answer = Api(key_of(acme, Scope.EVENTS_WRITE)).get(EVENTS)
    assert (answer.status_code, members(answer)["code"]) == (403, "missing_scope")
