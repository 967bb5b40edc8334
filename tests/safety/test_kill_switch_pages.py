"""STOP and the kill-switch page: who may stop what, and what everybody then sees."""

from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse

from actions.models import Action
from safety import killswitch
from safety.killswitch import Held
from tenants import scoping
from tests.factories import ActionFactory, WorkflowFactory
from tests.support.console import World, client_of, incident_of, report, world

pytestmark = pytest.mark.django_db(transaction=True)
TENANT = {"what": "tenant:", "reason": "double posting", "minutes": "60"}
FROM_DIALOG = {"HX-Request": "true", "HX-Target": "form#stop-form"}


@pytest.fixture
def cast() -> World:
    return world()


@pytest.fixture
def alice(cast: World) -> Client:
    return client_of(cast.alice)


def _active(tenant_id: UUID) -> list[Held]:
    with scoping.bound(tenant_id) as now:
        return killswitch.active(tenant_id, now=now)


def test_stopping_the_tenant_shows_on_every_page(alice: Client, cast: World) -> None:
    answer = alice.post(reverse("safety:activate"), TENANT, follow=True)
    assert "Kill switch on" in answer.content.decode()
    assert "double posting" in alice.get("/incidents/").content.decode()
    assert [held.scope for held in _active(cast.acme.pk)] == ["tenant"]


def test_a_stopped_incident_says_that_its_actions_are_held(alice: Client, cast: World) -> None:
    report(cast.acme)
    alice.post(reverse("safety:activate"), TENANT)
    page = alice.get(incident_of(cast.acme).get_absolute_url()).content.decode()
    assert "Kill switch on, actions held" in page


def test_one_workflow_can_be_stopped_from_its_incident(alice: Client, cast: World) -> None:
    report(cast.acme)
    incident = incident_of(cast.acme)
    dialog = alice.get(reverse("safety:stop"), {"what": f"workflow:{incident.workflow_id}"})
    chosen = f'<option value="workflow:{incident.workflow_id}" selected>'
    assert chosen in dialog.content.decode()


def test_the_dialog_is_a_page_without_javascript(alice: Client) -> None:
    page = alice.get(reverse("safety:stop")).content.decode()
    assert "<html" in page
    part = alice.get(reverse("safety:stop"), headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part


def test_a_reason_is_needed_to_stop(alice: Client, cast: World) -> None:
    answer = alice.post(reverse("safety:activate"), TENANT | {"reason": ""}, headers=FROM_DIALOG)
    assert answer.status_code == 422
    assert 'id="stop-form"' in answer.content.decode()
    assert _active(cast.acme.pk) == []


def test_stopping_twice_is_refused_and_says_so(alice: Client, cast: World) -> None:
    alice.post(reverse("safety:activate"), TENANT)
    answer = alice.post(reverse("safety:activate"), TENANT, headers=FROM_DIALOG)
    assert answer.status_code == 409
    assert "stopped already" in answer.content.decode()


def test_nothing_of_another_tenant_can_be_stopped(cast: World) -> None:
    report(cast.acme)
    foreign = f"workflow:{incident_of(cast.acme).workflow_id}"
    answer = client_of(cast.mallory).post(reverse("safety:activate"), TENANT | {"what": foreign})
    assert answer.status_code == 422
    assert _active(cast.globex.pk) == []


def test_lifting_needs_a_reason_and_is_kept(alice: Client, cast: World) -> None:
    alice.post(reverse("safety:activate"), TENANT)
    lift = reverse("safety:lift", args=[_active(cast.acme.pk)[0].id])
    assert "Say why" in alice.post(lift, {"reason": ""}, follow=True).content.decode()
    assert (
        "fixed upstream"
        in alice.post(lift, {"reason": "fixed upstream"}, follow=True).content.decode()
    )
    assert _active(cast.acme.pk) == []


def test_an_outsider_cannot_lift(alice: Client, cast: World) -> None:
    alice.post(reverse("safety:activate"), TENANT)
    lift = reverse("safety:lift", args=[_active(cast.acme.pk)[0].id])
    assert client_of(cast.mallory).post(lift, {"reason": "x"}).status_code == 404
    assert len(_active(cast.acme.pk)) == 1


def test_a_viewer_sees_switches_and_cannot_touch_them(alice: Client, cast: World) -> None:
    alice.post(reverse("safety:activate"), TENANT)
    bob = client_of(cast.bob)
    page = bob.get(reverse("safety:kill-switches")).content.decode()
    assert "double posting" in page
    assert "Stop now" not in page
    assert "Lift, let actions continue" not in page
    assert bob.get(reverse("safety:stop")).status_code == 403
    assert bob.post(reverse("safety:activate"), TENANT).status_code == 403


def _held(cast: World, status: str = "parked") -> Action:
    workflow = WorkflowFactory(tenant=cast.acme, slug="refunds")
    made: Action = ActionFactory(
        tenant=cast.acme, workflow=workflow, action_type="rollback", status=status
    )
    return made


def test_the_dialog_says_what_would_be_held(alice: Client, cast: World) -> None:
    what = {"what": f"workflow:{_held(cast, 'pending').workflow_id}"}
    preview = reverse("safety:preview")
    part = alice.get(preview, what, headers={"HX-Request": "true"}).content.decode()
    assert "<b>1 action</b> would be held" in part
    assert "rollback 1" in part
    # a whole page without JavaScript, with what was chosen
    page = alice.get(preview, what).content.decode()
    assert "<html" in page
    assert "<b>1 action</b> would be held" in page
    assert "would be held from now on" not in alice.get(preview, {"what": "?"}).content.decode()


def test_the_bar_and_the_lift_say_how_much_is_held(alice: Client, cast: World) -> None:
    _held(cast)
    alice.post(reverse("safety:activate"), TENANT)
    page = alice.get(reverse("safety:kill-switches")).content.decode()
    assert "1 action held." in page
    assert "1 would run" in page
    assert "1 action held." in alice.get("/incidents/").content.decode()


def test_one_held_action_is_let_through_from_its_page(alice: Client, cast: World) -> None:
    held = _held(cast)
    alice.post(reverse("safety:activate"), TENANT)
    page, path = (
        reverse("actions:detail", args=[held.pk]),
        reverse("actions:canary", args=[held.pk]),
    )
    assert "Let this one through" in alice.get(page).content.decode()
    assert "Let this one through" not in client_of(cast.bob).get(page).content.decode()
    assert client_of(cast.bob).post(path, {"reason": "x"}).status_code == 403
    assert client_of(cast.mallory).post(path, {"reason": "x"}).status_code == 404
    assert "Say why" in alice.post(path, {"reason": ""}, follow=True).content.decode()
    shown = alice.post(path, {"reason": "try one"}, follow=True).content.decode()
    assert "Let through once" in shown
    assert "Let this one through" not in shown


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("check", "checkout"), ("OUT", "checkout"), ("checkout-eu", "checkout-eu"), ("none such", "")],
)
def test_a_few_letters_choose_what_to_stop(
    alice: Client, cast: World, typed: str, meant: str
) -> None:
    for slug in ("checkout", "checkout-eu", "payout"):
        WorkflowFactory(tenant=cast.acme, slug=slug)
    page = alice.get(reverse("safety:stop"), {"find": typed}).content.decode()
    assert page.count(" selected>") == (2 if meant else 1)  # how long is chosen already
    if meant:
        assert f" selected>{meant}<" in page
