"""Merge and split over HTTP: the incident as it is afterwards, and refusals that say what is wrong with what."""

from typing import Any
from uuid import UUID

import pytest

from incidents.models import Incident
from tenants.models import Tenant
from tests.cast import Api, journal_of, key_of
from tests.incidents.test_merging import DECLINED, TIMEOUT, again, fail, merge, resolve
from tests.support.problem_answers import members

LIST = "/api/v1/incidents"


@pytest.fixture
def api(acme: Tenant) -> Api:
    return Api(key_of(acme))


@pytest.fixture
def pair(acme: Tenant) -> tuple[Incident, Incident]:
    return fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")


def post(api: Api, incident: Incident, verb: str, **body: Any) -> Any:
    return api.post(f"{LIST}/{incident.pk}/{verb}", body)


def test_merging_answers_the_incident_with_what_it_counts_now(
    api: Api, pair: tuple[Incident, Incident]
) -> None:
    target, other = pair
    answer = post(api, target, "merge", incidents=[str(other.pk)], reason="one cause")
    assert (answer.status_code, answer.json()["event_count"]) == (200, 2)
    shown = api.get(f"{LIST}/{other.pk}").json()
    assert (shown["status"], shown["merged_into_id"]) == ("resolved", str(target.pk))
    assert (shown["is_storm"], shown["parent_id"]) == (False, None)


def test_the_detail_says_which_signatures_are_counted_here(
    api: Api, acme: Tenant, pair: tuple[Incident, Incident]
) -> None:
    target, other = pair
    merge(target, other)
    fail(acme, DECLINED, "r3")
    own, member = api.get(f"{LIST}/{target.pk}").json()["signatures"]
    assert (own["hash"], own["is_own"], own["event_count"]) == (target.signature, True, 1)
    assert member == {
        "hash": other.signature,
        "is_own": False,
        "incident_id": str(other.pk),
        "number": str(other),
        "title": other.title,
        "event_count": 2,
    }


def test_splitting_gives_the_events_back(api: Api, pair: tuple[Incident, Incident]) -> None:
    target, other = pair
    merge(target, other)
    answer = post(api, target, "split", signatures=[other.signature], reason="two causes")
    assert (answer.status_code, answer.json()["event_count"]) == (200, 1)
    shown = api.get(f"{LIST}/{other.pk}").json()
    assert (shown["status"], shown["merged_into_id"], shown["event_count"]) == ("detected", None, 1)
    for incident, verbs in ((target, ["split", "merged"]), (other, ["split_off", "merged_into"])):
        lines = api.get(f"{LIST}/{incident.pk}/timeline").json()["results"]
        assert [line["verb"] for line in lines][:2] == verbs


def test_a_dry_run_answers_the_same_and_merges_nothing(
    api: Api, acme: Tenant, pair: tuple[Incident, Incident]
) -> None:
    target, other = pair
    answer = api.post(f"{LIST}/{target.pk}/merge?dry_run=true", {"incidents": [str(other.pk)]})
    assert (answer.json()["event_count"], answer.json()["dry_run"]) == (2, True)
    assert again(other).merged_into_id is None
    assert journal_of(acme, target.pk) == ["detected"]


def test_a_foreign_incident_is_refused_like_one_that_never_was(
    api: Api, globex: Tenant, pair: tuple[Incident, Incident]
) -> None:
    target, other = pair
    theirs = fail(globex, TIMEOUT, "r1")
    answers = [
        post(api, target, "merge", incidents=[str(other.pk), str(pk)])
        for pk in (theirs.pk, UUID(int=7))
    ]
    assert {answer.status_code for answer in answers} == {422}
    foreign, unknown = (members(answer)["errors"] for answer in answers)
    assert foreign == unknown
    assert [error["pointer"] for error in foreign] == ["/incidents/1"]
    assert again(other).merged_into_id is None


def test_what_cannot_be_one_is_a_conflict(api: Api, pair: tuple[Incident, Incident]) -> None:
    target, _ = pair
    answer = post(api, target, "merge", incidents=[str(target.pk)])
    assert (answer.status_code, members(answer)["code"]) == (409, "conflict")
    assert "into itself" in members(answer)["detail"]


def test_a_closed_incident_refuses_both_and_says_what_is_allowed(
    api: Api, acme: Tenant, pair: tuple[Incident, Incident]
) -> None:
    target, other = pair
    merge(target, other)
    resolve(target)
    for verb, body in (
        ("split", {"signatures": [other.signature]}),
        ("merge", {"incidents": [str(fail(acme, "key_refused", "r3").pk)]}),
    ):
        answer = post(api, target, verb, **body)
        assert (answer.status_code, members(answer)["code"]) == (409, "transition_refused")
        assert members(answer)["allowed"] == ["detected"]


def test_a_merged_incident_is_not_reopened(api: Api, pair: tuple[Incident, Incident]) -> None:
    target, other = pair
    merge(target, other)
    answer = api.post(f"{LIST}/{other.pk}/reopen", {})
    assert (answer.status_code, members(answer)["allowed"]) == (409, [])
    assert members(answer)["detail"] == f"Split it from {target} instead."


@pytest.mark.parametrize(
    ("verb", "body", "pointer"),
    [
        ("merge", {}, "/incidents"),
        ("merge", {"incidents": []}, "/incidents"),
        ("merge", {"incidents": "all"}, "/incidents"),
        ("merge", {"incidents": ["INC-1"]}, "/incidents/0"),
        ("merge", {"incidents": [str(UUID(int=n)) for n in range(51)]}, "/incidents"),
        ("merge", {"incidents": [7]}, "/incidents/0"),
        ("merge", {"others": []}, "/others"),
        ("split", {}, "/signatures"),
        ("split", {"signatures": []}, "/signatures"),
        ("split", {"signatures": [None]}, "/signatures/0"),
        ("split", {"signatures": ["f" * 33]}, "/signatures/0"),
        ("split", {"signatures": ["f" * 32]}, "/signatures/0"),
        ("split", {"signatures": ["f"] * 51}, "/signatures"),
    ],
)
def test_a_body_that_cannot_be_meant_is_refused_where_it_is_wrong(
    api: Api, pair: tuple[Incident, Incident], verb: str, body: Any, pointer: str
) -> None:
    answer = post(api, pair[0], verb, **body)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in members(answer)["errors"]]
