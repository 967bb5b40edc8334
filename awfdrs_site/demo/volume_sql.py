"""The statements of `volume`: chance is a hash of a row's number, so that it falls the same way every time."""

FILLED = (
    "events_event",
    "events_eventkey",
    "incidents_eventlink",
    "incidents_incident",
    "incidents_incidenthour",
    "incidents_run",
    "incidents_affectedrun",
    "incidents_decision",
    "actions_action",
    "tenants_journalentry",
    "tenants_workflow",
    "tenants_vendor",
)

_TENANT = """
insert into tenants_tenant (id, name, slug, is_active, registers_workflows, storm_runs, max_in_flight,
                            approvals_needed, approval_hours, incident_counter, created_at)
values (%(tenant)s, %(name)s, %(slug)s, true, true, 200, 100, 1, 24, %(n_incidents)s, awf_now())
"""
_MEMBERS = """
insert into tenants_membership (id, tenant_id, user_id, role)
select gen_random_uuid(), %(tenant)s, id, case username when %(admin)s then 'admin' else 'operator' end
from auth_user where username in (%(operator)s, %(admin)s)
"""
# [0, 1): `salt` keeps one choice apart from another of the same row.
_CHANCE = """
create function pg_temp.chance(n bigint, salt bigint) returns double precision language sql immutable
  as 'select (hashint8extended(n, salt) & 1048575) / 1048576.0'
"""
# Version 7: milliseconds first. `kind` keeps the ids of events, incidents and so on apart.
_ID = """
create function pg_temp.id7(at timestamptz, kind integer, n bigint) returns uuid language sql immutable
  as 'select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, ''0'') || ''7'' || lpad(to_hex(kind), 3, ''0'')
              || ''8'' || lpad(to_hex(n), 15, ''0''))::uuid'
"""
_WORKFLOWS = """
insert into tenants_workflow (id, tenant_id, slug, name, retry_url, status_url, compensate_url, idempotent,
                              retry_secret_sealed, previous_secret_sealed, max_in_flight, quiet_minutes, created_at)
select pg_temp.id7(awf_now(), 1, n), %(tenant)s, area || '-' || step, initcap(area) || ' ' || step, '', '', '',
       'no', '', '', 20, null, awf_now()
from unnest(array['billing', 'payouts', 'onboarding', 'shipping', 'ledger', 'claims', 'search', 'reports'])
       with ordinality as areas (area, a),
     unnest(array['import', 'check', 'submit', 'settle', 'notify']) with ordinality as steps (step, s),
     lateral (select a * 10 + s as n) as numbered
"""
_VENDORS = """
insert into tenants_vendor (id, tenant_id, name, max_in_flight, created_at)
select pg_temp.id7(awf_now(), 2, n), %(tenant)s, name, 10, awf_now()
from unnest(array['stripe', 'plaid', 'twilio', 'sendgrid', 'aws_s3', 'adyen', 'experian', 'dhl', 'ups', 'sap'])
  with ordinality as vendors (name, n)
"""
_BREAKERS = """
insert into safety_circuitbreaker (id, tenant_id, vendor_id, state, failures, epoch, open_count, probes, successes,
                                   forced, forced_reason, version)
select pg_temp.id7(awf_now(), 3, row_number() over (order by name)), tenant_id, id, 'closed', 0, 0, 0, '{}', 0,
       '', '', 1
from tenants_vendor where tenant_id = %(tenant)s
"""
_PROBLEMS = """
create temp table problem on commit drop as
select row_number() over () - 1 as p, given.* from (values
  ('payment_gateway_timeout', 'transient_error', 'high', 'The payment gateway did not answer within', 's'),
  ('card_declined', 'user_error', 'medium', 'The issuer declined card of customer', ''),
  ('insufficient_funds', 'user_error', 'low', 'The account holds too little for order', ''),
  ('rate_limit_exceeded', 'rate_limit', 'medium', 'Too many requests: slow down and retry batch', ''),
  ('service_unavailable', 'vendor_error', 'critical', 'Upstream answered 503 for shard', ''),
  ('internal_server_error', 'vendor_error', 'high', 'Upstream answered 500 for document', ''),
  ('timeout', 'transient_error', 'high', 'Connection timed out while writing part', ''),
  ('invalid_token', 'auth_error', 'medium', 'The access token was refused for tenant', ''),
  ('schema_mismatch', 'validation_error', 'low', 'Field amount is missing in row', ''),
  ('disk_full', 'infrastructure_error', 'critical', 'No space left on device of node', ''),
  ('', 'unknown', 'medium', 'Unexpected state in step', ''),
  ('lock_timeout', 'infrastructure_error', 'high', 'Could not lock account', '')
) as given (code, category, severity, message, unit)
"""
# More young ones than old; of the young many are open, of the old few. The first are large, open and weeks old.
_INCIDENTS = """
create temp table chosen on commit drop as
with drawn as (
  select i, problem.*, now.hour - case
           when i <= 3 then interval '40 days'
           else interval '60 days' * power(pg_temp.chance(i, 1), 2) + interval '1 minute' end as opened_at,
         now.hour, pg_temp.chance(i, 2) as fate, pg_temp.chance(i, 3) as span,
         (pg_temp.chance(i, 4) * 40)::integer %% 40 as w, (pg_temp.chance(i, 5) * 14)::integer %% 14 as v
  from generate_series(1, %(n_incidents)s) i
  join problem on problem.p = (pg_temp.chance(i, 6) * 12)::integer %% 12,
       (select date_trunc('hour', awf_now()) as hour) now
), aged as (
  select drawn.*, row_number() over (order by opened_at, i) as number, pg_temp.id7(opened_at, 4, i) as id,
         (hour - opened_at) * case when i <= 3 then 1 else least(span, 0.98) end as life,
         case when hour - opened_at < interval '1 day' then 0.6
              when hour - opened_at < interval '7 days' then 0.9 else 0.97 end as closed_share
  from drawn
)
select aged.*, workflow.id as workflow_id, workflow.slug as workflow, vendor.id as vendor_id,
       coalesce(vendor.name, '') as vendor, md5('volume:' || i) as signature,
       case when i <= 3 or fate > closed_share
              then (array['detected', 'analyzing', 'analyzing', 'escalated'])[1 + (fate * 1000)::integer %% 4]
            when fate < 0.04 then 'ignored' else 'resolved' end as status
from aged
join (select *, row_number() over (order by slug) - 1 as w from tenants_workflow where tenant_id = %(tenant)s)
  workflow using (w)
left join (select *, row_number() over (order by name) - 1 as v from tenants_vendor where tenant_id = %(tenant)s)
  vendor using (v)
"""
# Every incident has one event, the first a tenth of all, and the rest falls mostly on those with low numbers.
_EVENTS = """
create temp table happened on commit drop as
with drawn as (
  select k, case when k <= %(n_incidents)s then k
                 when k <= %(n_incidents)s + %(n_events)s / 10 then 1
                 else 1 + floor(%(n_incidents)s * power(pg_temp.chance(k, 7), 3)) end::bigint as i
  from generate_series(1, %(n_events)s) k
), placed as (
  select k, i, chosen.opened_at + case when k = i then interval '0' else chosen.life * pg_temp.chance(k, 8) end as at,
         pg_temp.chance(k, 9) < 0.2 as has_run
  from drawn join chosen using (i)
)
select k, i, at, pg_temp.id7(at, 5, k) as id, has_run,
       case when has_run then pg_temp.id7(at, 6, k) end as run_id
from placed
"""
_INDEX = "create index on happened (i); analyze happened; analyze chosen"
_PARTITIONS = """
select awf_make_partition(tables.name, day::date)
from (values ('events_event'), ('incidents_eventlink')) as tables (name),
     generate_series((select (min(at) at time zone 'UTC')::date from happened),
                     (select (max(at) at time zone 'UTC')::date from happened), interval '1 day') day
"""
_STORE = """
insert into events_event (id, tenant_id, workflow_id, event_type, payload, occurred_at, received_at, run_ref,
                          schema_version, extra, vendor_name, correlation_id)
select happened.id, %(tenant)s, workflow_id, split_part(workflow, '-', 1) || '.failed',
       jsonb_build_object('error_code', code, 'error_message', message || ' ' || k || unit, 'vendor', vendor,
                          'amount', k %% 1000, 'step', split_part(workflow, '-', 2)),
       at, at, case when has_run then 'run-' || k else '' end, '1.0.0', '{}', vendor, 'volume-' || k
from happened join chosen using (i)
"""
_KEYS = """
insert into events_eventkey (tenant_id, key_hash, event_id, field_digests, correlation_id, warnings)
select %(tenant)s, sha256(convert_to('volume-' || k, 'UTF8')), id, '{}', 'volume-' || k, '[]' from happened
"""
_LINKS = """
insert into incidents_eventlink (id, tenant_id, outcome, incident_id, run_id, signature)
select happened.id, %(tenant)s, 'failure', chosen.id, run_id, signature from happened join chosen using (i)
"""
_OPEN = """
insert into incidents_incident (
  id, tenant_id, number, title, status, severity, category, error_code, workflow_id, vendor_id, signature,
  signature_version, signature_components, classification, event_count, affected_runs, unrecovered_runs,
  first_seen_at, last_seen_at, last_event_id, opened_at, decided_at, planned_at, acknowledged_by, escalated_at,
  escalated_reason, resolved_at, resolved_reason, regression_count, is_storm, version)
select id, %(tenant)s, number, message || ' ' || workflow, status, severity, category, code, workflow_id, vendor_id,
       signature, 1,
       jsonb_build_array(jsonb_build_array('workflow', workflow), jsonb_build_array('vendor', vendor),
                         jsonb_build_array('code', code), jsonb_build_array('message', lower(message) || ' <num>')),
       jsonb_build_object('category', category, 'severity', severity, 'confidence', 0.95, 'is_certain', code <> '',
                          'rule', 'code', 'evidence', jsonb_build_array('code ' || code), 'retryable_hint', true),
       n_events, 0, 0, first_at, last_at, last_id, opened_at, opened_at, opened_at, '',
       case status when 'escalated' then opened_at end,
       case status when 'escalated' then 'Retries are used up.' else '' end,
       case status when 'resolved' then last_at end,
       case status when 'resolved' then 'All affected runs have recovered.' else '' end, 0, false, 3
from chosen join (
  select i, count(*) as n_events, min(at) as first_at, max(at) as last_at,
         (array_agg(id order by at desc, id desc))[1] as last_id
  from happened group by i
) as counted using (i)
"""
_HOURS = """
insert into incidents_incidenthour (id, tenant_id, incident_id, hour, n_events)
select pg_temp.id7(hour, 7, row_number() over ()), %(tenant)s, id, hour, n from (
  select chosen.id, date_trunc('hour', at, 'UTC') as hour, count(*) as n
  from happened join chosen using (i) group by 1, 2
) as counted
"""
_RUNS = """
insert into incidents_run (id, tenant_id, workflow_id, run_id, state, incident_id, episode, planned_at, attempted_at,
                           first_failed_at, last_failed_at, failure_received_at, last_event_id, succeeded_at,
                           success_occurred_at, recovered_at, recovery_note, version)
select run_id, %(tenant)s, workflow_id, 'run-' || k, state, id, 0, at, case when is_hurt then null else at end,
       at, at, at, event_id, case when is_hurt then null else ended end, case when is_hurt then null else ended end,
       case when is_hurt then null else ended end, '', 2
from (
  select happened.run_id, workflow_id, k, chosen.id, happened.id as event_id, at, at + interval '5 minutes' as ended,
         state, state in ('failed', 'retry_scheduled') as is_hurt
  from happened join chosen using (i), lateral (select case
    when status in ('resolved', 'ignored') or pg_temp.chance(k, 10) < 0.5
      then (array['recovered_auto', 'recovered_by_action'])[1 + k %% 2]
    when pg_temp.chance(k, 10) < 0.95 then 'failed' else 'retry_scheduled' end as state) as ending
  where has_run
) as ended
"""
_LEDGER = """
insert into incidents_affectedrun (id, tenant_id, incident_id, run_id)
select pg_temp.id7(at, 8, k), %(tenant)s, chosen.id, run_id from happened join chosen using (i) where has_run
"""
_COUNTS = """
update incidents_incident incident set affected_runs = n, unrecovered_runs = n_hurt
from (
  select incident_id, count(*) as n, count(*) filter (where state in ('failed', 'retry_scheduled')) as n_hurt
  from incidents_run where tenant_id = %(tenant)s group by 1
) as counted
where incident.tenant_id = %(tenant)s and incident.id = counted.incident_id
"""
_DECISIONS = """
insert into incidents_decision (id, tenant_id, incident_id, kind, choice, category, confidence, reasons, inputs, rules,
                                gates, engine_version, input_hash, correlation_id, created_at)
select pg_temp.id7(opened_at, 9, i), %(tenant)s, id, 'rule_based',
       (array['retry', 'retry', 'escalate', 'observe'])[1 + i %% 4], category, 0.95,
       jsonb_build_array('code ' || code), '{}', '{}', '[]', 'volume', md5(i::text) || md5(signature),
       'volume-' || i, opened_at
from chosen
"""
# What was retried is over; what waits, waits for a person: nothing here sends anything.
_ACTIONS = """
insert into actions_action (id, tenant_id, action_type, status, verification, dedupe_key, incident_id, run_id,
                            workflow_id, vendor_id, parameters, policy, gates, waiting_reason, previous_state, result,
                            attempts_made, attempts_max, run_at, requested_by, requested_by_id, correlation_id,
                            created_at, settled_at, version)
select pg_temp.id7(at, 10, k), %(tenant)s, 'retry', case when is_over then 'completed' else 'awaiting_approval' end,
       case when is_over then 'verified' else '' end, 'volume:' || k, chosen.id, happened.run_id, chosen.workflow_id,
       chosen.vendor_id, '{}', '{}', '[]', case when is_over then '' else 'The workflow is not idempotent.' end, '{}',
       '{}', is_over::integer, 3, at, 'AWFDRS', '', 'volume-' || k, at, case when is_over then at end, 2
from happened
join chosen using (i)
join incidents_run run on run.tenant_id = %(tenant)s and run.id = happened.run_id,
     lateral (select run.state = 'recovered_by_action' as is_over) as seen
where has_run and run.state in ('recovered_by_action', 'retry_scheduled')
"""
_JOURNAL = """
insert into tenants_journalentry (id, tenant_id, verb, subject_type, subject_id, actor_kind, actor_id, actor_label,
                                  at, correlation_id, detail)
select pg_temp.id7(at, 11, i * 4 + step), %(tenant)s, verb, 'incident', chosen.id::text, 'system', '', 'AWFDRS', at,
       'volume-' || i, detail
from chosen join incidents_incident incident on incident.tenant_id = %(tenant)s and incident.id = chosen.id,
     lateral (values
       (0, 'detected', chosen.opened_at, jsonb_build_object('severity', chosen.severity, 'category', chosen.category)),
       (1, chosen.status, incident.last_seen_at, jsonb_build_object('before', 'detected', 'after', chosen.status))
     ) as line (step, verb, at, detail)
where step = 0 or chosen.status <> 'detected'
"""


def steps() -> dict[str, tuple[str, ...]]:
    """What is said of a step, and its statements, in order."""
    return {
        "tenant, workflows, vendors": (
            _TENANT,
            _MEMBERS,
            _CHANCE,
            _ID,
            _WORKFLOWS,
            _VENDORS,
            _BREAKERS,
        ),
        "what happened, and when": (_PROBLEMS, _INCIDENTS, _EVENTS, _INDEX, _PARTITIONS),
        "events": (_STORE, _KEYS),
        "incidents": (_OPEN, _HOURS),
        "links": (_LINKS,),
        "runs and the ledger": (_RUNS, _LEDGER, _COUNTS),
        "decisions, actions, journal": (_DECISIONS, _ACTIONS, _JOURNAL),
    }
