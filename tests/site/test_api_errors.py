"""Every error that reaches the application is a problem document, and none tells our insides."""

import logging
from typing import Any

import psycopg
import pytest
from django.core import exceptions as django_errors
from django.db import DataError, InterfaceError, OperationalError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    UnreadablePostError,
)
from django.test import RequestFactory
from rest_framework import exceptions as drf_errors
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from awfdrs_site.lib import api_errors
from awfdrs_site.lib.problems import Problem
from awfdrs_site.lib.strict_json import MalformedJson, TooLarge
from tests.support.problem_answers import members

SECRET = "relation tenants_apikey does not exist"


def answered(exc: Exception, rf: RequestFactory) -> HttpResponse:
    request = rf.post("/api/v1/events")
    request.correlation_id = "c-1"  # type: ignore[attr-defined]
    response = api_errors.exception_handler(exc, {"request": Request(request)})
    body = members(response)
    assert body["correlation_id"] == "c-1"
    assert body["instance"] == "/api/v1/events"
    assert SECRET not in response.content.decode()
    return response


@pytest.mark.parametrize(
    ("exc", "status", "code"),
    [
        (Problem("tenant_mismatch"), 403, "tenant_mismatch"),
        (MalformedJson("The body is empty."), 400, "malformed_json"),
        (TooLarge(1024), 413, "too_large"),
        (Http404(SECRET), 404, "not_found"),
        (drf_errors.NotFound(SECRET), 404, "not_found"),
        (django_errors.PermissionDenied(SECRET), 403, "forbidden"),
        (drf_errors.PermissionDenied(SECRET), 403, "forbidden"),
        (drf_errors.PermissionDenied(SECRET, code="missing_scope"), 403, "missing_scope"),
        (drf_errors.PermissionDenied(SECRET, code="tenant_inactive"), 403, "tenant_inactive"),
        (drf_errors.PermissionDenied(SECRET, code="not_found"), 403, "forbidden"),
        (drf_errors.NotAuthenticated(SECRET), 401, "unauthenticated"),
        (drf_errors.AuthenticationFailed(SECRET), 401, "unauthenticated"),
        (drf_errors.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (drf_errors.NotAcceptable(SECRET), 406, "not_acceptable"),
        (drf_errors.UnsupportedMediaType("text/x"), 415, "unsupported_media_type"),
        (drf_errors.ParseError(SECRET), 400, "malformed_json"),
        (drf_errors.Throttled(wait=3), 429, "rate_limited"),
        (drf_errors.APIException(SECRET), 500, "internal_error"),
        (django_errors.RequestDataTooBig(SECRET), 413, "too_large"),
        (django_errors.TooManyFieldsSent(SECRET), 400, "bad_request"),
        (django_errors.DisallowedHost(SECRET), 400, "bad_request"),
        (django_errors.SuspiciousOperation(SECRET), 400, "bad_request"),
        (django_errors.BadRequest(SECRET), 400, "bad_request"),
        (UnreadablePostError(SECRET), 400, "bad_request"),
        (OperationalError(SECRET), 503, "unavailable"),
        (InterfaceError(SECRET), 503, "unavailable"),
        (psycopg.OperationalError(SECRET), 503, "unavailable"),
        (DataError(SECRET), 500, "internal_error"),
        (RecursionError(SECRET), 500, "internal_error"),
        (KeyError(SECRET), 500, "internal_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_exception_is_a_problem_without_its_text(
    exc: Exception, status: int, code: str, rf: RequestFactory
) -> None:
    response = answered(exc, rf)
    assert response.status_code == status
    assert members(response)["code"] == code


@pytest.mark.parametrize("exc", [drf_errors.NotAuthenticated(), Problem("unauthenticated")])
def test_a_401_says_how_to_authenticate(exc: Exception, rf: RequestFactory) -> None:
    assert answered(exc, rf)["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("exc", "seconds"),
    [
        (OperationalError(), "1"),
        (drf_errors.Throttled(wait=2.1), "3"),
        (drf_errors.Throttled(), "1"),
        (Problem("backlog", retry_after=30), "30"),
        (Problem("rate_limited", retry_after=0.01), "1"),
    ],
)
def test_who_may_come_back_is_told_when(exc: Exception, seconds: str, rf: RequestFactory) -> None:
    # API.md: integer Retry-After >= 1, in the header and in the document alike
    response = answered(exc, rf)
    assert response["Retry-After"] == seconds
    assert members(response)["retry_after"] == int(seconds)


def test_a_problem_may_bring_headers_of_its_own(rf: RequestFactory) -> None:
    response = answered(Problem("rate_limited", headers={"RateLimit": '"default";r=0;t=1'}), rf)
    assert response["RateLimit"] == '"default";r=0;t=1'


def test_the_place_of_unstorable_text_is_named(rf: RequestFactory) -> None:
    body = members(answered(MalformedJson("A text holds a NUL.", "/payload/m"), rf))
    assert body["errors"] == [
        {"pointer": "/payload/m", "code": "unstorable_text", "detail": "A text holds a NUL."}
    ]


def test_serializer_errors_become_pointers(rf: RequestFactory) -> None:
    exc = drf_errors.ValidationError(
        {
            "status": [drf_errors.ErrorDetail("Unknown status.", code="invalid_choice")],
            "steps": [{}, {"a/b": ["Too long."]}],
            "non_field_errors": ["Not together."],
        }
    )
    assert members(answered(exc, rf))["errors"] == [
        {"pointer": "/status", "code": "invalid_choice", "detail": "Unknown status."},
        {"pointer": "/steps/1/a~1b", "code": "invalid", "detail": "Too long."},
        {"pointer": "", "code": "invalid", "detail": "Not together."},
    ]


def test_a_model_refusal_is_a_validation_problem(rf: RequestFactory) -> None:
    exc = django_errors.ValidationError(
        {"slug": [django_errors.ValidationError("Taken.", "unique")]}
    )
    response = answered(exc, rf)
    assert response.status_code == 422
    assert members(response)["errors"] == [
        {"pointer": "/slug", "code": "unique", "detail": "Taken."}
    ]


def test_the_unexpected_is_logged_with_its_traceback(
    rf: RequestFactory, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger=api_errors.__name__):
        answered(ValueError(SECRET), rf)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


def test_a_refusal_is_not_logged_as_an_error(
    rf: RequestFactory, caplog: pytest.LogCaptureFixture
) -> None:
    answered(Problem("not_found"), rf)
    answered(drf_errors.NotAuthenticated(), rf)
    assert caplog.records == []


def test_an_answer_survives_text_that_is_no_utf8(rf: RequestFactory) -> None:
    response = answered(Problem("conflict", "half \ud800", allowed=["\udfff\0"]), rf)
    assert members(response)["detail"] == "half ?"


def test_a_path_in_the_answer_is_a_short_uri(rf: RequestFactory) -> None:
    request = rf.get("/api/v1/a%00b%0d%0a<é>" + "x" * 5000)
    instance = members(api_errors.problem_response(Problem("not_found"), request))["instance"]
    assert instance.startswith("/api/v1/a%00b%0D%0A%3C%C3%A9%3Exxx")
    assert len(instance) == 500


def test_the_correlation_id_may_be_missing(rf: RequestFactory) -> None:
    response = api_errors.problem_response(Problem("not_found"), rf.get("/"))
    assert members(response)["correlation_id"] == ""


# --- through DRF -----------------------------------------------------------------------------


class Lacking(BasePermission):
    code = "missing_scope"

    def has_permission(self, request: Request, view: APIView) -> bool:
        return "lacking" not in request.query_params


class Form(serializers.Serializer[Any]):
    status = serializers.ChoiceField(["resolved"])


class View(APIView):
    authentication_classes = ()
    permission_classes = (Lacking,)

    def get(self, request: Request) -> Response:
        if "broken" in request.query_params:
            raise RuntimeError(SECRET)
        Form(data=request.query_params.dict()).is_valid(raise_exception=True)
        return Response({})


def viewed(request: HttpRequest) -> HttpResponse:
    response: HttpResponse = View.as_view()(request)
    return response


def test_drf_answers_its_own_refusals_as_problems(rf: RequestFactory) -> None:
    assert members(viewed(rf.get("/api/?status=x")))["errors"][0]["pointer"] == "/status"
    assert members(viewed(rf.get("/api/?lacking")))["code"] == "missing_scope"
    assert members(viewed(rf.get("/api/?broken")))["code"] == "internal_error"
    not_allowed = viewed(rf.put("/api/"))
    assert members(not_allowed)["code"] == "method_not_allowed"
    assert "GET" in not_allowed["Allow"]


@pytest.mark.parametrize("accept", ["text/html", "application/xml", ";;;q=,/", "image/*;q=1"])
def test_an_answer_in_another_type_is_not_acceptable(accept: str, rf: RequestFactory) -> None:
    response = viewed(rf.get("/api/?status=resolved", headers={"Accept": accept}))
    assert members(response)["code"] == "not_acceptable"
