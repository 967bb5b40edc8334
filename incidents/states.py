"""The states of incidents and runs, and the moves that are allowed (API.md). Data, nothing else."""

from django.db.models import TextChoices


class Status(TextChoices):
    DETECTED = "detected"
    ANALYZING = "analyzing"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    IGNORED = "ignored"


class Severity(TextChoices):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Outcome(TextChoices):
    """What an event reports (DESIGN.md rule 16)."""

    FAILURE = "failure"
    SUCCESS = "success"
    NEUTRAL = "neutral"


class Choice(TextChoices):
    """What a decision chose."""

    RETRY = "retry"
    ESCALATE = "escalate"
    OBSERVE = "observe"


class DecisionKind(TextChoices):
    RULE_BASED = "rule_based"
    AI_ASSISTED = "ai_assisted"
    MANUAL = "manual"
    AUTOMATED = "automated"


class RunState(TextChoices):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRY_SCHEDULED = "retry_scheduled"
    RECOVERED_AUTO = "recovered_auto"
    RECOVERED_BY_ACTION = "recovered_by_action"
    WAIVED = "waived"


class BulkState(TextChoices):
    WORKING = "working"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"


class ItemState(TextChoices):
    """What became of one incident of a job over many."""

    WAITING = "waiting"
    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    UNDONE = "undone"
    KEPT = "kept"  # was not taken back: it has changed since


OPEN = (Status.DETECTED, Status.ANALYZING, Status.ESCALATED)
CLOSED = (Status.RESOLVED, Status.IGNORED)
UNRECOVERED = (RunState.FAILED, RunState.RETRY_SCHEDULED)

ALLOWED: dict[str, tuple[str, ...]] = {
    Status.DETECTED: (Status.ANALYZING, Status.ESCALATED, Status.RESOLVED, Status.IGNORED),
    Status.ANALYZING: (Status.ESCALATED, Status.RESOLVED, Status.IGNORED),
    Status.ESCALATED: (Status.ANALYZING, Status.RESOLVED, Status.IGNORED),
    Status.RESOLVED: (Status.DETECTED,),
    Status.IGNORED: (Status.DETECTED,),
}
