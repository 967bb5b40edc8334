"""The only place that reads what really happened in the days that a simulation goes over."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from actions.models import Action, Attempt
from actions.simulation.change import Placed
from actions.simulation.kept import Decided, Move, Past, Planned, Stop, Tried
from actions.states import ActionType, ApprovalStatus, Status
from awfdrs_site.lib.ids import last_of
from events.models import Event
from incidents import labels, outcome_rules
from incidents.models import (
    Decision,
    EventLink,
    Incident,
    OutcomeRule,
    Run,
    SignatureAlias,
)
from incidents.runs import Key
from safety.effective import Override
from safety.models import GlobalKillSwitch, KillSwitch, RuleOverride
from tenants import scoping
from tenants.models import JournalEntry, Tenant, Vendor, Workflow

PAGE = 500  # events at once: payloads may have a megabyte each
ALLOWED = (ApprovalStatus.APPROVED, ApprovalStatus.VOID)
STATUS_VERBS = ("analyzing", "escalated", "resolved", "ignored", "reopened", "regressed")


def events_between(tenant_id: UUID, since: datetime, until: datetime) -> Any:
    mine = Event.objects.for_tenant(tenant_id)
    return mine.filter(pk__gt=last_of(since), pk__lte=last_of(until))


def read(tenant_id: UUID, *, since: datetime, until: datetime) -> Past:
    """All but the events themselves, which `events` reads page by page."""
    with scoping.bound(tenant_id):
        past = _frame(tenant_id, since, until)
        _incidents(past)
        _retries(past)
    return past


def events(past: Past, *, beat: Callable[[int], None]) -> Iterator[Event]:
    """In the order of their arrival, each with its workflow; `beat` hears how many are read."""
    after, n_read = None, 0
    while True:
        with scoping.bound(past.tenant.pk):
            rows = events_between(past.tenant.pk, past.since, past.until)
            page = list((rows.filter(pk__gt=after) if after else rows).order_by("id")[:PAGE])
            _links(past, [event.pk for event in page])
        for event in page:
            event.workflow = past.workflows[event.workflow_id]
            yield event
        n_read += len(page)
        beat(n_read)
        if len(page) < PAGE:
            return
        after = page[-1].pk


def _frame(tenant_id: UUID, since: datetime, until: datetime) -> Past:
    mine = RuleOverride.objects.for_tenant(tenant_id).filter(created_at__lte=until)
    return Past(
        tenant=Tenant.objects.get(pk=tenant_id),
        since=since,
        until=until,
        workflows=Workflow.objects.for_tenant(tenant_id).in_bulk(),
        vendors={one.name: one for one in Vendor.objects.for_tenant(tenant_id)},
        rules=[
            (row.created_at, Override(row.scope, row.target, row.values, row.version, str(row.pk)))
            for row in mine.order_by("created_at", "id")
        ],
        outcomes=_outcomes(tenant_id),
        learned=labels.learned(tenant_id),
        aliases={
            row.signature: (row.created_at, row.counts_as)
            for row in SignatureAlias.objects.for_tenant(tenant_id)
        },
        stops=_stops(tenant_id, since),
    )


def _outcomes(tenant_id: UUID) -> list[Placed]:
    rows = OutcomeRule.objects.for_tenant(tenant_id).filter(is_enabled=True)
    return [Placed(str(row.pk), row.position, outcome_rules.matcher_of(row)) for row in rows]


def _stops(tenant_id: UUID, since: datetime) -> list[Stop]:
    own = KillSwitch.objects.for_tenant(tenant_id).filter(activated_at__gt=since)
    found = [_stop(row, row.scope, row.target) for row in own]
    return found + [_stop(row, "", "") for row in GlobalKillSwitch.objects.all()]


def _stop(row: KillSwitch | GlobalKillSwitch, scope: str, target: str) -> Stop:
    ends = [moment for moment in (row.lifted_at, row.expires_at) if moment is not None]
    return Stop(scope, target, row.reason, row.activated_at, min(ends, default=None))


def _links(past: Past, ids: Sequence[UUID]) -> None:
    rows = EventLink.objects.for_tenant(past.tenant.pk).filter(pk__in=ids)
    for pk, incident_id, signature in rows.values_list("pk", "incident_id", "signature"):
        past.links[pk] = (incident_id, signature)


def _incidents(past: Past) -> None:
    """Those that these days touched: opened, seen or moved in them. A storm has nothing of its own."""
    mine = Incident.objects.for_tenant(past.tenant.pk).filter(is_storm=False)
    rows = mine.filter(last_seen_at__gt=past.since) | mine.filter(opened_at__gt=past.since)
    for incident in rows.select_related("workflow", "vendor"):
        incident.tenant = past.tenant
        past.incidents[incident.pk] = incident
    decided = Decision.objects.for_tenant(past.tenant.pk).filter(
        created_at__gt=past.since, created_at__lte=past.until
    )
    asked = ("incident", "created_at", "choice", "inputs__track_record")
    for pk, *said in decided.order_by("id").values_list(*asked):
        past.decisions.setdefault(pk, []).append(Decided(*said))
    _moves(past)


def _moves(past: Past) -> None:
    lines = JournalEntry.objects.for_tenant(past.tenant.pk).filter(
        subject_type="incident", verb__in=STATUS_VERBS, at__gt=past.since, at__lte=past.until
    )
    for line in lines.order_by("at", "id"):
        incident = past.incidents.get(UUID(line.subject_id))
        if incident is None or (past.is_new(incident) and _is_done_again(line)):
            continue
        said = line.detail
        move = Move(line.at, line.verb, said.get("before", ""), said.get("after", ""))
        past.moves.setdefault(incident.pk, []).append(move)


def _is_done_again(line: JournalEntry) -> bool:
    """What the engine did is done again; that a failure was not seen for long is taken as it was."""
    is_quiet = line.verb == "resolved" and "evidence" not in line.detail
    return line.actor_kind == "system" and not is_quiet


def _retries(past: Past) -> None:
    tenant_id = past.tenant.pk
    mine = Action.objects.for_tenant(tenant_id).filter(
        created_at__gt=past.since, created_at__lte=past.until
    )
    called = mine.filter(action_type=ActionType.ESCALATE, dedupe_key__startswith="escalate")
    past.told = list(called.order_by("id").values_list("incident", flat=True))
    retries = mine.filter(action_type=ActionType.RETRY).exclude(dedupe_key__startswith="shadow:")
    rows = list(retries.select_related("approval").order_by("id"))
    keys = _keys(tenant_id, [row.run_id for row in rows])
    tried = _tried(rows, past.until)
    for row in rows:
        key = keys[row.run_id]
        if row.dedupe_key.startswith("retry:"):
            episode = int(row.dedupe_key.split(":")[2])
            past.planned.setdefault((key, episode), []).append(_planned(row, tried[row.pk]))
        else:
            is_of_campaign = row.campaign_id is not None
            past.by_hand += [(key, row.vendor_id, one.at, is_of_campaign) for one in tried[row.pk]]


def _keys(tenant_id: UUID, ids: Sequence[UUID | None]) -> dict[UUID | None, Key]:
    rows = Run.objects.for_tenant(tenant_id).filter(pk__in=set(ids))
    return {pk: (str(of), name) for pk, of, name in rows.values_list("pk", "workflow", "run_id")}


def _tried(rows: Sequence[Action], until: datetime) -> dict[UUID, list[Tried]]:
    found: dict[UUID, list[Tried]] = defaultdict(list)
    by_id = {row.pk: row for row in rows}
    if not by_id:
        return found
    mine = Attempt.objects.for_tenant(rows[0].tenant_id)
    attempts = mine.filter(action__in=by_id, started_at__lte=until)
    for row in attempts.order_by("action", "number"):
        of = by_id[row.action_id]
        is_last = row.number == of.attempts_made < of.attempts_max
        found[row.action_id].append(
            Tried(
                row.number,
                row.started_at,
                row.finished_at or row.started_at,
                row.status,
                row.response_status,
                row.error,
                is_final=is_last and of.status == Status.FAILED,
            )
        )
    return found


def _planned(row: Action, attempts: Sequence[Tried]) -> Planned:
    return Planned(
        row.created_at,
        row.run_at,
        row.policy,
        row.approval is not None or row.status == Status.AWAITING_APPROVAL,
        _allowed_at(row, attempts),
        row.status in (Status.FAILED, Status.UNKNOWN),
        tuple(attempts),
    )


def _allowed_at(row: Action, attempts: Sequence[Tried]) -> datetime | None:
    """By a vote, or by a person's own hand."""
    if row.approval is not None and row.approval.status in ALLOWED:
        decided_at: datetime | None = row.approval.decided_at
        return decided_at
    is_by_hand = bool(row.parameters.get("approved_by")) and bool(attempts)
    return attempts[0].at if is_by_hand else None
