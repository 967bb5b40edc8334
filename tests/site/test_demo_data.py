"""The demo data: laid down as often as one likes, never over what people changed since."""

from pathlib import Path
from uuid import UUID

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import RequestFactory
from pytest_django.fixtures import Settings

from awfdrs_site.demo import cast, kept, seeding
from awfdrs_site.lib import clock
from events.models import Event
from incidents.models import Incident
from safety import breaker, killswitch
from safety.models import CircuitBreaker, KillSwitch
from tenants import auth, scoping
from tenants.models import ApiKey, Membership, Tenant, Vendor, Workflow
from tenants.states import Scope

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
MODELS = (Tenant, Membership, Workflow, Vendor, ApiKey, CircuitBreaker, KillSwitch, Event, Incident)


@pytest.fixture(autouse=True)
def data(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of this test's own, and passwords that cost nothing."""
    monkeypatch.delenv("DEMO_PASSWORD", raising=False)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.AWFDRS_DATA = tmp_path
    return tmp_path


def rows() -> dict[str, set[UUID]]:
    with scoping.platform():
        return {model.__name__: set(model.objects.values_list("id", flat=True)) for model in MODELS}


def breakers() -> dict[str, str]:
    with scoping.bound(cast.ACME.id):
        mine = CircuitBreaker.objects.for_tenant(cast.ACME).select_related("vendor")
        return {str(row.vendor): row.state for row in mine}


def test_it_has_the_originals_tenants_workflows_and_vendors() -> None:
    seeding.seed(password=PASSWORD)
    with scoping.platform():
        tenants = {str(t.id)[-1]: (t.name, t.is_active) for t in Tenant.objects.all()}
        workflows = {str(w.id): w.slug for w in Workflow.objects.all()}
    assert tenants == {
        "1": ("Acme Corp", True),
        "2": ("Globex", True),
        "3": ("Disabled Co", False),
    }
    assert workflows == {
        "10000000-0000-0000-0000-000000000001": "payment_processing",
        "10000000-0000-0000-0000-000000000002": "user_onboarding",
        "10000000-0000-0000-0000-000000000003": "compliance_check",
        "10000000-0000-0000-0000-000000000004": "killed_workflow",
    }
    assert breakers() == {"stripe": "closed", "plaid": "closed", "twilio": "open"}


def test_its_events_have_been_digested_into_two_incidents() -> None:
    seeding.seed(password=PASSWORD)
    with scoping.bound(cast.ACME.id):
        types = sorted(Event.objects.for_tenant(cast.ACME).values_list("event_type", flat=True))
        codes = sorted(Incident.objects.for_tenant(cast.ACME).values_list("error_code", flat=True))
    assert types == [
        "payment.completed",
        "payment.completed",
        "payment.failed",
        "payment.failed",
        "user.onboarding.started",
    ]
    assert codes == ["card_declined", "insufficient_funds"]


def test_the_killed_workflow_is_held() -> None:
    seeding.seed(password=PASSWORD)
    scopes = killswitch.Scopes(cast.ACME.id, "retry", workflow_id=cast.KILLED.id)
    other = killswitch.Scopes(cast.ACME.id, "retry", workflow_id=cast.PAYMENTS.id)
    with scoping.bound(cast.ACME.id) as now:
        assert len(killswitch.holding(scopes, now=now)) == 1
        assert killswitch.holding(other, now=now) == []


def let_in(name: str, password: str) -> User | None:
    """As the sign-in form asks: who guesses is counted by request."""
    return authenticate(RequestFactory().post("/sign-in/"), username=name, password=password)


def test_its_people_sign_in_and_have_their_roles() -> None:
    seeding.seed(password=PASSWORD)
    for name, role in (("alice", "operator"), ("ann", "admin"), ("bob", "viewer")):
        person = let_in(name, PASSWORD)
        assert person is not None
        assert [(t.name, r) for t, r in auth.memberships(person.pk)] == [("Acme Corp", role)]
    mallory = get_user_model().objects.get(username="mallory")
    assert [(t.name, r) for t, r in auth.memberships(mallory.pk)] == [("Globex", "operator")]
    assert get_user_model().objects.get(username="admin").is_superuser


def test_seeding_again_adds_nothing() -> None:
    seeding.seed(password=PASSWORD)
    before, keys = rows(), {name: kept.key(cast.ACME, name) for name in cast.KEYS}
    seeding.seed(password=PASSWORD)
    assert rows() == before
    assert {name: kept.key(cast.ACME, name) for name in cast.KEYS} == keys


def test_seeding_again_leaves_what_people_changed() -> None:
    seeding.seed(password=PASSWORD)
    with scoping.bound(cast.ACME.id) as now:
        switch = KillSwitch.objects.for_tenant(cast.ACME).get()
        killswitch.lift(switch, reason="it works again", by=seeding.BY, now=now)
        twilio = Vendor.objects.for_tenant(cast.ACME).get(name="twilio")
        breaker.force(twilio, mode="forced_closed", reason="", until=None, by=seeding.BY, now=now)
    bob = get_user_model().objects.get(username="bob")
    bob.set_password("bob's own long password")
    bob.save()
    seeding.seed(password=PASSWORD)
    assert breakers()["twilio"] == "closed"
    with scoping.bound(cast.ACME.id) as now:
        assert killswitch.active(cast.ACME.id, now=now) == []
    assert let_in("bob", "bob's own long password")


def test_another_password_is_given_to_everybody() -> None:
    seeding.seed(password=PASSWORD)
    seeding.seed(password="another long password")
    for person in cast.PEOPLE:
        assert let_in(person.username, "another long password")


def test_the_curls_key_may_send_events_and_nothing_else() -> None:
    seeding.seed(password=PASSWORD)
    caller = auth.caller_of_key(f"Bearer {kept.known('acme.demo')}")
    assert caller.tenant.id == cast.ACME.id
    assert caller.verbs == {"ingest"}
    assert cast.KEYS["demo"] == (Scope.EVENTS_WRITE,)


def test_a_revoked_key_is_replaced() -> None:
    seeding.seed(password=PASSWORD)
    before = kept.key(cast.ACME, "demo")
    with scoping.bound(cast.ACME.id) as now:
        ApiKey.objects.for_tenant(cast.ACME).update(revoked_at=now)
    after = kept.key(cast.ACME, "demo")
    assert after != before
    assert auth.caller_of_key(f"Bearer {after}")


def test_what_is_kept_is_for_its_owner_alone(data: Path) -> None:
    seeding.seed(password=kept.password())
    assert (data / "demo.json").stat().st_mode & 0o077 == 0


def test_the_password_is_made_once_unless_one_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    made = kept.password()
    assert len(made) >= 12
    assert kept.password() == made
    monkeypatch.setenv("DEMO_PASSWORD", "one that was chosen")
    assert kept.password() == "one that was chosen"


def test_a_short_password_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_PASSWORD", "elevenchars")
    with pytest.raises(CommandError, match="12 characters"):
        kept.password()


@pytest.mark.parametrize("command", ["seed_demo", "fixtures", "simulate"])
def test_production_gets_no_demo_data(settings: Settings, command: str) -> None:
    # API.md: refused unless DEBUG or the embedded servers are in use
    settings.EMBEDDED = settings.DEBUG = False
    arguments = ["vendor-outage"] if command == "simulate" else []
    with pytest.raises(CommandError, match="embedded servers or DEBUG"):
        call_command(command, *arguments)
    assert get_user_model().objects.count() == 0


def test_without_servers_one_line_says_so() -> None:
    with pytest.raises(CommandError, match="Nothing runs in"):
        call_command("seed_demo")


def test_events_of_the_demo_are_of_today() -> None:
    seeding.seed(password=PASSWORD)
    with scoping.bound(cast.ACME.id):
        moments = Event.objects.for_tenant(cast.ACME).values_list("occurred_at", flat=True)
        assert max(clock.now() - at for at in moments).total_seconds() < 3600
