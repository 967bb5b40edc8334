from django.db import migrations
from django.db.migrations.operations import RunSQL

# A function keeps its plan for as long as a connection lives, and needs one answer for all that a group is.
# The key row decides: who inserts it owns the event, whoever comes later replays it. Sorted by key, so that two
# batches with the same keys in another order wait for each other instead of deadlocking. What names no workflow of
# its tenant is stored by nobody, and not among the answers.
STORE = RunSQL(
    """
    create function awf_store_events(given json) returns table (stored_id uuid, is_new boolean)
    language plpgsql as $$
    declare
      at_once timestamptz := awf_now();
    begin
      return query
      with known as materialized (
        select one.*, coalesce(named.id, numbered.id) as workflow, coalesce(one.received_at, at_once) as arrived
        from json_to_recordset(given) as one (
          id uuid, tenant_id uuid, workflow_id uuid, workflow_slug text, event_type text, payload jsonb,
          occurred_at timestamptz, received_at timestamptz, run_ref text, schema_version text, extra jsonb,
          vendor_name text, correlation_id text, key_hash text, field_digests jsonb, warnings jsonb)
        left join tenants_workflow named
          on named.tenant_id = one.tenant_id and named.slug = one.workflow_slug
        left join tenants_workflow numbered
          on numbered.tenant_id = one.tenant_id and numbered.id = one.workflow_id
      ), owned as (
        insert into events_eventkey (tenant_id, key_hash, event_id, field_digests, correlation_id, warnings)
        select tenant_id, decode(key_hash, 'hex'), id, field_digests, correlation_id, warnings
        from known where workflow is not null order by tenant_id, key_hash
        on conflict do nothing
        returning event_id
      ), stored as (
        insert into events_event (id, tenant_id, workflow_id, event_type, payload, occurred_at, received_at,
                                  run_ref, schema_version, extra, vendor_name, correlation_id)
        select id, tenant_id, workflow, event_type, payload, occurred_at, arrived,
               run_ref, schema_version, extra, vendor_name, correlation_id
        from known join owned on owned.event_id = known.id
      ), pending as (
        insert into events_pendingevent (id, tenant_id, received_at, attempts)
        select id, tenant_id, arrived, 0 from known join owned on owned.event_id = known.id
      )
      select known.id, owned.event_id is not null
      from known left join owned on owned.event_id = known.id where known.workflow is not null;
    end $$
    """,
    "drop function awf_store_events(json)",
)
# All that a request could be refused for: a key of another state than the one that was seen lets nothing in.
KEY_STATE = RunSQL(
    """
    create function awf_key_state(wanted text) returns text language sql stable as $$
      select encode(sha256(convert_to(row(
        id, tenant_id, tenant_name, tenant_slug, tenant_is_active, name, secret_hash, previous_secret_hash,
        scopes, rate_per_second, burst, is_over)::text, 'UTF8')), 'hex')
      from awf_api_key(wanted)
    $$
    """,
    "drop function awf_key_state(text)",
)
# The lane's group, and its books. A row without an event says that the clock or a key is another than was
# assumed; then nothing is stored. Whoever is no member of the pipeline's role cannot call it.
TAKE_IN = RunSQL(
    """
    create function awf_take_in(assumed timestamptz, senders json, given json)
    returns table (moment timestamptz, stale text, id uuid, is_new boolean, event_id uuid, correlation_id text)
    language plpgsql as $$
    #variable_conflict use_column
    declare
      at_once timestamptz := awf_now();
      fresh uuid[];
      again uuid[];
    begin
      return query
        select at_once, null::text, null::uuid, null::boolean, null::uuid, null::text
        where abs(extract(epoch from at_once - assumed)) > 1
        union all
        select at_once, sender.prefix, null, null, null, null
        from json_to_recordset(senders) as sender (prefix text, state text)
        where sender.state is distinct from awf_key_state(sender.prefix);
      if found then
        return;
      end if;
      perform set_config('role', 'awf_pipeline', true), set_config('awf.tenant', '', true);
      select array_agg(stored_id) filter (where is_new), array_agg(stored_id) filter (where not is_new)
        into fresh, again from awf_store_events(given);
      insert into events_ingestdelta (id, tenant_id, api_key_id, hour, received, accepted, replayed,
                                      quarantined, limited, refused)
        select gen_random_uuid(), one.tenant_id, one.api_key_id, date_trunc('hour', at_once, 'UTC'),
               count(*), count(*), 0, 0, 0, 0
        from json_to_recordset(given) as one (id uuid, tenant_id uuid, api_key_id uuid)
        where one.id = any (fresh) group by one.tenant_id, one.api_key_id order by 2, 3;
      return query
        select at_once, null::text, one, true, one, null::text from unnest(fresh) as one;
      if again is null then
        return;
      end if;
      -- A new statement: it sees what whoever was faster has committed, and what this group has just stored.
      return query
        with kept as materialized (
          select one.*, owner.event_id, owner.correlation_id::text
          from json_to_recordset(given) as one (
            id uuid, tenant_id uuid, api_key_id uuid, key_hash text, field_digests jsonb)
          join events_eventkey owner
            on owner.tenant_id = one.tenant_id and owner.key_hash = decode(one.key_hash, 'hex')
          where one.id = any (again) and owner.field_digests = one.field_digests
            and owner.warnings = '[]' and length(owner.correlation_id) <= 100
        ), counted as (
          insert into events_ingestdelta (id, tenant_id, api_key_id, hour, received, accepted, replayed,
                                          quarantined, limited, refused)
          select gen_random_uuid(), kept.tenant_id, kept.api_key_id, date_trunc('hour', at_once, 'UTC'),
                 count(*), 0, count(*), 0, 0, 0
          from kept group by kept.tenant_id, kept.api_key_id order by 2, 3
        )
        select at_once, null::text, kept.id, false, kept.event_id, kept.correlation_id from kept;
    end $$
    """,
    "drop function awf_take_in(timestamptz, json, json)",
)


class Migration(migrations.Migration):
    dependencies = [("events", "0005_key_age"), ("tenants", "0002_walls")]

    operations = [STORE, KEY_STATE, TAKE_IN]
