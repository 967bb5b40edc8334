"""Hears of decisions and wakes a worker; the undecided and unplanned rows are what counts."""

from typing import Any

from awfdrs_site.lib.wake import wake


def on_decision_recorded(**_: Any) -> None:
    wake("actions.tasks.plan_decisions", queue="actions")
