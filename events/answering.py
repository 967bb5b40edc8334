"""The only place that turns what validation and the store say into the problems that are answered."""

from datetime import datetime
from uuid import UUID

from django.conf import settings

from awfdrs_site.lib.problems import FieldError, Problem
from awfdrs_site.lib.strict_json import escape_token
from events.ingest import Verdict
from events.validation import IncomingEvent, InvalidEvent, TenantMismatch, parse_event


def judged(body: object, *, tenant_id: UUID, now: datetime) -> IncomingEvent:
    """The event that the body is. Raises Problem 403 and 422."""
    try:
        return parse_event(
            body, tenant_id=tenant_id, now=now, retention_days=settings.EVENT_RETENTION_DAYS
        )
    except TenantMismatch:
        raise Problem("tenant_mismatch") from None
    except InvalidEvent as invalid:
        raise Problem("validation_failed", errors=invalid.errors) from None


def outcome(event: IncomingEvent, verdict: Verdict) -> Verdict | Problem:
    """The verdict, or the problem that the store found with a valid event."""
    if verdict.error == "idempotency_key_reused":
        errors = [
            FieldError(f"/{escape_token(name)}", "differs", "Stored with another value.")
            for name in verdict.differing
        ]
        return Problem("idempotency_key_reused", errors=errors)
    if verdict.error:
        return Problem("validation_failed", errors=[_unknown_workflow(event)])
    return verdict


def _unknown_workflow(event: IncomingEvent) -> FieldError:
    if event.workflow_slug:
        detail = "This slug may not register itself."
        return FieldError("/workflow", "unknown_workflow", detail)
    return FieldError("/workflow_id", "unknown_workflow", "There is no such workflow.")
