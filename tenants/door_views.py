"""Pages of who is not in yet: a forgotten password, the link to a new one, an invitation."""

from secrets import token_hex
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.tokens import default_token_generator
from django.contrib.auth.views import redirect_to_login
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlsafe_base64_decode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from awfdrs_site.lib import htmx
from awfdrs_site.lib.htmx import Toast
from tenants import members, passwords, scoping
from tenants.journal import Actor
from tenants.models import Invitation
from tenants.settings_forms import ForgottenForm, JoinForm, NewPasswordForm

_KEPT = "new_password_token"  # in the session: the address must not go along to other pages
_HIDDEN = "choose"
_ANY = require_http_methods(["GET", "HEAD", "POST"])


@never_cache
@_ANY
def forgotten(request: HttpRequest) -> HttpResponse:
    """Whatever address is given, the answer is the same."""
    form = ForgottenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        passwords.ask(form.cleaned_data["email"])
        return render(request, "tenants/forgotten_sent.html")
    status = 422 if form.is_bound else 200
    return render(request, "tenants/forgotten.html", {"form": form}, status=status)


@sensitive_post_parameters("password", "again")
@never_cache
@_ANY
def new_password(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    user = _person(uid)
    if token != _HIDDEN and user is not None and default_token_generator.check_token(user, token):
        request.session[_KEPT] = token
        return redirect("tenants:new-password", uid=uid, token=_HIDDEN)
    kept = request.session.get(_KEPT, "")
    if user is None or not default_token_generator.check_token(user, kept):
        return render(request, "tenants/link_over.html", status=404)
    form = NewPasswordForm(request.POST or None, person=user)
    if request.method == "POST" and form.is_valid():
        del request.session[_KEPT]
        who = Actor("user", str(user.pk), user.get_full_name() or user.get_username())
        passwords.change(user, form.cleaned_data["password"], by=who, this=None)
        return htmx.go(request, reverse("tenants:sign-in"), toast=Toast("Sign in with it now."))
    status = 422 if form.is_bound else 200
    return render(request, "tenants/new_password.html", {"form": form}, status=status)


@sensitive_post_parameters("password", "again")
@never_cache
@_ANY
def join(request: HttpRequest, token: str) -> HttpResponse:
    """An invitation: who has an account signs in and says yes, who has none makes one."""
    offer = members.offer_of(token)
    if offer is None:
        return render(request, "tenants/link_over.html", status=404)
    with scoping.bound(offer.tenant_id) as now:
        invitation = members.standing(offer, now=now)
        if invitation is None:
            return render(request, "tenants/link_over.html", status=404)
        account = members.account_of(invitation)
        if account is None:
            return _join_as_new(request, invitation, now=now)
        if request.user.is_authenticated and request.user.pk == account.pk:
            return _join_as_known(request, invitation, now=now)
    if request.user.is_authenticated:
        return render(request, "tenants/join_other.html", {"invitation": invitation}, status=403)
    return redirect_to_login(request.get_full_path())


def _join_as_known(request: HttpRequest, invitation: Invitation, *, now: Any) -> HttpResponse:
    if request.method != "POST":
        return render(request, "tenants/join.html", {"invitation": invitation})
    members.join(invitation, user=request.user, now=now)
    request.session["tenant_id"] = str(invitation.tenant_id)
    return htmx.go(request, "/", toast=Toast(f"Welcome to {invitation.tenant.name}."))


def _join_as_new(request: HttpRequest, invitation: Invitation, *, now: Any) -> HttpResponse:
    form = JoinForm(request.POST or None, person=get_user_model()(email=invitation.email))
    if request.method == "POST" and form.is_valid():
        try:
            user = _new_person(invitation.email, form.cleaned_data)
        except IntegrityError:  # a double click: the other request made the account
            return redirect(request.get_full_path())
        members.join(invitation, user=user, now=now)
        return htmx.go(request, reverse("tenants:sign-in"), toast=Toast("Sign in with it now."))
    context = {"form": form, "invitation": invitation}
    return render(request, "tenants/join.html", context, status=422 if form.is_bound else 200)


def _new_person(email: str, given: dict[str, Any]) -> Any:
    """Their address is their username; a name of their own staff can give them."""
    first, _, last = given["name"].strip().partition(" ")
    people: Any = get_user_model().objects
    is_free = len(email) <= 150 and not people.filter(username=email).exists()
    return people.create_user(
        username=email if is_free else f"{email[:130]}-{token_hex(8)}",
        email=email,
        password=given["password"],
        first_name=first[:150],
        last_name=last[:150],
    )


def _person(uid: str) -> Any:
    try:
        pk = int(urlsafe_base64_decode(uid))
    except (ValueError, OverflowError):
        return None
    if not 0 < pk < 2**31:
        return None
    return get_user_model().objects.filter(pk=pk, is_active=True).first()
