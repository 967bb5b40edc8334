"""Console pages of a change tried on the last days: asked for on the rule's own page, followed, read."""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse, reverse_lazy
from django.views.decorators.http import require_POST, require_safe

from actions import simulations
from actions.models import Simulation
from actions.simulation import change
from actions.simulation.change import Change
from actions.simulations import CannotSimulate
from actions.states import SimulationState
from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from safety import rule_pages, rule_texts, rules
from safety.rule_forms import ChangeForm
from safety.rule_pages import Tried
from safety.rulefields import SCOPES, ValuesRefused
from tenants.access import TenantRequest, requires

SIMULATE_URL = reverse_lazy("simulations:simulate")
NO_REASON = "Only tried."  # the form asks why; whoever tries need not know yet


@require_POST
@requires("configure")
def simulate(request: TenantRequest) -> HttpResponse:
    """The same form that saves a version; what is wrong with it is told on the rule's page."""
    scope, target = request.POST.get("scope", ""), request.POST.get("target", "")
    _demand(scope, target)
    said = request.POST.copy()
    said["reason"] = said.get("reason") or NO_REASON
    form = ChangeForm(said, scope=scope)
    page = rule_pages.url_of(scope, target)
    if not form.is_valid():
        why = " ".join(str(error) for errors in form.errors.values() for error in errors)
        return htmx.go(request, page, toast=Toast(why, "bad"))
    try:
        made = _asked(request, scope, target, form)
    except (CannotSimulate, ValuesRefused) as refused:
        return htmx.go(request, page, toast=Toast(f"{refused}", "bad"))
    return htmx.go(request, made.get_absolute_url())


@require_safe
@requires("view")
def simulation(request: TenantRequest, pk: UUID) -> HttpResponse:
    found = get_object_or_404(Simulation.objects.for_tenant(request.tenant), pk=pk)
    template = "actions/_simulation.html" if htmx.is_htmx(request) else "actions/simulation.html"
    return render(request, template, _context(found))


def tried(tenant_id: UUID, scope: str, target: str) -> Any:
    """For the page of a rule: of a version, what trying it had shown."""
    found = simulations.tried(tenant_id, scope=scope, target=target)

    def of_version(version: int, values: Any) -> Tried | None:
        one = simulations.of_version(version, values, found)
        return Tried(one.get_absolute_url(), _says(one)) if one is not None else None

    return of_version


def _demand(scope: str, target: str) -> None:
    """Nothing else can have a rule."""
    try:
        is_known = scope in SCOPES and rule_texts.target_of(scope, target) == target
    except ValueError:
        is_known = False
    if not is_known:
        raise Http404


def _asked(request: TenantRequest, scope: str, target: str, form: ChangeForm) -> Simulation:
    tenant_id = request.tenant.id
    newest = rules.versions(tenant_id, scope=scope, target=target).first()
    values = form.changed(newest.values if newest else {})
    wanted = Change((simulations.of_rule(tenant_id, scope=scope, target=target, values=values),))
    by, now = request.caller.actor, clock.now()
    said: dict[str, Any] = {"days": simulations.DAYS, "assumed": simulations.ASSUMED[0]}
    return simulations.ask(tenant_id, wanted, **said, by=by, now=now)


def _context(found: Simulation) -> dict[str, Any]:
    back = reverse("rules:in-force")
    if found.scope:
        back = rule_pages.url_of(found.scope, found.target)
    return {
        "simulation": found,
        "lines": change.from_json(found.change).lines,
        "result": found.result,
        "is_over": found.state != SimulationState.WORKING,
        "says": _says(found),
        "tables": _tables(found.result) if found.result else (),
        "back": back,
        "here": "rules",
        "now": clock.now(),
    }


def _says(found: Simulation) -> str:
    if found.result is None:
        return found.error or "Under way."
    if found.result["is_empty"]:
        return "Nothing would have been different."
    n = found.result["attempts"]
    return (
        f"{n['n_added']:,} attempts more, {n['n_removed']:,} fewer; "
        f"{found.result['notifications']['n_added']:,} calls for people more"
    )


_COLUMNS = {
    "attempts": (
        ("run", "Run"),
        ("workflow", "Workflow"),
        ("number", "Attempt"),
        ("incident", "Incident"),
        ("outcome", "Ends"),
    ),
    "incidents": (("number", "Incident"), ("title", "Title"), ("severity", "Severity")),
    "notifications": (("number", "Incident"), ("title", "Title"), ("severity", "Severity")),
    "approvals": (("run", "Run"), ("workflow", "Workflow"), ("reason", "Why")),
}
_TITLES = {
    "attempts": "Attempts",
    "incidents": "Incidents",
    "notifications": "Calls for people",
    "approvals": "Questions to people",
}
SHOWN = 100
_ENDS = {
    "succeeded": "accepted",
    "retryable": "failed",
    "final": "refused",
    "unknown": "nobody saw",
}


def _tables(result: Any) -> list[dict[str, Any]]:
    """A table for what comes and one for what goes, of each kind that differs."""
    found = []
    for kind, columns in _COLUMNS.items():
        for side, word in (("added", "more"), ("removed", "fewer")):
            n, rows = result[kind][f"n_{side}"], result[kind][side][:SHOWN]
            if n:
                cells = [[_cell(row, name) for name, _ in columns] for row in rows]
                title = f"{_TITLES[kind]}: {n:,} {word}"
                heads = [head for _, head in columns]
                found.append(
                    {"id": f"{kind}-{side}", "title": title, "heads": heads, "rows": cells}
                )
    return found


def _cell(row: Any, name: str) -> str:
    if name != "outcome":
        return str(row.get(name) or "–")
    ends = _ENDS.get(row["outcome"], row["outcome"])
    return f"{ends}, as is assumed" if row["is_assumed"] else ends
