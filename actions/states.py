"""The states of actions and attempts, and the moves that are allowed (API.md). Data, nothing else."""

from django.db.models import TextChoices


class ActionType(TextChoices):
    RETRY = "retry"
    ESCALATE = "escalate"
    NOTIFY = "notify"
    TICKET = "ticket"
    ROLLBACK = "rollback"
    CIRCUIT_BREAKER_OPEN = "circuit_breaker_open"
    CIRCUIT_BREAKER_CLOSE = "circuit_breaker_close"
    KILL_SWITCH_ACTIVATE = "kill_switch_activate"
    KILL_SWITCH_DEACTIVATE = "kill_switch_deactivate"


class Status(TextChoices):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    PARKED = "parked"
    AWAITING_APPROVAL = "awaiting_approval"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    REVERSED = "reversed"


class AttemptStatus(TextChoices):
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Verification(TextChoices):
    NONE = ""
    PENDING = "pending"
    VERIFIED = "verified"
    NOT_VERIFIED = "not_verified"


ALLOWED: dict[str, tuple[str, ...]] = {
    Status.AWAITING_APPROVAL: (Status.PENDING, Status.SKIPPED),
    Status.PENDING: (
        Status.IN_PROGRESS,
        Status.PARKED,
        Status.AWAITING_APPROVAL,
        Status.SKIPPED,
    ),
    Status.PARKED: (Status.PENDING, Status.SKIPPED),
    Status.IN_PROGRESS: (Status.COMPLETED, Status.FAILED, Status.UNKNOWN, Status.PENDING),
    Status.UNKNOWN: (Status.PENDING, Status.COMPLETED, Status.FAILED, Status.SKIPPED),
    Status.FAILED: (Status.PENDING, Status.SKIPPED),
    Status.COMPLETED: (Status.REVERSED,),
    Status.SKIPPED: (),
    Status.REVERSED: (),
}
UNSETTLED = (
    Status.PENDING,
    Status.IN_PROGRESS,
    Status.PARKED,
    Status.AWAITING_APPROVAL,
    Status.UNKNOWN,
)
# What can be undone by putting the stored previous state back; a call that was sent cannot.
REVERSIBLE = (
    ActionType.CIRCUIT_BREAKER_OPEN,
    ActionType.CIRCUIT_BREAKER_CLOSE,
    ActionType.KILL_SWITCH_ACTIVATE,
    ActionType.KILL_SWITCH_DEACTIVATE,
)
