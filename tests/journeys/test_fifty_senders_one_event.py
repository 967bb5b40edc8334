"""Story: a sender that does not know whether it was heard posts the same event fifty times at once."""

import json

import pytest

from incidents.models import Incident
from tenants.models import Tenant
from tenants.states import Scope
from tests.cast import Api, digest_all, event, key_of, only_incident, stored
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

SENDERS = 50


def test_fifty_identical_posts_are_one_event_and_one_answer(acme: Tenant, globex: Tenant) -> None:
    token = key_of(acme, Scope.EVENTS_WRITE)
    body = event(idempotency_key="charge-4711", run_id="run-1")

    def post(_: int) -> tuple[int, bytes, str | None]:
        response = Api(token).post("/api/v1/events", body)
        return response.status_code, response.content, response.headers.get("Idempotent-Replayed")

    answers = at_once(SENDERS, post)

    # one row; one 201 and forty-nine 200 that say they are replays; the same bytes for all
    assert len(stored(acme)) == 1
    assert sorted(status for status, _, _ in answers) == [200] * (SENDERS - 1) + [201]
    assert {replayed for status, _, replayed in answers if status == 200} == {"true"}
    assert len({content for _, content, _ in answers}) == 1

    # another tenant's same key is its own event
    foreign = Api(key_of(globex, Scope.EVENTS_WRITE)).post("/api/v1/events", body)
    assert foreign.status_code == 201
    assert foreign.json()["event_id"] != json.loads(answers[0][1])["event_id"]


def test_a_hundred_failures_at_once_are_one_incident(acme: Tenant) -> None:
    token = key_of(acme, Scope.EVENTS_WRITE)

    def post(number: int) -> int:
        statuses = [
            Api(token).post("/api/v1/events", event(run_id=f"run-{number}-{n}")).status_code
            for n in range(10)
        ]
        digest_all()
        return sum(status == 201 for status in statuses)

    assert sum(at_once(10, post)) == 100
    digest_all()
    incident: Incident = only_incident(acme)
    assert (incident.event_count, incident.affected_runs) == (100, 100)
