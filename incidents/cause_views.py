"""The console page of exactly the events that a cause counted."""

import re
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from events.models import Event
from incidents.models import Evidence
from incidents.presentation.shapes import NOTHING_ABOVE, Above
from tenants.access import TenantRequest, requires

PAGE_SIZE = 100
_NUMBER = re.compile(r"\d{1,7}", re.ASCII)


@require_safe
@requires("view")
def evidence(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    found = Evidence.objects.for_tenant(request.tenant).select_related("incident")
    row = get_object_or_404(found, pk=pk)
    kept = Event.objects.for_tenant(request.tenant).filter(pk__in=row.event_ids)
    n_kept = kept.count()
    n_pages = max(1, -(-n_kept // PAGE_SIZE))
    number = min(_number(request), n_pages)
    start = (number - 1) * PAGE_SIZE
    context = {
        "here": "incidents",
        "incident": row.incident,
        "claim": row.claim,
        "lines": kept.select_related("workflow").order_by("-id")[start : start + PAGE_SIZE],
        "n": len(row.event_ids),
        "n_kept": n_kept,
        "number": number,
        "newer": number - 1,
        "older": number + 1,
        "n_pages": n_pages,
    }
    return render(request, "incidents/evidence.html", context)


def _number(request: TenantRequest) -> int:
    asked = request.GET.get("page", "")
    return max(1, int(asked)) if _NUMBER.fullmatch(asked) else 1
