"""Console pages of identity: signing in and out, choosing the tenant and the theme."""

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from awfdrs_site.lib import assets, htmx
from awfdrs_site.lib.htmx import Toast
from tenants import auth
from tenants.forms import SignInForm

YEAR_SECONDS = 31_536_000
THEMES = ("system", "light", "dark")


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The password; whoever has set up a second step is asked for it before they are in."""
    to = htmx.back_to(request, "/")
    if request.user.is_authenticated:
        return redirect(to)
    form = SignInForm(request, data=request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = form.get_user()
        entering = Login(user=user, redirect_url=to)
        answer: HttpResponse = perform_password_login(
            request, {"username": user.get_username()}, entering
        )
        return answer
    status = 422 if form.is_bound else 200
    return render(request, "tenants/sign_in.html", {"form": form, "next": to}, status=status)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("tenants:sign-in")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def select(request: HttpRequest) -> HttpResponse:
    """The person's tenants, as a menu or a page; a POST works in another one from now on."""
    if request.method != "POST":
        mine = [tenant for tenant, _ in auth.memberships(request.user.pk or 0)]
        current = getattr(request, "tenant", None)
        context = {"tenants": mine, "current": current.id if current else None}
        template = "tenants/_choices.html" if htmx.is_htmx(request) else "tenants/select.html"
        return render(request, template, context)
    if not auth.select_tenant(request, request.POST.get("tenant", "")):
        return htmx.go(request, "/", toast=Toast("You are not a member of that tenant.", "bad"))
    return redirect("/")


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Light, dark, system, and round again; with JavaScript theme.js does the same at once."""
    current = request.COOKIES.get("theme", "system")
    following = THEMES[(THEMES.index(current) + 1) % len(THEMES)] if current in THEMES else "light"
    response = redirect(htmx.back_to(request, "/"))
    response.set_cookie(
        "theme", following, max_age=YEAR_SECONDS, samesite="Lax", secure=request.is_secure()
    )
    return response


@require_safe
@login_required
def no_tenant(request: HttpRequest) -> HttpResponse:
    if getattr(request, "tenant", None) is not None:
        return redirect("/")
    return render(request, "tenants/no_tenant.html", status=403)


@require_safe
def asset(request: HttpRequest, digest: str, name: str) -> HttpResponse:
    return assets.answer(request, digest, name)
