"""Who gets to which page of the admin: every route of the site, every kind of person, own, foreign and unknown rows.

One test walks many routes with the same rows: making the rows takes longer than asking for a page.
"""

from collections.abc import Iterable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from safety.models import KillSwitch, RuleOverride
from tenants import scoping
from tenants.admin_base import GuardedAdmin, PlatformAdmin, TenantAdmin
from tenants.models import Tenant
from tests.admin.pages import (
    CANARY,
    TENANTS_OWN,
    Page,
    client_of,
    global_switch,
    pages,
    rows_of,
    unknown_id,
)
from tests.factories import MembershipFactory
from tests.faults.sizes import sized

MADE_BY_MACHINE = {"safety_circuitbreaker_add", "safety_rulepause_add"}
SITE_PAGES_OF_ANN = {
    "index": 200,
    "effective-rules": 200,
    "password_change": 200,
    "password_change_done": 200,
    "jsi18n": 200,
    "autocomplete": 403,  # it names no field
    "login": 302,
    "logout": 405,  # only POSTs
}
QUERIES = [
    "q=canary",
    "q=%00",
    "tenant__id__exact={globex}",
    "tenant={globex}",
    "tenant__slug=globex",
    "tenant__name__startswith=G",
    "vendor__workflows__slug__startswith=c",
    "vendor__tenant__membership__user__password__startswith=s",
    "_popup=1",
    "_popup=1&_to_field=id",
    "_to_field=tenant",
    "_facets=1",
    "all=",
    "o=1.-2.99",
    "p=-3",
    "p=xyz",
    "id=nonsense",
    "id__exact={foreign}",
    "id__in={foreign}",
    "scope=%00",
    "state=%00",
    "version__gt=99999999999999999999999",
    "version__regex=(((",
    "reason__contains=%00",
    "e=1",
]
# Each list of staff is asked an eighth of them, each of them of an eighth of the lists.
SHARE = sized(small=8, full=1)


@pytest.fixture
def foreign(globex: Tenant) -> dict[Any, Any]:
    global_switch()
    return rows_of(globex, CANARY)


@pytest.fixture
def own(acme: Tenant) -> dict[Any, Any]:
    return rows_of(acme, "own")


def routes_of(models: Iterable[Any], *, of_object: bool | None = None) -> list[Page]:
    wanted = set(models)
    return [
        route for route in pages() if route.model in wanted and of_object in (None, route.of_object)
    ]


def some_path(route: Page) -> str:
    return route.path(unknown_id(route.model) if route.model else None)


def changelist(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def test_every_model_has_a_page_of_ours_and_three_are_for_a_tenants_admin() -> None:
    registered = admin.site._registry
    assert all(isinstance(page, GuardedAdmin) for page in registered.values())
    scoped = {model for model, page in registered.items() if isinstance(page, TenantAdmin)}
    assert scoped == TENANTS_OWN
    rest = [page for model, page in registered.items() if model not in scoped]
    assert all(isinstance(page, PlatformAdmin) for page in rest)


def test_the_walk_sees_every_model_and_no_jump_to_any_object() -> None:
    assert {route.model for route in pages()} == {None, *admin.site._registry}
    assert "view_on_site" not in {route.name for route in pages()}


def test_nobody_signed_in_is_asked_to_sign_in(db: None) -> None:
    client = client_of(None)
    for path in (*map(some_path, pages()), "/admin/nowhere/", "/admin/safety/"):
        response = client.get(path)
        assert response.status_code == 302, path
        assert response["Location"].startswith(reverse("tenants:sign-in")), path


def test_operators_and_viewers_get_nowhere(alice: User, bob: User, mallory: User) -> None:
    operator, viewer, outsider = map(client_of, (alice, bob, mallory))
    for turn, route in enumerate(pages()):
        if route.name != "login":
            assert operator.get(some_path(route)).status_code == 403, route
            assert operator.post(some_path(route)).status_code == 403, route
            # who may less, and an operator of elsewhere: by one way each, in turn
            for client, way in ((viewer, turn % 2), (outsider, 1 - turn % 2)):
                sent = (client.get, client.post)[way](some_path(route))
                assert sent.status_code == 403, route
    for client in (operator, viewer, outsider):
        assert client.get("/admin/nowhere/").status_code == 403


def test_pages_of_the_site_tell_a_tenants_admin_nothing_foreign(
    ann: User, own: dict[Any, Any], foreign: dict[Any, Any]
) -> None:
    client = client_of(ann)
    for route in routes_of([None]):
        response = client.get(route.path())
        assert response.status_code == SITE_PAGES_OF_ANN[route.name], route
        assert CANARY not in response.content.decode(), route
    # the index offers three models and no more
    offered = client.get(reverse("admin:index")).context["app_list"]
    assert {model["model"] for app in offered for model in app["models"]} == TENANTS_OWN
    assert client.get("/admin/tenants/").status_code == 404
    assert client.get("/admin/nowhere/").status_code == 404


def test_a_tenants_admin_gets_to_no_page_of_the_platform(
    ann: User, own: dict[Any, Any], foreign: dict[Any, Any]
) -> None:
    client = client_of(ann)
    for route in routes_of(set(admin.site._registry) - TENANTS_OWN):
        known = [rows[route.model].pk for rows in (own, foreign) if route.model in rows]
        for object_id in [*known, unknown_id(route.model)] if route.of_object else [None]:
            for sent in (client.get, client.post):
                answer = sent(route.path(object_id), {"post": "yes"})
                # a redirect says "no such row", 403 "not yours to see": neither tells them apart
                assert answer.status_code == 403 or answer["Location"] == "/admin/", route
                assert CANARY not in answer.content.decode(), route


def test_a_foreign_row_is_answered_like_an_unknown_one(
    ann: User, own: dict[Any, Any], foreign: dict[Any, Any]
) -> None:
    client = client_of(ann)
    for route in routes_of(set(admin.site._registry), of_object=True):
        if route.model not in foreign:
            continue
        there, nowhere = foreign[route.model].pk, unknown_id(route.model)
        for method in ("get", "post"):
            answers = [_answer(client, method, route, each) for each in (there, nowhere)]
            assert answers[0] == answers[1], route
        assert CANARY not in client.get(route.path(there), follow=True).content.decode(), route


def test_lists_and_forms_hold_nothing_foreign(
    ann: User, own: dict[Any, Any], foreign: dict[Any, Any]
) -> None:
    client = client_of(ann)
    for route in routes_of(TENANTS_OWN, of_object=False):
        response = client.get(route.path())
        expected = 403 if route.name in MADE_BY_MACHINE else 200
        assert response.status_code == expected, route
        assert CANARY not in response.content.decode(), route
        if route.name.endswith("changelist"):  # the sweep can fail
            assert "own-" in response.content.decode(), route


def test_every_page_of_ones_own_rows_opens(
    ann: User, own: dict[Any, Any], foreign: dict[Any, Any]
) -> None:
    client = client_of(ann)
    for route in routes_of(TENANTS_OWN, of_object=True):
        response = client.get(route.path(own[route.model].pk))
        assert response.status_code == (403 if route.name.endswith("delete") else 200), route
        assert CANARY not in response.content.decode(), route


def test_no_query_string_reaches_a_foreign_row_or_breaks(
    ann: User, own: dict[Any, Any], foreign: dict[Any, Any], globex: Tenant
) -> None:
    client = client_of(ann)
    for model in TENANTS_OWN:
        for query in QUERIES:
            asked = query.format(globex=globex.pk, foreign=foreign[model].pk)
            response = client.get(f"{changelist(model)}?{asked}", follow=True)
            assert response.status_code in (200, 400), (model, query)
            shown = response.content.decode()
            for echo in ('value="canary"', "q=canary", "q%3Dcanary"):  # the search box says it back
                shown = shown.replace(echo, "")
            assert CANARY not in shown, (model, query)


@pytest.mark.parametrize("model", ["circuitbreaker", "killswitch", "ruleoverride"])
@pytest.mark.parametrize("field", ["vendor", "tenant", "id"])
def test_autocomplete_serves_no_model(model: str, field: str, ann: User) -> None:
    asked = {"app_label": "safety", "model_name": model, "field_name": field, "term": "c"}
    assert client_of(ann).get(reverse("admin:autocomplete"), asked).status_code == 403


def test_no_action_takes_a_row(ann: User, own: dict[Any, Any], foreign: dict[Any, Any]) -> None:
    client = client_of(ann)
    sent = {"reason": "x", "index": 0, "post": "yes"}
    for model in TENANTS_OWN:
        for action in ("force_open", "hand_back", "delete_selected", "rotate"):
            for chosen in (foreign[model].pk, own[model].pk, "nonsense"):
                told = sent | {"action": action, "_selected_action": chosen}
                response = client.post(changelist(model), told)
                assert response.status_code in (200, 302), (model, action)
                assert CANARY not in response.content.decode(), (model, action)
        for row in (own[model], foreign[model]):
            with scoping.bound(row.tenant_id):
                again = model._default_manager.for_tenant(row.tenant_id).get(pk=row.pk)
            assert getattr(again, "version", 0) == getattr(row, "version", 0)


def test_the_tenant_of_a_new_row_is_the_callers_own(
    ann: User, acme: Tenant, globex: Tenant
) -> None:
    sent = {"tenant": globex.pk, "tenant_id": globex.pk, "scope": "tenant", "reason": "maintenance"}
    assert client_of(ann).post(reverse("admin:safety_killswitch_add"), sent).status_code == 302
    with scoping.platform():
        assert KillSwitch.objects.for_tenant(acme).count() == 1
        assert KillSwitch.objects.for_tenant(globex).count() == 0


def test_a_new_rule_does_not_start_from_a_foreign_one(
    ann: User, own: dict[Any, Any], foreign: dict[Any, Any]
) -> None:
    path, client = reverse("admin:safety_ruleoverride_add"), client_of(ann)
    for start in (foreign[RuleOverride].pk, "nonsense", "\x00"):
        assert CANARY not in client.get(path, {"from": start}).content.decode()
    assert "own-vendor" in client.get(path, {"from": own[RuleOverride].pk}).content.decode()


def test_only_the_role_in_the_selected_tenant_counts(ann: User, globex: Tenant) -> None:
    MembershipFactory(tenant=globex, user=ann, role="viewer")
    client = client_of(ann)
    assert client.get(reverse("admin:index")).status_code == 200
    session = client.session
    session["tenant_id"] = str(globex.pk)
    session.save()
    assert client.get(reverse("admin:index")).status_code == 403


def test_django_staff_without_a_role_get_nowhere(ann: User) -> None:
    # is_staff is another package's word; ours are superuser and the role
    User.objects.update(is_staff=True)
    assert client_of(ann).get(reverse("admin:tenants_tenant_changelist")).status_code == 403


def test_platform_staff_get_everywhere_and_nothing_breaks(
    staff: User, own: dict[Any, Any], foreign: dict[Any, Any]
) -> None:
    client = client_of(staff)
    for turn, route in enumerate(pages()):
        # to them no row is foreign: one tenant's here, the other's there
        known = [rows[route.model].pk for rows in (own, foreign) if route.model in rows]
        known = known[turn % 2 :][:1]
        odd = [unknown_id(route.model), "\x00", "nonsense", 10**30] if route.model else [None]
        # one odd id a route, each in its turn: all of them everywhere take a minute
        for object_id in [*known, odd[turn % len(odd)]] if route.of_object else [None]:
            got = client.get(route.path(object_id)).status_code
            assert got < 500, (route, object_id)
            if object_id in known:
                assert (got == 200) is _is_open(route), route
            if route.name != "logout":
                assert client.post(route.path(object_id)).status_code < 500, (route, object_id)


def test_no_query_string_breaks_a_list_of_staff(
    staff: User, own: dict[Any, Any], globex: Tenant
) -> None:
    client = client_of(staff)
    for turn, model in enumerate(admin.site._registry):
        for query in QUERIES[turn % SHARE :: SHARE]:
            asked = query.format(globex=globex.pk, foreign=unknown_id(model))
            response = client.get(f"{changelist(model)}?{asked}", follow=True)
            assert response.status_code in (200, 400), (model, query)
        for chosen in ("nonsense", "\x00", "-1", unknown_id(model))[turn % SHARE :: SHARE]:
            told = {"action": "delete_selected", "_selected_action": chosen, "index": 0}
            assert client.post(changelist(model), told).status_code < 500, (model, chosen)


def test_signing_out_ends_the_session(ann: User) -> None:
    client = client_of(ann)
    assert client.post(reverse("admin:logout"))["Location"] == reverse("tenants:sign-in")
    assert client.get(reverse("admin:index")).status_code == 302


def _answer(client: Client, method: str, route: Page, object_id: Any) -> tuple[int, str]:
    response = getattr(client, method)(route.path(object_id))
    return response.status_code, response.get("Location", "").replace(str(object_id), "")


def _is_open(route: Page) -> bool:
    page = admin.site._registry[route.model]
    return page.can_delete if route.name.endswith("_delete") else True  # type: ignore[attr-defined]
