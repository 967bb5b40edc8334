"""What the gates look at, as plain frozen values: they know no Incident and no Action."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Permit:
    """What the breaker or the rate bucket answered."""

    allowed: bool
    clears_at: datetime | None
    reason: str


@dataclass(frozen=True)
class Window:
    """Attempts counted in the last hour, against their limit."""

    made: int
    limit: int
    oldest_at: datetime | None = None

    @property
    def is_full(self) -> bool:
        return self.made >= self.limit


@dataclass(frozen=True)
class Budget:
    """A vendor's retries of the last minute, against the floor and a share of its original calls."""

    made: int
    originals: int
    share_percent: float
    floor: int
    clears_at: datetime | None = None

    @property
    def limit(self) -> int:
        return self.floor + int(self.originals * self.share_percent / 100)

    @property
    def is_empty(self) -> bool:
        return self.made >= self.limit


@dataclass(frozen=True)
class Blast:
    """What the rule behind a retry set off by itself of late, without this one; a limit of 0 is none."""

    rule: str
    paused: str  # why; empty while it goes by itself
    max_actions: int = 0
    max_runs: int = 0
    actions: int = 0
    runs: int = 0

    @property
    def is_full(self) -> bool:
        is_enough = 0 < self.max_actions <= self.actions
        return is_enough or 0 < self.max_runs <= self.runs

    @property
    def why(self) -> str:
        """What there is too much of, as the pause says it."""
        if 0 < self.max_actions <= self.actions:
            return f"The rule {self.rule} set off {self.actions} actions within the hour, as many as it may."
        return f"The rule {self.rule} reached {self.runs} runs within the hour, as many as it may."


@dataclass(frozen=True)
class InFlight:
    """Calls under way of one tenant, workflow or vendor, against its cap."""

    scope: str
    under_way: int
    limit: int
    ask_again_at: datetime  # nobody knows when a call ends: look again then


@dataclass(frozen=True)
class Backoff:
    """The policy's wait before the next attempt."""

    attempt: int
    until: datetime
    is_over: bool


@dataclass(frozen=True)
class Needed:
    """Something that must be there before anything is planned, in words."""

    is_met: bool
    value: str
    limit: str
    source: str
    detail: str = ""


@dataclass(frozen=True)
class Storm:
    """Runs that an incident has not recovered, against how many are retried without a person."""

    hurt: int
    limit: int


@dataclass(frozen=True)
class Record:
    """How often retries like it worked before, and the share that the true one is above for sure."""

    worked: int
    n: int
    lower: float


@dataclass(frozen=True)
class Facts:
    """Everything the gates look at. None means: not asked at this moment, so no such gate."""

    action_type: str
    switches: Sequence[str] = ()
    let_through: str = (
        ""  # past the switches that hold it: who let this one go as a canary, and why
    )
    release: Permit | None = None  # the pace at which a switch gives back what it held
    is_approved: bool = False
    is_unattended: bool = True
    auto_retry_enabled: bool = True
    mode: str = "auto"  # of the rules when it was planned
    idempotent: str = "no"
    confidence: float = 1.0
    is_certain: bool = True
    confidence_threshold: float = 0.7
    record: Record | None = None  # too few outcomes say nothing
    is_still_needed: bool = True
    retry_rule: Needed | None = None
    retry_url: Needed | None = None
    campaign: str = ""  # the state of the campaign it belongs to
    approval_changed: Mapping[str, Sequence[Any]] | None = None  # field -> (approved, now)
    storm: Storm | None = None
    attempts: Window | None = None  # of this action, for life
    backoff: Backoff | None = None
    run_attempts: Window | None = None
    vendor_attempts: Window | None = None
    budget: Budget | None = None
    blast: Blast | None = None
    in_flight: Sequence[InFlight] = ()
    breaker: Permit | None = None
    rate: Permit | None = None
