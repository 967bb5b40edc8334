"""A rule's retries earn their autonomy step by step, and lose it after two that were not verified (N7)."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from actions import ladder, starting, verification
from actions.ladder import NotEarned
from actions.models import Action, Delivery
from actions.states import ActionType, Status, Verification
from awfdrs_site.lib import clock
from incidents.models import Incident, Run
from incidents.states import RunState
from safety import rules
from safety.models import RuleOverride
from tenants.journal import SYSTEM
from tenants.models import JournalEntry, Tenant
from tenants.scoping import bound
from tests.cast import acting, decide_all, digest_all, failure, signed_in, submit
from tests.factories import ActionFactory, IncidentFactory, RunFactory, WorkflowFactory

pytestmark = pytest.mark.django_db
CODE = "payment_timeout"


def says(tenant: Tenant, mode: str, **others: Any) -> RuleOverride:
    with bound(tenant.pk) as now:
        return rules.override(
            tenant_id=tenant.pk,
            scope="code",
            target=CODE,
            values={"mode": mode} | others,
            reason="test",
            by=SYSTEM,
            now=now,
        )


def incident_of(tenant: Tenant) -> Incident:
    found: Incident = IncidentFactory(
        tenant=tenant, error_code=CODE, category="transient_error", status="analyzing", vendor=None
    )
    return found


def retried(incident: Incident, verification_: str, n: int = 1) -> None:
    for _ in range(n):
        ActionFactory(
            tenant=incident.tenant,
            incident=incident,
            action_type=ActionType.RETRY,
            status=Status.COMPLETED,
            verification=verification_,
            settled_at=clock.read() - timedelta(seconds=1),  # as the others
        )


def standing(tenant: Tenant) -> ladder.Standing:
    with bound(tenant.pk):
        return ladder.standing(tenant.pk, scope="code", target=CODE)


@pytest.mark.parametrize(
    ("verified", "not_verified", "offers"), [(20, 0, "auto"), (19, 0, ""), (40, 2, ""), (0, 0, "")]
)
def test_a_step_is_offered_when_enough_were_verified_for_sure(
    acme: Tenant, verified: int, not_verified: int, offers: str
) -> None:
    says(acme, "approve")
    incident = incident_of(acme)
    retried(incident, Verification.VERIFIED, verified)
    retried(incident, Verification.NOT_VERIFIED, not_verified)
    found = standing(acme)
    assert (found.n, found.offers) == (verified + not_verified, offers)


def test_an_admin_takes_the_offered_step_on_the_page_of_the_rule(
    acme: Tenant, ann: User, alice: User
) -> None:
    says(acme, "approve", **{"retry.max_retries": 2})
    retried(incident_of(acme), Verification.VERIFIED, 20)
    path, step = f"/rules/code/{CODE}/", {"scope": "code", "target": CODE, "to": "auto"}
    assert "Promote to auto" in signed_in(ann).get(path).content.decode()
    assert "Promote to auto" not in signed_in(alice).get(path).content.decode()
    assert signed_in(alice).post("/safety/promote/", step).status_code == 403
    assert signed_in(ann).post("/safety/promote/", step).status_code == 302
    with bound(acme.pk):
        newest = rules.versions(acme.pk, scope="code", target=CODE).first()
    assert newest is not None
    assert newest.version == 2
    assert newest.values == {"mode": "auto", "retry.max_retries": 2}
    assert newest.reason.startswith("Earned: 20 of 20 retries verified")
    # what earned this step does not earn another
    assert standing(acme).n == 0
    with bound(acme.pk) as now, pytest.raises(NotEarned):
        ladder.promote(acme.pk, scope="code", target=CODE, to="auto", by=acting(ann), now=now)


def test_steps_go_one_by_one(acme: Tenant) -> None:
    says(acme, "off")
    retried(incident_of(acme), Verification.VERIFIED, 20)
    assert standing(acme).offers == "shadow"


def accepted(incident: Incident) -> Action:
    """A retry that was accepted just now, and after which the run failed again."""
    with bound(incident.tenant_id) as now:
        run = RunFactory(
            tenant=incident.tenant,
            workflow=incident.workflow,
            incident=incident,
            state=RunState.RETRY_SCHEDULED,
            attempted_at=now,
        )
        sent = now - timedelta(seconds=1)
        times = {"started_at": sent, "settled_at": sent, "run_at": sent}
    found: Action = ActionFactory(
        tenant=incident.tenant,
        incident=incident,
        run=run,
        status=Status.COMPLETED,
        verification=Verification.PENDING,
        attempts_made=1,
        **times,
    )
    return found


def fails_again(incident: Incident) -> None:
    action = accepted(incident)
    with bound(incident.tenant_id) as now:
        run = Run.objects.for_tenant(incident.tenant_id).filter(actions=action)
        run.update(failure_received_at=now)
    assert verification.verify_due() == 1


def versions(tenant: Tenant) -> list[tuple[int, Any, str]]:
    with bound(tenant.pk):
        found = rules.versions(tenant.pk, scope="code", target=CODE)
        return [(row.version, row.values.get("mode"), row.author) for row in found]


def test_two_in_a_row_that_were_not_verified_make_the_next_wait_for_approval(
    acme: Tenant, alice: User
) -> None:
    WorkflowFactory(
        tenant=acme, slug="checkout", retry_url="https://c.example.org/r", idempotent="key"
    )
    incident = incident_of(acme)
    fails_again(incident)
    retried(incident, Verification.VERIFIED)
    fails_again(incident)
    assert versions(acme) == []  # not in a row
    fails_again(incident)
    assert versions(acme) == [(1, "approve", SYSTEM.label)]
    with bound(acme.pk):
        told = Delivery.objects.for_tenant(acme).filter(subject__startswith="Retries wait for")
        assert told.count() == 1
        line = JournalEntry.objects.for_tenant(acme).get(verb="rule_changed")
        assert line.detail["reason"] == "2 retries in a row were not verified."
    submit(acme, run_id="next", payload=failure(vendor=""))
    digest_all()
    decide_all()
    with bound(acme.pk):
        decided = Incident.objects.for_tenant(acme).exclude(pk=incident.pk).get()
        mode = decided.decisions.get().rules["mode"]["value"]
    assert mode == "approve"
    fails_again(incident)
    assert len(versions(acme)) == 1  # it waits for people already


def test_what_was_planned_before_the_demotion_waits_for_a_person_too(acme: Tenant) -> None:
    incident = incident_of(acme)
    incident.workflow.idempotent, incident.classification = "key", {"is_certain": True}
    with bound(acme.pk):
        incident.workflow.save()
        incident.save()
    fields: dict[str, Any] = {"tenant": acme, "incident": incident}
    fields |= {"lease_token": 1, "lease_until": clock.read() + timedelta(minutes=5)}
    planned = [
        ActionFactory(
            **fields,
            run=RunFactory(tenant=acme, workflow=incident.workflow, incident=incident),
            policy=policy,
        )
        for policy in ({"mode": "auto"}, {})
    ]
    says(acme, "approve")
    for action in planned:
        starting.start(tenant_id=acme.pk, action_id=action.pk, token=1)
    with bound(acme.pk):
        mine = Action.objects.for_tenant(acme).in_bulk([action.pk for action in planned])
    by_rule, by_hand = (mine[action.pk] for action in planned)
    assert (by_rule.status, by_rule.waiting_reason) == (
        Status.AWAITING_APPROVAL,
        "The rules want a person to allow it.",
    )
    # a person asked for this one: the rules' mode was never its own
    assert by_hand.status == Status.IN_PROGRESS
