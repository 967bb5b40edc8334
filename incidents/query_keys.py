"""The only table of the keys that a query of incidents may name, and of what each takes."""

from dataclasses import dataclass
from enum import Enum

from incidents.states import Severity, Status
from safety.rulefields import CATEGORIES


class Kind(Enum):
    CLAIM = "claim"  # is:open
    CHOICE = "choice"
    RANK = "rank"  # a choice that has an order, lowest first
    WORKFLOW = "workflow"
    VENDOR = "vendor"
    TENANT = "tenant"
    PERSON = "person"
    RULE = "rule"
    NUMBER = "number"
    AGE = "age"
    SINCE = "since"
    UNTIL = "until"
    TEXT = "text"
    STORM = "storm"


CLAIMS = {
    "open": "neither resolved nor ignored",
    "closed": "resolved or ignored",
    **{status.value: f"its status is {status.value}" for status in Status},
    "attention": "people are needed",
    "acknowledged": "somebody has seen it",
    "assigned": "somebody has it",
    "mine": "it is assigned to you",
    "snoozed": "asleep for now",
    "regressed": "it came back after it was resolved",
    "unrecovered": "runs are left to recover",
    "storm": "groups the many failures of one vendor",
    "merged": "counted on another incident",
}


@dataclass(frozen=True)
class Key:
    """`column` is the field of an incident that it asks about; `hint` shows how a value looks."""

    name: str
    kind: Kind
    label: str
    hint: str
    column: str = ""
    choices: tuple[str, ...] = ()
    takes_any: bool = True  # whether `*` makes sense


KEYS = {
    key.name: key
    for key in (
        Key("is", Kind.CLAIM, "Is", "open, snoozed, acknowledged", "", tuple(CLAIMS), False),
        Key(
            "severity",
            Kind.RANK,
            "Severity",
            "high, >=high",
            "severity",
            tuple(map(str, Severity.values)),
        ),
        Key(
            "status",
            Kind.CHOICE,
            "Status",
            "detected, escalated",
            "status",
            tuple(map(str, Status.values)),
        ),
        Key("vendor", Kind.VENDOR, "Vendor", "stripe, str*", "vendor"),
        Key("workflow", Kind.WORKFLOW, "Workflow", "checkout, bill*", "workflow"),
        Key("assignee", Kind.PERSON, "Assignee", "me, none, alice", "assignee"),
        Key(
            "category",
            Kind.CHOICE,
            "Category",
            "vendor_error",
            "category",
            tuple(sorted(CATEGORIES)),
        ),
        Key("code", Kind.TEXT, "Error code", "payment_timeout, pay*", "error_code"),
        Key("title", Kind.TEXT, "Title", '"timed out", capture*', "title"),
        Key("rule", Kind.RULE, "Rule", "* (any), payment_timeout", "classification"),
        Key("age", Kind.AGE, "Age", ">2h, <3d", "first_seen_at", (), False),
        Key("seen", Kind.AGE, "Last seen", "<10m, >1d", "last_seen_at", (), False),
        Key("events", Kind.NUMBER, "Events", ">100", "event_count", (), False),
        Key("runs", Kind.NUMBER, "Affected runs", ">10", "affected_runs", (), False),
        Key("left", Kind.NUMBER, "Runs left", ">0", "unrecovered_runs", (), False),
        Key("regressions", Kind.NUMBER, "Regressions", ">=1", "regression_count", (), False),
        Key("since", Kind.SINCE, "Seen since", "2026-01-19", "last_seen_at", (), False),
        Key("until", Kind.UNTIL, "Begun before", "2026-01-20", "first_seen_at", (), False),
        Key("storm", Kind.STORM, "Part of storm", "INC-12", "parent"),
        Key("tenant", Kind.TENANT, "Tenant", "acme", "tenant"),
    )
}
ORDERED = frozenset({Kind.RANK, Kind.NUMBER, Kind.AGE})  # of these values can be compared
