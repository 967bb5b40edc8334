"""The only place that turns failures of our own work into events: incidents of the tenant `system`, about ourselves."""

import re
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection

from awfdrs_site.lib import clock, failures, rfc3339
from awfdrs_site.lib.failures import Failure
from events import ingest
from events.ingest import Submission
from events.validation import parse_event
from tenants import journal, scoping
from tenants.journal import SYSTEM
from tenants.models import Tenant

SYSTEM_ID = UUID("00000000-0000-7000-8000-000000000000")  # nobody can take it, as a slug could be
WORKFLOW = "awfdrs"
BEAT_LATE = timedelta(minutes=10)  # beat writes down what it did every three
BEAT_GONE = timedelta(days=1)  # after that nobody means to run one

_BEAT = "select max(last_run_at), awf_now() from django_celery_beat_periodictask where enabled"
_UNFIT = re.compile(r"[^\x21-\x7e]+")


def report_due() -> int:
    """Store what was noted since. What failed for the system tenant itself is not told: it would never end."""
    found = [failure for failure in failures.taken() if failure.tenant_id != SYSTEM_ID]
    if not found:
        return 0
    try:
        _ensure_tenant()
        now = clock.read()
        # A second report of the same minute finds its key taken; that is all there is to it.
        ingest.store(SYSTEM_ID, [_submission(failure, now=now) for failure in found])
    except Exception as failure:
        failures.mark(failure, SYSTEM_ID)
        failures.put_back(found)
        raise
    return 0  # nothing that calls for another sweep at once


def look_for_beat() -> int:
    """Whether the beat that ran within the last day still does."""
    seen_at, now = beat_seen()
    if seen_at and BEAT_LATE < now - seen_at < BEAT_GONE:
        failures.note_missed("beat")
    return 0


def beat_seen() -> tuple[datetime | None, datetime]:
    """When beat last wrote down that it did something, and what time it is."""
    with connection.cursor() as cursor:
        cursor.execute(_BEAT)
        seen_at, now = cursor.fetchone()
    return seen_at, now


def _ensure_tenant() -> None:
    with scoping.platform() as now:
        if Tenant.objects.filter(pk=SYSTEM_ID).exists():
            return
        is_taken = Tenant.objects.filter(slug="system").exists()
        named = {
            "name": "AWFDRS itself",
            "slug": "awfdrs-system" if is_taken else "system",
        }
        _, is_new = Tenant.objects.get_or_create(pk=SYSTEM_ID, defaults=named)
        if is_new:  # of two workers that report at once only one made it
            journal.record_platform(
                subject_type="tenant", subject_id=SYSTEM_ID, verb="created", by=SYSTEM, at=now
            )


def _submission(failure: Failure, *, now: datetime) -> Submission:
    kind = _UNFIT.sub("_", f"{failure.where}.{failure.error}")[:200]
    message = f"{failure.where} failed: {failure.error}"
    body = {
        "workflow": WORKFLOW,
        "event_type": "task.failed",
        "occurred_at": rfc3339.format(now),
        "idempotency_key": f"{kind}:{now:%Y%m%d%H%M}",
        "payload": {
            "error_code": kind,
            "error_message": f"{message} in {failure.at}" if failure.at else message,
            "tenant": str(failure.tenant_id or ""),
        },
    }
    days = settings.EVENT_RETENTION_DAYS
    return Submission(parse_event(body, tenant_id=SYSTEM_ID, now=now, retention_days=days), "")
