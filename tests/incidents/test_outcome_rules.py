"""A tenant's own outcome rules: saved with a line in the journal, tried first, and asked by the digest."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from incidents import outcome_rules
from incidents.models import EventLink, Incident, OutcomeRule
from incidents.outcome_rules import Trial
from incidents.states import Outcome
from tenants import scoping
from tenants.models import JournalEntry, Tenant
from tenants.states import Scope
from tests.admin.pages import BY
from tests.cast import Api, digest_all, event, journal_of, key_of, only_incident, post_event, submit
from tests.factories import OutcomeRuleFactory

FAILURE, SUCCESS, NEUTRAL = Outcome.FAILURE, Outcome.SUCCESS, Outcome.NEUTRAL
GAVE_UP: dict[str, Any] = {"payload_path": "state", "payload_value": "gave_up"}
PATH = "/api/v1/outcome-rules"


def rule(tenant: Tenant, **fields: Any) -> OutcomeRule:
    said = {"event_type": "payment.retrying", "outcome": FAILURE, "reason": "they gave up"}
    return OutcomeRule(tenant=tenant, **(said | fields))


def saved(tenant: Tenant, row: OutcomeRule | None = None, **fields: Any) -> OutcomeRule:
    row = row or rule(tenant)
    for name, value in fields.items():
        setattr(row, name, value)
    with scoping.bound(tenant.pk) as now:
        return outcome_rules.save(row, by=BY, now=now)


def tried(tenant: Tenant, row: OutcomeRule) -> Trial:
    with scoping.bound(tenant.pk):
        return outcome_rules.trial(row)


def stored_rules(tenant: Tenant) -> list[OutcomeRule]:
    with scoping.bound(tenant.pk):
        return list(OutcomeRule.objects.for_tenant(tenant).order_by("position", "id"))


def details(tenant: Tenant) -> list[dict[str, Any]]:
    with scoping.bound(tenant.pk):
        lines = JournalEntry.objects.for_tenant(tenant).filter(subject_type="outcomerule")
        return list(lines.order_by("at", "id").values_list("detail", flat=True))


def outcomes(tenant: Tenant) -> list[str]:
    with scoping.bound(tenant.pk):
        links = EventLink.objects.for_tenant(tenant).order_by("id")
        return list(links.values_list("outcome", flat=True))


def retrying(**fields: Any) -> dict[str, Any]:
    return event(event_type="payment.retrying", payload={"state": "gave_up"} | fields)


def test_a_rule_turns_what_was_neutral_into_a_failure_until_it_is_switched_off(
    acme: Tenant,
) -> None:
    mine, token = saved(acme, **GAVE_UP), key_of(acme)
    assert post_event(token, **retrying()).status_code == 201
    assert post_event(token, **retrying(state="waiting")).status_code == 201
    digest_all()
    assert outcomes(acme) == [FAILURE, NEUTRAL]
    assert only_incident(acme).event_count == 1

    saved(acme, mine, is_enabled=False, reason="they meant something else")
    assert post_event(token, **retrying()).status_code == 201
    digest_all()
    assert outcomes(acme) == [FAILURE, NEUTRAL, NEUTRAL]
    assert only_incident(acme).event_count == 1


@pytest.mark.parametrize("event_type", ["error.resolved", "payment.failed_recovered"])
def test_out_of_the_box_the_end_of_a_failure_opens_nothing(event_type: str, acme: Tenant) -> None:
    submit(acme, event_type=event_type)
    digest_all()
    assert outcomes(acme) == [SUCCESS]
    with scoping.bound(acme.pk):
        assert not Incident.objects.for_tenant(acme).exists()


def test_a_rule_of_another_tenant_is_not_asked(acme: Tenant, globex: Tenant) -> None:
    saved(globex, rule(globex))
    submit(acme, **retrying())
    digest_all()
    assert outcomes(acme) == [NEUTRAL]


def test_rules_are_asked_by_position_and_among_equals_by_age(acme: Tenant) -> None:
    for position, outcome in ((20, SUCCESS), (10, FAILURE), (10, NEUTRAL)):
        saved(acme, rule(acme, position=position, outcome=outcome))
    with scoping.bound(acme.pk):
        found = outcome_rules.matchers(acme.pk)
    assert [matcher.outcome for matcher in found] == [FAILURE, NEUTRAL, SUCCESS]


def test_a_new_rule_is_journalled_with_all_it_says(acme: Tenant) -> None:
    row = saved(acme, **GAVE_UP)
    assert (row.created_by, row.created_at) == (BY.label, stored_rules(acme)[0].created_at)
    assert journal_of(acme, row.pk) == ["outcome_rule_added"]
    (told,) = details(acme)
    assert told["reason"] == "they gave up"
    assert told["changes"]["payload_value"] == [None, "gave_up"]
    assert told["changes"]["outcome"] == [None, "failure"]


def test_a_change_is_journalled_with_before_and_after_and_keeps_its_author(acme: Tenant) -> None:
    first = OutcomeRuleFactory(tenant=acme, created_by="ann")
    saved(acme, first, outcome=SUCCESS, position=7, reason="the other way", created_by="mallory")
    (row,) = stored_rules(acme)
    assert (row.outcome, row.position, row.reason) == (SUCCESS, 7, "the other way")
    assert row.created_by == "ann"
    assert details(acme)[-1]["changes"] == {
        "outcome": ["failure", "success"],
        "position": [100, 7],
    }
    assert journal_of(acme, row.pk) == ["outcome_rule_changed"]


def test_saying_nothing_new_changes_nothing(acme: Tenant) -> None:
    first = saved(acme)
    again = saved(acme, stored_rules(acme)[0], reason="just to be sure")
    assert (again.pk, again.reason) == (first.pk, "they gave up")
    assert journal_of(acme, first.pk) == ["outcome_rule_added"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"event_type": ""}, "event_type"),
        ({"event_type": "a*b*c*d*e*f*"}, "event_type"),
        ({"event_type": "x" * 256}, "event_type"),
        ({"error_code": "x" * 201}, "error_code"),
        ({"payload_value": "x"}, "payload_path"),
        ({"payload_path": "a..b"}, "payload_path"),
        ({"outcome": "disaster"}, "outcome"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 4001}, "reason"),
        ({"position": -1}, "position"),
    ],
)
def test_what_does_not_hold_is_not_saved(fields: dict[str, Any], wrong: str, acme: Tenant) -> None:
    with pytest.raises(ValidationError) as refused:
        saved(acme, rule(acme, **fields))
    assert list(refused.value.message_dict) == [wrong]
    assert stored_rules(acme) == []
    assert journal_of(acme) == []


def test_a_trial_says_what_would_change_and_stores_nothing(acme: Tenant, globex: Tenant) -> None:
    submit(globex, **retrying())
    submit(acme, **retrying(error_code="E7", status="waiting"))
    submit(acme, **retrying())
    submit(acme, event_type="job.failed")
    found = tried(acme, rule(acme, outcome=SUCCESS, **GAVE_UP))
    assert found.n_events == 3
    # the newest first
    said = [(each.error_code, each.status, each.before, each.after) for each in found.changed]
    assert said == [("", "", NEUTRAL, SUCCESS), ("E7", "waiting", FAILURE, SUCCESS)]
    assert sorted(found.counts) == [(FAILURE, SUCCESS, 1), (NEUTRAL, SUCCESS, 1)]
    assert stored_rules(acme) == []
    assert journal_of(acme) == []


def test_a_rule_as_it_is_changes_nothing(acme: Tenant) -> None:
    submit(acme, **retrying())
    mine = saved(acme)
    assert tried(acme, mine).changed == []


def test_a_trial_asks_the_whole_list_as_it_would_be(acme: Tenant) -> None:
    submit(acme, **retrying())
    first = saved(acme, rule(acme, outcome=SUCCESS, position=10))
    # asked after another that holds, it decides nothing
    assert tried(acme, rule(acme, position=10)).changed == []
    assert tried(acme, rule(acme, position=9)).counts == [(SUCCESS, FAILURE, 1)]
    # switched off, it would leave the event to the next
    first.is_enabled = False
    assert tried(acme, first).counts == [(SUCCESS, NEUTRAL, 1)]
    # moved behind the next, it would leave the event to that one
    saved(acme, rule(acme, position=20))
    first.is_enabled, first.position = True, 30
    assert tried(acme, first).counts == [(SUCCESS, FAILURE, 1)]
    # a rule that is off is not asked
    assert tried(acme, rule(acme, position=1, is_enabled=False)).changed == []


def test_a_trial_reads_the_last_events_only(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome_rules, "TRIED_EVENTS", 3)
    monkeypatch.setattr(outcome_rules, "_READ_AT_ONCE", 2)
    for number in range(5):
        submit(acme, **retrying(error_code=f"E{number}"))
    found = tried(acme, rule(acme, outcome=SUCCESS))
    assert [each.error_code for each in found.changed] == ["E4", "E3", "E2"]
    assert found.n_events == 3


def test_the_api_lists_the_tenants_rules_in_order_and_what_is_shipped(
    acme: Tenant, globex: Tenant
) -> None:
    OutcomeRuleFactory(tenant=globex, reason="canary")
    late = OutcomeRuleFactory(tenant=acme, position=20, **GAVE_UP)
    early = OutcomeRuleFactory(tenant=acme, position=10, is_enabled=False)
    answer = Api(key_of(acme, Scope.READ)).get(PATH)
    body = answer.json()
    assert (answer.status_code, body["count"]) == (200, 2)
    assert [one["id"] for one in body["results"]] == [str(early.pk), str(late.pk)]
    assert [one["is_enabled"] for one in body["results"]] == [False, True]
    assert {one["source"] for one in body["results"]} == {"tenant"}
    assert body["results"][1] | GAVE_UP == body["results"][1]
    assert body["shipped"][0] == {
        "source": "shipped",
        "outcome": "success",
        "event_type": "*.completed",
        "status": "",
        "error_code": "",
        "payload_path": "",
        "payload_value": "",
    }
    assert "canary" not in answer.content.decode()


def test_the_api_pages_through_rules_of_one_position(acme: Tenant) -> None:
    made = [str(OutcomeRuleFactory(tenant=acme).pk) for _ in range(3)]
    api = Api(key_of(acme, Scope.READ))
    first = api.get(f"{PATH}?page_size=2").json()
    second = api.get(first["next"]).json()
    assert [one["id"] for one in first["results"] + second["results"]] == made
