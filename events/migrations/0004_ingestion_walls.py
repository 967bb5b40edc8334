from django.db import migrations
from django.db.migrations.operations import RunSQL

from tenants.walls import ALL, READ, WRITE, belongs, wall

# A definer function like the one that makes days: running roles may drop a whole day that is over, and nothing else.
DROP_PARTITION = RunSQL(
    [
        """
        create function awf_drop_partition(parent text, day date) returns boolean
        language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '2s' as $$
        declare
          child text := parent || to_char(day, '"_"YYYYMMDD');
        begin
          if not exists (select from pg_class where relname = parent and relkind = 'p') then
            raise exception 'not a partitioned table: %', parent;
          end if;
          if day >= (awf_now() at time zone 'UTC')::date - 1 then
            raise exception 'this day is not over for long: %', day;
          end if;
          perform pg_advisory_xact_lock(hashtext(child));
          if to_regclass(quote_ident(child)) is null then
            return false;
          end if;
          execute format('drop table %I', child);
          return true;
        end $$
        """,
        "revoke execute on function awf_drop_partition(text, date) from public",
        "grant execute on function awf_drop_partition(text, date) to awf_pipeline",
    ],
    "drop function awf_drop_partition(text, date)",
)


class Migration(migrations.Migration):
    dependencies = [("events", "0003_ingestion"), ("tenants", "0002_walls")]

    operations = [
        DROP_PARTITION,
        wall("events_quarantinedevent", app=ALL, pipeline=f"{READ}, delete", platform=READ),
        # requests add, the sweep adds up
        wall("events_ingestdelta", app=f"{READ}, insert", pipeline=ALL, platform=READ),
        wall("events_ingesthour", app=READ, pipeline=WRITE, platform=READ),
        # an erased tenant's copies go too
        wall("events_keptevent", app=f"{READ}, delete", pipeline=f"{READ}, insert", platform=READ),
        belongs("events_keptevent", "workflow_id", "tenants_workflow"),
    ]
