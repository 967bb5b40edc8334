"""Kill switches in the admin: set and lifted through their verbs, with a reason; the global one is the platform's."""

from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from awfdrs_site.lib import clock
from safety import killswitch
from safety.models import GlobalKillSwitch, KillSwitch
from tenants import scoping
from tenants.models import PlatformJournalEntry, Tenant
from tests.admin.pages import client_of
from tests.cast import journal_of
from tests.factories import VendorFactory, WorkflowFactory

ADD = "admin:safety_killswitch_add"
GLOBAL_ADD = "admin:safety_globalkillswitch_add"


def only_switch(tenant: Tenant) -> KillSwitch:
    with scoping.bound(tenant.pk):
        found: KillSwitch = KillSwitch.objects.for_tenant(tenant).get()
        return found


def held(tenant: Tenant) -> list[str]:
    with scoping.bound(tenant.pk):
        return [switch.scope for switch in killswitch.active(tenant.pk, now=clock.now())]


def platform_journal(subject_id: UUID) -> list[str]:
    lines = PlatformJournalEntry.objects.filter(subject_id=str(subject_id)).order_by("at", "id")
    with scoping.platform():
        return list(lines.values_list("verb", flat=True))


def stop(client: Any, name: str = ADD, **typed: Any) -> Any:
    return client.post(reverse(name), {"reason": "they double-charge", "minutes": "60"} | typed)


def test_a_tenants_admin_stops_a_workflow_by_its_slug(ann: User, acme: Tenant) -> None:
    workflow = WorkflowFactory(tenant=acme, slug="checkout")
    assert stop(client_of(ann), scope="workflow", what="checkout").status_code == 302
    switch = only_switch(acme)
    assert (switch.scope, switch.target) == ("workflow", str(workflow.pk))
    assert (switch.activated_by, switch.reason) == ("ann", "they double-charge")
    assert (switch.expires_at - switch.activated_at).total_seconds() == 3600  # type: ignore[operator]
    assert journal_of(acme, switch.pk) == ["kill_switch_activated"]


def test_a_vendor_an_action_type_and_the_whole_tenant_can_be_stopped(
    ann: User, acme: Tenant
) -> None:
    VendorFactory(tenant=acme, name="stripe")
    client = client_of(ann)
    for scope, what in (("vendor", "stripe"), ("action_type", "retry"), ("tenant", "")):
        assert stop(client, scope=scope, what=what).status_code == 302
    assert sorted(held(acme)) == ["action_type", "tenant", "vendor"]
    shown = client.get(reverse("admin:safety_killswitch_changelist")).content.decode()
    assert "vendor stripe" in shown  # by name, not by id


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"scope": "workflow", "what": "nobody-has-it"}, "what"),
        ({"scope": "workflow", "what": "theirs"}, "what"),
        ({"scope": "workflow", "what": ""}, "what"),
        ({"scope": "action_type", "what": "dance"}, "what"),
        ({"scope": "tenant", "what": "checkout"}, "what"),
        ({"scope": "global"}, "scope"),
        ({"scope": "tenant", "reason": " "}, "reason"),
        ({"scope": "tenant", "minutes": "7"}, "minutes"),
    ],
)
def test_what_cannot_be_stopped_comes_back_at_its_field(
    typed: dict[str, str], field: str, ann: User, acme: Tenant, globex: Tenant
) -> None:
    WorkflowFactory(tenant=globex, slug="theirs")
    response = stop(client_of(ann), **typed)
    assert response.status_code == 200
    assert list(response.context["adminform"].form.errors) == [field]
    assert held(acme) == []


def test_stopping_twice_gives_the_form_again(ann: User, acme: Tenant) -> None:
    client = client_of(ann)
    assert stop(client, scope="tenant").status_code == 302
    response = stop(client, scope="tenant")
    assert response.status_code == 200
    assert "This is stopped already." in response.content.decode()
    assert held(acme) == ["tenant"]


def test_lifting_takes_a_reason_and_happens_once(ann: User, acme: Tenant) -> None:
    client = client_of(ann)
    stop(client, scope="tenant")
    path = reverse("admin:safety_killswitch_change", args=[only_switch(acme).pk])
    assert client.post(path, {"lift_reason": " "}).status_code == 200
    assert held(acme) == ["tenant"]
    assert client.post(path, {"lift_reason": "fixed"}).status_code == 302
    switch = only_switch(acme)
    assert (switch.lifted_by, switch.lift_reason) == ("ann", "fixed")
    assert journal_of(acme, switch.pk) == ["kill_switch_activated", "kill_switch_lifted"]
    # lifted is lifted: there is nothing left to send
    assert client.post(path, {"lift_reason": "again"}).status_code == 403
    assert "lifted by ann: fixed" in client.get(path).content.decode()


def test_what_a_switch_says_is_never_edited(ann: User, acme: Tenant) -> None:
    client = client_of(ann)
    stop(client, scope="tenant")
    path = reverse("admin:safety_killswitch_change", args=[only_switch(acme).pk])
    client.post(path, {"reason": "other", "scope": "vendor", "lift_reason": "fixed"})
    switch = only_switch(acme)
    assert (switch.scope, switch.reason) == ("tenant", "they double-charge")


def test_staff_stop_for_a_tenant_they_choose(staff: User, acme: Tenant, globex: Tenant) -> None:
    WorkflowFactory(tenant=globex, slug="checkout")
    sent = {"tenant": str(globex.pk), "scope": "workflow", "what": "checkout"}
    assert stop(client_of(staff), **sent).status_code == 302
    assert (held(acme), held(globex)) == ([], ["workflow"])


def test_the_global_switch_holds_everybody_until_it_is_lifted(
    staff: User, acme: Tenant, globex: Tenant
) -> None:
    client = client_of(staff)
    assert stop(client, GLOBAL_ADD).status_code == 302
    assert (held(acme), held(globex)) == (["global"], ["global"])
    response = stop(client, GLOBAL_ADD)
    assert response.status_code == 200
    assert "This is stopped already." in response.content.decode()
    with scoping.platform():
        switch = GlobalKillSwitch.objects.get()
    path = reverse("admin:safety_globalkillswitch_change", args=[switch.pk])
    assert client.post(path, {"lift_reason": "over"}).status_code == 302
    assert held(acme) == []
    assert platform_journal(switch.pk) == ["kill_switch_activated", "kill_switch_lifted"]


def test_the_global_switch_is_not_a_tenants_admins(ann: User, acme: Tenant) -> None:
    assert stop(client_of(ann), GLOBAL_ADD).status_code == 403
    assert held(acme) == []
