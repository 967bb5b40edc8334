"""The only table of what can be done to many incidents at once, and of what each verb is told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.contrib.auth import get_user_model

from incidents import assigning, lifecycle, snoozing
from incidents.lifecycle import ChangedSince, TransitionRefused, UnrecoveredRuns
from incidents.models import Incident
from incidents.snoozing import SnoozeRefused, Terms
from tenants.journal import Actor

REFUSALS = (TransitionRefused, UnrecoveredRuns, SnoozeRefused, ChangedSince)
ENDS = ("until", "count", "rate_per_hour", "severity", "on_success")


@dataclass(frozen=True)
class Asked:
    """What was said with the verb, as the job keeps it, and who said it."""

    said: Mapping[str, Any]
    by: Actor
    now: datetime

    @property
    def why(self) -> str:
        return str(self.said.get("reason") or self.said.get("note") or "")

    @property
    def waives(self) -> bool:
        return bool(self.said.get("waive_unrecovered")) and bool(self.why)

    @cached_property
    def person(self) -> Any | None:
        """Whom they are given to."""
        people = get_user_model()._default_manager
        return people.filter(pk=self.said["assignee"]).first() if self.said["assignee"] else None


def act(verb: str, incident: Incident, asked: Asked) -> Incident:
    """Do it to one. Raises REFUSALS."""
    return _ACTS[verb](incident, asked)


def _acknowledge(incident: Incident, asked: Asked) -> Incident:
    minutes = asked.said.get("timeout_minutes")
    until = asked.now + timedelta(minutes=minutes) if minutes else None
    return lifecycle.acknowledge(incident, by=asked.by, now=asked.now, note=asked.why, until=until)


def _resolve(incident: Incident, asked: Asked) -> Incident:
    return lifecycle.resolve(
        incident,
        by=asked.by,
        now=asked.now,
        reason=asked.why,
        waive_unrecovered=asked.waives,
    )


def _assign(incident: Incident, asked: Asked) -> Incident:
    return assigning.assign(incident, to=asked.person, by=asked.by, now=asked.now, note=asked.why)


def _snooze(incident: Incident, asked: Asked) -> Incident:
    return snoozing.snooze(incident, _terms(asked.said), by=asked.by, now=asked.now, note=asked.why)


def _terms(said: Mapping[str, Any]) -> Terms:
    kind = next(name for name in ENDS if name in said)
    return Terms(kind, datetime.fromisoformat(said[kind]) if kind == "until" else said[kind])


_ACTS: dict[str, Callable[[Incident, Asked], Incident]] = {
    "acknowledge": _acknowledge,
    "resolve": _resolve,
    "ignore": lambda row, a: lifecycle.ignore(row, by=a.by, now=a.now, reason=a.why),
    "escalate": lambda row, a: lifecycle.escalate(row, by=a.by, now=a.now, reason=a.why),
    "reopen": lambda row, a: lifecycle.reopen(row, by=a.by, now=a.now, reason=a.why),
    "assign": _assign,
    "snooze": _snooze,
    "wake": lambda row, a: snoozing.wake(row, by=a.by, now=a.now, reason=a.why),
}
VERBS = tuple(_ACTS)
NEEDS = {"wake": "snooze"}  # what its caller must be allowed; else the verb itself
