"""Rule modes: off plans nothing, shadow writes down what it would do, approve asks people, auto runs."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from actions import planning
from actions.models import Action, Approval
from incidents.models import Decision, Incident, Run
from safety import rules
from safety.models import RuleOverride
from safety.rulefiles import RulebookError, load, shipped
from tenants import scoping
from tenants.models import Tenant, Workflow
from tests.cast import decide_all, digest_all, event, submit
from tests.factories import WorkflowFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def checkout(acme: Tenant) -> Workflow:
    return WorkflowFactory(
        tenant=acme, slug="checkout", retry_url="https://c.example/", idempotent="key"
    )


def mode(tenant: Tenant, name: str, *, scope: str = "tenant", target: str = "") -> None:
    with scoping.bound(tenant.pk) as now:
        mine = RuleOverride.objects.for_tenant(tenant).filter(scope=scope, target=target)
        RuleOverride.objects.create(
            tenant=tenant,
            scope=scope,
            target=target,
            values={"mode": name},
            version=mine.count() + 1,
            author="ann",
            reason="try it out",
            created_at=now,
        )


def fail(tenant: Tenant, run: str = "run-1") -> None:
    submit(tenant, **event(run_id=run))
    digest_all()
    decide_all()
    planning.plan_due()


def rows(tenant: Tenant, model: Any, **wanted: Any) -> Any:
    with scoping.bound(tenant.pk):
        return list(model.objects.for_tenant(tenant).filter(**wanted).order_by("id"))


def test_auto_is_the_default_and_says_so(acme: Tenant) -> None:
    fail(acme)
    [retry] = rows(acme, Action)
    [decision] = rows(acme, Decision)
    assert (retry.status, retry.policy["mode"]) == ("pending", "auto")
    assert decision.rules["mode"] == {"value": "auto", "source": "built-in default"}


def test_off_plans_nothing_and_the_decision_says_why(acme: Tenant) -> None:
    mode(acme, "off")
    fail(acme)
    assert rows(acme, Action, action_type="retry") == []
    [decision] = rows(acme, Decision)
    assert decision.reasons[1] == "no retry: the mode is off (override v1 for the tenant)"
    assert [run.state for run in rows(acme, Run)] == ["failed"]


def test_shadow_writes_down_what_would_run_and_people_are_told_as_of_anything_unhandled(
    acme: Tenant,
) -> None:
    mode(acme, "shadow")
    fail(acme)
    fail(acme, "run-2")
    planning.plan_due()
    first, second = rows(acme, Action, action_type="retry")
    assert first.status == second.status == "skipped"
    assert (
        first.waiting_reason
        == f"Shadow: it would have run at {first.run_at:%Y-%m-%d %H:%M:%S} UTC."
    )
    assert {gate["name"] for gate in first.gates} >= {"kill_switch", "idempotent"}
    [incident] = rows(acme, Incident)
    assert incident.status == "escalated"
    assert "on paper: the mode is shadow (override v1 for the tenant)" in incident.escalated_reason
    assert [run.state for run in rows(acme, Run)] == ["failed", "failed"]
    assert len(rows(acme, Action, action_type="escalate")) == 1


def test_shadow_says_that_it_would_have_asked(acme: Tenant) -> None:
    mode(acme, "shadow")
    with scoping.bound(acme.pk):
        Workflow.objects.for_tenant(acme).update(idempotent="no")
    fail(acme)
    [retry] = rows(acme, Action, action_type="retry")
    assert "it would have waited for approval" in retry.waiting_reason
    assert rows(acme, Approval) == []


def test_approve_asks_whatever_the_workflow_declares(acme: Tenant) -> None:
    mode(acme, "approve")
    fail(acme)
    [retry] = rows(acme, Action)
    assert (retry.status, retry.waiting_reason) == (
        "awaiting_approval",
        "The rules want a person to allow it.",
    )
    [asked] = [gate for gate in retry.gates if gate["name"] == "mode"]
    assert (asked["passed"], asked["value"], asked["limit"]) == (False, "approve", "auto")
    [decision] = rows(acme, Decision)
    assert decision.reasons[-1] == (
        "a person approves each: the mode is approve (override v1 for the tenant)"
    )
    assert len(rows(acme, Approval)) == 1


def test_the_nearer_rule_decides_and_names_itself(acme: Tenant) -> None:
    mode(acme, "off")
    mode(acme, "shadow", scope="code", target="payment_timeout")
    mode(acme, "auto", scope="workflow", target="checkout")
    with scoping.bound(acme.pk):
        found = rules.effective_for(
            tenant_id=acme.pk,
            workflow="checkout",
            vendor="stripe",
            error_code="payment_timeout",
            category="transient_error",
        )
    assert (found.mode, found.values["mode"].source) == (
        "auto",
        "override v1 for workflow checkout",
    )
    # and it allows no retry that a rule forbids
    submit(acme, **event(payload={"error_code": "card_declined"}))
    digest_all()
    decide_all()
    planning.plan_due()
    assert rows(acme, Action, action_type="retry") == []


@pytest.mark.parametrize(("later", "n_pending"), [("off", 1), ("shadow", 1), ("auto", 2)])
def test_an_edited_mode_holds_the_runs_of_a_decision_made_before(
    acme: Tenant, later: str, n_pending: int
) -> None:
    fail(acme)
    mode(acme, later)
    fail(acme, "run-2")
    assert len(rows(acme, Action, action_type="retry", status="pending")) == n_pending
    on_paper = rows(acme, Action, action_type="retry", status="skipped")
    assert len(on_paper) == (later == "shadow")


def test_the_files_set_a_mode_and_yamls_own_off_is_refused_with_its_line(tmp_path: Path) -> None:
    rulebook = Path(shutil.copytree(shipped(), tmp_path / "rules"))
    codes = rulebook / "error_codes.yaml"
    text = codes.read_text()
    codes.write_text(f'{text}\n  odd_one:\n    severity: low\n    retry: true\n    mode: "off"\n')
    assert load(rulebook).codes["odd_one"].values["mode"] == "off"
    # YAML 1.1 reads a bare off as false; nobody shall wonder what that meant
    codes.write_text(f"{text}\n  odd_one:\n    severity: low\n    mode: off\n")
    with pytest.raises(RulebookError) as refused:
        load(rulebook)
    [problem] = refused.value.problems
    assert (problem.file, problem.line) == ("error_codes.yaml", len(text.splitlines()) + 4)
    assert "quote it" in str(problem)
