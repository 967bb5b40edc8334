"""The only place that decides a request's correlation id and lets it travel with the thread of work."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import structlog
from django.http import HttpRequest, HttpResponse

HEADER = "X-Correlation-ID"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,128}")


def accepted(given: str) -> str:
    """What a sender named its request, or a new id where that is none."""
    return given if _ACCEPTED.fullmatch(given) else str(uuid4())


def current() -> str:
    """The correlation id of the work under way, or a new one."""
    known = structlog.contextvars.get_contextvars().get("correlation_id")
    return str(known) if known else str(uuid4())


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    """Put `correlation_id` on every log line written inside."""
    with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
        yield


class CorrelationMiddleware:
    """Takes X-Correlation-ID (or makes one), answers with it and binds it to the log lines."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.correlation_id = accepted(request.headers.get(HEADER, ""))  # type: ignore[attr-defined]
        with correlated(request.correlation_id):  # type: ignore[attr-defined]
            response = self.get_response(request)
        response[HEADER] = request.correlation_id  # type: ignore[attr-defined]
        return response
