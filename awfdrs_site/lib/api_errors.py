"""The only place that turns an exception or a bare error status into an answer."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import psycopg
from django import http
from django.core import exceptions as django_errors
from django.db import DatabaseError, InterfaceError, OperationalError
from django.template import TemplateDoesNotExist, loader
from django.utils.html import escape
from rest_framework import exceptions as drf_errors
from rest_framework.fields import get_error_detail

from awfdrs_site.lib.problems import (
    KINDS,
    FieldError,
    Problem,
    as_dict,
    for_status,
    of_body,
)
from awfdrs_site.lib.strict_json import MalformedJson, TooLarge, escape_token

MEDIA_TYPE = "application/problem+json"
INSTANCE_CHARACTERS = 500  # a path can be as long as the server lets it be

_logger = logging.getLogger(__name__)
_CODE_OF: tuple[tuple[type[Exception], str], ...] = (  # the first that fits
    (django_errors.RequestDataTooBig, "too_large"),
    (django_errors.SuspiciousOperation, "bad_request"),
    (django_errors.BadRequest, "bad_request"),
    (http.UnreadablePostError, "bad_request"),
    (http.Http404, "not_found"),
    (django_errors.PermissionDenied, "forbidden"),
    (drf_errors.ParseError, "malformed_json"),
    # DRF turns these two into 403 where it knows no WWW-Authenticate; the contract says 401.
    (drf_errors.NotAuthenticated, "unauthenticated"),
    (drf_errors.AuthenticationFailed, "unauthenticated"),
)
# psycopg's own are raised by the ingest flushers, which work beside Django's connections.
_DATABASE_AWAY = (
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)
# Read-only, as a standby or a full disk leave it: what was sent must come again, nothing is half stored.
_STORAGE = (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.DiskFull)
_OURS_TO_WRITE = ("text/html", "text/plain", "")  # what Django itself answers errors with


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> http.HttpResponse:
    """DRF's EXCEPTION_HANDLER: answers every exception, so that none reaches Django's pages."""
    return problem_response(problem_for(exc), context["request"])


def problem_for(exc: Exception) -> Problem:
    """What an exception is to the caller; never its text, which may name our insides."""
    problem = _foreseen(exc)
    if problem is None:
        _logger.error("unexpected exception answered with 500", exc_info=exc)
        problem = Problem("internal_error")
    return problem


def problem_response(problem: Problem, request: http.HttpRequest) -> http.HttpResponse:
    response = http.HttpResponse(
        _body(problem, request), status=problem.status, content_type=MEDIA_TYPE
    )
    for name, value in _headers(problem).items():
        response[name] = value
    return response


def is_outage(exc: Exception) -> bool:
    """Whether the database is what broke: away, or taking no writes."""
    return _outage_of(exc) is not None


def bad_request(request: http.HttpRequest, exception: Exception) -> http.HttpResponse:
    return _answer(problem_for(exception), request)


def permission_denied(request: http.HttpRequest, exception: Exception) -> http.HttpResponse:
    return _answer(problem_for(exception), request)


def page_not_found(request: http.HttpRequest, exception: Exception) -> http.HttpResponse:
    return _answer(problem_for(exception), request)


def server_error(request: http.HttpRequest) -> http.HttpResponse:
    # Django has logged it already, under django.request.
    return _answer(Problem("internal_error"), request)


def csrf_failure(request: http.HttpRequest, reason: str = "") -> http.HttpResponse:
    return _answer(Problem("forbidden", "The CSRF token is missing or wrong."), request)


class ProblemMiddleware:
    """Gives the errors that no handler of ours saw the same shape: DisallowedHost and other
    exceptions of middleware, Django's debug pages, the empty 405 of `require_POST`."""

    def __init__(self, get_response: Callable[[http.HttpRequest], http.HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: http.HttpRequest) -> http.HttpResponse:
        response = self.get_response(request)
        if response.status_code >= 400 and not response.streaming:
            _reshape(response, request)
        return response

    def process_exception(
        self, request: http.HttpRequest, exception: Exception
    ) -> http.HttpResponse | None:
        """Pages may raise a Problem as the API does; the unforeseen stays Django's to report."""
        problem = _foreseen(exception)
        return None if problem is None else _answer(problem, request)


problem_middleware = ProblemMiddleware  # the name in settings.MIDDLEWARE


def wants_html(request: http.HttpRequest) -> bool:
    path = request.path_info
    under_api = path == "/api" or path.startswith("/api/")
    return not under_api and "text/html" in request.headers.get("Accept", "").lower()


def _foreseen(exc: Exception) -> Problem | None:
    return _as_refusal(exc) or _as_framework_refusal(exc) or _as_outage(exc)


def _as_refusal(exc: Exception) -> Problem | None:
    match exc:
        case Problem():
            return exc
        case MalformedJson() | TooLarge():
            return of_body(exc)
        case django_errors.ValidationError():
            return Problem("validation_failed", errors=_field_errors(get_error_detail(exc)))
    return None


def _as_framework_refusal(exc: Exception) -> Problem | None:
    for kind, code in _CODE_OF:
        if isinstance(exc, kind):
            return Problem(code)
    match exc:
        case drf_errors.ValidationError():
            return Problem("validation_failed", errors=_field_errors(exc.detail))
        case drf_errors.Throttled():
            return Problem("rate_limited", retry_after=getattr(exc, "wait", None) or 1)
        case drf_errors.APIException() if exc.status_code != HTTPStatus.INTERNAL_SERVER_ERROR:
            return _by_code(exc) or for_status(exc.status_code)
    return None


def _as_outage(exc: Exception) -> Problem | None:
    problem = _outage_of(exc)
    if problem is not None:
        _logger.error("database outage, answered with 503", exc_info=exc)
    return problem


def _outage_of(exc: Exception) -> Problem | None:
    if isinstance(_cause(exc), _STORAGE):
        detail = "Nothing can be stored right now."
        return Problem("unavailable", detail, retry_after=5, reason="storage")
    return Problem("unavailable", retry_after=1) if isinstance(exc, _DATABASE_AWAY) else None


def _cause(exc: Exception) -> BaseException:
    """Django wraps what psycopg raised."""
    return exc.__cause__ if isinstance(exc, DatabaseError) and exc.__cause__ else exc


def _by_code(exc: drf_errors.APIException) -> Problem | None:
    """A permission class may name one of our codes: PermissionDenied(code="missing_scope")."""
    code = exc.get_codes()
    if isinstance(code, str) and KINDS.get(code, (0, ""))[0] == exc.status_code:
        return Problem(code)
    return None


def _field_errors(detail: object, pointer: str = "") -> Iterator[FieldError]:
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            step = "" if name == "non_field_errors" else f"/{escape_token(str(name))}"
            yield from _field_errors(inner, pointer + step)
    elif isinstance(detail, list | tuple):
        for index, inner in enumerate(detail):
            # Messages stand for the list's owner, nested objects for the item of that index.
            step = f"/{index}" if isinstance(inner, Mapping | list) else ""
            yield from _field_errors(inner, pointer + step)
    else:
        code = str(getattr(detail, "code", None) or "invalid")
        yield FieldError(pointer=pointer, code=code, detail=str(detail))


def _body(problem: Problem, request: http.HttpRequest) -> bytes:
    # A surrogate that reached us through a query or a message must not make the answer fail.
    return json.dumps(_members(problem, request), ensure_ascii=False, default=str).encode(
        "utf-8", errors="replace"
    )


def _members(problem: Problem, request: http.HttpRequest) -> dict[str, object]:
    return as_dict(
        problem,
        instance=quote(request.path, safe="/:@!$&'()*+,;=~", errors="replace")[
            :INSTANCE_CHARACTERS
        ],
        correlation_id=str(getattr(request, "correlation_id", "")),
    )


def _headers(problem: Problem) -> dict[str, str]:
    headers = dict(problem.headers)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", "Bearer")
    if "retry_after" in problem.extra:
        headers.setdefault("Retry-After", str(problem.extra["retry_after"]))
    return headers


def _answer(problem: Problem, request: http.HttpRequest) -> http.HttpResponse:
    if not wants_html(request):
        return problem_response(problem, request)
    response = http.HttpResponse(_page(problem, request), status=problem.status)
    for name, value in _headers(problem).items():
        response[name] = value
    return response


def _page(problem: Problem, request: http.HttpRequest) -> str:
    """No context processors: they ask for a user and a database that may be what broke."""
    members = _members(problem, request)
    try:
        template = loader.get_template(f"errors/{problem.status}.html")
        return str(template.render(members | {"problem": members, "request": request}))
    except TemplateDoesNotExist:
        pass
    except Exception:  # this is the edge: an error page may not end in another error
        _logger.exception("the error page could not be rendered")
    return (
        f"<!doctype html><title>{problem.status}</title><h1>{escape(problem.title)}</h1>"
        f"<p>{escape(problem.detail)}</p><p>{escape(members['correlation_id'])}</p>"
    )


def _reshape(response: http.HttpResponse, request: http.HttpRequest) -> None:
    """In place, so that Allow, cookies and security headers of the answer stay."""
    media_type = response.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type not in _OURS_TO_WRITE:
        return
    html = wants_html(request)
    if html and response.content:
        return
    problem = for_status(response.status_code)
    response.content = _page(problem, request).encode() if html else _body(problem, request)
    response["Content-Type"] = "text/html; charset=utf-8" if html else MEDIA_TYPE
    for name, value in _headers(problem).items():
        response.setdefault(name, value)
    if "Content-Length" in response:
        response["Content-Length"] = str(len(response.content))
