"""The only shapes that the pages of permission show, and who looks at them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from actions.models import Approval, ApprovalVote
from incidents.presentation.figures import Turned
from incidents.presentation.shapes import Day, Pill
from tenants.journal import Actor


@dataclass(frozen=True)
class Term:
    label: str
    value: str


@dataclass(frozen=True)
class Edit:
    label: str
    was: str
    now: str


@dataclass(frozen=True)
class AskedRun:
    """One action of the plan."""

    run_id: str
    run_url: str
    action_url: str
    pill: Pill
    says: str


@dataclass(frozen=True)
class ApprovalLine:
    """`blast` says in one sentence what approving lets out."""

    id: UUID
    url: str
    title: str
    call: str
    incident: str
    incident_title: str
    incident_url: str
    pill: Pill
    is_waiting: bool
    says: str
    blast: str
    requested_by: str
    created_at: datetime
    expires_at: datetime
    plan_hash: str
    may_vote: bool
    why_not: str


@dataclass(frozen=True)
class ApprovalPage(Turned):
    lines: tuple[ApprovalLine, ...]


@dataclass(frozen=True)
class ApprovalDetail:
    line: ApprovalLine
    approval: Approval
    terms: tuple[Term, ...]
    edits: tuple[Edit, ...]
    votes: tuple[ApprovalVote, ...]
    runs: tuple[AskedRun, ...]
    n_actions: int
    n_more: int
    days: tuple[Day, ...]


@dataclass(frozen=True)
class Viewer:
    """Who looks, and what they may do."""

    actor: Actor
    verbs: Collection[str]
