"""The only place that writes row-level security: migrations of every app build their tables' walls with it."""

from django.db.migrations.operations import RunSQL

_CURRENT = "nullif(current_setting('awf.tenant', true), '')::uuid"
OF_TENANT = f"tenant_id = {_CURRENT}"  # what may be written


def seen(column: str) -> str:
    """What may be read: asked once a statement, and nothing the planner could reason with.

    From a plain comparison it concludes, with the query's own, that the setting must be the query's tenant, and
    checks that above the plan of every partition. This one it takes for true, so plans are as without the wall.
    Whatever it is compared with, null is no. Since it serves no index, every query names the tenant itself.
    """
    return f"nullif({column} = (select {_CURRENT}), false) is not null"


SEEN = seen("tenant_id")
READ = "select"
WRITE = "select, insert, update"
ALL = "select, insert, update, delete"


def statements(
    table: str,
    *,
    app: str,
    pipeline: str = "",
    platform: str = ALL,
    lookup: str = "",
    tenant_is: str = OF_TENANT,
) -> list[str]:
    """SQL that closes `table`: enabled and forced RLS, one policy per role, the named grants and no other."""
    shown = SEEN if tenant_is == OF_TENANT else tenant_is
    built = [
        f"alter table {table} enable row level security",
        f"alter table {table} force row level security",
        f"create policy app on {table} to awf_app using ({shown}) with check ({tenant_is})",
        f"create policy owner on {table} to awf_owner using (true) with check (true)",
        f"grant {app} on {table} to awf_app",
    ]
    for role, grants in (("pipeline", pipeline), ("platform", platform), ("lookup", lookup)):
        if grants:
            built.append(
                f"create policy {role} on {table} to awf_{role} using (true) with check (true)"
            )
            built.append(f"grant {grants} on {table} to awf_{role}")
    return built


def wall(
    table: str,
    *,
    app: str = WRITE,
    pipeline: str = "",
    platform: str = ALL,
    lookup: str = "",
    tenant_is: str = OF_TENANT,
) -> RunSQL:
    """The migration operation for one tenant-owned table."""
    return RunSQL(
        tuple(
            statements(
                table,
                app=app,
                pipeline=pipeline,
                platform=platform,
                lookup=lookup,
                tenant_is=tenant_is,
            )
        ),
        RunSQL.noop,
    )


def seen_anew(*tables: str, column: str = "tenant_id") -> RunSQL:
    """Policies as they are made today. In a migration that is not atomic: so each table is locked by itself."""
    return RunSQL(
        [f"alter policy app on {table} using ({seen(column)})" for table in tables], RunSQL.noop
    )


def partitions_seen_anew(table: str) -> RunSQL:
    """The same for the days there are."""
    return RunSQL(
        [
            f"""
        do $$ declare child regclass; begin
          for child in select inhrelid from pg_inherits where inhparent = '{table}'::regclass loop
            execute format('alter policy app on %s using (%s)', child, $shown${SEEN}$shown$);
            commit;
          end loop;
        end $$
        """  # noqa: S608  # a name of ours, and our own policy
        ],
        RunSQL.noop,
    )


def of_no_tenant(table: str, *, platform: str = ALL) -> RunSQL:
    """A platform table: every role reads it, only the platform role writes it."""
    return RunSQL(
        [
            f"grant select on {table} to awf_app, awf_pipeline, awf_lookup",
            f"grant {platform} on {table} to awf_platform",
        ],
        RunSQL.noop,
    )


def belongs(table: str, column: str, parent: str) -> RunSQL:
    """A composite foreign key, so that a row can only point to a row of its own tenant."""
    name = f"{table}_{column}_of_tenant"
    return RunSQL(
        f"alter table {table} add constraint {name} foreign key (tenant_id, {column})"
        f" references {parent} (tenant_id, id)",
        f"alter table {table} drop constraint {name}",
    )


def partitioned_by_day(table: str, *rest: str) -> RunSQL:
    """Turn a freshly created table into one partitioned by day on its UUIDv7 id; `rest` are its indexes anew.

    Nothing may point to the table yet. Partitions come from `awf_make_partition`.
    """
    return RunSQL(
        [
            f"alter table {table} rename to {table}_plain",
            f"create table {table} (like {table}_plain including defaults) partition by range (id)",
            f"drop table {table}_plain",
            f"alter table {table} add primary key (id)",
            f"alter table {table} add constraint {table}_of_tenant unique (tenant_id, id)",
            *rest,
        ],
        RunSQL.noop,
    )


def first_partitions(table: str) -> RunSQL:
    """Today's partition and the next two, so that a fresh database takes events at once."""
    return RunSQL(
        [
            (
                "select awf_make_partition(%s, (awf_now() at time zone 'UTC')::date + day)"
                " from generate_series(0, 2) day",
                [table],
            )
        ],
        RunSQL.noop,
    )
