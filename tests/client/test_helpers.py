"""Celery and Airflow report through the client, with the examples that docs/client.md shows."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, current_app, signals

from awfdrs_site.client import Client, Sent
from awfdrs_site.client.airflow_callbacks import callbacks
from awfdrs_site.client.celery_signals import slug_of

PAGE = Path(__file__).parents[2] / "docs" / "client.md"


class Recorded(Client):
    """A client whose events stay here."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        made.append(self)

    def send(self, event_type: str, payload: Any = None, **more: Any) -> Sent:
        self.sent.append({"event_type": event_type, "payload": payload, **more})
        return Sent("accepted", "key")


made: list[Recorded] = []


def example(heading: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the page's first Python block under this heading; its names afterwards."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    # where it is installed it has a name of its own
    code = found[1].replace("awfdrs_client", "awfdrs_site.client")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    made.clear()
    monkeypatch.setattr("awfdrs_site.client.Client", Recorded)
    monkeypatch.setenv("AWFDRS_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWFDRS_KEY", "awf_x_y")
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102  # our own page
    return names


def test_the_celery_example_reports_a_failure_and_a_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = current_app._get_current_object()  # type: ignore[attr-defined]
    kept = signals.task_failure.receivers[:], signals.task_success.receivers[:]
    try:
        pay = example("Celery", monkeypatch)["pay"]
        assert isinstance(pay.app, Celery)
        failed = pay.apply(args=[0])
        done = pay.apply(args=[5])
    finally:
        signals.task_failure.receivers, signals.task_success.receivers = kept
        ours.set_current()
    first, second = made[0].sent
    assert (first["event_type"], first["run_id"]) == ("shop.pay.failed", failed.id)
    assert first["payload"]["error_code"] == "ZeroDivisionError"
    assert (second["event_type"], second["run_id"]) == ("shop.pay.completed", done.id)


def context(**more: Any) -> dict[str, Any]:
    task = SimpleNamespace(dag_id="Nightly", task_id="load", run_id="manual__1", try_number=2)
    return {"task_instance": task, "run_id": "manual__1", **more}


def test_the_airflow_example_reports_how_a_task_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = example("Airflow", monkeypatch)["default_args"]
    arguments["on_failure_callback"](context(exception=TimeoutError("no answer")))
    arguments["on_success_callback"](context())
    first, second = made[0].sent
    assert first["workflow"] == "nightly"
    assert first["event_type"] == "nightly.failed"
    assert first["payload"] == {
        "step": "load",
        "attempt": 2,
        "error_code": "TimeoutError",
        "error_message": "no answer",
    }
    # one run: the success closes what the failure opened
    assert first["run_id"] == second["run_id"] == "Nightly/manual__1/load"


def test_a_task_does_not_fail_because_its_report_does(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Recorded()
    monkeypatch.setattr(client, "send", refuses)
    callbacks(client)["on_success_callback"](context())


def refuses(*_: Any, **__: Any) -> Sent:
    raise OSError("no space left on device")


@pytest.mark.parametrize(
    ("name", "slug"),
    [("shop.tasks.Pay", "shop.tasks.pay"), ("__main__.x y", "main__.x-y"), ("ÄÖ", "unnamed")],
)
def test_the_name_of_a_task_becomes_one_that_a_workflow_may_have(name: str, slug: str) -> None:
    assert slug_of(name) == slug
