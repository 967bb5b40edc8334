"""Celery's tasks as events: a failure that Celery gives up on, and what ends well."""

import logging
import re
from collections.abc import Callable
from typing import Any

from .client import Client
from .http import Denied, Refused
from .spool import SpoolFull

log = logging.getLogger("awfdrs.client")


def connect(client: Client, *, workflow: str = "", successes: bool = True) -> None:
    """Report the tasks of this worker. A run is a task's id, the same over its own retries.

    Without `successes` a run that failed is never seen to recover.
    """
    from celery import signals

    def failed(sender: Any = None, task_id: str = "", exception: object = None, **_: Any) -> None:
        payload = {"error_code": type(exception).__name__, "error_message": str(exception)[:4000]}
        _report(client, sender.name, "failed", workflow, task_id, payload)

    def succeeded(sender: Any = None, **_: Any) -> None:
        _report(client, sender.name, "completed", workflow, sender.request.id, {})

    # One name each, and no weak reference: nothing else would keep these functions.
    signals.task_failure.connect(failed, weak=False, dispatch_uid="awfdrs.failed")
    if successes:
        signals.task_success.connect(succeeded, weak=False, dispatch_uid="awfdrs.completed")


def _report(
    client: Client, task: str, what: str, workflow: str, run_id: str, payload: dict[str, Any]
) -> None:
    slug = slug_of(task)
    quietly(
        lambda: client.send(
            f"{slug}.{what}",
            {"step": task, **payload},
            workflow=workflow or slug,
            run_id=run_id,
        )
    )


def slug_of(name: str) -> str:
    """What AWFDRS takes as a workflow's name: `shop.tasks.Pay` is shop.tasks.pay."""
    return re.sub(r"[^a-z0-9._-]", "-", name.lower()).lstrip("._-")[:90] or "unnamed"


def quietly(send: Callable[[], object]) -> None:
    """Work that is done stays done when its report is not taken: that goes to the log."""
    try:
        send()
    except (Refused, Denied, SpoolFull, OSError, ValueError) as error:
        log.warning("An event was not reported: %s", error)
