"""The only writer of an action's status besides execution: every move is checked against the table and journalled."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, F, OuterRef

from actions.models import Action
from actions.states import ALLOWED, REVERSIBLE, UNSETTLED, ActionType, Status
from awfdrs_site.lib import correlation
from incidents.models import Incident, Run
from incidents.states import RunState
from tenants import journal
from tenants.journal import Actor

_SAVED = [
    "status",
    "verification",
    "gates",
    "waiting_reason",
    "previous_state",
    "result",
    "attempts_made",
    "rule",
    "run_at",
    "lease_token",
    "lease_until",
    "started_at",
    "settled_at",
    "parameters",
    "version",
]
STORE = """
update actions_action kept set ({columns}) = row({given})
from jsonb_populate_recordset(null::actions_action, %(rows)s::jsonb) given
where kept.tenant_id = %(tenant)s and kept.id = given.id
"""
_RUN_BY_HAND = (Status.PENDING, Status.PARKED, Status.FAILED, Status.UNKNOWN)


class ActionRefused(Exception):
    """The action may not move there from where it is (-> 409 with what is allowed)."""

    def __init__(self, *, current: str, asked: str) -> None:
        self.current, self.asked = current, asked
        self.allowed = ALLOWED[current]
        super().__init__(f"An action that is {current} cannot become {asked}.")


class NotReversible(Exception):
    """A call that was sent cannot be called back; nor can anything be undone twice."""


@dataclass(frozen=True)
class Change:
    """What happened to an action, for the journal."""

    verb: str
    detail: dict[str, Any]


def skip(action: Action, *, by: Actor, now: datetime, reason: str = "") -> Action:
    """Do without it. Quiet when it is skipped already."""
    action = locked(action)
    is_new = action.status != Status.SKIPPED
    action.waiting_reason = reason[:300]
    action = move(action, Status.SKIPPED, "skipped", by=by, now=now, reason=reason)
    if is_new:
        release_runs([action])
    return action


def run_now(action: Action, *, by: Actor, now: datetime, allows: bool = True) -> Action:
    """Try now instead of later: what waits comes forward, failed and unknown get one more attempt by hand.

    `allows`: whether this person's hand is all the permission that is needed.
    """
    action = locked(action)
    _refuse_unless(action, *_RUN_BY_HAND)
    action.run_at, action.waiting_reason = now, ""
    if allows:
        action.parameters = {**action.parameters, "approved_by": by.label}
    if action.status == Status.PENDING:
        return save(action, Change("brought_forward", {}), by=by, now=now)
    action.attempts_max = max(action.attempts_max, action.attempts_made + 1)
    action.save(update_fields=["attempts_max"])
    return move(action, Status.PENDING, "run_again", by=by, now=now)


def _refuse_unless(action: Action, *where: Status) -> None:
    """For moves to pending by hand: the table alone would take an attempt under way back, and send it twice."""
    if action.status not in where:
        raise ActionRefused(current=action.status, asked=Status.PENDING)


def release_runs(actions: Sequence[Action]) -> None:
    """The runs of actions that will not be tried wait for nobody any more, unless something else is planned."""
    run_ids = [action.run_id for action in actions if action.run_id is not None]
    if not run_ids:
        return
    tenant_id = actions[0].tenant_id
    planned = Action.objects.for_tenant(tenant_id).filter(run=OuterRef("pk"), status__in=UNSETTLED)
    mine = Run.objects.for_tenant(tenant_id).filter(~Exists(planned), pk__in=run_ids)
    idle = list(mine.filter(state=RunState.RETRY_SCHEDULED).order_by("id").select_for_update())
    released = Run.objects.for_tenant(tenant_id).filter(pk__in=[run.pk for run in idle])
    released.update(state=RunState.FAILED, version=F("version") + 1)
    for run in idle:
        run.version += 1
        journal.announce(run)


def is_reversible(action: Action) -> bool:
    """Whether a stored previous state can be put back."""
    return action.action_type in REVERSIBLE and action.status == Status.COMPLETED


def why_not_reversible(action: Action) -> str:
    """One sentence for the person who asked."""
    if action.status == Status.REVERSED:
        return "This action has been reversed already."
    if action.action_type == ActionType.RETRY:
        return "A retry that was sent cannot be called back."
    if action.action_type not in REVERSIBLE:
        return f"An action of type {action.action_type} cannot be reversed."
    return f"Only a completed action can be reversed; this one is {action.status}."


def incident_of(action: Action) -> Incident:
    """The incident of a retry or escalation, with its workflow."""
    mine = Incident.objects.for_tenant(action.tenant_id).select_related("workflow")
    found: Incident = mine.get(pk=known(action.incident_id))
    return found


def run_of(action: Action, *, lock: bool = False) -> Run:
    """The run a retry is for; `lock` holds it until the transaction ends."""
    mine = Run.objects.for_tenant(action.tenant_id).select_related("incident")
    held = mine.select_for_update(of=("self",)) if lock else mine
    found: Run = held.get(pk=known(action.run_id))
    return found


def waited_for_by(action: Action) -> Incident:
    """The incident that waits for the retry's run now: after a merge another one than the retry's."""
    return run_of(action).incident or incident_of(action)


def known(identifier: UUID | None) -> UUID:
    assert identifier is not None, "only retries have runs, and only they and escalations incidents"
    return identifier


def locked(action: Action) -> Action:
    """The row as it is now, held until the transaction ends."""
    found: Action = (
        Action.objects.for_tenant(action.tenant_id).select_for_update().get(pk=action.pk)
    )
    return found


def move(
    action: Action, status: Status, verb: str, *, by: Actor, now: datetime, **detail: Any
) -> Action:
    """Move a locked row; being there already is a quiet no-op. Raises ActionRefused."""
    if action.status == status:
        return action
    return save(action, moved(action, status, verb, **detail), by=by, now=now)


def moved(action: Action, status: Status, verb: str, **detail: Any) -> Change:
    """A locked row that is elsewhere is there now, once `save_all` has stored it. Raises ActionRefused."""
    if status not in ALLOWED[action.status]:
        raise ActionRefused(current=action.status, asked=status)
    before, action.status = action.status, status
    return Change(verb, {"before": before, "after": str(status), **detail})


def move_all(
    actions: Sequence[Action],
    status: Status,
    verb: str,
    *,
    by: Actor,
    now: datetime,
    fields: Mapping[str, Any],
    **detail: Any,
) -> None:
    """Move many locked rows that are elsewhere in one statement, with one line each. Raises ActionRefused."""
    for action in actions:
        if status not in ALLOWED[action.status]:
            raise ActionRefused(current=action.status, asked=status)
    if not actions:
        return
    mine = Action.objects.for_tenant(actions[0].tenant_id)
    mine.filter(pk__in=[action.pk for action in actions]).update(
        **fields, status=status, version=F("version") + 1, lease_token=None, lease_until=None
    )
    lines: dict[str, list[journal.Line]] = defaultdict(list)
    for action in actions:
        moved = {"before": action.status, "after": str(status), **detail}
        action.status, action.version = status, action.version + 1
        lines[action.correlation_id].append(_line(action, verb, moved))
    _record(lines, by=by, now=now)


def save_all(changes: Mapping[Action, Change | None], *, by: Actor, now: datetime) -> None:
    """Store what `save` would store of each locked row, in one statement for all of them."""
    if not changes:
        return
    lines: dict[str, list[journal.Line]] = defaultdict(list)
    for action, change in changes.items():
        _touch(action)
        if change is None:
            journal.announce(action)
        else:
            line = _line(action, change.verb, change.detail)
            lines[action.correlation_id].append(line)
    _store(list(changes))
    _record(lines, by=by, now=now)


def _store(actions: Sequence[Action]) -> None:
    """What was read of these locked rows, but for what never changes."""
    unread = set().union(*(action.get_deferred_fields() for action in actions))
    columns = tuple(name for name in _SAVED if name not in unread)
    rows = [
        {"id": str(action.pk), **{name: _plain(getattr(action, name)) for name in columns}}
        for action in actions
    ]
    about: dict[str, Any] = {"tenant": actions[0].tenant_id, "rows": json.dumps(rows)}
    with connection.cursor() as cursor:
        cursor.execute(_statement(columns), about)
        assert cursor.rowcount == len(rows), "a row of another tenant, or none at all"


@cache
def _statement(columns: tuple[str, ...]) -> str:
    given = ", ".join(f"given.{name}" for name in columns)
    return STORE.format(columns=", ".join(columns), given=given)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _record(lines: Mapping[str, list[journal.Line]], *, by: Actor, now: datetime) -> None:
    """By correlation id: a batch may be of many."""
    for correlation_id, theirs in lines.items():
        with correlation.correlated(correlation_id):
            journal.record_many(theirs, by=by, at=now)


def _touch(action: Action) -> None:
    if action.status != Status.IN_PROGRESS:
        action.lease_token = action.lease_until = None
    action.version += 1


def save(action: Action, change: Change | None, *, by: Actor, now: datetime) -> Action:
    """Store a locked row with one journal line (None: none); its lease ends unless it is in progress."""
    _touch(action)
    _store([action])
    if change is None:
        journal.announce(action)
        return action
    with correlation.correlated(action.correlation_id):
        journal.record_many([_line(action, change.verb, change.detail)], by=by, at=now)
    return action


def _line(action: Action, verb: str, detail: Mapping[str, Any]) -> journal.Line:
    about = {
        "action_type": action.action_type,
        "incident": str(action.incident_id) if action.incident_id else None,
        "run": str(action.run_id) if action.run_id else None,
    }
    said = {k: v for k, v in detail.items() if v not in ("", None)}
    return journal.Line(action, verb, about | said)
