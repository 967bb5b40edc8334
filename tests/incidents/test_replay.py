"""A decision is made again from what it kept, byte for byte, and an edit of what it was made from is told."""

import json
import random
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from incidents import concluding, replay
from incidents.analysis.port import ENGINE_VERSION
from incidents.models import Decision
from incidents.replay import Verdict
from safety import effective, rules
from tenants.journal import SYSTEM
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import Api, decide_all, digest_all, failure, key_of, signed_in, submit
from tests.databases import Owner
from tests.factories import DecisionFactory, WorkflowFactory
from tests.faults.sizes import sized

CODES = ("", "payment_timeout", "insufficient_funds", "nobody_knows")


def case(seed: int) -> tuple[dict[str, Any], effective.Effective]:
    """What a decision may be made from, drawn by chance."""
    draw = random.Random(seed)
    code = draw.choice(CODES)
    in_force = effective.resolve(
        rulebook=rules.rulebook(),
        overrides=[
            effective.Override(
                "code", code, {"mode": draw.choice(["off", "shadow", "auto"])}, 1, "o"
            )
        ],
        workflow="checkout",
        vendor=draw.choice(["", "stripe"]),
        error_code=code,
        category=draw.choice(["transient_error", "user_error", "unknown"]),
        environment=rules.environment(),
    )
    inputs = {
        "classification": {
            "rule": draw.choice(["none", f"code:{code}", "labels:rate_limit"]),
            "confidence": round(draw.random(), 3),
            "is_certain": draw.random() < 0.5,
            "retryable_hint": draw.random() < 0.7,
        },
        "severity": draw.choice(["low", "medium", "high", "critical"]),
        "has_retry_url": draw.random() < 0.7,
        "idempotent": draw.choice(["yes", "key", "no"]),
        "auto_retry_enabled": draw.random() < 0.8,
        "confidence_threshold": 0.7,
        "title": "Paiement refusé",
        "is_storm": draw.random() < 0.1,
        "unrecovered_runs": draw.randrange(500),
        "storm_runs": 100,
        "rule_versions": [],
    }
    return inputs, in_force


def kept(inputs: dict[str, Any], in_force: effective.Effective) -> Decision:
    """As the table gives it back."""
    concluded = json.loads(json.dumps(concluding.conclude(inputs, in_force).as_json()))
    snapshot = in_force.as_json()
    return Decision(
        **concluded,
        inputs=json.loads(json.dumps(inputs)),
        rules=json.loads(json.dumps(snapshot)),
        engine_version=ENGINE_VERSION,
        input_hash=concluding.fingerprint(inputs, snapshot),
    )


def test_whatever_it_was_made_from_it_is_made_again_byte_for_byte() -> None:
    # N5: 10 000 in the bench, as many here as take a second
    verdicts = {replay.replay(kept(*case(seed)), ()).verdict for seed in range(300)}
    assert verdicts == {Verdict.SAME}


def test_the_highest_score_is_what_was_chosen() -> None:
    for seed in range(100):
        concluded = concluding.conclude(*case(seed))
        best = max(concluded.candidates, key=lambda one: one.score)
        assert best.choice == concluded.choice or best.score == 0
        assert {one.choice for one in concluded.candidates if one.score} <= {concluded.choice}


def test_another_conclusion_is_told_part_by_part() -> None:
    decision = kept(*case(1))
    decision.reasons = ["somebody wrote this"]
    found = replay.replay(decision, ())
    assert found.verdict == Verdict.DIFFERS
    assert found.says[0].startswith('reasons: kept ["somebody wrote this"], again [')


def test_an_engine_that_is_not_here_is_named_and_the_current_one_can_be_asked_for() -> None:
    decision = kept(*case(1))
    decision.engine_version = "rules-9"
    found = replay.replay(decision, ())
    assert (found.verdict, "rules-9" in found.says[0]) == (Verdict.UNKNOWN_ENGINE, True)
    assert replay.replay(decision, (), with_current=True).verdict == Verdict.SAME
    decision.inputs = {"severity": "low"}
    little = replay.replay(decision, (), with_current=True)
    assert little.says[0].startswith("It kept too little for this engine: auto_retry_enabled")


def decided(tenant: Tenant) -> Decision:
    """A retry, by a rule of the tenant's own."""
    WorkflowFactory(tenant=tenant, slug="checkout", retry_url="https://checkout.example.org/r")
    with bound(tenant.pk) as now:
        rules.override(
            tenant_id=tenant.pk,
            scope="workflow",
            target="checkout",
            values={"retry.max_retries": 2},
            reason="twice is enough",
            by=SYSTEM,
            now=now,
        )
    submit(tenant, run_id="r1", payload=failure())
    digest_all()
    decide_all()
    with bound(tenant.pk):
        found: Decision = Decision.objects.for_tenant(tenant).get()
    return found


@pytest.mark.django_db
def test_an_edit_of_the_decision_or_of_a_rule_version_is_a_hash_mismatch(acme: Tenant) -> None:
    decision = decided(acme)
    with bound(acme.pk):
        known = rules.overrides(acme.pk)
    edited = [replace(one, values={"retry.max_retries": 9}) for one in known]
    by_sql = replay.replay(decision, edited)
    title = "version 1 of the rule for workflow checkout"
    assert by_sql.verdict == Verdict.ALTERED
    assert by_sql.says == (f"Hash mismatch: {title} was edited after it was saved.",)
    assert replay.replay(decision, ()).says == (f"Hash mismatch: {title} is gone.",)
    decision.inputs["severity"] = "critical"
    found = replay.replay(decision, known)
    assert found.verdict == Verdict.ALTERED
    assert found.says[0].startswith("Hash mismatch: its inputs or rules are not those of")
    assert found.fingerprint != decision.input_hash


@pytest.mark.django_db
def test_one_decision_is_read_with_its_replay_in_the_api_and_on_its_page(
    acme: Tenant, alice: User
) -> None:
    decision = decided(acme)
    said = Api(key_of(acme)).get(f"/api/v1/decisions/{decision.pk}").json()
    assert said["replay"] == {"verdict": "same", "says": [], "input_hash": decision.input_hash}
    assert [one["choice"] for one in said["candidates"] if one["score"]] == ["retry"]
    assert said["inputs"]["rule_versions"][0]["version"] == 1
    page = signed_in(alice).get(f"/incidents/decisions/{decision.pk}/").content.decode()
    assert "Made again, byte for byte the same" in page
    assert "Version 1 of the rule for workflow checkout" in page
    assert decision.input_hash in page
    incident = signed_in(alice).get(f"/incidents/{decision.incident_id}/").content.decode()
    assert f"/incidents/decisions/{decision.pk}/" in incident


def replayed(*args: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("replay_decision", *args, stdout=out)
    except SystemExit as left:
        return int(str(left.code)), out.getvalue()
    return 0, out.getvalue()


@pytest.mark.django_db
def test_the_command_replays_one_or_all_of_every_tenant(acme: Tenant, globex: Tenant) -> None:
    decision = decided(acme)
    DecisionFactory(tenant=globex)
    assert replayed(str(decision.pk)) == (
        0,
        f"{decision.pk} same\n1 replayed: 1 the same, 0 not, 0 of another engine\n",
    )
    assert replayed("--all") == (0, "2 replayed: 1 the same, 0 not, 1 of another engine\n")


@pytest.mark.django_db(transaction=True)
def test_however_many_are_replayed_none_differs_until_somebody_edits_a_rule_by_sql(
    acme: Tenant, owner: Owner
) -> None:
    # N5: 10 000 with AWFDRS_FAULT_SIZE=full
    decision, n_more = decided(acme), sized(small=60, full=10_000) - 1
    common: dict[str, Any] = {"tenant": acme, "incident_id": decision.incident_id}
    common |= {"kind": decision.kind, "created_at": decision.created_at}
    with bound(acme.pk):
        for start in range(0, n_more, 1000):
            rows = [kept(*case(seed)) for seed in range(start, min(start + 1000, n_more))]
            for row in rows:
                for name, value in common.items():
                    setattr(row, name, value)
            Decision.objects.bulk_create(rows)
    n = n_more + 1
    assert replayed("--all") == (0, f"{n:,} replayed: {n:,} the same, 0 not, 0 of another engine\n")
    edit = """update safety_ruleoverride set "values" = '{"retry.max_retries": 9}'"""
    owner.connection.execute(edit)
    code, said = replayed("--all")
    assert code != 0
    assert "version 1 of the rule for workflow checkout was edited after it was saved" in said
    assert f"{n:,} replayed: {n_more:,} the same, 1 not" in said
