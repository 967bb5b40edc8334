"""The Celery app and the whole beat table: Celery wakes, rows in Postgres are the work."""

import os
from typing import Any

from celery import Celery
from celery.signals import task_failure, worker_init, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "awfdrs_site.settings")

app = Celery("awfdrs")
app.conf.update(
    task_default_queue="default",
    task_routes={
        "incidents.tasks.*": {"queue": "digest"},
        "actions.tasks.*": {"queue": "actions"},
    },
    task_ignore_result=True,
    task_acks_late=False,  # a lost wake-up is found by the next sweep
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    # Celery would make sys.stderr a logger, and our lines end there: each would be logged again, for ever.
    worker_redirect_stdouts=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "visibility_timeout": 60,
    },
    timezone="UTC",
    beat_scheduler="django_celery_beat.schedulers:DatabaseScheduler",
)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def _every(seconds: float, task: str, queue: str) -> dict[str, Any]:
    # A wake-up nobody took in time is worthless: the next one finds the same rows.
    options = {"queue": queue, "expires": max(seconds, 5)}
    return {"task": task, "schedule": seconds, "options": options}


app.conf.beat_schedule = {
    "incidents.tasks.digest_events": _every(1, "incidents.tasks.digest_events", "digest"),
    "incidents.tasks.decide_incidents": _every(1, "incidents.tasks.decide_incidents", "digest"),
    "incidents.tasks.analyse_incidents": _every(10, "incidents.tasks.analyse_incidents", "digest"),
    "incidents.tasks.tend_triage": _every(1, "incidents.tasks.tend_triage", "digest"),
    "incidents.tasks.work_bulk": _every(1, "incidents.tasks.work_bulk", "digest"),
    "actions.tasks.plan_decisions": _every(1, "actions.tasks.plan_decisions", "actions"),
    "actions.tasks.run_due_actions": _every(1, "actions.tasks.run_due_actions", "actions"),
    "actions.tasks.advance_campaigns": _every(1, "actions.tasks.advance_campaigns", "actions"),
    "actions.tasks.advance_escalations": _every(1, "actions.tasks.advance_escalations", "actions"),
    "actions.tasks.audit_escalations": _every(30, "actions.tasks.audit_escalations", "actions"),
    "actions.tasks.send_deliveries": _every(1, "actions.tasks.send_deliveries", "actions"),
    "actions.tasks.follow_tickets": _every(30, "actions.tasks.follow_tickets", "actions"),
    "actions.tasks.verify_actions": _every(5, "actions.tasks.verify_actions", "actions"),
    "actions.tasks.ask_unknown": _every(30, "actions.tasks.ask_unknown", "actions"),
    "actions.tasks.keep_approvals": _every(30, "actions.tasks.keep_approvals", "actions"),
    "actions.tasks.resolve_quiet_incidents": _every(
        30, "actions.tasks.resolve_quiet_incidents", "actions"
    ),
    "actions.tasks.run_simulations": _every(5, "actions.tasks.run_simulations", "default"),
    "safety.tasks.reset_circuit_breakers": _every(
        1, "safety.tasks.reset_circuit_breakers", "default"
    ),
    "tenants.tasks.seal_journal": _every(1, "tenants.tasks.seal_journal", "default"),
    "events.tasks.make_partitions": _every(3600, "events.tasks.make_partitions", "default"),
    "events.tasks.add_up_counts": _every(30, "events.tasks.add_up_counts", "default"),
    "incidents.tasks.let_old_days_go": _every(3600, "incidents.tasks.let_old_days_go", "default"),
    "awfdrs_site.tasks.send_heartbeat": _every(60, "awfdrs_site.tasks.send_heartbeat", "default"),
}


@worker_init.connect
def demand_rules(**_: object) -> None:
    """A worker runs no checks by itself. SystemExit is what a receiver may raise: Celery logs the rest."""
    from safety import checks  # its app is loaded by now

    checks.demand()


@worker_init.connect
def open_port(**_: object) -> None:
    from django.conf import settings

    from awfdrs_site import worker_port

    if settings.WORKER_PORT:
        worker_port.open_port(settings.WORKER_PORT)


@worker_init.connect
def start_tracing(**_: object) -> None:
    from awfdrs_site.lib import tracing  # settings are loaded by now

    tracing.start()


@worker_ready.connect
def settle_memory(**_: object) -> None:
    from awfdrs_site.lib import memory

    memory.settle()


@task_failure.connect
def note_failure(sender: Any = None, exception: BaseException | None = None, **_: object) -> None:
    """It becomes an incident about ourselves, once the poller reports it."""
    from awfdrs_site.lib import failures  # settings are loaded by now

    if exception is not None:
        failures.note(getattr(sender, "name", "task"), exception)


from awfdrs_site import poller  # noqa: E402  # the bootstep needs the app above

poller.install(app)
