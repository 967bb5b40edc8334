"""Tenants, people, memberships, API keys, workflows and the schedule in the admin of platform staff."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from pytest_django import Settings

from actions import signing_secrets
from awfdrs_site.lib.problems import Problem
from tenants import auth, scoping, secrets
from tenants.journal import SYSTEM
from tenants.models import ApiKey, JournalEntry, Membership, PlatformJournalEntry, Tenant, Workflow
from tests.admin.pages import client_of
from tests.cast import Api, journal_of, secret_of
from tests.factories import PASSWORD, UserFactory, VendorFactory, WorkflowFactory
from tests.support.outgoing import LOOPBACK
from tests.support.receiver import Receiver, Reply

TOKEN = re.compile(r"awf_[A-Za-z0-9]{12}_[A-Za-z0-9_-]{43}")
LIMITS = {"storm_runs": 5, "max_in_flight": 9, "approvals_needed": 2, "approval_hours": 8}
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")


@pytest.fixture
def office(staff: User) -> Client:
    return client_of(staff)


def send(client: Client, page: str, /, *args: Any, **typed: Any) -> Any:
    return client.post(reverse(f"admin:{page}", args=args), typed)


def shown_after(client: Client, response: Any) -> str:
    assert response.status_code == 302, response.context["adminform"].form.errors
    return str(client.get(response["Location"]).content.decode())


def platform_lines() -> list[PlatformJournalEntry]:
    with scoping.platform():
        return list(PlatformJournalEntry.objects.order_by("at", "id"))


def only_key(tenant: Tenant) -> ApiKey:
    with scoping.bound(tenant.pk):
        found: ApiKey = ApiKey.objects.for_tenant(tenant).get()
        return found


def new_key(office: Client, tenant: Tenant) -> str:
    made = send(office, "tenants_apikey_add", tenant=tenant.pk, name="ingest", scopes=["read"])
    found: list[str] = TOKEN.findall(shown_after(office, made))
    return found[0]


def test_staff_make_a_tenant(office: Client) -> None:
    sent = {"name": "Initech", "slug": "initech", "is_active": "on"} | LIMITS
    assert send(office, "tenants_tenant_add", **sent).status_code == 302
    tenant = _tenant("initech")
    assert tenant.name == "Initech"
    assert [(line.verb, line.actor_label) for line in platform_lines()] == [
        ("tenant_added", "staff")
    ]


def test_a_slug_that_is_taken_comes_back_at_its_field(office: Client, acme: Tenant) -> None:
    response = send(office, "tenants_tenant_add", name="Other", slug="acme", storm_runs=1)
    assert "slug" in response.context["adminform"].form.errors


def test_a_tenant_is_switched_off_not_deleted(office: Client, acme: Tenant) -> None:
    assert send(office, "tenants_tenant_delete", acme.pk, post="yes").status_code == 403
    assert send(office, "tenants_tenant_change", acme.pk, name="Acme", **LIMITS).status_code == 302
    assert not _tenant("acme").is_active
    assert platform_lines()[0].detail["changes"]["is_active"] == [True, False]


def test_a_new_key_is_shown_once_and_works(office: Client, acme: Tenant) -> None:
    token = new_key(office, acme)
    assert auth.caller_of_key(f"Bearer {token}").tenant.slug == "acme"
    key = only_key(acme)
    pages = ("tenants_apikey_change", "tenants_apikey_history")
    for path in (
        reverse("admin:tenants_apikey_changelist"),
        *(reverse(f"admin:{p}", args=[key.pk]) for p in pages),
    ):
        shown = office.get(path).content.decode()
        assert token not in shown
        assert secret_of(token) not in shown
        assert bytes(key.secret_hash).hex() not in shown
    assert journal_of(acme, key.pk) == ["api_key_added"]
    assert secret_of(token) not in str(_details(acme))


def test_a_rotated_key_has_two_live_secrets(office: Client, acme: Tenant, time_travel: Any) -> None:
    old = new_key(office, acme)
    key = only_key(acme)
    sent = {"action": "rotate", "_selected_action": key.pk, "index": 0}
    new = TOKEN.findall(shown_after(office, send(office, "tenants_apikey_changelist", **sent)))[0]
    assert new != old
    for token in (old, new):
        assert auth.caller_of_key(f"Bearer {token}").key_id == key.pk
    time_travel(hours=25)
    assert auth.caller_of_key(f"Bearer {new}").key_id == key.pk
    with pytest.raises(Problem):
        auth.caller_of_key(f"Bearer {old}")
    assert journal_of(acme, key.pk) == ["api_key_added", "api_key_rotated"]


def test_a_revoked_key_is_refused_on_the_next_request(office: Client, acme: Tenant) -> None:
    token, key = new_key(office, acme), only_key(acme)
    assert Api(token).get("/api/v1/incidents").status_code == 200
    for _ in range(2):  # again is a quiet no-op
        sent = {"action": "revoke", "_selected_action": key.pk, "index": 0}
        assert send(office, "tenants_apikey_changelist", **sent).status_code == 302
    assert Api(token).get("/api/v1/incidents").status_code == 401
    assert journal_of(acme, key.pk) == ["api_key_added", "api_key_revoked"]


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"name": ""}, "name"),
        ({"rate_per_second": "nan"}, "rate_per_second"),
        ({"rate_per_second": "-1"}, "rate_per_second"),
        ({"burst": "99999999999999999999"}, "burst"),
        ({"tenant": "nobody"}, "tenant"),
    ],
)
def test_an_odd_key_comes_back_at_its_field(
    typed: dict[str, Any], field: str, office: Client, acme: Tenant
) -> None:
    sent = {"tenant": acme.pk, "name": "ingest", "scopes": ["read"]} | typed
    response = send(office, "tenants_apikey_add", **sent)
    assert list(response.context["adminform"].form.errors) == [field]


def test_a_keys_scopes_change_and_its_secret_cannot(office: Client, acme: Tenant) -> None:
    token, key = new_key(office, acme), only_key(acme)
    sent = {"name": "ingest", "scopes": ["read", "operate"], "secret_hash": "x", "prefix": "y"}
    assert send(office, "tenants_apikey_change", key.pk, **sent).status_code == 302
    assert only_key(acme).scopes == ["read", "operate"]
    assert auth.caller_of_key(f"Bearer {token}").key_id == key.pk
    assert _details(acme)[-1]["changes"] == {"scopes": [["read"], ["read", "operate"]]}


def test_a_workflows_secret_is_shown_once_and_sealed(office: Client, acme: Tenant) -> None:
    sent = {
        "tenant": acme.pk,
        "slug": "checkout",
        "idempotent": "key",
        "retry_url": "https://hooks.example.com/retry",
    }
    first = SECRET.findall(shown_after(office, send(office, "tenants_workflow_add", **sent)))[0]
    workflow = _workflow(acme)
    assert _secret_of(workflow) == first
    assert first not in workflow.retry_secret_sealed
    change = reverse("admin:tenants_workflow_change", args=[workflow.pk])
    assert first not in office.get(change).content.decode()

    quiet = {
        "name": "Checkout",
        "idempotent": "yes",
        "retry_url": sent["retry_url"],
        "max_in_flight": 20,
    }
    shown_after(office, office.post(change, quiet))
    assert _secret_of(_workflow(acme)) == first
    second = SECRET.findall(shown_after(office, office.post(change, quiet | {"new_secret": "on"})))[
        0
    ]
    assert second != first
    assert _secret_of(_workflow(acme)) == second
    with scoping.bound(acme.pk) as now:
        assert signing_secrets.of(_workflow(acme), now=now) == (second, first)
    assert journal_of(acme, workflow.pk) == [
        "workflow_added",
        "workflow_changed",
        "secret_rotated",
        "workflow_changed",
    ]
    assert not SECRET.search(str(_details(acme)))


def test_a_workflows_page_shows_how_it_is_retried(office: Client, acme: Tenant) -> None:
    workflow = WorkflowFactory(tenant=acme)
    page = office.get(reverse("admin:tenants_workflow_change", args=[workflow.pk]))
    shown = page.content.decode()
    # a table for everybody, and the same as a picture
    assert "With jitter" in shown
    assert shown.count('class="schedule-range"') == shown.count('class="schedule-wait"') > 0
    assert f"?tenant={acme.pk}&amp;workflow={workflow.slug}" in shown


@pytest.mark.django_db(transaction=True)
def test_a_test_call_shows_the_real_answer(
    office: Client, acme: Tenant, settings: Settings
) -> None:
    settings.OUTBOUND_ALLOW_CIDRS = LOOPBACK
    with Receiver({"/retry": Reply(status=418, body=b"I am a <teapot>")}) as receiver:
        workflow = WorkflowFactory(tenant=acme, retry_url=receiver.url("/retry"))
        with scoping.bound(acme.pk) as now:
            _, secret = signing_secrets.rotate(workflow, by=SYSTEM, now=now)
        page = reverse("admin:tenants_workflow_test", args=[workflow.pk])
        assert "Send the test call" in office.get(page).content.decode()
        assert receiver.requests == []  # looking sends nothing
        shown = office.post(page).content.decode()
    assert "418" in shown
    assert "I am a &lt;teapot&gt;" in shown
    assert secret not in shown
    assert journal_of(acme, workflow.pk)[-1] == "tested"


def test_a_test_call_is_for_staff_and_for_workflows_that_exist(
    office: Client, ann: User, acme: Tenant
) -> None:
    page = reverse("admin:tenants_workflow_test", args=[WorkflowFactory(tenant=acme).pk])
    assert client_of(ann).post(page).status_code == 403
    assert client_of(None).post(page)["Location"].startswith(reverse("tenants:sign-in"))
    for unknown in ("nonsense", "00000000-0000-7000-8000-000000000000"):
        nowhere = reverse("admin:tenants_workflow_test", args=[unknown])
        assert office.post(nowhere).status_code == 404


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"retry_url": "ftp://hooks.example.com/"}, "retry_url"),
        ({"retry_url": "http://169.254.169.254/"}, "retry_url"),
        ({"retry_url": "https://user:pass@hooks.example.com/"}, "retry_url"),
        ({"status_url": "http://localhost/"}, "status_url"),
        ({"compensate_url": "nonsense"}, "compensate_url"),
        ({"slug": "Not A Slug"}, "slug"),
        ({"idempotent": "maybe"}, "idempotent"),
    ],
)
def test_an_odd_workflow_comes_back_at_its_field(
    typed: dict[str, str], field: str, office: Client, acme: Tenant
) -> None:
    sent = {"tenant": acme.pk, "slug": "checkout", "idempotent": "no"} | typed
    response = send(office, "tenants_workflow_add", **sent)
    assert list(response.context["adminform"].form.errors) == [field]


def test_a_slug_taken_in_the_tenant_gives_the_form_again(
    office: Client, acme: Tenant, globex: Tenant
) -> None:
    WorkflowFactory(tenant=acme, slug="checkout")
    taken = send(office, "tenants_workflow_add", tenant=acme.pk, slug="checkout", idempotent="no")
    assert taken.status_code == 200
    assert "exists already" in taken.content.decode()
    free = send(office, "tenants_workflow_add", tenant=globex.pk, slug="checkout", idempotent="no")
    assert free.status_code == 302


def test_a_workflow_gets_no_vendor_of_another_tenant(
    office: Client, acme: Tenant, globex: Tenant
) -> None:
    workflow = WorkflowFactory(tenant=acme)
    mine, theirs = VendorFactory(tenant=acme), VendorFactory(tenant=globex, name="theirs")
    change = reverse("admin:tenants_workflow_change", args=[workflow.pk])
    assert "theirs" not in office.get(change).content.decode()
    refused = office.post(change, {"idempotent": "key", "max_in_flight": 1, "vendor": theirs.pk})
    assert list(refused.context["adminform"].form.errors) == ["vendor"]
    taken = {"idempotent": "key", "max_in_flight": 1, "vendor": mine.pk}
    assert office.post(change, taken).status_code == 302


def test_staff_make_a_person_a_member_and_no_member_twice(office: Client, acme: Tenant) -> None:
    person = UserFactory(username="carol")
    sent = {"tenant": acme.pk, "user": person.pk, "role": "viewer"}
    assert send(office, "tenants_membership_add", **sent).status_code == 302
    again = send(office, "tenants_membership_add", **sent)
    assert again.status_code == 200
    assert "exists already" in again.content.decode()
    member = _membership(acme)
    assert send(office, "tenants_membership_change", member.pk, role="admin").status_code == 302
    assert client_of(person).get(reverse("admin:index")).status_code == 200
    assert send(office, "tenants_membership_delete", member.pk, post="yes").status_code == 302
    assert client_of(person).get(reverse("admin:index")).status_code == 403
    assert journal_of(acme, member.pk) == [
        "membership_added",
        "membership_changed",
        "membership_deleted",
    ]


def test_staff_make_people_who_can_sign_in(office: Client) -> None:
    sent = {
        "username": "carol",
        "password1": PASSWORD,
        "password2": PASSWORD,
        "usable_password": "true",
    }
    assert send(office, "auth_user_add", **sent).status_code == 302
    carol = User.objects.get(username="carol")
    typed = {"username": "carol", "password": PASSWORD}
    assert Client().post(reverse("tenants:sign-in"), typed).status_code == 302
    assert not carol.is_staff
    password = reverse("admin:auth_user_password_change", args=[carol.pk])
    other = {"password1": PASSWORD + "2", "password2": PASSWORD + "2", "usable_password": "true"}
    assert office.post(password, other).status_code == 302
    assert [line.verb for line in platform_lines()] == ["user_added", "user_changed"]
    assert PASSWORD not in str([line.detail for line in platform_lines()])


def test_nobody_gets_djangos_own_permissions(office: Client) -> None:
    carol = UserFactory(username="carol")
    sent = {"username": "carol", "is_active": "on", "user_permissions": [1], "groups": [1]}
    assert send(office, "auth_user_change", carol.pk, **sent).status_code == 302
    assert not carol.user_permissions.exists()
    staffed = sent | {"is_superuser": "on"}
    assert send(office, "auth_user_change", carol.pk, **staffed).status_code == 302
    carol.refresh_from_db()
    assert (carol.is_superuser, carol.is_staff) == (True, True)
    assert client_of(carol).get(reverse("admin:index")).status_code == 200


def test_people_are_switched_off_not_deleted(office: Client, ann: User) -> None:
    assert send(office, "auth_user_delete", ann.pk, post="yes").status_code == 403


def test_the_schedule_is_changed_with_a_line_in_the_journal(office: Client) -> None:
    every = IntervalSchedule.objects.create(every=5, period="seconds")
    sent = {
        "name": "sweep",
        "task": "safety.tasks.reset_circuit_breakers",
        "enabled": "on",
        "interval": every.pk,
        "args": "[]",
        "kwargs": "{}",
        "headers": "{}",
    }
    assert send(office, "django_celery_beat_periodictask_add", **sent).status_code == 302
    task = PeriodicTask.objects.get(name="sweep")
    change = ("django_celery_beat_periodictask_change", task.pk)
    off = {key: value for key, value in sent.items() if key != "enabled"}
    assert send(office, *change, **off).status_code == 302
    task.refresh_from_db()
    assert not task.enabled
    for odd in (
        {"task": "x" * 201},
        {"task": ""},
        {"args": "{{"},
        {"interval": "999"},
        {"interval": ""},
    ):
        assert send(office, *change, **(sent | odd)).status_code == 200
    verbs = [line.verb for line in platform_lines()]
    assert verbs == ["periodic_task_added", "periodic_task_changed"]


def test_the_journal_is_read_only(office: Client, acme: Tenant) -> None:
    new_key(office, acme)
    with scoping.bound(acme.pk):
        line = JournalEntry.objects.for_tenant(acme).get()
    assert (
        "api_key_added"
        in office.get(reverse("admin:tenants_journalentry_changelist")).content.decode()
    )
    for verb in ("change", "delete"):
        response = send(office, f"tenants_journalentry_{verb}", line.pk, verb="x", post="yes")
        assert response.status_code == 403
    assert send(office, "tenants_journalentry_add", verb="x").status_code == 403


def test_history_is_told_by_the_journal_alone(office: Client, acme: Tenant) -> None:
    new_key(office, acme)
    history = reverse("admin:tenants_apikey_history", args=[only_key(acme).pk])
    assert "api_key_added" in office.get(history).content.decode()
    assert not LogEntry.objects.exists()


def _tenant(slug: str) -> Tenant:
    with scoping.platform():
        return Tenant.objects.get(slug=slug)


def _workflow(tenant: Tenant) -> Workflow:
    with scoping.bound(tenant.pk):
        found: Workflow = Workflow.objects.for_tenant(tenant).get()
        return found


def _secret_of(workflow: Workflow) -> str:
    sealed = workflow.retry_secret_sealed
    return secrets.open_sealed(sealed, tenant_id=workflow.tenant_id, row_id=workflow.pk)


def _membership(tenant: Tenant) -> Membership:
    with scoping.bound(tenant.pk):
        found: Membership = Membership.objects.for_tenant(tenant).get()
        return found


def _details(tenant: Tenant) -> list[Any]:
    with scoping.bound(tenant.pk):
        lines = JournalEntry.objects.for_tenant(tenant).order_by("at", "id")
        return list(lines.values_list("detail", flat=True))
