"""The settle transaction: what became of calls that have ended, written where the token of each still fits.

Several calls of one tenant settle in one transaction, each as if by itself and in the order in which they ended. It
takes its locks as the house does: actions by id, incidents by id, runs by id, breakers by vendor.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from actions import lifecycle, planning, verdicts, verification
from actions.claiming import Claim
from actions.executors.base import Result
from actions.models import Action
from actions.states import ASKS_WORKFLOW, ActionType, AttemptStatus
from awfdrs_site.lib import correlation
from incidents.models import Incident, Run
from incidents.states import RunState
from safety import breaker, rules
from safety.breaker import Heard
from tenants import journal, scoping
from tenants.journal import SYSTEM
from tenants.models import Vendor

logger = logging.getLogger(__name__)

_ATTEMPT_ENDINGS = {
    "succeeded": AttemptStatus.SUCCEEDED,
    "retryable": AttemptStatus.FAILED,
    "final": AttemptStatus.FAILED,
    "unknown": AttemptStatus.UNKNOWN,
}
# What a settlement neither reads nor writes is left where it is: the verdict of the gates is the longest of it.
_UNREAD = ("gates", "previous_state")
_READ = ", ".join(
    f"action.{field.column}" for field in Action._meta.concrete_fields if field.name not in _UNREAD
)
_CALLING = f"""
select {_READ}, attempt.id as attempt_id, attempt.breaker_epoch, vendor.name as vendor_name
from unnest(%(ids)s::uuid[], %(tokens)s::bigint[]) as claim (id, token)
join actions_action action on action.id = claim.id and action.lease_token = claim.token
join actions_attempt attempt
  on attempt.tenant_id = action.tenant_id and attempt.action_id = action.id and attempt.number = action.attempts_made
left join tenants_vendor vendor on vendor.tenant_id = action.tenant_id and vendor.id = action.vendor_id
where action.tenant_id = %(tenant)s and action.status = 'in_progress'
order by action.id for update of action, attempt
"""  # noqa: S608  # of constants
_FINISH = """
update actions_attempt attempt
set status = given.status, response_status = given.response_status, response_excerpt = given.excerpt,
  error = given.error, latency_ms = given.latency_ms, finished_at = %(now)s
from json_to_recordset(%(rows)s::json)
  as given (id uuid, status text, response_status int, excerpt text, error text, latency_ms int)
where attempt.tenant_id = %(tenant)s and attempt.id = given.id
"""


@dataclass(frozen=True)
class Ended:
    """A call that has ended, and what was seen of it."""

    claim: Claim
    result: Result


_Batch = Sequence[tuple[Any, Result]]  # actions as `_CALLING` reads them, in the order of their end


def settle_many(*, tenant_id: UUID, ended: Sequence[Ended]) -> dict[UUID, Action | None]:
    """What each action is now, by id; None when its lease was lost meanwhile (a late result).

    What is missing of several somebody else holds: settle it by itself, and nobody waits for it but itself.
    """
    with scoping.bound(tenant_id, durable=True) as now:
        batch = _held(tenant_id, ended)
        if batch:
            _settle(tenant_id, batch, now=now)
        elif len(ended) == 1:
            _note_late_result(ended[0], now=now)
            return {ended[0].claim.action_id: None}
    return {action.pk: action for action, _ in batch}


def _held(tenant_id: UUID, ended: Sequence[Ended]) -> _Batch:
    """Those whose lease is still ours, held until the transaction ends."""
    waits = " skip locked" if len(ended) > 1 else ""
    about = {
        "tenant": tenant_id,
        "ids": [one.claim.action_id for one in ended],
        "tokens": [one.claim.token for one in ended],
    }
    found = Action.objects.for_tenant(tenant_id).raw(_CALLING + waits, about)
    by_id = {action.pk: action for action in found}
    own = [one for one in ended if one.claim.action_id in by_id]
    return [(by_id[one.claim.action_id], one.result) for one in own]


def _settle(tenant_id: UUID, batch: _Batch, *, now: datetime) -> None:
    _finish(tenant_id, batch, now=now)
    _read_runs(tenant_id, batch)
    settled = {action: verdicts.judge(action, result, now=now) for action, result in batch}
    changes = {action: verdict.change for action, verdict in settled.items()}
    lifecycle.save_all(changes, by=SYSTEM, now=now)
    needing = {action: verdict.told for action, verdict in settled.items() if verdict.told}
    if needing:
        _ask_people(tenant_id, needing, now=now)
    _tell_breakers(tenant_id, batch, now=now)


def _note_late_result(late: Ended, *, now: datetime) -> None:
    """A worker that lost its lease still saw an answer: people read it, no column changes."""
    claim, result = late.claim, late.result
    logger.warning("late result of action %s changes nothing", claim.action_id)
    action = Action.objects.for_tenant(claim.tenant_id).get(pk=claim.action_id)
    journal.record(
        action,
        "late_result",
        by=SYSTEM,
        at=now,
        ending=result.ending,
        response_status=result.response_status,
        error=result.error[:500],
    )


def _finish(tenant_id: UUID, batch: _Batch, *, now: datetime) -> None:
    rows = [
        {
            "id": str(action.attempt_id),
            "status": str(_ATTEMPT_ENDINGS[result.ending]),
            "response_status": result.response_status,
            "excerpt": result.excerpt,
            "error": result.error[:500],
            "latency_ms": result.latency_ms,
        }
        for action, result in batch
    ]
    with connection.cursor() as cursor:
        cursor.execute(_FINISH, {"tenant": tenant_id, "rows": json.dumps(rows), "now": now})


def _read_runs(tenant_id: UUID, batch: _Batch) -> None:
    """The runs of what asks workflows, and where they wait; whoever looks at them later finds them read."""
    asking = [action for action, _ in batch if action.action_type in ASKS_WORKFLOW]
    if not asking:
        return
    mine = Run.objects.for_tenant(tenant_id).select_related("incident")
    runs = mine.in_bulk([action.run_id for action in asking])
    for action in asking:
        action.run = runs[lifecycle.known(action.run_id)]


def _ask_people(tenant_id: UUID, needing: Mapping[Action, str], *, now: datetime) -> None:
    """Their incidents escalate, each with the first reason: a second one in its opening would change nothing."""
    if len(needing) > 1:
        _hold(tenant_id, needing)
    told: set[UUID] = set()
    for action, reason in needing.items():
        incident = _waiting(action)
        with correlation.correlated(action.correlation_id):
            if incident.pk not in told:
                planning.escalation(incident, reason, now=now)
            told.add(incident.pk)
            if action.action_type == ActionType.RETRY:
                verification.move_run(action, RunState.RETRY_SCHEDULED, RunState.FAILED)


def _hold(tenant_id: UUID, needing: Mapping[Action, str]) -> None:
    """Incidents before runs, and each kind by id, so that no two that need several wait for each other."""
    incidents = Incident.objects.for_tenant(tenant_id)
    waiting = incidents.filter(pk__in={_waiting(action).pk for action in needing})
    list(waiting.select_for_update().order_by("id").values_list("id"))
    runs = Run.objects.for_tenant(tenant_id).filter(pk__in=[action.run_id for action in needing])
    list(runs.select_for_update().order_by("id").values_list("id"))


def _waiting(action: Action) -> Incident:
    """After a merge the run waits in another incident than its retry's."""
    run = action.run
    return run.incident if run and run.incident else lifecycle.incident_of(action)


def _tell_breakers(tenant_id: UUID, batch: _Batch, *, now: datetime) -> None:
    heard: dict[UUID, list[Heard]] = defaultdict(list)
    names: dict[UUID, str] = {}
    for action, result in batch:
        if action.action_type in ASKS_WORKFLOW and action.vendor_name:
            names[action.vendor_id] = action.vendor_name
            heard[action.vendor_id].append(_heard(action, result))
    known = rules.overrides(tenant_id) if heard else ()
    for vendor_id in sorted(heard):
        vendor = Vendor(id=vendor_id, tenant_id=tenant_id, name=names[vendor_id])
        watched = breaker.watch(vendor, known=known)
        breaker.hear(watched, heard[vendor_id], now=now, cause="our own calls")


def _heard(action: Any, result: Result) -> Heard:
    return Heard(
        result.says_vendor_is,
        call_id=str(action.pk),
        epoch=action.breaker_epoch,
        latency_ms=result.latency_ms,
        correlation_id=action.correlation_id,
    )
