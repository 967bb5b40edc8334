"""What is decided about an incident, from what, once, and how a person can overrule it."""

from typing import Any

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks
from pytest_django.fixtures import Settings

from incidents import decisions, lifecycle, tasks
from incidents.models import Decision, Incident
from incidents.signals import decision_recorded
from incidents.states import Choice, Severity, Status
from safety import effective, rules
from tenants.journal import SYSTEM, Actor
from tenants.models import JournalEntry, Tenant
from tenants.scoping import bound
from tests.cast import decide_all, digest_all, failure, journal_of, only_incident, submit
from tests.factories import WorkflowFactory
from tests.threads import at_once

pytestmark = pytest.mark.django_db

RETRY_URL = "https://checkout.example.org/retry"


def failed(tenant: Tenant, *, retry_url: str = RETRY_URL, **payload: Any) -> Incident:
    WorkflowFactory(tenant=tenant, slug="checkout", retry_url=retry_url)
    submit(tenant, run_id="r1", payload=failure(**payload))
    digest_all()
    return only_incident(tenant)


def decision_of(tenant: Tenant) -> Decision:
    with bound(tenant.pk):
        found: Decision = Decision.objects.for_tenant(tenant).get()
    return found


def in_force(category: str, code: str = "") -> effective.Effective:
    return effective.resolve(
        rulebook=rules.rulebook(),
        overrides=(),
        workflow="checkout",
        vendor="",
        error_code=code,
        category=category,
        environment=rules.environment(),
    )


@pytest.mark.parametrize(
    ("category", "severity", "has_url", "hint", "chosen", "says"),
    [
        ("transient_error", "low", True, True, Choice.RETRY, "retries per run"),
        ("transient_error", "critical", True, True, Choice.RETRY, "retries per run"),
        ("transient_error", "low", False, True, Choice.ESCALATE, "no retry URL"),
        ("transient_error", "high", True, False, Choice.ESCALATE, "severity high needs people"),
        ("transient_error", "low", True, False, Choice.OBSERVE, "will not pass by itself"),
        ("user_error", "low", True, True, Choice.OBSERVE, "severity low can wait"),
        ("user_error", "medium", True, True, Choice.OBSERVE, "severity medium can wait"),
        ("user_error", "high", True, True, Choice.ESCALATE, "severity high needs people"),
        ("auth_error", "critical", False, True, Choice.ESCALATE, "severity critical needs people"),
    ],
)
def test_the_choice_follows_from_plain_values_and_says_why(
    category: str, severity: str, has_url: bool, hint: bool, chosen: Choice, says: str
) -> None:
    choice = decisions.choose(
        in_force=in_force(category),
        severity=Severity(severity),
        has_retry_url=has_url,
        classification={"rule": "text:dns", "retryable_hint": hint},
    )
    assert choice.choice == chosen
    assert says in " / ".join(choice.reasons)
    assert choice.reasons[0].startswith("the message reads as dns: ")


def test_a_decision_keeps_what_it_was_decided_from(acme: Tenant) -> None:
    incident = failed(acme)
    assert decide_all() == 1
    decision = decision_of(acme)
    assert (decision.choice, decision.kind) == ("retry", "rule_based")
    assert decision.confidence == incident.classification["confidence"]
    assert decision.inputs["signature"] == incident.signature
    assert decision.inputs["has_retry_url"] is True
    assert len(decision.input_hash) == 64
    assert decision.engine_version
    # the rules as they were, each value with its source
    assert {"value", "source"} <= decision.rules["retry.max_retries"].keys()
    assert [gate["name"] for gate in decision.gates][:2] == ["still_needed", "kill_switch"]
    assert {"name", "passed", "value", "limit", "source", "clears_at"} <= decision.gates[0].keys()


def test_a_retry_takes_the_incident_into_analysis(acme: Tenant) -> None:
    incident = failed(acme)
    decide_all()
    assert only_incident(acme).status == Status.ANALYZING
    assert journal_of(acme, incident.pk) == ["detected", "decided", "analyzing"]
    with bound(acme.pk):
        line = JournalEntry.objects.for_tenant(acme).get(verb="decided")
    assert line.detail["choice"] == "retry"
    assert line.detail["decision"] == str(decision_of(acme).pk)


def test_without_a_retry_url_it_escalates_once_and_says_so(acme: Tenant) -> None:
    failed(acme, retry_url="")
    decide_all()
    incident = only_incident(acme)
    assert incident.status == Status.ESCALATED
    assert "no retry URL" in incident.escalated_reason
    assert decision_of(acme).gates == []


def test_what_can_wait_is_only_watched(acme: Tenant) -> None:
    failed(acme, error_code="insufficient_funds", error_message="Card has no money")
    decide_all()
    # a medium problem of the customer's own: no retry, and nobody is woken
    assert decision_of(acme).choice == Choice.OBSERVE
    assert only_incident(acme).status == Status.DETECTED
    assert decision_of(acme).gates == []


def test_it_is_decided_once_per_opening(acme: Tenant) -> None:
    incident = failed(acme)
    assert decide_all() == 1
    assert decide_all() == 0
    again = decisions.decide(tenant_id=acme.pk, incident_id=incident.pk)
    assert again is None
    with bound(acme.pk) as now:
        lifecycle.resolve(incident, by=SYSTEM, now=now, reason="x", waive_unrecovered=True)
        lifecycle.reopen(incident, by=SYSTEM, now=now)
    assert decide_all() == 1
    with bound(acme.pk):
        assert Decision.objects.for_tenant(acme).count() == 2


def test_a_closed_incident_is_not_decided(acme: Tenant) -> None:
    incident = failed(acme)
    with bound(acme.pk) as now:
        lifecycle.ignore(incident, by=SYSTEM, now=now, reason="known")
    assert decisions.decide(tenant_id=acme.pk, incident_id=incident.pk) is None
    assert decide_all() == 0


def test_a_decision_does_not_overrule_the_person_who_was_first(acme: Tenant) -> None:
    incident = failed(acme)
    with bound(acme.pk) as now:
        lifecycle.escalate(incident, by=Actor("user", "1", "alice"), now=now, reason="mine")
    decide_all()
    assert decision_of(acme).choice == Choice.RETRY
    assert only_incident(acme).status == Status.ESCALATED
    assert only_incident(acme).escalated_reason == "mine"


@pytest.mark.parametrize(
    ("auto_retry", "idempotent", "gate", "passes"),
    [
        (True, "key", "idempotent", True),
        (True, "yes", "idempotent", True),
        (True, "no", "idempotent", False),
        (False, "key", "auto_retry", False),
        (True, "key", "confidence", True),
    ],
)
def test_the_gates_of_a_retry_say_what_a_person_would_have_to_allow(
    acme: Tenant, settings: Settings, auto_retry: bool, idempotent: str, gate: str, passes: bool
) -> None:
    settings.ENABLE_AUTO_RETRY = auto_retry
    WorkflowFactory(tenant=acme, slug="checkout", retry_url=RETRY_URL, idempotent=idempotent)
    submit(acme)
    digest_all()
    decide_all()
    gates = {g["name"]: g["passed"] for g in decision_of(acme).gates}
    assert gates[gate] is passes


def test_a_tenants_override_is_in_force_and_in_the_snapshot(acme: Tenant) -> None:
    failed(acme)
    with bound(acme.pk) as now:
        rules.override(
            tenant_id=acme.pk,
            scope="code",
            target="payment_timeout",
            values={"retry.enabled": False},
            reason="they charge twice",
            by=Actor("user", "1", "ann"),
            now=now,
        )
    decide_all()
    decision = decision_of(acme)
    assert decision.choice == Choice.ESCALATE
    assert "override" in str(decision.rules)


def test_a_decision_is_told_once_committed_by_ids_only(
    acme: Tenant, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    incident = failed(acme)
    told: list[dict[str, Any]] = []

    def hear(sender: object, *, signal: object, **ids: Any) -> None:
        told.append(ids)

    decision_recorded.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            decide_all()
            assert told == []
    finally:
        decision_recorded.disconnect(hear)
    assert told == [{"tenant_id": acme.pk, "incident_id": incident.pk}]


def test_the_sweep_takes_every_tenants_and_one_that_breaks_stops_no_other(
    acme: Tenant,
    globex: Tenant,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken, fine = failed(acme), failed(globex)
    real = decisions.decide

    def decide(*, tenant_id: Any, incident_id: Any) -> Decision | None:
        if incident_id == broken.pk:
            raise ValueError("broken rule")
        return real(tenant_id=tenant_id, incident_id=incident_id)

    monkeypatch.setattr(decisions, "decide", decide)
    tasks.decide_incidents(unknown="argument of a newer release")
    assert decision_of(globex).incident_id == fine.pk
    assert only_incident(acme).decided_at is None


@pytest.mark.django_db(transaction=True)
def test_workers_that_decide_at_once_record_one_decision(acme: Tenant) -> None:
    incident = failed(acme)
    made = at_once(6, lambda _: decisions.decide(tenant_id=acme.pk, incident_id=incident.pk))
    assert len([decision for decision in made if decision]) == 1
    assert journal_of(acme, incident.pk) == ["detected", "decided", "analyzing"]
