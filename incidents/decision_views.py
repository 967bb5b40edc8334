"""The console page of one decision: from what it was made, and whether it is made the same again."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from awfdrs_site.lib import clock
from incidents import replay
from incidents.models import Decision
from incidents.presentation import details
from incidents.presentation.shapes import NOTHING_ABOVE, Above
from incidents.replay import Verdict
from safety import rule_texts, rules
from tenants.access import TenantRequest, requires

BADGES = {
    Verdict.SAME: ("good", "Made again, byte for byte the same"),
    Verdict.DIFFERS: ("bad", "Made again, it differs"),
    Verdict.ALTERED: ("bad", "What it was made from was edited"),
    Verdict.UNKNOWN_ENGINE: ("wait", "Made by an engine that is not here"),
}


@require_safe
@requires("view")
def decision(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    mine = Decision.objects.for_tenant(request.tenant).select_related("incident")
    row = get_object_or_404(mine, pk=pk)
    replayed = replay.replay(row, rules.overrides(request.tenant.id))
    badge, words = BADGES[replayed.verdict]
    context = {
        "here": "incidents",
        "now": clock.now(),
        "decision": row,
        "incident": row.incident,
        "shown": details.decided(row),
        "candidates": row.candidates,
        "inputs": sorted(row.inputs.items()),
        "versions": [
            {**one, "title": rule_texts.title(str(one["scope"]), str(one["target"]))}
            for one in row.inputs.get("rule_versions", ())
        ],
        "replayed": replayed,
        "badge": badge,
        "words": words,
    }
    return render(request, "incidents/decision.html", context)
