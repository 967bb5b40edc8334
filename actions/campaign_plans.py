"""Turns runs into a campaign's plan: each frozen as eligible or not and why, in the order of calling, set-based."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from actions import campaign_terms, campaigns
from actions.campaign_terms import Terms
from actions.models import Campaign
from awfdrs_site.lib import correlation
from incidents import decisions
from incidents.models import AffectedRun, Incident, Run
from incidents.querysets import RunQuerySet
from safety import rules
from safety.effective import Effective
from tenants import journal
from tenants.journal import Actor

RUNS_MOST = 50_000  # rows of one statement; more are planned by narrower filters

_FREEZE = """
with asked (id) as materialized ({asked}),
held as (
  select action.run_id, bool_or(action.status = 'unknown') as is_unknown
  from asked join actions_action action on action.tenant_id = %s and action.run_id = asked.id
  where action.action_type = 'retry' and (
    action.status in ('pending', 'in_progress', 'parked', 'awaiting_approval', 'unknown')
    or action.status = 'completed' and action.verification = 'pending')
  group by action.run_id
),
driven as (
  select distinct line.run_id
  from actions_campaign campaign join actions_campaignrun line
    on line.tenant_id = campaign.tenant_id and line.campaign_id = campaign.id
  where campaign.tenant_id = %s and campaign.status in ('running', 'paused')
    and line.state in ('eligible', 'called')
),
judged as (
  select run.id, run.first_failed_at, case
      when run.state in ('succeeded', 'recovered_auto', 'recovered_by_action') then 'recovered'
      when run.state in ('waived', 'running') then run.state
      when incident.status = 'ignored' then 'incident_ignored'
      when incident.id is null then 'no_incident'
      when incident.id = any(%s) then 'rule_forbids'
      when workflow.retry_url = '' then 'no_retry_url'
      when driven.run_id is not null then 'in_campaign'
      when held.is_unknown then 'outcome_unknown'
      when held.run_id is not null then 'retry_under_way'
      else '' end as reason
  from asked join incidents_run run on run.tenant_id = %s and run.id = asked.id
  join tenants_workflow workflow
    on workflow.tenant_id = run.tenant_id and workflow.id = run.workflow_id
  left join incidents_incident incident
    on incident.tenant_id = run.tenant_id and incident.id = run.incident_id
  left join driven on driven.run_id = run.id
  left join held on held.run_id = run.id
)
insert into actions_campaignrun (tenant_id, id, campaign_id, run_id, place, state, reason)
select %s, gen_random_uuid(), %s, id,
  row_number() over (order by reason <> '', first_failed_at nulls last, id),
  case reason when '' then 'eligible' else 'ineligible' end, reason
from judged
"""
_COUNT = """
select reason, count(*) from actions_campaignrun where tenant_id = %s and campaign_id = %s group by reason
"""
# Places count from 1; the eligible come first.
_STAGES = """
update actions_campaignrun set stage = 1 + width_bucket(place - 1, %s::integer[])
where tenant_id = %s and campaign_id = %s and state = 'eligible'
"""
_DIGEST = """
select coalesce(encode(sha256(string_agg(run_id::text, ',' order by place)::bytea), 'hex'), '')
from actions_campaignrun where tenant_id = %s and campaign_id = %s and state = 'eligible'
"""
# A merged failure is called as its own incident tells, so its vendor's breaker counts too.
_VENDORS = """
with hurt as materialized (
  select distinct run.incident_id
  from actions_campaignrun line join incidents_run run
    on run.tenant_id = line.tenant_id and run.id = line.run_id
  where line.tenant_id = %s and line.campaign_id = %s and line.state = 'eligible'
)
select distinct vendor_id from incidents_incident
where tenant_id = %s and vendor_id is not null
  and (id in (select * from hurt) or merged_into_id in (select * from hurt))
"""


class TooManyRuns(Exception):
    """More runs than one plan holds."""

    def __init__(self) -> None:
        super().__init__(f"A campaign plans at most {RUNS_MOST:,} runs: narrow the query.")


def runs_of(incident: Incident) -> RunQuerySet:
    """The runs that the incident hurt, and what was merged into it."""
    kin = Incident.objects.for_tenant(incident.tenant_id).with_members(incident.pk)
    hurt = AffectedRun.objects.for_tenant(incident.tenant_id).filter(incident__in=kin.values("pk"))
    return Run.objects.for_tenant(incident.tenant_id).filter(pk__in=hurt.values("run_id"))


def plan(
    runs: RunQuerySet,
    *,
    tenant_id: UUID,
    by: Actor,
    now: datetime,
    terms: Terms,
    incident: Incident | None = None,
    query: Mapping[str, str] | None = None,
) -> Campaign:
    """Freeze these runs, those of the incident or of the query, as a campaign nobody has started yet.

    Raises TooManyRuns.
    """
    if runs.order_by()[: RUNS_MOST + 1].count() > RUNS_MOST:
        raise TooManyRuns
    campaign: Campaign = Campaign.objects.create(
        tenant_id=tenant_id,
        incident=incident,
        query=dict(query or {}),
        parameters=terms.as_json(),
        requested_by=by.label,
        requested_by_id=by.id,
        correlation_id=correlation.current(),
        created_at=now,
    )
    said = _said_by_rules(runs, tenant_id)
    asked, values = runs.order_by().values("pk").distinct().query.sql_with_params()
    mine = [tenant_id, tenant_id, said.forbidden, tenant_id, tenant_id]
    _run(_FREEZE.format(asked=asked), [*values, *mine, campaign.pk])
    _complete(campaign, terms, asked_by_rules=said.asking)
    journal.record(
        campaign,
        "campaign_planned",
        by=by,
        at=now,
        incident=str(incident.pk) if incident else None,
        eligible=campaign.n_runs,
        ineligible=campaign.plan["ineligible"],
        plan_hash=campaign.plan_hash,
    )
    return campaign


@dataclass(frozen=True)
class _Said:
    """What the rules say of the incidents in question."""

    forbidden: list[UUID]  # no retry of theirs, by whomever
    asking: list[str]  # theirs wait for a person


def _said_by_rules(runs: RunQuerySet, tenant_id: UUID) -> _Said:
    mine = Incident.objects.for_tenant(tenant_id).select_related("workflow", "vendor")
    known = rules.overrides(tenant_id)
    told: dict[tuple[Any, ...], Effective] = {}  # of thousands of incidents most are told alike
    said = _Said([], [])
    for incident in mine.filter(pk__in=runs.order_by().values("incident")).order_by("number"):
        about = (incident.workflow_id, incident.vendor_id, incident.error_code, incident.category)
        if about not in told:
            told[about] = decisions.rules_for(incident, known=known)
        in_force = told[about]
        if not in_force.retry.enabled or in_force.mode in ("off", "shadow"):
            said.forbidden.append(incident.pk)
        elif in_force.mode == "approve":
            said.asking.append(str(incident))
    return said


def _complete(campaign: Campaign, terms: Terms, *, asked_by_rules: Sequence[str]) -> None:
    """Give the frozen runs their stages, count them, and hash what was planned."""
    mine = [campaign.tenant_id, campaign.pk]
    counts: dict[str, int] = dict(_run(_COUNT, mine))
    campaign.n_runs = counts.pop("", 0)
    ends = campaign_terms.ends(terms, campaign.n_runs)
    if ends:
        _run(_STAGES, [ends, *mine])
    campaign.plan = {
        "ineligible": counts,
        "stages": [end - start for start, end in zip([0, *ends], ends, strict=False)],
        "calls": campaigns.calls_of(campaign),
        "asked_by_rules": list(asked_by_rules),
        "vendors": [str(row[0]) for row in _run(_VENDORS, [*mine, campaign.tenant_id])],
    }
    [[runs]] = _run(_DIGEST, mine)
    planned = json.dumps([runs, campaign.parameters, campaign.plan["calls"]], sort_keys=True)
    campaign.plan_hash = hashlib.sha256(planned.encode()).hexdigest()
    campaign.save(update_fields=["n_runs", "plan", "plan_hash"])


def _run(statement: str, values: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []
