"""The second step of signing in: codes checked against Postgres alone, each taken once, too many wrong ones refused."""

import logging
from hmac import compare_digest
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.utils import decrypt
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.db import connection
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from tenants import lockout
from tenants.secrets import SecretUnreadable

logger = logging.getLogger(__name__)

# Two requests bring the same code: the counter only rises, so the second one updates no row.
_TAKE = """
update mfa_authenticator set data = jsonb_set(data, '{last_counter}', to_jsonb(%s::bigint))
where id = %s and coalesce((data->>'last_counter')::bigint, 0) < %s
"""


class TooManyCodes(Exception):
    def __init__(self) -> None:
        super().__init__("Too many wrong codes. Try again later.")


def is_set_up(user_id: int) -> bool:
    mine = Authenticator.objects.filter(user_id=user_id, type=Authenticator.Type.TOTP)
    return bool(mine.exists())


def was_taken(request: HttpRequest) -> bool:
    """Whether this session was opened, or confirmed since, with a code."""
    user: Any = request.user
    return any(record["method"] == "mfa" for record in get_authentication_records(request, user))


def is_owed(request: HttpRequest) -> bool:
    """Whether a member of the platform's staff has still to take it (ADR 0010)."""
    is_staff = getattr(request.user, "is_superuser", False)
    return bool(settings.STAFF_NEEDS_SECOND_STEP and is_staff and not was_taken(request))


def way_for(request: HttpRequest) -> str:
    """Where to take it, and back from there; where to set it up for who has not."""
    user_id = request.user.pk or 0
    page = reverse("mfa_reauthenticate" if is_set_up(user_id) else "mfa_index")
    return f"{page}?{urlencode({'next': request.get_full_path()})}"


def turned_away(request: HttpRequest) -> HttpResponseRedirect | None:
    """Where whoever opens the administration has to go first; None for who may go on.

    Every page of it asks, those that open no block of the site's own too.
    """
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    return redirect(way_for(request)) if is_owed(request) else None


def take(request: HttpRequest, user: Any, code: str) -> Authenticator | None:
    """The authenticator whose code this is, which is then used up. Raises TooManyCodes."""
    if not lockout.may_try_code(request, user.pk):
        raise TooManyCodes
    wanted = "".join(code.split())
    for authenticator in Authenticator.objects.filter(user=user).order_by("-type"):
        if _fits(authenticator, wanted):
            lockout.code_fitted(user.pk)
            authenticator.user = user
            return authenticator
    lockout.code_failed(request, user.pk)
    return None


def _fits(authenticator: Authenticator, code: str) -> bool:
    try:
        return _opens(authenticator, code)
    except SecretUnreadable:  # its key is gone: the other one may still fit
        logger.exception("authenticator %s cannot be read", authenticator.pk)
        return False


def _opens(authenticator: Authenticator, code: str) -> bool:
    if authenticator.type == Authenticator.Type.RECOVERY_CODES:
        return bool(authenticator.wrap().validate_code(code))
    secret = decrypt(authenticator.data["secret"])
    for counter in totp.yield_hotp_counters_from_time():
        expected = totp.format_hotp_value(totp.hotp_value(secret, counter))
        if compare_digest(expected.encode(), code.encode()):
            return _take(authenticator.pk, counter)
    return False


def _take(authenticator_id: int, counter: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [counter, authenticator_id, counter])
        return bool(cursor.rowcount == 1)
