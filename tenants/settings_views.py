"""Pages of one's own settings: preferences, password, and where one is signed in."""

from typing import Any
from uuid import UUID

from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from awfdrs_site.lib import htmx
from awfdrs_site.lib.htmx import Toast
from tenants import passwords, preferences, sessions
from tenants.journal import Actor
from tenants.personal import personal
from tenants.settings_forms import ChangePasswordForm, PreferencesForm
from tenants.states import Theme

YEAR_SECONDS = 31_536_000


def actor_of(request: HttpRequest) -> Actor:
    user: Any = request.user
    return Actor("user", str(user.pk), user.get_full_name() or user.get_username())


@require_http_methods(["GET", "HEAD", "POST"])
@personal
def preferred(request: HttpRequest) -> HttpResponse:
    form = PreferencesForm(request.POST) if request.method == "POST" else None
    if form is not None and form.is_valid():
        preferences.keep(request.user.pk or 0, form.preferred())
        answer = htmx.go(request, request.path, toast=Toast("Saved."))
        return _wear(request, answer, form.preferred().theme)
    shown = form or PreferencesForm.showing(preferences.of(request))
    context = {"form": shown, "at": "preferences"}
    status = 422 if form else 200
    return TemplateResponse(request, "tenants/preferences.html", context, status=status)


@sensitive_post_parameters("old", "password", "again")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@personal
def password(request: HttpRequest) -> HttpResponse:
    user: Any = request.user
    form = ChangePasswordForm(request.POST or None, person=user)
    if request.method == "POST" and form.is_valid():
        if passwords.is_right(request, user, form.cleaned_data["old"]):
            here = getattr(request.session, "public_id", None)
            given = form.cleaned_data["password"]
            passwords.change(user, given, by=actor_of(request), this=here)
            update_session_auth_hash(request, user)  # a new key for this session too
            said = "Your password is changed. Everywhere else you are signed out."
            return htmx.go(request, request.path, toast=Toast(said))
        form.add_error("old", "This is not your password.")
    status = 422 if form.is_bound else 200
    context = {"form": form, "at": "password"}
    return TemplateResponse(request, "tenants/password.html", context, status=status)


@never_cache
@require_http_methods(["GET", "HEAD"])
@personal
def signed_in(request: HttpRequest) -> HttpResponse:
    here = getattr(request.session, "public_id", None)
    lines = sessions.of(request.user.pk or 0, this=here)
    context = {"sessions": lines, "at": "sessions"}
    return TemplateResponse(request, "tenants/sessions.html", context)


@require_POST
@personal
def end(request: HttpRequest, pk: UUID) -> HttpResponse:
    is_ended = sessions.end(request.user.pk or 0, pk, by=actor_of(request))
    said = Toast("Signed out there.") if is_ended else Toast("That session is over already.", "bad")
    return htmx.go(request, reverse("tenants:sessions"), toast=said)


@require_POST
@personal
def end_others(request: HttpRequest) -> HttpResponse:
    here = getattr(request.session, "public_id", None)
    n_ended = sessions.end_others(request.user.pk or 0, but=here, by=actor_of(request))
    said = "Signed out everywhere else." if n_ended else "You are signed in nowhere else."
    return htmx.go(request, reverse("tenants:sessions"), toast=Toast(said))


def _wear(request: HttpRequest, response: HttpResponse, theme: str) -> HttpResponse:
    """This browser at once; others as soon as they have no choice of their own."""
    if theme == Theme.SYSTEM:
        response.delete_cookie("theme", samesite="Lax")
    else:
        secure = request.is_secure()
        response.set_cookie("theme", theme, max_age=YEAR_SECONDS, samesite="Lax", secure=secure)
    return response
