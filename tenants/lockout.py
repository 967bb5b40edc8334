"""Who tries too often: the words, numbers and answers that django-axes, which counts, asks us for."""

from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest, HttpResponse

from awfdrs_site.lib import api_errors
from awfdrs_site.lib.problems import Problem

_CODE = "code of user "  # no username has blanks


def name_of(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """What is counted: however it is spelled, it is the same account."""
    given = (credentials or {}).get("username") or request.POST.get("username", "")
    return str(given).strip().lower()[:255]


def counted_by(request: Any, credentials: dict[str, Any] | None) -> list[Any]:
    """A password per account and address, so that nobody locks others out; a code per account alone.

    Who tries codes knows the password already, and has more than one address.
    """
    name = getattr(request, "username", None) or (credentials or {}).get("username") or ""
    return ["username"] if str(name).startswith(_CODE) else [["username", "ip_address"]]


def address_of(request: HttpRequest) -> str | None:
    """The peer as the server knows it: uvicorn puts a trusted proxy's word here, and nobody else's."""
    return request.META.get("REMOTE_ADDR") or None


def answer(request: HttpRequest, response: Any, credentials: Any = None) -> HttpResponse:
    """The 429 page or problem, with how long it lasts."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    detail = f"Too many wrong attempts. Try again in {seconds // 60} minutes."
    return api_errors.permission_denied(
        request, Problem("rate_limited", detail, retry_after=seconds)
    )


def may_try_code(request: HttpRequest, user_id: int) -> bool:
    from axes.handlers.proxy import AxesProxyHandler  # its app is loaded by now

    is_allowed: bool = AxesProxyHandler.is_allowed(request, _of_code(user_id))
    if not is_allowed:
        request.axes_locked_out = True  # type: ignore[attr-defined]  # its middleware answers
    return is_allowed


def code_failed(request: HttpRequest, user_id: int) -> None:
    user_login_failed.send(sender=__name__, credentials=_of_code(user_id), request=request)


def code_fitted(user_id: int) -> None:
    from axes.handlers.proxy import AxesProxyHandler

    AxesProxyHandler.reset_attempts(username=_of_code(user_id)["username"])


def _of_code(user_id: int) -> dict[str, str]:
    return {"username": f"{_CODE}{user_id}"}
