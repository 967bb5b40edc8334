"""Who is calling: API keys by their hash, people by their session and membership, everybody else refused alike."""

import secrets
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from awfdrs_site.lib.problems import Problem
from tenants import auth, keys, scoping
from tenants.access import ROLE_VERBS, SCOPE_VERBS, Caller
from tenants.journal import Actor
from tenants.middleware import TenantMiddleware
from tenants.models import ApiKey, Membership, Tenant
from tenants.scoping import bound
from tenants.states import Role, Scope
from tests.cast import Travel, journal_of, key_of, secret_of, signed_in
from tests.factories import MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db

ANN = Actor("user", "1", "ann")


def key_row(tenant: Tenant) -> ApiKey:
    with bound(tenant.pk):
        found: ApiKey = ApiKey.objects.for_tenant(tenant).get()
    return found


def refused(header: str) -> str:
    with pytest.raises(Problem) as refusal:
        auth.caller_of_key(header)
    return refusal.value.code


def test_a_key_says_whose_it_is_and_what_it_may_do(acme: Tenant) -> None:
    token = key_of(acme, Scope.EVENTS_WRITE, Scope.READ, rate_per_second=7.5, burst=9)
    caller = auth.caller_of_key(f"Bearer {token}")
    assert (caller.tenant.id, caller.tenant.slug) == (acme.pk, "acme")
    assert caller.verbs == {"ingest", "view"}
    assert (caller.rate_per_second, caller.burst) == (7.5, 9)
    assert caller.actor == Actor("key", str(caller.key_id), "key test")
    assert caller.may("view")
    assert not caller.may("resolve")


def test_the_secret_is_kept_as_a_hash_only(acme: Tenant) -> None:
    secret = secret_of(key_of(acme))
    row = key_row(acme)
    assert bytes(row.secret_hash) == auth.hash_secret(secret)
    assert secret not in str(row.__dict__)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic {token}",
        "Bearer {token}x",
        "Bearer x{token}",
        "Bearer  {token}",
        "Bearer {token} ",
        "Bearer awf_{prefix}_",
        "Bearer awf_{prefix}_{other}",
        "Bearer awf_000000000000_{secret}",
        "Bearer {token}é",
        "Bearer awf_{prefix}_{secret}\x00",
    ],
)
def test_whatever_is_wrong_with_a_key_the_answer_is_the_same(acme: Tenant, header: str) -> None:
    token = key_of(acme)
    _, prefix, secret = token.split("_", 2)
    other = secrets.token_urlsafe(32)
    given = header.format(token=token, prefix=prefix, secret=secret, other=other)
    assert refused(given) == "unauthenticated"


def test_a_key_ends_when_it_expires(acme: Tenant, time_travel: Travel) -> None:
    with bound(acme.pk) as now:
        pass
    token = key_of(acme, expires_at=now + timedelta(hours=1))
    assert auth.caller_of_key(f"Bearer {token}")
    time_travel(hours=2)
    assert refused(f"Bearer {token}") == "unauthenticated"


def test_a_revoked_key_is_refused_from_the_next_request_on(acme: Tenant) -> None:
    token = key_of(acme)
    for _ in range(2):
        with bound(acme.pk) as now:
            keys.revoke(key_row_inside(acme), by=ANN, now=now)
    assert refused(f"Bearer {token}") == "unauthenticated"
    assert journal_of(acme) == ["api_key_revoked"]


def key_row_inside(tenant: Tenant) -> ApiKey:
    found: ApiKey = ApiKey.objects.for_tenant(tenant).get()
    return found


def test_while_a_secret_is_replaced_both_are_good_for_a_day(
    acme: Tenant, time_travel: Travel
) -> None:
    old = key_of(acme)
    with bound(acme.pk) as now:
        new = keys.rotate(key_row_inside(acme), by=ANN, now=now).token
    assert auth.caller_of_key(f"Bearer {old}").key_id == auth.caller_of_key(f"Bearer {new}").key_id
    time_travel(hours=25)
    assert auth.caller_of_key(f"Bearer {new}")
    assert refused(f"Bearer {old}") == "unauthenticated"


def test_a_key_of_an_inactive_tenant_is_told_so(acme: Tenant) -> None:
    token = key_of(acme)
    with scoping.platform():
        Tenant.objects.filter(pk=acme.pk).update(is_active=False)
    assert refused(f"Bearer {token}") == "tenant_inactive"
    # who does not know the secret learns nothing of the tenant
    assert refused(f"Bearer {token[:-2]}xx") == "unauthenticated"


def test_last_use_is_noted_at_most_once_a_minute(acme: Tenant, time_travel: Travel) -> None:
    token = key_of(acme)
    auth.caller_of_key(f"Bearer {token}")
    first = key_row(acme).last_used_at
    auth.caller_of_key(f"Bearer {token}")
    assert key_row(acme).last_used_at == first
    time_travel(minutes=2)
    auth.caller_of_key(f"Bearer {token}")
    assert first is not None
    assert key_row(acme).last_used_at > first  # type: ignore[operator]


# --- people --------------------------------------------------------------------------------------


def visit(user: User | AnonymousUser, path: str = "/", **session: str) -> Any:
    request = RequestFactory().get(path)
    request.user = user
    request.session = SessionStore()
    request.session.update(session)
    return request


def resolved(request: HttpRequest) -> Any:
    seen: list[HttpRequest] = []

    def view(given: HttpRequest) -> HttpResponse:
        seen.append(given)
        return HttpResponse()

    TenantMiddleware(view)(request)
    return seen[0]


@pytest.mark.parametrize("role", list(Role))
def test_a_person_may_do_what_the_role_says(acme: Tenant, role: Role) -> None:
    member = MembershipFactory(tenant=acme, role=role, user__first_name="Al", user__last_name="Ice")
    caller = auth.caller_of_session(visit(member.user))
    assert caller is not None
    assert (caller.tenant.id, caller.verbs) == (acme.pk, ROLE_VERBS[role])
    assert caller.actor == Actor("user", str(member.user.pk), "Al Ice")


def test_each_role_is_for_something_of_its_own() -> None:
    def may(verb: str) -> set[str]:
        return {role for role, verbs in ROLE_VERBS.items() if verb in verbs}

    assert all("view" in verbs for verbs in ROLE_VERBS.values())
    assert may("act") == may("resolve") == {Role.OPERATOR, Role.ADMIN}
    assert may("approve") == {Role.OPERATOR, Role.APPROVER, Role.ADMIN}
    assert may("configure") == may("administer") == {Role.ADMIN}
    # who watches the watchers changes nothing
    assert may("audit") == may("export") == {Role.AUDITOR, Role.ADMIN}
    assert ROLE_VERBS[Role.AUDITOR] == {"view", "audit", "export"}
    assert ROLE_VERBS[Role.VIEWER] == {"view"}
    # no key makes members or keys
    assert not any("administer" in verbs for verbs in SCOPE_VERBS.values())
    # a key that reports events reads nothing, and no person's role ingests
    assert SCOPE_VERBS[Scope.EVENTS_WRITE] == {"ingest"}
    assert not any("ingest" in verbs for verbs in ROLE_VERBS.values())


def test_a_person_of_two_tenants_works_in_the_selected_one(
    acme: Tenant, globex: Tenant, alice: User
) -> None:
    MembershipFactory(tenant=globex, user=alice, role=Role.VIEWER)
    first = auth.caller_of_session(visit(alice))
    chosen = auth.caller_of_session(visit(alice, tenant_id=str(globex.pk)))
    assert first is not None
    assert chosen is not None
    assert (first.tenant.slug, chosen.tenant.slug) == ("acme", "globex")
    assert not chosen.may("resolve")  # the role is the tenant's own


def test_selecting_a_tenant_that_is_not_theirs_is_refused(
    acme: Tenant, globex: Tenant, alice: User
) -> None:
    request = visit(alice)
    assert not auth.select_tenant(request, str(globex.pk))
    assert auth.select_tenant(request, str(acme.pk))
    forged = auth.caller_of_session(visit(alice, tenant_id=str(globex.pk)))
    assert forged is not None
    assert forged.tenant.id == acme.pk


def test_asking_for_a_tenant_that_is_not_theirs_is_a_mismatch(globex: Tenant, alice: User) -> None:
    with pytest.raises(Problem) as refusal:
        auth.caller_of_session(visit(alice), asked_tenant=str(globex.pk))
    assert refusal.value.code == "tenant_mismatch"


def test_without_membership_or_sign_in_nobody_is_calling(staff: User) -> None:
    assert auth.caller_of_session(visit(staff)) is None
    assert auth.caller_of_session(visit(AnonymousUser())) is None
    assert auth.caller_of_session(visit(UserFactory())) is None


def test_a_membership_that_ended_ends_with_the_next_request(acme: Tenant, alice: User) -> None:
    assert auth.memberships(alice.pk)
    with scoping.platform():
        Membership.objects.for_tenant(acme).delete()
    assert auth.caller_of_session(visit(alice)) is None


def test_an_inactive_tenant_is_not_offered(acme: Tenant, alice: User) -> None:
    with scoping.platform():
        Tenant.objects.filter(pk=acme.pk).update(is_active=False)
    assert auth.memberships(alice.pk) == []


# --- the middleware --------------------------------------------------------------------------------


def test_every_request_knows_its_caller_and_tenant(acme: Tenant, alice: User) -> None:
    request = resolved(visit(alice))
    assert request.caller.tenant == request.tenant
    assert request.tenant.id == acme.pk
    assert request.caller_refusal is None


def test_a_key_counts_on_the_api_only_and_before_the_session(
    acme: Tenant, globex: Tenant, mallory: User
) -> None:
    header = f"Bearer {key_of(acme)}"
    for path, expected in (("/api/v1/events", acme.pk), ("/", globex.pk)):
        request = visit(mallory, path)
        request.META["HTTP_AUTHORIZATION"] = header
        assert resolved(request).tenant.id == expected


def test_a_bad_key_is_refused_even_with_a_good_session(alice: User) -> None:
    request = visit(alice, "/api/v1/events")
    request.META["HTTP_AUTHORIZATION"] = "Bearer nonsense"
    seen = resolved(request)
    assert (seen.caller, seen.tenant) == (None, None)
    assert seen.caller_refusal.code == "unauthenticated"


def test_probes_are_asked_nothing(alice: User, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        seen = resolved(visit(alice, "/api/v1/health/live"))
    assert seen.caller is None


# --- what DRF reads of it ----------------------------------------------------------------------------


def authenticated(request: HttpRequest) -> tuple[Any, Caller] | None:
    return auth.CallerAuthentication().authenticate(Request(request))


def test_drf_reads_the_caller_and_raises_the_refusal(acme: Tenant, alice: User) -> None:
    request = visit(alice, "/api/v1/events")
    request.META["HTTP_AUTHORIZATION"] = f"Bearer {key_of(acme)}"
    user, caller = authenticated(resolved(request)) or (None, None)
    assert user is not None
    assert caller is not None
    assert (user.is_authenticated, caller.tenant.id) == (True, acme.pk)
    request.caller_refusal = Problem("unauthenticated")
    with pytest.raises(Problem):
        authenticated(request)
    assert auth.CallerAuthentication().authenticate_header(Request(request)) == "Bearer"


def test_a_session_must_bring_its_csrf_token_a_key_need_not(acme: Tenant, alice: User) -> None:
    request = resolved(visit(alice, "/api/v1/events"))
    request.method = "POST"
    with pytest.raises(PermissionDenied, match="CSRF"):
        authenticated(request)
    request.method = "GET"
    assert (authenticated(request) or (None, None))[0] == alice


def test_nobody_is_nobody_for_drf() -> None:
    request = visit(AnonymousUser(), "/api/v1/events")
    request.caller = None
    assert authenticated(request) is None


def test_the_test_clients_session_is_the_persons(alice: User) -> None:
    client = signed_in(alice)
    assert client.session["_auth_user_id"] == str(alice.pk)
