"""What a tenant's admin can choose: every field of every form that refers to a row, with another tenant's ids."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse

from tenants.models import Tenant
from tests.admin.pages import CANARY, TENANTS_OWN, client_of, rows_of, unknown_id

FORMS = [(model, verb) for model in TENANTS_OWN for verb in ("add", "change")]


@pytest.fixture
def foreign(globex: Tenant) -> dict[Any, Any]:
    return rows_of(globex, CANARY)


@pytest.fixture
def own(acme: Tenant) -> dict[Any, Any]:
    return rows_of(acme, "own")


def path_of(model: Any, verb: str, own: dict[Any, Any]) -> str:
    page = f"admin:{model._meta.app_label}_{model._meta.model_name}_{verb}"
    return reverse(page, args=[own[model].pk] if verb == "change" else [])


def forms_of(answer: Any) -> list[Any]:
    """The page's form and one of each kind of row that it holds."""
    context = answer.context
    lines = [line for one in context["inline_admin_formsets"] for line in one.formset.forms[:1]]
    return [context["adminform"].form, *lines]


def references(answer: Any) -> list[tuple[str, Any]]:
    """Every field that is filled with a row: its name as sent, and the rows' model."""
    found = []
    for form in forms_of(answer):
        fields: dict[str, Any] = form.fields
        for name, field in fields.items():
            if hasattr(field, "queryset"):
                found.append((form.add_prefix(name), field.queryset.model))
    return found


def errors(answer: Any) -> set[str]:
    return {form.add_prefix(name) for form in forms_of(answer) for name in form.errors}


def filled(answer: Any) -> dict[str, Any]:
    """What a browser would send back unchanged."""
    sent: dict[str, Any] = {}
    for one in answer.context["inline_admin_formsets"]:
        management = one.formset.management_form
        sent |= {management.add_prefix(k): v for k, v in management.initial.items()}
    for form in forms_of(answer):
        for name in form.fields:
            value = form.get_initial_for_field(form.fields[name], name)
            sent[form.add_prefix(name)] = "" if value is None else value
    return sent


def test_no_reference_takes_a_row_of_another_tenant(
    ann: User, own: dict[Any, Any], foreign: dict[Any, Any]
) -> None:
    # RELIABILITY.md 3.1, admin: dropdowns contain no foreign id, a POST with one is refused
    client, holes, asked = client_of(ann), [], 0
    theirs = {str(row.pk) for row in foreign.values()}
    for model, verb in FORMS:
        path = path_of(model, verb, own)
        page = client.get(path)
        if page.status_code == 403:  # made or changed by machine
            continue
        html = page.content.decode()
        assert CANARY not in html, path
        assert not {pk for pk in theirs if f'value="{pk}"' in html and len(pk) > 30}, path
        for name, refers_to in references(page):
            if refers_to not in foreign:
                continue
            asked += 1
            answer = client.post(path, filled(page) | {name: foreign[refers_to].pk})
            if answer.status_code != 200 or name not in errors(answer):
                holes.append((path, name))
    assert asked >= 6
    assert holes == []


def test_every_reference_takes_a_row_of_ones_own(
    ann: User, own: dict[Any, Any], foreign: dict[Any, Any]
) -> None:
    """The control: the walk above would notice a field that takes nothing at all."""
    client, taken = client_of(ann), 0
    for model, verb in FORMS:
        path = path_of(model, verb, own)
        page = client.get(path)
        if page.status_code != 200:
            continue
        for name, refers_to in references(page):
            if refers_to in own:
                answer = client.post(path, filled(page) | {name: own[refers_to].pk})
                taken += answer.status_code == 302 or name not in errors(answer)
    assert taken >= 6


def test_autocomplete_serves_no_field_of_any_model(ann: User, foreign: dict[Any, Any]) -> None:
    client, asked = client_of(ann), 0
    for model in admin.site._registry:
        for field in model._meta.get_fields():
            if not getattr(field, "remote_field", None):
                continue
            named: dict[str, Any] = {
                "app_label": model._meta.app_label,
                "model_name": model._meta.model_name,
                "field_name": field.name,
                "term": CANARY,
            }
            asked += 1
            answer = client.get(reverse("admin:autocomplete"), named)
            assert answer.status_code == 403, (model, field.name)
    assert asked > 30


def test_a_popup_offers_no_row_of_another_tenant(
    ann: User, own: dict[Any, Any], foreign: dict[Any, Any]
) -> None:
    """Raw ids are chosen in a popup of the list, and a row's own popups name it."""
    client = client_of(ann)
    for model in TENANTS_OWN:
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        listed = client.get(reverse(f"{base}_changelist"), {"_popup": "1", "_to_field": "id"})
        assert listed.status_code == 200, model
        assert CANARY not in listed.content.decode(), model
        answers = [
            client.get(reverse(f"{base}_{verb}", args=[pk]), {"_popup": "1"}).status_code
            for verb in ("change", "history", "delete")
            for pk in (foreign[model].pk, unknown_id(model))
        ]
        assert answers[::2] == answers[1::2], model
        assert 200 not in answers, model
