from django.db import migrations
from django.db.migrations.operations import RunSQL

from tenants.walls import READ, WRITE, belongs, of_no_tenant, wall

APPEND = "select, insert"

CLOCK = RunSQL(
    # Every lease, breaker and retry asks this function, so that tests can fast-forward their own database.
    "create function awf_now() returns timestamptz language sql volatile as 'select clock_timestamp()'",
    "drop function awf_now()",
)
LEASES = RunSQL(
    [
        "create sequence awf_lease",
        "grant usage on sequence awf_lease to awf_app, awf_pipeline",
    ],
    "drop sequence awf_lease",
)
# Owned by awf_lookup, not by the table owner: under FORCE the owner's definer function would see no row.
LOOKUPS = RunSQL(
    [
        """
        create function awf_api_key(wanted text) returns table (
          id uuid, tenant_id uuid, tenant_name varchar, tenant_slug varchar, tenant_is_active boolean,
          name varchar, secret_hash bytea, previous_secret_hash bytea, scopes varchar[],
          rate_per_second double precision, burst integer, is_over boolean, is_stale boolean
        ) language sql stable security definer set search_path = public, pg_temp as $$
          select k.id, k.tenant_id, t.name, t.slug, t.is_active,
                 k.name, k.secret_hash,
                 case when k.previous_expires_at > awf_now() then k.previous_secret_hash end, k.scopes,
                 k.rate_per_second, k.burst,
                 k.revoked_at is not null or coalesce(k.expires_at <= awf_now(), false),
                 coalesce(k.last_used_at < awf_now() - interval '1 minute', true)
          from tenants_apikey k join tenants_tenant t on t.id = k.tenant_id
          where k.prefix = wanted
        $$
        """,
        """
        create function awf_memberships(wanted integer) returns table (
          tenant_id uuid, tenant_name varchar, tenant_slug varchar, role varchar
        ) language sql stable security definer set search_path = public, pg_temp as $$
          select t.id, t.name, t.slug, m.role
          from tenants_membership m join tenants_tenant t on t.id = m.tenant_id
          where m.user_id = wanted and t.is_active order by t.name, t.id
        $$
        """,
        "grant create on schema public to awf_lookup",
        "alter function awf_api_key(text) owner to awf_lookup",
        "alter function awf_memberships(integer) owner to awf_lookup",
        "revoke create on schema public from awf_lookup",
        "set local role awf_lookup",
        "revoke execute on function awf_api_key(text) from public",
        "revoke execute on function awf_memberships(integer) from public",
        "set local role awf_owner",
    ],
    RunSQL.noop,
)


class Migration(migrations.Migration):
    dependencies = [("tenants", "0001_tables")]

    operations = [
        CLOCK,
        LEASES,
        wall(
            "tenants_tenant",
            app="select, update (incident_counter)",
            pipeline=READ,
            lookup=READ,
            tenant_is="id = nullif(current_setting('awf.tenant', true), '')::uuid",
        ),
        wall("tenants_membership", app=READ, lookup=READ),
        wall("tenants_apikey", app=WRITE, lookup=READ),
        wall("tenants_vendor", app=WRITE, pipeline=READ),
        wall("tenants_workflow", app=WRITE, pipeline=READ),
        belongs("tenants_workflow", "vendor_id", "tenants_vendor"),
        wall("tenants_journalentry", app=APPEND, pipeline=READ, platform=APPEND),
        of_no_tenant("tenants_platformjournalentry", platform=APPEND),
        LOOKUPS,
    ]
