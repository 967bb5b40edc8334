"""The rival of the digest: one Celery task for each event, which does the least that could be called digesting.

It reads its event, counts it on an incident that is there already and takes it out of the inbox. No signature, no run,
no link, no evidence: what the digest does beside it is left out, in favour of the rival.
"""

import os
import subprocess
import sys
import time
from typing import Any
from uuid import UUID

from celery import Celery, shared_task
from django.conf import settings

WORKER = "-m celery -A tests.bench.task_per_event worker --pool prefork --concurrency 2 -Q rival -l ERROR"
PATIENCE_SECONDS = 300

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "awfdrs_site.settings")
app = Celery("rival")
app.conf.update(task_ignore_result=True, task_default_queue="rival", worker_prefetch_multiplier=4)
app.config_from_object("django.conf:settings", namespace="CELERY")


@shared_task(queue="rival")
def digest_one(*, tenant_id: str, event_id: str) -> None:
    from django.db.models import F

    from events.models import Event, PendingEvent
    from incidents.models import Incident
    from tenants import scoping

    with scoping.bound(UUID(tenant_id)) as now:
        read = Event.objects.for_tenant(tenant_id).get(pk=event_id)
        mine = Incident.objects.for_tenant(tenant_id)
        mine.update(event_count=F("event_count") + 1, last_seen_at=now)
        PendingEvent.objects.for_tenant(tenant_id).filter(pk=read.pk).delete()


def rate(owner: Any, tenant_id: str) -> float:
    """Events a second, from everything queued to an empty inbox; a worker that has started already."""
    kept = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ENCRYPTION_KEY", "AUDIT_KEY")
    environment = os.environ | {name: getattr(settings, name) for name in kept}
    worker = subprocess.Popen([sys.executable, *WORKER.split()], env=environment)
    try:
        ids = [row[0] for row in owner.execute("select id::text from events_pendingevent")]
        first, *others = ids
        digest_one.apply_async(kwargs={"tenant_id": tenant_id, "event_id": first})
        _until(owner, len(others))
        began = time.perf_counter()
        for event_id in others:
            digest_one.apply_async(kwargs={"tenant_id": tenant_id, "event_id": event_id})
        _until(owner, 0)
        return len(others) / (time.perf_counter() - began)
    finally:
        worker.terminate()
        worker.wait()


def _until(owner: Any, n_left: int) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while owner.execute("select count(*) from events_pendingevent").fetchone()[0] > n_left:
        if time.monotonic() > give_up_at:
            raise SystemExit("the worker did not get through")
        time.sleep(0.02)
