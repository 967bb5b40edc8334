from django.db import migrations
from django.db.migrations.operations import RunSQL

from tenants.walls import ALL, READ, belongs, first_partitions, partitioned_by_day, wall

APPEND = "select, insert"

# Definer functions of the owner: running roles may add a day, and nothing else, to a partitioned table.
PARTITIONS = RunSQL(
    [
        """
        create function awf_day_bound(day date) returns uuid language sql immutable as $$
          select (lpad(to_hex((extract(epoch from day::timestamp at time zone 'UTC') * 1000)::bigint), 12, '0')
                  || repeat('0', 20))::uuid
        $$
        """,
        """
        create function awf_make_partition(parent text, day date) returns boolean
        language plpgsql security definer set search_path = public, pg_temp as $$
        declare
          child text := parent || to_char(day, '"_"YYYYMMDD');
          own text := 'tenant_id = nullif(current_setting(''awf.tenant'', true), '''')::uuid';
        begin
          if not exists (select from pg_class where relname = parent and relkind = 'p') then
            raise exception 'not a partitioned table: %', parent;
          end if;
          perform pg_advisory_xact_lock(hashtext(child));
          if to_regclass(quote_ident(child)) is not null then
            return false;
          end if;
          execute format('create table %I (like %I including all)', child, parent);
          execute format('alter table %I enable row level security', child);
          execute format('alter table %I force row level security', child);
          execute format('create policy app on %I to awf_app using (%s) with check (%s)', child, own, own);
          execute format('create policy owner on %I to awf_owner using (true) with check (true)', child);
          -- Attached, not created in place: that would lock the parent against every insert, and deadlock with
          -- an ingest that has just registered its workflow (the foreign keys lock their tables afterwards).
          execute format('alter table %I attach partition %I for values from (%L) to (%L)',
                         parent, child, awf_day_bound(day), awf_day_bound(day + 1));
          return true;
        end $$
        """,
        "revoke execute on function awf_make_partition(text, date) from public",
        "grant execute on function awf_make_partition(text, date) to awf_pipeline",
    ],
    [
        "drop function awf_make_partition(text, date)",
        "drop function awf_day_bound(date)",
    ],
)


class Migration(migrations.Migration):
    dependencies = [("events", "0001_tables"), ("tenants", "0002_walls")]

    operations = [
        PARTITIONS,
        partitioned_by_day(
            "events_event",
            "create index event_by_id on events_event (tenant_id, id desc)",
            "create index event_by_workflow on events_event (tenant_id, workflow_id, id desc)",
            "alter table events_event add foreign key (tenant_id) references tenants_tenant (id)",
        ),
        belongs("events_event", "workflow_id", "tenants_workflow"),
        wall("events_event", app=APPEND, pipeline=APPEND, platform=READ),
        first_partitions("events_event"),
        wall("events_eventkey", app=APPEND, pipeline=APPEND + ", delete", platform=READ),
        wall("events_pendingevent", app=ALL, pipeline=ALL, platform=ALL),
    ]
