"""The only place that gathers what the gates look at for a retry: at its start with locks, for people without."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from actions import approvals, canary, lifecycle
from actions.counts import HOUR as HOUR
from actions.counts import Tried
from actions.ground import Ground
from actions.models import Action, Attempt
from actions.states import ASKS_WORKFLOW, ActionType, Status
from incidents import decisions
from incidents.models import Incident, Run
from incidents.states import UNRECOVERED
from incidents.states import Status as IncidentStatus
from safety import budget, gate, killswitch, limits, releases, rulefields, rules
from safety.breaker import Admitted
from safety.ruletypes import RateLimit, RetryBudget
from tenants.models import Vendor

POLL = timedelta(seconds=1)  # probes and calls end soon; nobody knows when
_TURN = "select pg_advisory_xact_lock(hashtextextended(%s, 0))"


def look(actions: Sequence[Action], *, now: datetime, lock: bool) -> Ground:
    """What a person or the ledger says of them; `lock` holds kill switches, releases and runs until the end.

    Asked about several, it leaves out what somebody else holds: such an action has no `run` then, and goes alone.
    """
    distinct = {canary.scopes_of(action) for action in actions}
    if lock and len(distinct) > 1:
        killswitch.lock_all(distinct)
    see = killswitch.lock_and_read if lock else killswitch.holding
    held = {scopes: see(scopes, now=now) for scopes in distinct}
    released = {action.parameters.get(canary.RELEASED) for action in actions} - {None}
    if lock and released:
        releases.hold(released, tenant_id=actions[0].tenant_id)
    # Held before any breaker's row: runs come before breakers in the lock order.
    _read_runs([a for a in actions if a.action_type == ActionType.RETRY], lock=lock)
    return Ground(actions, held, now=now, lock=lock)


def of_action(action: Action, ground: Ground) -> gate.Facts:
    """What is known of it before anything is counted that others count too."""
    now = ground.now
    held = ground.held[canary.scopes_of(action)]
    passes = canary.passes(action, held)
    stops: dict[str, Any] = {
        "switches": [f"{one.scope} switch: {one.reason}" for one in held if one.id not in passes],
        "let_through": canary.said(action) if passes else "",
        "release": _release(action, now=now, lock=ground.lock),
    }
    if action.action_type != ActionType.RETRY:
        told = gate.Facts(action_type=action.action_type, **stops)
        return told if action.approval is None else _with_permission(told, action)
    run, incident = action.run, action.incident
    assert run is not None
    assert incident is not None
    facts = replace(
        decisions.facts_of_permission(
            incident,
            mode=_mode(action, incident, ground),
            record=action.policy.get("track_record"),
        ),
        **stops,
        is_still_needed=run.state in UNRECOVERED and not is_ignored(incident, run.incident),
        attempts=gate.Window(action.attempts_made, action.attempts_max),
        run_attempts=_window(ground.counts.of_runs[run.pk], limit="MAX_RETRIES_PER_WORKFLOW"),
        campaign=action.campaign.status if action.campaign else "",
    )
    return _with_permission(facts, action)


def _mode(action: Action, incident: Incident, ground: Ground) -> str:
    """The more careful of the rules' word when it was planned and now: a rule that was demoted asks people.

    What people planned, by hand or as a campaign, has no mode of its own.
    """
    planned = str(action.policy.get("mode", "auto"))
    if "mode" not in action.policy or action.campaign_id is not None:
        return planned
    return min(planned, ground.mode(incident), key=rulefields.MODES.index)


def _read_runs(retries: Sequence[Action], *, lock: bool) -> None:
    """Their runs and incidents as they are now; whoever looks at them later finds them read."""
    if not retries:
        return
    tenant_id = retries[0].tenant_id
    assert all(action.run_id for action in retries), (
        "only retries are looked at so far, each of a run"
    )
    mine = Run.objects.for_tenant(tenant_id)
    held = mine.select_for_update(skip_locked=len(retries) > 1) if lock else mine
    asked = held.filter(pk__in={action.run_id for action in retries})
    runs = {run.pk: run for run in asked.order_by("id")}
    # After a merge the run waits in another incident than its retry's.
    ids = {run.incident_id for run in runs.values()} | {action.incident_id for action in retries}
    incidents = Incident.objects.for_tenant(tenant_id).in_bulk([pk for pk in ids if pk is not None])
    for run in runs.values():
        run.incident = incidents[run.incident_id] if run.incident_id else None
    for action in retries:
        incident = incidents[lifecycle.known(action.incident_id)]
        if action.workflow is not None and action.workflow_id == incident.workflow_id:
            incident.workflow = action.workflow
        if action.vendor is not None and action.vendor_id == incident.vendor_id:
            incident.vendor = action.vendor
        action.run, action.incident = runs.get(lifecycle.known(action.run_id)), incident


def _release(action: Action, *, now: datetime, lock: bool) -> gate.Permit | None:
    release = action.parameters.get(canary.RELEASED)
    if release is None:
        return None
    return releases.turn(release, tenant_id=action.tenant_id, now=now, lock=lock)


def is_ignored(*incidents: Incident | None) -> bool:
    """The retry's own incident or, after a merge, the one that waits for the run."""
    return any(one is not None and one.status == IncidentStatus.IGNORED for one in incidents)


def is_held_elsewhere(action: Action) -> bool:
    """A retry whose run somebody else holds: `look` has left it out."""
    return action.action_type == ActionType.RETRY and action.run is None


def take_turn(tenant_id: UUID) -> None:
    """Make the tenant's starts wait for one another until the transaction ends.

    Two starts that count calls under way at once would both find the last place free. A vendor's breaker row would
    keep the starts of one vendor apart, but a tenant's and a workflow's calls go to several.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TURN, [f"in flight:{tenant_id}"])


def in_flight(action: Action, ground: Ground) -> Sequence[gate.InFlight]:
    """Calls under way against each cap. Exact while the tenant's turn is held."""
    assert action.workflow is not None, "only calls of workflows have caps"
    calling = ground.counts.calling
    counted = [("tenant", calling.total(), action.tenant.max_in_flight)]
    of_workflow = sum(n for (pk, _), n in calling.items() if pk == action.workflow_id)
    counted.append(("workflow", of_workflow, action.workflow.max_in_flight))
    if action.vendor is not None:
        of_vendor = sum(n for (_, pk), n in calling.items() if pk == action.vendor_id)
        counted.append(("vendor", of_vendor, action.vendor.max_in_flight))
    return [gate.InFlight(scope, n, limit, ground.now + POLL) for scope, n, limit in counted]


def with_vendor(
    facts: gate.Facts, action: Action, admitted: Admitted, ground: Ground
) -> gate.Facts:
    """And what its vendor bears. Counts are exact while the breaker's row is held."""
    assert action.vendor is not None
    tried = ground.counts.of_vendors[action.vendor.pk]
    return replace(
        facts,
        breaker=_permit(admitted, now=ground.now),
        vendor_attempts=_window(tried, limit="MAX_RETRIES_PER_VENDOR"),
        budget=_budget(action.vendor, tried, admitted.in_force.retry_budget, ground),
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
    """The calls of workflows under way, as the caps count them."""
    mine = Action.objects.for_tenant(tenant_id)
    return mine.filter(status=Status.IN_PROGRESS, action_type__in=ASKS_WORKFLOW)


def retries_since(tenant_id: UUID, since: datetime) -> Any:
    """Attempts of retries that no campaign made, as limits and budget count them: campaigns have stages instead."""
    mine = Attempt.objects.for_tenant(tenant_id).filter(started_at__gt=since)
    return mine.filter(action__action_type=ActionType.RETRY, action__campaign=None)


def _window(tried: Tried, *, limit: str) -> gate.Window:
    most = int(str(rules.environment()[limit]))
    return gate.Window(tried.by_themselves, most, tried.oldest_at)


def _budget(vendor: Vendor, tried: Tried, policy: RetryBudget, ground: Ground) -> gate.Budget:
    """When each of them leaves the window is only read when there is no room."""
    heard = ground.counts.heard(vendor)
    n_originals = sum(n for _, n in heard)
    found = gate.Budget(tried.in_window, n_originals, policy.share_percent, policy.floor_per_minute)
    if not found.is_empty:
        return found
    return budget.judge(ground.counts.retried_at(vendor), heard, policy, now=ground.now)
