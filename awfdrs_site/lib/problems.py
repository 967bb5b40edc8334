"""The only place that knows the codes, statuses and body of an error answer (RFC 9457)."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import ceil

from awfdrs_site.lib.strict_json import MalformedJson, TooLarge

KINDS: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request cannot be read"),
    "malformed_json": (400, "The body is not strict JSON"),
    "unauthenticated": (401, "A valid key or session is needed"),
    "forbidden": (403, "This is not allowed"),
    "missing_scope": (403, "The key lacks the scope for this"),
    "tenant_inactive": (403, "The tenant is not active"),
    "own_request": (403, "Whoever asks does not approve"),
    "tenant_mismatch": (403, "The tenant is not the caller's"),
    "not_found": (404, "There is nothing here"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "not_acceptable": (406, "Only JSON is answered here"),
    "conflict": (409, "The state does not allow this"),
    "plan_changed": (409, "The plan is not the one that was seen"),
    "transition_refused": (409, "The status cannot move there"),
    "unrecovered_runs": (409, "Some runs are not recovered"),
    "stale_version": (412, "It changed in the meantime"),
    "too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body is of an unsupported type"),
    "idempotency_key_reused": (422, "The idempotency key belongs to other content"),
    "validation_failed": (422, "The content is not valid"),
    "batch_refused": (422, "Other events of the batch are not valid"),
    "rate_limited": (429, "Too many requests"),
    "internal_error": (500, "Something broke on our side"),
    "backlog": (503, "Too many events wait to be digested"),
    "unavailable": (503, "Temporarily unavailable"),
}

# Which code speaks for a status when nothing more is known.
GENERIC_CODES: dict[int, str] = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    412: "stale_version",
    413: "too_large",
    415: "unsupported_media_type",
    422: "validation_failed",
    429: "rate_limited",
    500: "internal_error",
    503: "unavailable",
}


@dataclass(frozen=True, slots=True)
class FieldError:
    pointer: str  # RFC 6901; "" is the whole body
    code: str
    detail: str


class Problem(Exception):
    """An expected refusal. `extra` becomes members of the body (allowed, current, quarantine_id…).

    `retry_after` is in seconds; it is told in whole ones, at least 1, in body and header alike.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        **extra: object,
    ) -> None:
        self.code = code
        self.status, self.title = KINDS[code]
        self.detail = detail or f"{self.title}."
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extra = extra
        if retry_after is not None:
            self.extra["retry_after"] = max(1, ceil(retry_after))
        super().__init__(self.detail)


def of_body(refusal: MalformedJson | TooLarge) -> Problem:
    """What strict reading refused, as the problem that is answered."""
    if isinstance(refusal, TooLarge):
        return Problem("too_large", f"At most {refusal.max_bytes} bytes are read here.")
    at = refusal.pointer
    errors = [] if at is None else [FieldError(at, "unstorable_text", refusal.detail)]
    return Problem("malformed_json", refusal.detail, errors=errors)


def as_dict(problem: Problem, *, instance: str, correlation_id: str) -> dict[str, object]:
    body: dict[str, object] = {
        "type": f"/problems/{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "instance": instance,
        "correlation_id": correlation_id,
    }
    if problem.errors:
        body["errors"] = [asdict(error) for error in problem.errors]
    return problem.extra | body  # an extra member never replaces one of ours


def for_status(status: int) -> Problem:
    """The problem for a status of which only the number is known."""
    family = 400 if status < 500 else 500
    problem = Problem(GENERIC_CODES.get(status, GENERIC_CODES[family]))
    problem.status = status
    return problem
