"""Console pages of rules: what is in force and why, the versions of each, a change and its way back."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST, require_safe

from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from awfdrs_site.lib.problems import Problem
from safety import rule_pages, rule_texts, rules
from safety.models import RuleOverride
from safety.rule_forms import AskedForm, ChangeForm
from safety.rule_pages import NOTHING_ABOVE, RulesAbove
from safety.rulefields import SCOPES, ValuesRefused
from safety.rules import RuleMoved
from tenants.access import TenantRequest, requires

UNREADABLE = HTTPStatus.UNPROCESSABLE_ENTITY


@require_safe
@requires("view")
def in_force(request: TenantRequest, above: RulesAbove = NOTHING_ABOVE) -> HttpResponse:
    tenant_id = request.tenant.id
    form = AskedForm({"category": "unknown"} | request.GET.dict(), tenant_id=tenant_id)
    if not form.is_valid():  # values of another question would be believed
        raise Problem("validation_failed", f"Unreadable: {', '.join(form.errors)}.")
    context = {
        "form": form,
        "values": rule_pages.value_lines(tenant_id, form.asked),
        "about": rule_pages.about(form.asked),
        "rules": rule_pages.rule_lines(tenant_id),
    }
    return render(request, "safety/rules.html", _page(context))


@require_safe
@requires("view")
def versions(
    request: TenantRequest, scope: str, target: str = "", above: RulesAbove = NOTHING_ABOVE
) -> HttpResponse:
    _demand(scope, target)
    return _rule(request, scope, target, above=above)


@require_POST
@requires("configure")
def change(request: TenantRequest, above: RulesAbove = NOTHING_ABOVE) -> HttpResponse:
    scope, target = request.POST.get("scope", ""), request.POST.get("target", "")
    _demand(scope, target)
    form = ChangeForm(request.POST, scope=scope)
    if not form.is_valid():
        return _rule(request, scope, target, above=above, form=form, status=UNREADABLE)
    newest = rules.versions(request.tenant.id, scope=scope, target=target).first()
    try:
        made = rules.override(
            tenant_id=request.tenant.id,
            scope=scope,
            target=target,
            values=form.changed(newest.values if newest else {}),
            reason=form.cleaned_data["reason"],
            by=request.caller.actor,
            now=clock.now(),
            seen=form.cleaned_data["seen"],
        )
    except ValuesRefused as refused:
        form.add_error("value", f"{refused}.")
        return _rule(request, scope, target, above=above, form=form, status=UNREADABLE)
    except RuleMoved as moved:
        form.add_error(None, str(moved))
        return _rule(request, scope, target, above=above, form=form, status=HTTPStatus.CONFLICT)
    return _saved(request, made)


@require_POST
@requires("configure")
def revert(request: TenantRequest, pk: UUID, above: RulesAbove = NOTHING_ABOVE) -> HttpResponse:
    row = get_object_or_404(RuleOverride.objects.for_tenant(request.tenant), pk=pk)
    try:
        made = rules.revert(row, by=request.caller.actor, now=clock.now())
    except (RuleMoved, ValuesRefused) as refused:
        said: dict[str, Any] = {"refused": str(refused), "status": HTTPStatus.CONFLICT}
        return _rule(request, row.scope, row.target, above=above, **said)
    return _saved(request, made)


def _saved(request: TenantRequest, made: RuleOverride) -> HttpResponse:
    title = rule_texts.title(made.scope, made.target)
    toast = Toast(f"Version {made.version} for {title} is in force.")
    return htmx.go(request, rule_pages.url_of(made.scope, made.target), toast=toast)


def _demand(scope: str, target: str) -> None:
    """Nothing else can have a rule."""
    try:
        is_known = scope in SCOPES and rule_texts.target_of(scope, target) == target
    except ValueError:
        is_known = False
    if not is_known:
        raise Http404


def _rule(
    request: TenantRequest,
    scope: str,
    target: str,
    *,
    above: RulesAbove,
    form: ChangeForm | None = None,
    refused: str = "",
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    may_change = request.caller.may("configure")
    page = rule_pages.rule_page(
        request.tenant.id, scope=scope, target=target, may_change=may_change, above=above
    )
    context = {
        "rule": page,
        "form": (form or ChangeForm(scope=scope)) if may_change else None,
        "refused": refused,
        "simulate_url": above.simulate_url,
        "earned": above.earned(request.tenant.id, scope, target) if above.earned else None,
    }
    return render(request, "safety/rule.html", _page(context), status=status)


def _page(context: dict[str, Any]) -> dict[str, Any]:
    return {"here": "rules", "now": clock.now()} | context
