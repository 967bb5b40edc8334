from django.db import migrations
from django.db.migrations.operations import RunSQL

from tenants.walls import READ, of_no_tenant, wall

# The owner's, so that no running role may write what waits by itself.
WAITS = """
create function {name}() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
  insert into {waiting} {columns} from written;
  return null;
end $$
"""
# Grants hold the running roles back; this holds the owner back too. Only the erasure of a tenant says otherwise, and
# it may blank lines, never remove one.
APPEND_ONLY = """
create function awf_append_only() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if tg_op = 'UPDATE' and tg_table_name = 'tenants_journalentry'
     and current_setting('awf.erasing', true) = 'yes' then
    return null;
  end if;
  raise exception 'permission denied: % is append-only', tg_table_name using errcode = '42501';
end $$
"""
KEPT = (
    "tenants_journalentry",
    "tenants_platformjournalentry",
    "tenants_journalseal",
    "tenants_platformjournalseal",
)
WAITING = (
    (
        "awf_journal_waits",
        "tenants_journalentry",
        "tenants_unsealedentry",
        "(id, tenant_id) select id, tenant_id",
    ),
    (
        "awf_platform_journal_waits",
        "tenants_platformjournalentry",
        "tenants_unsealedplatformentry",
        "(id) select id",
    ),
)


def _waits(name: str, entries: str, waiting: str, columns: str) -> RunSQL:
    return RunSQL(
        [
            WAITS.format(name=name, waiting=waiting, columns=columns),
            f"revoke execute on function {name}() from public",
            f"create trigger waits_for_seal after insert on {entries} referencing new table as written"
            f" for each statement execute function {name}()",
            # The trigger's lock keeps writers out until this is committed: no line is taken twice or never.
            f"insert into {waiting} {columns} from {entries}",
        ],
        RunSQL.noop,
    )


class Migration(migrations.Migration):
    dependencies = [("tenants", "0004_journal_seals")]

    operations = [
        wall("tenants_unsealedentry", app=READ, pipeline="select, delete", platform=READ),
        wall("tenants_journalseal", app=READ, pipeline="select, insert", platform=READ),
        of_no_tenant("tenants_unsealedplatformentry", platform="select, delete"),
        of_no_tenant("tenants_platformjournalseal", platform="select, insert"),
        *(_waits(*names) for names in WAITING),
        RunSQL(APPEND_ONLY, RunSQL.noop),
        *(
            RunSQL(
                f"create trigger append_only before update or delete or truncate on {table}"
                " for each statement execute function awf_append_only()",
                f"drop trigger append_only on {table}",
            )
            for table in KEPT
        ),
    ]
