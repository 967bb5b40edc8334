"""Console view that takes the step which a rule has earned; the rule's own page offers it."""

from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from actions import ladder, simulation_views
from actions.ladder import NotEarned
from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from awfdrs_site.lib.problems import Problem
from safety import rule_pages, rule_texts
from safety.rule_pages import Earned, RulesAbove
from safety.rulefields import SCOPES, ValuesRefused
from safety.rules import RuleMoved
from tenants.access import TenantRequest, requires


@require_POST
@requires("configure")
def promote(request: TenantRequest) -> HttpResponse:
    scope, target = request.POST.get("scope", ""), request.POST.get("target", "")
    if scope not in SCOPES:
        raise Problem("not_found")
    try:
        row = ladder.promote(
            request.tenant.id,
            scope=scope,
            target=target,
            to=request.POST.get("to", ""),
            by=request.caller.actor,
            now=clock.now(),
        )
    except (NotEarned, RuleMoved, ValuesRefused) as refused:
        return htmx.go(request, reverse("rules:in-force"), toast=Toast(str(refused), "bad"))
    title = rule_texts.title(scope, target)
    toast = Toast(f"Version {row.version} for {title} is in force.")
    return htmx.go(request, rule_pages.url_of(scope, target), toast=toast)


def earned(tenant_id: UUID, scope: str, target: str) -> Earned:
    """For the page of a rule, which is below and knows no retries."""
    found = ladder.standing(tenant_id, scope=scope, target=target)
    return Earned(found.mode, found.says, found.offers, reverse("actions:promote"))


ABOVE = RulesAbove(earned, simulation_views.tried, simulation_views.SIMULATE_URL)
