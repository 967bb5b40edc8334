from django.db import migrations
from django.db.migrations.operations import RunSQL

from tenants.walls import OF_TENANT, SEEN, partitions_seen_anew, seen_anew

TABLES = (
    "events_event",
    "events_eventkey",
    "events_ingestdelta",
    "events_ingesthour",
    "events_keptevent",
    "events_pendingevent",
    "events_quarantinedevent",
)
# As it was, but for what its own policy shows: days to come are made like their parents.
DAYS = RunSQL(
    [
        f"""
        create or replace function awf_make_partition(parent text, day date) returns boolean
        language plpgsql security definer set search_path = public, pg_temp as $$
        declare
          child text := parent || to_char(day, '"_"YYYYMMDD');
          own text := $own${OF_TENANT}$own$;
          seen text := $seen${SEEN}$seen$;
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
          execute format('create policy app on %I to awf_app using (%s) with check (%s)', child, seen, own);
          execute format('create policy owner on %I to awf_owner using (true) with check (true)', child);
          -- Attached, not created in place: that would lock the parent against every insert, and deadlock with
          -- an ingest that has just registered its workflow (the foreign keys lock their tables afterwards).
          execute format('alter table %I attach partition %I for values from (%L) to (%L)',
                         parent, child, awf_day_bound(day), awf_day_bound(day + 1));
          return true;
        end $$
        """  # noqa: S608  # our own policy
    ],
    RunSQL.noop,
)


class Migration(migrations.Migration):
    """Compared in a way that costs the planner less. A table at a time, so that none is locked while another waits."""

    atomic = False
    dependencies = [("events", "0006_taking_in"), ("tenants", "0010_walls_seen")]

    operations = [
        DAYS,
        seen_anew(*TABLES),
        partitions_seen_anew("events_event"),
    ]
