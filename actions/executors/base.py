"""What every executor takes and gives: a frozen call in, a frozen result out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from awfdrs_site.lib import correlation

Ending = Literal["succeeded", "retryable", "final", "unknown"]


@dataclass(frozen=True)
class Call:
    """Everything needed to perform one attempt, read in the start transaction."""

    tenant_id: UUID
    action_id: UUID
    action_type: str
    attempt: int
    correlation_id: str
    idempotency_key: str
    deadline_seconds: float
    url: str = ""
    secrets: tuple[str, ...] = ()
    refusal: str = ""  # why it cannot be made at all, found while it was built
    body: Mapping[str, Any] = field(default_factory=dict)
    recipients: tuple[str, ...] = ()
    message_id: str = ""  # the signature's; without one it is the action's id
    decision_id: UUID | None = None
    planned_at: datetime | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """What a call says beside its signature, the same in the log as on the wire."""
        return {
            "Content-Type": "application/json",
            "Idempotency-Key": self.idempotency_key,
            "X-AWFDRS-Attempt": str(self.attempt),
            correlation.HEADER: self.correlation_id,
        }


@dataclass(frozen=True)
class Result:
    """What became of an attempt, as far as we could see."""

    ending: Ending
    error: str = ""
    response_status: int | None = None
    excerpt: str = ""
    latency_ms: int | None = None
    retry_after_seconds: float | None = None
    says_vendor_is: Literal["failure", "success", "ignored"] = "ignored"
    extra: Mapping[str, Any] = field(default_factory=dict)


class Executor(Protocol):
    """Performs outside any transaction, within the call's deadline, and never raises."""

    def __call__(self, call: Call) -> Result: ...
