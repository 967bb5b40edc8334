"""What is known of the days that a simulation goes over, as plain values."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from actions.simulation.change import Placed
from actions.simulation.story import AttemptKey
from awfdrs_site.lib.ids import made_at
from incidents.analysis.bayes import Model
from incidents.models import Incident
from incidents.runs import Key
from safety.effective import Override
from tenants.models import Tenant, Vendor, Workflow


@dataclass(frozen=True)
class Tried:
    """One attempt as it was."""

    number: int
    at: datetime
    ended_at: datetime
    status: str
    response_status: int | None
    error: str
    is_final: bool  # given up after it, although another one would have been allowed


@dataclass(frozen=True)
class Planned:
    """A retry that the machine planned for a run, with its attempts."""

    created_at: datetime
    run_at: datetime
    policy: Mapping[str, Any]
    was_asked: bool
    allowed_at: datetime | None  # by people
    is_given_up: bool
    attempts: tuple[Tried, ...]

    def attempt(self, number: int) -> Tried | None:
        return next((one for one in self.attempts if one.number == number), None)


@dataclass(frozen=True)
class Decided:
    """When what was decided, and how retries like it had done by then."""

    at: datetime
    choice: str
    record: Mapping[str, Any] | None


@dataclass(frozen=True)
class Move:
    """Where an incident was moved by people, or by what a simulation does not do again."""

    at: datetime
    verb: str
    before: str
    after: str


@dataclass(frozen=True)
class Stop:
    """A kill switch, from when until when."""

    scope: str
    target: str
    reason: str
    since: datetime
    until: datetime | None


@dataclass
class Past:
    tenant: Tenant
    since: datetime
    until: datetime
    workflows: dict[UUID, Workflow]
    vendors: dict[str, Vendor]
    rules: list[tuple[datetime, Override]]  # the oldest first
    outcomes: list[Placed]
    learned: Model
    aliases: dict[str, tuple[datetime, str]]
    stops: list[Stop]
    links: dict[UUID, tuple[UUID | None, str]] = field(default_factory=dict)  # incident, signature
    incidents: dict[UUID, Incident] = field(default_factory=dict)
    decisions: dict[UUID, list[Decided]] = field(default_factory=dict)
    moves: dict[UUID, list[Move]] = field(default_factory=dict)
    planned: dict[tuple[Key, int], list[Planned]] = field(default_factory=dict)
    by_hand: list[tuple[Key, UUID | None, datetime, bool]] = field(default_factory=list)
    told: list[UUID] = field(default_factory=list)  # incidents that people were called for

    def is_new(self, incident: Incident) -> bool:
        """Whether it was opened within these days."""
        return made_at(incident.pk) >= self.since

    @cached_property
    def by_signature(self) -> dict[str, list[Incident]]:
        """The incidents of each signature, the oldest first."""
        found: dict[str, list[Incident]] = defaultdict(list)
        for incident in sorted(self.incidents.values(), key=lambda one: one.pk):
            found[incident.signature].append(incident)
        return found

    def attempt_key(self, key: Key, episode: int, plan: int, number: int) -> AttemptKey:
        return AttemptKey(self.workflows[UUID(key[0])].slug, key[1], episode, plan, number)

    @cached_property
    def attempts_of(self) -> dict[Key, list[tuple[AttemptKey, Tried]]]:
        """Every recorded attempt of a planned retry, by run."""
        found: dict[Key, list[tuple[AttemptKey, Tried]]] = defaultdict(list)
        for (key, episode), plans in self.planned.items():
            for place, one in enumerate(plans):
                found[key] += [
                    (self.attempt_key(key, episode, place, tried.number), tried)
                    for tried in one.attempts
                ]
        return found

    @cached_property
    def _saved_at(self) -> list[datetime]:
        return [at for at, _ in self.rules]

    def known(self, moment: datetime) -> int:
        """How many versions of rules were saved by then."""
        return bisect_right(self._saved_at, moment)
