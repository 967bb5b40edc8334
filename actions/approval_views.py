"""Console pages of permission: what waits for people, what exactly it is, and their word on it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from actions import approval_pages, voting
from actions.approval_forms import VerdictForm
from actions.approval_shapes import Viewer
from actions.models import Approval
from actions.states import ApprovalStatus
from actions.vote_refusals import VoteRefused
from awfdrs_site.lib import clock, htmx, params
from awfdrs_site.lib.htmx import Toast
from tenants.access import TenantRequest, requires

PAGES_MOST = 1000
SAID = {
    ApprovalStatus.APPROVED: "Approved. It runs as soon as its limits allow.",
    ApprovalStatus.WAITING: "Counted. It runs when as many people as are needed have approved.",
    ApprovalStatus.REJECTED: "Rejected. It will not run.",
}


@require_safe
@requires("view")
def approval_list(request: TenantRequest) -> HttpResponse:
    tab = request.GET.get("tab", "waiting")
    if tab not in approval_pages.TABS:
        raise Http404
    number = params.whole(request.GET, "page", default=1, most=PAGES_MOST)
    context = {
        "tab": tab,
        "tabs": approval_pages.tabs(request.tenant.id, tab),
        "page": approval_pages.page(request.tenant.id, tab, number, viewer=viewer_of(request)),
    }
    template = "approvals/_rows.html" if htmx.is_htmx(request) else "approvals/list.html"
    return render(request, template, _page(context))


@require_safe
@requires("view")
def count(request: TenantRequest) -> HttpResponse:
    """The number beside the place in the menu, when it may have changed."""
    return render(request, "approvals/_count.html")


@require_safe
@requires("view")
def approval_detail(request: TenantRequest, pk: UUID) -> HttpResponse:
    template = "approvals/_detail.html" if htmx.is_htmx(request) else "approvals/detail.html"
    return render(request, template, _shown(request, _get(request, pk)))


@require_POST
@requires("approve")
def approve(request: TenantRequest, pk: UUID) -> HttpResponse:
    return _vote(request, pk, voting.approve)


@require_POST
@requires("approve")
def reject(request: TenantRequest, pk: UUID) -> HttpResponse:
    return _vote(request, pk, voting.reject)


def viewer_of(request: TenantRequest) -> Viewer:
    return Viewer(request.caller.actor, request.caller.verbs)


def _vote(request: TenantRequest, pk: UUID, verb: Callable[..., Approval]) -> HttpResponse:
    approval, said = _get(request, pk), VerdictForm(request.POST).words()
    status, to = 200, reverse("approvals:detail", args=[pk])
    try:
        done = verb(approval, by=request.caller.actor, now=clock.now(), **said)
        toast = Toast(SAID[ApprovalStatus(done.status)])
    except VoteRefused as refused:
        toast, status = Toast(str(refused), "bad"), 409
    if not htmx.is_htmx(request):
        return htmx.go(request, htmx.back_to(request, to) if status == 200 else to, toast=toast)
    context = _shown(request, _get(request, pk))
    return htmx.partial(request, "approvals/_detail.html", context, toast=toast, status=status)


def _shown(request: TenantRequest, approval: Approval) -> dict[str, Any]:
    viewer = viewer_of(request)
    return _page({"shown": approval_pages.detail(approval, viewer=viewer, now=clock.now())})


def _page(context: dict[str, Any]) -> dict[str, Any]:
    return {"here": "approvals", "now": clock.now()} | context


def _get(request: TenantRequest, pk: UUID) -> Approval:
    mine = Approval.objects.for_tenant(request.tenant).filter(campaigns=None)
    found: Approval = get_object_or_404(mine.select_related("incident"), pk=pk)
    return found
