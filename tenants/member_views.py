"""The page of a tenant's members, for its admins."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from tenants import members
from tenants.access import TenantRequest, requires
from tenants.members import MemberRefused
from tenants.models import Invitation, Membership
from tenants.settings_forms import InviteForm, RoleForm
from tenants.states import Role

MOST = 1000  # more members than that nobody reads on one page


@require_http_methods(["GET", "HEAD", "POST"])
@requires("administer")
def listed(request: TenantRequest) -> HttpResponse:
    """Who belongs to the tenant; a POST invites somebody."""
    form = InviteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        by, now = request.caller.actor, clock.now()
        try:
            members.invite(request.tenant, **given, by=by, now=now)
        except MemberRefused as refused:
            form.add_error("email", str(refused))
        else:
            return _back(request, f"An invitation is on its way to {given['email']}.")
    return render(
        request, "tenants/members.html", _shown(request, form), status=422 if form.is_bound else 200
    )


@require_POST
@requires("administer")
def change(request: TenantRequest, pk: UUID) -> HttpResponse:
    member = _member(request, pk)
    form = RoleForm(request.POST)
    if not form.is_valid():
        return _back(request, "There is no such role.", is_good=False)
    try:
        members.change_role(
            member, form.cleaned_data["role"], by=request.caller.actor, now=clock.now()
        )
    except MemberRefused as refused:
        return _back(request, str(refused), is_good=False)
    return _back(request, "The role is changed.")


@require_http_methods(["GET", "HEAD", "POST"])
@requires("administer")
def remove(request: TenantRequest, pk: UUID) -> HttpResponse:
    """Asks first: who is out is out at once, wherever they are."""
    member = _member(request, pk)
    if request.method != "POST":
        return render(request, "tenants/member_remove.html", {"member": member, "at": "members"})
    try:
        members.remove(member, by=request.caller.actor, now=clock.now())
    except MemberRefused as refused:
        return _back(request, str(refused), is_good=False)
    return _back(request, f"{member.user} is no member any more.")


@require_POST
@requires("administer")
def withdraw(request: TenantRequest, pk: UUID) -> HttpResponse:
    invitation = get_object_or_404(Invitation.objects.for_tenant(request.tenant), pk=pk)
    members.withdraw(invitation, by=request.caller.actor, now=clock.now())
    return _back(request, "The invitation is withdrawn.")


def _member(request: TenantRequest, pk: UUID) -> Membership:
    mine = Membership.objects.for_tenant(request.tenant).select_related("user")
    member: Membership = get_object_or_404(mine, pk=pk)
    return member


def _shown(request: TenantRequest, form: InviteForm) -> dict[str, object]:
    mine = Membership.objects.for_tenant(request.tenant).select_related("user")
    invited = Invitation.objects.for_tenant(request.tenant).filter(expires_at__gt=clock.now())
    return {
        "members": mine.order_by("user__first_name", "user__username", "pk")[:MOST],
        "invitations": invited.order_by("-created_at", "pk")[:MOST],
        "roles": Role.choices,
        "form": form,
        "at": "members",
    }


def _back(request: HttpRequest, said: str, *, is_good: bool = True) -> HttpResponse:
    toast = Toast(said, "good" if is_good else "bad")
    return htmx.go(request, reverse("tenants:members"), toast=toast)
