"""A database that takes no writes is an outage with a reason, wherever it is found out."""

import psycopg
import pytest
from django.db import InternalError, OperationalError
from django.http import HttpRequest

from awfdrs_site import health
from awfdrs_site.lib import api_errors


def wrapped(failure: Exception, kind: type[Exception]) -> Exception:
    """As Django hands on what psycopg raised."""
    try:
        raise kind("as told") from failure
    except kind as told:
        return told


READ_ONLY = wrapped(psycopg.errors.ReadOnlySqlTransaction(), InternalError)
FULL = wrapped(psycopg.errors.DiskFull(), OperationalError)


@pytest.mark.parametrize("failure", [READ_ONLY, FULL, psycopg.errors.DiskFull()])
def test_it_is_said_why(failure: Exception) -> None:
    problem = api_errors.problem_for(failure)
    assert (problem.status, problem.code) == (503, "unavailable")
    assert problem.extra == {"retry_after": 5, "reason": "storage"}


def test_another_internal_error_is_none() -> None:
    assert api_errors.problem_for(InternalError("ours")).status == 500


def test_it_is_said_too_where_the_caller_is_looked_up() -> None:
    request = HttpRequest()
    request.path = request.path_info = "/api/v1/events"
    try:
        raise READ_ONLY
    except InternalError:
        answer = health.server_error(request)
    assert answer.status_code == 503
