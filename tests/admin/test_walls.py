"""Who gets to which page of the admin: every route of the site, every kind of person, own, foreign and unknown rows."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tenants import scoping
from tenants.admin_base import GuardedAdmin, PlatformAdmin, TenantAdmin
from tenants.models import Tenant
from tests.admin.pages import (
    CANARY,
    TENANTS_OWN,
    Page,
    client_of,
    global_switch,
    override,
    pages,
    rows_of,
    unknown_id,
)

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


@pytest.fixture
def foreign(globex: Tenant) -> dict[Any, Any]:
    global_switch()
    return rows_of(globex, CANARY)


@pytest.fixture
def own(acme: Tenant) -> dict[Any, Any]:
    return rows_of(acme, "own")


def test_every_model_admin_is_one_of_ours() -> None:
    assert all(isinstance(page, GuardedAdmin) for page in admin.site._registry.values())


def test_a_tenants_admin_has_pages_of_three_models_only() -> None:
    scoped = {
        model for model, page in admin.site._registry.items() if isinstance(page, TenantAdmin)
    }
    assert scoped == TENANTS_OWN
    rest = {model: page for model, page in admin.site._registry.items() if model not in scoped}
    assert all(isinstance(page, PlatformAdmin) for page in rest.values())


def test_the_walk_sees_every_model() -> None:
    assert {page.model for page in pages()} == {None, *admin.site._registry}


def test_nobody_jumps_to_any_object_by_its_number() -> None:
    assert "view_on_site" not in {page.name for page in pages()}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_nobody_signed_in_gets_the_sign_in_page(page: Page, db: None) -> None:
    response = client_of(None).get(page.path(unknown_id(page.model) if page.model else None))
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("tenants:sign-in"))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
@pytest.mark.parametrize("who", ["alice", "bob", "mallory"])
def test_operators_and_viewers_get_nowhere(
    page: Page, who: str, request: pytest.FixtureRequest
) -> None:
    client = client_of(request.getfixturevalue(who))
    path = page.path(unknown_id(page.model) if page.model else None)
    expected = 302 if page.name == "login" else 403
    assert client.get(path).status_code == expected
    if page.name != "login":
        assert client.post(path).status_code == 403


@pytest.mark.parametrize(
    "page", [page for page in pages() if page.model is None], ids=lambda page: page.name
)
def test_pages_of_the_site_for_a_tenants_admin(
    page: Page, ann: User, foreign: dict[Any, Any]
) -> None:
    response = client_of(ann).get(page.path())
    assert response.status_code == SITE_PAGES_OF_ANN[page.name]
    assert CANARY not in response.content.decode()


@pytest.mark.parametrize(
    "page",
    [page for page in pages() if page.model not in (None, *TENANTS_OWN)],
    ids=lambda page: page.name,
)
def test_a_tenants_admin_gets_to_no_page_of_the_platform(
    page: Page, ann: User, own: dict[Any, Any], foreign: dict[Any, Any]
) -> None:
    client = client_of(ann)
    ids = {
        unknown_id(page.model),
        *(rows[page.model].pk for rows in (own, foreign) if page.model in rows),
    }
    for object_id in ids if page.of_object else [None]:
        for answer in (
            client.get(page.path(object_id)),
            client.post(page.path(object_id), {"post": "yes"}),
        ):
            # an unknown row is a redirect with a message, a row of anybody is refused: both say nothing
            assert answer.status_code in (302, 403)
            assert CANARY not in answer.content.decode()


@pytest.mark.parametrize(
    "page",
    [page for page in pages() if page.model in TENANTS_OWN and page.of_object],
    ids=lambda page: page.name,
)
def test_a_foreign_row_is_answered_like_an_unknown_one(
    page: Page, ann: User, own: dict[Any, Any], foreign: dict[Any, Any]
) -> None:
    there, nowhere = foreign[page.model].pk, unknown_id(page.model)
    for send in ("get", "post"):
        answers = [_answer(client_of(ann), send, page, each) for each in (there, nowhere)]
        assert answers[0] == answers[1]
    assert CANARY not in _followed(client_of(ann), page.path(there))


@pytest.mark.parametrize(
    "page",
    [page for page in pages() if page.model in TENANTS_OWN and not page.of_object],
    ids=lambda page: page.name,
)
def test_lists_and_forms_hold_nothing_foreign(
    page: Page, ann: User, own: dict[Any, Any], foreign: dict[Any, Any]
) -> None:
    response = client_of(ann).get(page.path())
    assert response.status_code == (403 if page.name == "safety_circuitbreaker_add" else 200)
    assert CANARY not in response.content.decode()
    if page.name.endswith("changelist"):
        assert "own" in response.content.decode()  # the sweep can fail


@pytest.mark.parametrize("model", sorted(TENANTS_OWN, key=lambda model: model.__name__))
@pytest.mark.parametrize(
    "query",
    [
        "q=canary",
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
    ],
)
def test_no_query_string_reaches_a_foreign_row_or_breaks(
    model: Any, query: str, ann: User, own: dict[Any, Any], foreign: dict[Any, Any], globex: Tenant
) -> None:
    asked = query.format(globex=globex.pk, foreign=foreign[model].pk)
    path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    response = client_of(ann).get(f"{path}?{asked}", follow=True)
    assert response.status_code in (200, 400)
    shown = response.content.decode().replace('value="canary"', "")  # the search box says it back
    assert CANARY not in shown.replace("q=canary", "")


def test_autocomplete_serves_no_model_of_anybody(ann: User, foreign: dict[Any, Any]) -> None:
    for model, field in (
        ("circuitbreaker", "vendor"),
        ("killswitch", "tenant"),
        ("ruleoverride", "tenant"),
    ):
        response = client_of(ann).get(
            reverse("admin:autocomplete"),
            {"app_label": "safety", "model_name": model, "field_name": field, "term": "c"},
        )
        assert response.status_code == 403


@pytest.mark.parametrize("action", ["force_open", "hand_back", "delete_selected", "rotate"])
@pytest.mark.parametrize("model", sorted(TENANTS_OWN, key=lambda model: model.__name__))
def test_no_action_takes_a_foreign_row(
    model: Any, action: str, ann: User, own: dict[Any, Any], foreign: dict[Any, Any]
) -> None:
    path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    for chosen in (foreign[model].pk, own[model].pk, "nonsense"):
        sent = {
            "action": action,
            "_selected_action": chosen,
            "reason": "x",
            "index": 0,
            "post": "yes",
        }
        response = client_of(ann).post(path, sent)
        assert response.status_code in (200, 302)
        assert CANARY not in response.content.decode()
    with scoping.platform():
        for row in (own[model], foreign[model]):
            again = model._default_manager.for_tenant(row.tenant_id).get(pk=row.pk)
            assert getattr(again, "version", 0) == getattr(row, "version", 0)


def test_the_tenant_of_a_new_row_is_the_callers_own(
    ann: User, acme: Tenant, globex: Tenant, foreign: dict[Any, Any]
) -> None:
    sent = {"tenant": globex.pk, "tenant_id": globex.pk, "scope": "tenant", "reason": "maintenance"}
    response = client_of(ann).post(reverse("admin:safety_killswitch_add"), sent)
    assert response.status_code == 302
    with scoping.platform():
        from safety.models import KillSwitch

        assert KillSwitch.objects.for_tenant(acme).filter(reason="maintenance").count() == 1
        assert KillSwitch.objects.for_tenant(globex).filter(reason="maintenance").count() == 0


def test_a_new_rule_does_not_start_from_a_foreign_one(
    ann: User, foreign: dict[Any, Any], own: dict[Any, Any]
) -> None:
    from safety.models import RuleOverride

    path = reverse("admin:safety_ruleoverride_add")
    theirs = client_of(ann).get(path, {"from": foreign[RuleOverride].pk}).content.decode()
    mine = client_of(ann).get(path, {"from": own[RuleOverride].pk}).content.decode()
    assert CANARY not in theirs
    assert "own-vendor" in mine


def test_being_an_admin_elsewhere_gives_only_the_selected_tenant(
    ann: User, acme: Tenant, globex: Tenant
) -> None:
    from tests.factories import MembershipFactory

    MembershipFactory(tenant=globex, user=ann, role="viewer")
    override(acme, target="stripe")
    client = client_of(ann)
    session = client.session
    session["tenant_id"] = str(globex.pk)
    session.save()
    assert client.get(reverse("admin:index")).status_code == 403


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_platform_staff_get_everywhere_and_nothing_breaks(
    page: Page, staff: User, own: dict[Any, Any], foreign: dict[Any, Any]
) -> None:
    client = client_of(staff)
    ids = [unknown_id(page.model), "%00", "nonsense"] if page.model else [None]
    known = [rows[page.model].pk for rows in (own, foreign) if page.model in rows]
    for object_id in [*known, *ids] if page.of_object else [None]:
        assert client.get(page.path(object_id)).status_code < 500
        assert client.post(page.path(object_id), {}).status_code < 500
    for object_id in known if page.of_object and not page.name.endswith("delete") else []:
        assert client.get(page.path(object_id)).status_code == 200


def _answer(client: Client, send: str, page: Page, object_id: Any) -> tuple[int, str]:
    response = getattr(client, send)(page.path(object_id))
    return response.status_code, response.get("Location", "").replace(str(object_id), "")


def _followed(client: Client, path: str) -> str:
    return str(client.get(path, follow=True).content.decode())
