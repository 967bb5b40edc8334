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
# What asks a workflow to do something: where repeating is not harmless, never sent again by itself.
ASKS_WORKFLOW = (ActionType.RETRY, ActionType.ROLLBACK)
# What can be undone by putting the previous state back; a call that was sent cannot.
REVERSIBLE = (
    ActionType.CIRCUIT_BREAKER_OPEN,
    ActionType.CIRCUIT_BREAKER_CLOSE,
    ActionType.KILL_SWITCH_ACTIVATE,
    ActionType.KILL_SWITCH_DEACTIVATE,
    ActionType.ESCALATE,
)


class ApprovalStatus(TextChoices):
    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOID = "void"  # approved once, and the terms were edited afterwards


class CampaignStatus(TextChoices):
    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    ABORTED = "aborted"


class CampaignRunState(TextChoices):
    ELIGIBLE = "eligible"
    INELIGIBLE = "ineligible"
    CALLED = "called"
    RECOVERED = "recovered"
    FAILED = "failed"
    UNKNOWN = "unknown"
    LEFT = "left"  # recovered by itself, or the campaign ended before its turn


# What each verb of a campaign starts from, and where it leads.
CAMPAIGN_MOVES: dict[str, tuple[tuple[str, ...], str]] = {
    "start": ((CampaignStatus.PLANNED,), CampaignStatus.RUNNING),
    "pause": ((CampaignStatus.RUNNING,), CampaignStatus.PAUSED),
    "resume": ((CampaignStatus.PAUSED,), CampaignStatus.RUNNING),
    "abort": (
        (CampaignStatus.PLANNED, CampaignStatus.RUNNING, CampaignStatus.PAUSED),
        CampaignStatus.ABORTED,
    ),
    "complete": ((CampaignStatus.RUNNING,), CampaignStatus.COMPLETED),
}


class EscalationStatus(TextChoices):
    RUNNING = "running"
    ACKNOWLEDGED = "acknowledged"
    ENDED = "ended"  # the incident is over, or every round was told


class ChannelKind(TextChoices):
    EMAIL = "email"
    SLACK = "slack", "Slack-compatible webhook"
    PAGERDUTY = "pagerduty", "PagerDuty Events v2"
    WEBHOOK = "webhook"
    GITHUB = "github", "GitHub Issues"
    TICKET = "ticket", "Generic tickets"


class DeliveryKind(TextChoices):
    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    NOTICE = "notice"
    TEST = "test"
    TICKET_OPEN = "ticket_open"
    TICKET_CLOSE = "ticket_close"


class DeliveryStatus(TextChoices):
    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    GROUPED = "grouped"  # went out within another message
    FAILED = "failed"


class TicketStatus(TextChoices):
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class SimulationState(TextChoices):
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"  # nobody had the time for it before it expired
