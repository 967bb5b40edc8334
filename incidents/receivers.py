"""Hears of stored events and wakes a worker; the inbox rows are what counts."""

from typing import Any

from awfdrs_site.lib.wake import wake


def on_events_stored(**_: Any) -> None:
    wake("incidents.tasks.digest_events", queue="digest")
