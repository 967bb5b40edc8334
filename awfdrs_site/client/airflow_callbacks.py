"""Airflow's task instances as events: `default_args=callbacks(client)` is all a DAG needs."""

from collections.abc import Callable, Mapping
from typing import Any

from .celery_signals import quietly, slug_of
from .client import Client

Callback = Callable[[Mapping[str, Any]], None]


def callbacks(client: Client) -> dict[str, Callback]:
    """The callbacks of a task that ends; a DAG is a workflow, a task of a DAG run is a run."""

    def failed(context: Mapping[str, Any]) -> None:
        exception = context.get("exception")
        code = type(exception).__name__ if isinstance(exception, BaseException) else "failed"
        payload = {"error_code": code, "error_message": str(exception or "")[:4000]}
        _report(client, context, "failed", payload)

    def succeeded(context: Mapping[str, Any]) -> None:
        _report(client, context, "completed", {})

    return {"on_failure_callback": failed, "on_success_callback": succeeded}


def _report(client: Client, context: Mapping[str, Any], what: str, payload: dict[str, Any]) -> None:
    task = context["task_instance"]
    slug = slug_of(task.dag_id)
    run = f"{task.dag_id}/{context.get('run_id') or task.run_id}/{task.task_id}"
    quietly(
        lambda: client.send(
            f"{slug}.{what}",
            {"step": task.task_id, "attempt": getattr(task, "try_number", 1), **payload},
            workflow=slug,
            run_id=run[:200],
        )
    )
