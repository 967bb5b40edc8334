"""The page of a tenant's API keys, for its admins. A secret is on the answer that made it and nowhere else."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from tenants import keys
from tenants.access import TenantRequest, requires
from tenants.auth import NewKey
from tenants.models import ApiKey
from tenants.settings_forms import KeyForm

MOST = 1000


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@requires("administer")
def listed(request: TenantRequest) -> HttpResponse:
    """Every key; a POST makes one and shows its secret, which a reload cannot show again."""
    form = KeyForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return _page(request, form, status=422 if form.is_bound else 200)
    now = clock.now()
    made = keys.make(
        request.tenant.id,
        name=form.cleaned_data["name"],
        scopes=form.cleaned_data["scopes"],
        expires_at=form.expires_at(now=now),
        by=request.caller.actor,
        now=now,
    )
    return _page(request, KeyForm(), made=made, status=201)


@never_cache
@require_POST
@requires("administer")
def rotate(request: TenantRequest, pk: UUID) -> HttpResponse:
    key = _key(request, pk)
    if key.revoked_at is not None:
        said = Toast("That key is revoked: make a new one.", "bad")
        return htmx.go(request, reverse("tenants:keys"), toast=said)
    made = keys.rotate(key, by=request.caller.actor, now=clock.now())
    return _page(request, KeyForm(), made=made, is_rotated=True)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("administer")
def revoke(request: TenantRequest, pk: UUID) -> HttpResponse:
    """Asks first: what sends with it is refused from the next request on."""
    key = _key(request, pk)
    if request.method != "POST":
        return render(request, "tenants/key_revoke.html", {"key": key, "at": "keys"})
    keys.revoke(key, by=request.caller.actor, now=clock.now())
    return htmx.go(request, reverse("tenants:keys"), toast=Toast(f"{key.name} is revoked."))


def _key(request: TenantRequest, pk: UUID) -> ApiKey:
    key: ApiKey = get_object_or_404(ApiKey.objects.for_tenant(request.tenant), pk=pk)
    return key


def _page(
    request: HttpRequest,
    form: KeyForm,
    *,
    made: NewKey | None = None,
    is_rotated: bool = False,
    status: int = 200,
) -> HttpResponse:
    tenant = request.tenant  # type: ignore[attr-defined]
    mine = ApiKey.objects.for_tenant(tenant).order_by("revoked_at", "-id")
    context = {
        "keys": mine[:MOST],
        "form": form,
        "made": made,
        "is_rotated": is_rotated,
        "now": clock.now(),
        "at": "keys",
    }
    return render(request, "tenants/keys.html", context, status=status)
