"""The only place that gathers what the gates look at for a retry: at its start with locks, for people without."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Min, Q

from actions import approvals, canary, lifecycle
from actions.models import Action, Attempt
from actions.states import ActionType, Status
from incidents import decisions
from incidents.models import Incident, Run
from incidents.states import UNRECOVERED
from incidents.states import Status as IncidentStatus
from safety import budget, gate, killswitch, limits, releases, rules
from safety.breaker import Admitted
from safety.ruletypes import RateLimit, RetryBudget
from tenants.models import Tenant, Vendor, Workflow

POLL = timedelta(seconds=1)  # probes and calls end soon; nobody knows when
HOUR = timedelta(hours=1)

_UNATTENDED: Mapping[str, Any] = {
    "made": Count("pk", filter=Q(is_unattended=True)),
    "oldest": Min("started_at", filter=Q(is_unattended=True)),
}
_TURN = "select pg_advisory_xact_lock(hashtextextended(%s, 0))"


def of_action(action: Action, *, now: datetime, lock: bool) -> gate.Facts:
    """What a person or the ledger says of it; `lock` holds kill switches and run until the end."""
    scopes = killswitch.Scopes(
        action.tenant_id, action.action_type, action.workflow_id, action.vendor_id
    )
    look = killswitch.lock_and_read if lock else killswitch.holding
    held = look(scopes, now=now)
    passes = canary.passes(action, held)
    stops: dict[str, Any] = {
        "switches": [f"{one.scope} switch: {one.reason}" for one in held if one.id not in passes],
        "let_through": canary.said(action) if passes else "",
        "release": _release(action, now=now, lock=lock),
    }
    if action.action_type != ActionType.RETRY:
        told = gate.Facts(action_type=action.action_type, **stops)
        return told if action.approval is None else _with_permission(told, action)
    # Held before the breaker's row: runs come before breakers in the lock order.
    run, incident = _read(action, lock=lock)
    facts = replace(
        decisions.facts_of_permission(incident, mode=action.policy.get("mode", "auto")),
        **stops,
        is_still_needed=run.state in UNRECOVERED and not is_ignored(incident, run.incident),
        attempts=gate.Window(action.attempts_made, action.attempts_max),
        run_attempts=_of_run(action, now=now),
        campaign=action.campaign.status if action.campaign else "",
    )
    return _with_permission(facts, action)


def _read(action: Action, *, lock: bool) -> tuple[Run, Incident]:
    """Its run and incident as they are now, in one query as a rule; whoever looks at them later finds them read."""
    assert action.run_id is not None, "only retries are looked at so far, and each has a run"
    mine = Run.objects.for_tenant(action.tenant_id).select_related("incident__workflow")
    held = mine.select_for_update(of=("self",)) if lock else mine
    run: Run = held.get(pk=action.run_id)
    is_same = run.incident is not None and run.incident_id == action.incident_id
    incident = (
        run.incident if is_same else lifecycle.incident_of(action)
    )  # after a merge another one
    assert incident is not None
    action.run, action.incident = run, incident
    return run, incident


def _release(action: Action, *, now: datetime, lock: bool) -> gate.Permit | None:
    release = action.parameters.get(canary.RELEASED)
    if release is None:
        return None
    return releases.turn(release, tenant_id=action.tenant_id, now=now, lock=lock)


def is_ignored(*incidents: Incident | None) -> bool:
    """The retry's own incident or, after a merge, the one that waits for the run."""
    return any(one is not None and one.status == IncidentStatus.IGNORED for one in incidents)


def take_turn(action: Action) -> None:
    """Make the tenant's starts wait for one another until the transaction ends.

    Two starts that count calls under way at once would both find the last place free. A vendor's breaker row would
    keep the starts of one vendor apart, but a tenant's and a workflow's calls go to several.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TURN, [f"in flight:{action.tenant_id}"])


def in_flight(action: Action, *, now: datetime) -> Sequence[gate.InFlight]:
    """Calls under way against each cap. Exact while the tenant's turn is held: a statement after the lock sees
    every start that had it before."""
    assert action.workflow is not None, "only retries have caps, and each has a workflow"
    counted = calling(action.tenant_id).aggregate(
        tenant=Count("pk"),
        workflow=Count("pk", filter=Q(workflow_id=action.workflow_id)),
        vendor=Count("pk", filter=Q(vendor_id=action.vendor_id)),
    )
    caps: list[tuple[str, Tenant | Workflow | Vendor]] = [
        ("tenant", action.tenant),
        ("workflow", action.workflow),
    ]
    if action.vendor is not None:
        caps.append(("vendor", action.vendor))
    return [
        gate.InFlight(scope, counted[scope], owner.max_in_flight, now + POLL)
        for scope, owner in caps
    ]


def with_vendor(
    facts: gate.Facts, action: Action, admitted: Admitted, *, now: datetime
) -> gate.Facts:
    """And what its vendor bears. Counts are exact while the breaker's row is held."""
    assert action.vendor is not None
    recent = retries_since(action.tenant_id, now - HOUR).filter(vendor_id=action.vendor_id)
    within = Q(started_at__gt=now - budget.WINDOW)
    counted = recent.aggregate(**_UNATTENDED, in_window=Count("pk", filter=within))
    policy, n_retries = admitted.in_force.retry_budget, counted["in_window"]
    return replace(
        facts,
        breaker=_permit(admitted, now=now),
        vendor_attempts=_window(counted, limit="MAX_RETRIES_PER_VENDOR"),
        budget=_budget(action.vendor, policy, n_retries=n_retries, now=now),
    )


def rate(limit: RateLimit, taken: limits.Taken) -> gate.Permit:
    reason = f"{limit.requests_per_second:g}/s and its burst"
    return gate.Permit(taken.allowed, taken.clears_at, reason)


def _with_permission(facts: gate.Facts, action: Action) -> gate.Facts:
    """People allowed it: that passes the gates they may pass, and one more asks whether it is still the same."""
    standing = approvals.standing(action)
    allowed = standing.is_approved or bool(standing.changed)
    changed = standing.changed if allowed and action.approval else None
    return replace(facts, is_approved=allowed, approval_changed=changed)


def _permit(admitted: Admitted, *, now: datetime) -> gate.Permit:
    answer = admitted.admission
    clears_at = answer.retry_at
    if admitted.state.state == "half_open" and not answer.allowed:
        clears_at = now + POLL
    return gate.Permit(answer.allowed, clears_at, answer.reason)


def calling(tenant_id: UUID) -> Any:
    """The retries under way, as the caps count them."""
    mine = Action.objects.for_tenant(tenant_id)
    return mine.filter(status=Status.IN_PROGRESS, action_type=ActionType.RETRY)


def retries_since(tenant_id: UUID, since: datetime) -> Any:
    """Attempts of retries that no campaign made, as limits and budget count them: campaigns have stages instead."""
    mine = Attempt.objects.for_tenant(tenant_id).filter(started_at__gt=since)
    return mine.filter(action__action_type=ActionType.RETRY, action__campaign=None)


def _of_run(action: Action, *, now: datetime) -> gate.Window:
    recent = retries_since(action.tenant_id, now - HOUR).filter(run_id=action.run_id)
    return _window(recent.aggregate(**_UNATTENDED), limit="MAX_RETRIES_PER_WORKFLOW")


def _window(counted: Mapping[str, Any], *, limit: str) -> gate.Window:
    return gate.Window(counted["made"], int(str(rules.environment()[limit])), counted["oldest"])


def _budget(vendor: Vendor, policy: RetryBudget, *, n_retries: int, now: datetime) -> gate.Budget:
    """When each of them leaves the window is only read when there is no room."""
    heard = budget.heard(vendor, now=now)
    n_originals = sum(n for _, n in heard)
    found = gate.Budget(n_retries, n_originals, policy.share_percent, policy.floor_per_minute)
    if not found.is_empty:
        return found
    recent = retries_since(vendor.tenant_id, now - budget.WINDOW).filter(vendor_id=vendor.pk)
    return budget.judge(list(recent.values_list("started_at", flat=True)), heard, policy, now=now)
