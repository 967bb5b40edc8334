"""Escalation policies in the admin: a tenant's own, with steps that each name one target of that tenant."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from actions.models import Channel, EscalationPolicy, EscalationStep
from tenants import scoping
from tenants.models import JournalEntry, Tenant
from tests.admin.pages import client_of
from tests.cast import journal_of
from tests.factories import ChannelFactory, EscalationPolicyFactory, WorkflowFactory

pytestmark = pytest.mark.django_db
ADD = "admin:actions_escalationpolicy_add"
CHANGE = "admin:actions_escalationpolicy_change"
TYPED = {
    "name": "nights",
    "minimum_severity": "high",
    "repeats": "2",
    "acknowledge_minutes": "30",
    "is_active": "on",
}
Row = dict[str, Any]


def step(**fields: Any) -> Row:
    return {"order": "", "channel": "", "user": "", "role": "", "wait_minutes": "5"} | fields


def send(client: Client, *steps: Row, policy: EscalationPolicy | None = None, **typed: Any) -> Any:
    path = reverse(CHANGE, args=[policy.pk]) if policy else reverse(ADD)
    n_initial = sum("id" in row for row in steps)
    sent: dict[str, Any] = {
        "steps-TOTAL_FORMS": len(steps),
        "steps-INITIAL_FORMS": n_initial,
        "steps-MIN_NUM_FORMS": 1,
        "steps-MAX_NUM_FORMS": 20,
    }
    for place, row in enumerate(steps):
        sent |= {f"steps-{place}-{name}": value for name, value in row.items()}
        if policy:
            sent[f"steps-{place}-policy"] = policy.pk
    return client.post(path, {k: v for k, v in (TYPED | typed | sent).items() if v is not None})


def policies(tenant: Tenant) -> list[EscalationPolicy]:
    with scoping.bound(tenant.pk):
        return list(EscalationPolicy.objects.for_tenant(tenant).order_by("id"))


def steps_of(policy: EscalationPolicy) -> list[EscalationStep]:
    with scoping.bound(policy.tenant_id):
        mine = EscalationStep.objects.for_tenant(policy.tenant_id).filter(policy=policy)
        return list(mine.select_related("channel", "user").order_by("position"))


def said(policy: EscalationPolicy) -> list[str]:
    return [str(step.channel or step.user or step.role) for step in steps_of(policy)]


def complaints(response: Any) -> str:
    assert response.status_code == 200
    [inline] = response.context["inline_admin_formsets"]
    formset = inline.formset
    of_rows = [str(form.errors.as_text()) for form in formset.forms]
    of_form = response.context["adminform"].form.errors.as_text()
    return " ".join([*of_rows, formset.non_form_errors().as_text(), of_form])


@pytest.fixture
def ops(acme: Tenant) -> Channel:
    return ChannelFactory(tenant=acme, name="ops")


def test_a_tenants_admin_makes_a_policy_with_its_steps(
    ann: User, alice: User, ops: Channel, acme: Tenant
) -> None:
    rows = (step(channel=ops.pk), step(user=alice.pk, wait_minutes="10"), step(role="admin"))
    assert send(client_of(ann), *rows).status_code == 302
    (policy,) = policies(acme)
    assert (policy.name, policy.minimum_severity, policy.repeats) == ("nights", "high", 2)
    assert policy.acknowledge_minutes == 30
    assert said(policy) == ["ops", "alice", "admin"]
    assert [one.wait_minutes for one in steps_of(policy)] == [5, 10, 5]
    assert journal_of(acme, policy.pk) == ["escalation_policy_added"]


def test_steps_are_told_in_the_order_that_was_typed(
    ann: User, alice: User, ops: Channel, acme: Tenant
) -> None:
    client = client_of(ann)
    send(client, step(channel=ops.pk), step(user=alice.pk))
    (policy,) = policies(acme)
    first, second = steps_of(policy)
    send(
        client,
        step(id=first.pk, channel=ops.pk, order="2"),
        step(id=second.pk, user=alice.pk, order="1"),
        step(role="admin"),
        policy=policy,
    )
    assert said(policy) == ["alice", "ops", "admin"]
    # the journal says what they are now
    with scoping.bound(acme.pk):
        line = JournalEntry.objects.for_tenant(acme).get(verb="escalation_policy_changed")
    assert line.detail["changes"]["steps"] == [
        "alice",
        "ops after 5 min",
        "every admin after 5 min",
    ]


def test_a_step_goes(ann: User, alice: User, ops: Channel, acme: Tenant) -> None:
    client = client_of(ann)
    send(client, step(channel=ops.pk), step(user=alice.pk))
    (policy,) = policies(acme)
    first, second = steps_of(policy)
    rows = (
        step(id=first.pk, channel=ops.pk, order="1", DELETE="on"),
        step(id=second.pk, user=alice.pk, order="2"),
    )
    assert send(client, *rows, policy=policy).status_code == 302
    assert said(policy) == ["alice"]


@pytest.mark.parametrize("who", [("channel", "user"), ("user", "role"), ()])
def test_a_step_has_one_target(
    ann: User, alice: User, ops: Channel, acme: Tenant, who: tuple[str, ...]
) -> None:
    targets = {"channel": ops.pk, "user": alice.pk, "role": "admin"}
    row = step(wait_minutes="7", **{name: targets[name] for name in who})
    assert "Choose one: a channel, a person or a role." in complaints(send(client_of(ann), row))
    assert policies(acme) == []


def test_a_policy_has_steps(ann: User, ops: Channel, acme: Tenant) -> None:
    assert "at least one step" in complaints(send(client_of(ann)))
    assert policies(acme) == []
    # nor does it lose its last one
    send(client_of(ann), step(channel=ops.pk))
    (policy,) = policies(acme)
    (only,) = steps_of(policy)
    row = step(id=only.pk, channel=ops.pk, order="1", DELETE="on")
    assert "at least one step" in complaints(send(client_of(ann), row, policy=policy))
    assert said(policy) == ["ops"]


def test_a_round_does_not_start_again_at_once(ann: User, ops: Channel, acme: Tenant) -> None:
    row = step(channel=ops.pk, wait_minutes="0")
    assert "the steps start again" in complaints(send(client_of(ann), row))
    assert send(client_of(ann), row, repeats="0").status_code == 302


def test_two_policies_have_two_names(ann: User, ops: Channel, acme: Tenant) -> None:
    EscalationPolicyFactory(tenant=acme, name="nights")
    assert "exists already" in complaints(send(client_of(ann), step(channel=ops.pk)))


def test_nothing_foreign_is_offered_or_taken(
    ann: User, mallory: User, acme: Tenant, globex: Tenant
) -> None:
    theirs = ChannelFactory(tenant=globex, name="globex-ops")
    workflow = WorkflowFactory(tenant=globex, slug="globex-billing")
    page = client_of(ann).get(reverse(ADD)).content.decode()
    assert "globex" not in page
    assert "mallory" not in page
    rows = ({"channel": theirs.pk}, {"user": mallory.pk})
    for row in rows:
        assert "not one of the available choices" in complaints(send(client_of(ann), step(**row)))
    refused = complaints(send(client_of(ann), step(role="admin"), workflow=workflow.pk))
    assert "not one of the available choices" in refused
    assert policies(acme) == []


def test_staff_choose_the_tenant_and_only_what_is_its(
    staff: User, alice: User, mallory: User, acme: Tenant, globex: Tenant
) -> None:
    theirs = ChannelFactory(tenant=globex, name="globex-ops")
    workflow = WorkflowFactory(tenant=globex)
    client = client_of(staff)
    refused = complaints(
        send(client, step(channel=theirs.pk), step(user=mallory.pk), tenant=acme.pk)
    )
    assert "is another tenant" in refused
    assert "not a member" in refused
    refused = complaints(send(client, step(role="admin"), tenant=acme.pk, workflow=workflow.pk))
    assert "is another tenant" in refused
    assert send(client, step(user=alice.pk), tenant=acme.pk).status_code == 302
    assert [said(policy) for policy in policies(acme)] == [["alice"]]


def test_a_policy_is_switched_off_and_never_deleted(ann: User, acme: Tenant) -> None:
    policy = EscalationPolicyFactory(tenant=acme)
    path = reverse("admin:actions_escalationpolicy_delete", args=[policy.pk])
    assert client_of(ann).post(path, {"post": "yes"}).status_code == 403
