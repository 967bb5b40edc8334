"""The walls as the database keeps them, for every table there is: no new one is forgotten (RELIABILITY.md 3.2)."""

import pytest
from django.apps import apps

from tenants import walls
from tenants.models import TenantKey
from tenants.roles import APP, LOOKUP, OWNER, PIPELINE, PLATFORM
from tests.architecture import catalog
from tests.architecture.catalog import of_frameworks, of_tenants, rows, tables
from tests.databases import Owner

_FOREIGN_KEYS = """
select child.relname, parent.relname,
       array(select a.attname::text from unnest(con.conkey) with ordinality as key (number, place)
             join pg_attribute a on a.attrelid = con.conrelid and a.attnum = key.number order by key.place),
       array(select a.attname::text from unnest(con.confkey) with ordinality as key (number, place)
             join pg_attribute a on a.attrelid = con.confrelid and a.attnum = key.number order by key.place)
from pg_constraint con
join pg_class child on child.oid = con.conrelid
join pg_class parent on parent.oid = con.confrelid
where con.contype = 'f'
"""
_UNIQUE_INDEXES = """
select t.relname, i.relname, x.indisprimary,
       array(select coalesce(a.attname::text, '(expression)')
             from unnest(x.indkey::int[]) with ordinality as key (number, place)
             left join pg_attribute a on a.attrelid = x.indrelid and a.attnum = key.number
             order by key.place)
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
where x.indisunique and t.relnamespace = 'public'::regnamespace
"""
_FORMS = """
select c.relname, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
from pg_policy p join pg_class c on c.oid = p.polrelid where p.polname = 'app'
"""
_DEFINER_FUNCTIONS = """
select p.proname, pg_get_userbyid(p.proowner), coalesce(p.proconfig::text, '')
from pg_proc p where p.pronamespace = 'public'::regnamespace and p.prosecdef
"""


def test_every_table_is_the_frameworks_the_platforms_or_a_tenants(owner: Owner) -> None:
    unknown = tables(owner).keys() - of_frameworks() - catalog.PLATFORM - of_tenants(owner).keys()
    # a table that is none of these has rows of tenants without a wall
    assert not unknown


def test_every_tenants_table_and_partition_has_a_forced_wall(owner: Owner) -> None:
    walled = of_tenants(owner).values()
    assert len(walled) > 15
    assert any(table.is_partition for table in walled)
    for table in walled:
        assert table.is_walled, f"{table.name} has no row-level security"
        assert table.is_forced, f"{table.name} is open to its owner"
        assert {"app", "owner"} <= table.policies, f"{table.name} lacks a policy"
        assert table.owner == OWNER


def test_every_wall_compares_in_the_one_form_there_is(owner: Owner) -> None:
    # a table of its own for each column, walled as migrations do it today, and gone again
    with owner.connection.transaction(force_rollback=True):
        for column, probe in (("tenant_id", "probe"), ("id", "probe_of_tenants")):
            owner.connection.execute(f"create table {probe} ({column} uuid not null)")
            own = walls.OF_TENANT.replace("tenant_id", column)
            for statement in walls.statements(probe, app="select", tenant_is=own):
                owner.connection.execute(statement)
            for again in walls.seen_anew(probe, column=column).sql:
                owner.connection.execute(str(again))
        forms = {name: (seen, written) for name, seen, written in rows(owner, _FORMS)}
    usual, of_tenants_row = forms.pop("probe"), forms.pop("probe_of_tenants")
    assert usual[0] != usual[1]
    assert forms.pop(catalog.TENANT) == of_tenants_row
    assert forms.keys() == of_tenants(owner).keys() - {catalog.TENANT}
    assert {name for name, form in forms.items() if form != usual} == set()


def test_a_partition_made_later_has_the_wall_too(owner: Owner) -> None:
    for parent in ("events_event", "incidents_eventlink"):
        rows(owner, "select awf_make_partition(%s, '2031-05-06')", parent)
        partition = tables(owner)[f"{parent}_20310506"]
        forms = {name: form for name, *form in rows(owner, _FORMS)}
        assert forms[partition.name] == forms[parent]
        assert (partition.is_walled, partition.is_forced) == (True, True)
        assert {"app", "owner"} <= partition.policies
        rows_of = "select 1 from pg_class where relname = %s and relispartition"
        assert rows(owner, rows_of, partition.name) == [(1,)]
        owner.connection.execute(f"drop table {partition.name}")


def test_every_key_between_tenants_tables_carries_the_tenant(owner: Owner) -> None:
    ours = of_tenants(owner).keys()
    between = [key for key in rows(owner, _FOREIGN_KEYS) if key[0] in ours and key[1] in ours]
    composite = [key for key in between if key[1] != catalog.TENANT]
    # a foreign key check ignores row-level security: only the composite one refuses a foreign parent (M14)
    assert len(composite) > 15
    for child, parent, columns, references in composite:
        assert columns[0] == "tenant_id", f"{child} may point to another tenant's {parent}"
        assert references == ["tenant_id", "id"]


def test_every_reference_between_tenants_models_has_its_key(owner: Owner) -> None:
    keyed = {(key[0], key[2][-1]) for key in rows(owner, _FOREIGN_KEYS)}
    fields = [
        (model._meta.db_table, field.column)
        for model in apps.get_models()
        for field in model._meta.local_fields
        if isinstance(field, TenantKey) or getattr(field, "db_constraint", True) is False
    ]
    assert len(fields) > 15
    # db_constraint=False is a promise that the migration wrote the composite one
    assert not set(fields) - keyed


def test_every_unique_index_of_a_tenants_table_starts_with_the_tenant(owner: Owner) -> None:
    allowed = {
        # random ids that the server makes: nobody learns anything from one being taken
        "id": "primary",
        # looked up before a tenant is known; 48 random bits, made by the server
        "prefix": "tenants_apikey",
        # an id again, and the composite foreign key keeps it inside the tenant
        "reverses_id": "actions_action",
        # names the platform's staff give to tenants
        "slug": catalog.TENANT,
    }
    ours = of_tenants(owner).keys()
    for table, index, is_primary, columns in rows(owner, _UNIQUE_INDEXES):
        if table not in ours or columns[0] == "tenant_id":
            continue
        reason = allowed.get(columns[0])
        # a unique index over all tenants tells each what the others have (M14-8)
        assert reason == ("primary" if is_primary else table), f"{index} is an oracle"


def test_the_runtime_login_and_its_roles_are_nobody(owner: Owner) -> None:
    roles = ["awf_login", APP, PIPELINE, PLATFORM, LOOKUP]
    wanted = "select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname = any(%s)"
    found = rows(owner, wanted, roles)
    assert len(found) == len(roles)
    assert not [role for role in found if any(role[1:])]
    owning = "select relname from pg_class where pg_get_userbyid(relowner) = any(%s)"
    assert rows(owner, owning, roles) == []
    # SET ROLE is all that membership gives: nothing is inherited
    assert rows(owner, "select rolinherit from pg_roles where rolname = 'awf_login'") == [(False,)]


def test_the_login_has_no_privilege_on_tenants_tables(owner: Owner) -> None:
    held = rows(
        owner,
        "select c.relname, p from pg_class c, unnest(array['select', 'insert', 'update', 'delete', 'truncate']) p"
        " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')"
        " and has_table_privilege('awf_login', c.oid, p)",
    )
    assert {str(table) for table, _ in held} <= of_frameworks()


def test_no_running_role_may_truncate_or_change_a_table(owner: Owner) -> None:
    held = rows(
        owner,
        "select c.relname, r, p from pg_class c, unnest(%s::text[]) r,"
        " unnest(array['truncate', 'references', 'trigger']) p"
        " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')"
        " and has_table_privilege(r, c.oid, p)",
        ["awf_login", APP, PIPELINE, PLATFORM, LOOKUP],
    )
    assert held == []


@pytest.mark.parametrize("table", ["tenants_journalentry", "incidents_decision"])
@pytest.mark.parametrize("role", [APP, PIPELINE, PLATFORM, LOOKUP])
@pytest.mark.parametrize("privilege", ["update", "delete", "truncate"])
def test_journal_and_decisions_are_only_ever_added_to(
    owner: Owner, table: str, role: str, privilege: str
) -> None:
    # G19: history is not rewritten, whoever asks
    assert rows(owner, "select has_table_privilege(%s, %s, %s)", role, table, privilege) == [
        (False,)
    ]


def test_the_platforms_journal_is_only_ever_added_to(owner: Owner) -> None:
    for privilege, expected in (("insert", True), ("update", False), ("delete", False)):
        asked = "select has_table_privilege(%s, 'tenants_platformjournalentry', %s)"
        assert rows(owner, asked, PLATFORM, privilege) == [(expected,)]


def test_only_the_platform_role_writes_platform_tables(owner: Owner) -> None:
    for table in catalog.PLATFORM:
        for role in (APP, PIPELINE, LOOKUP):
            readable = "select has_table_privilege(%s, %s, 'select')"
            assert rows(owner, readable, role, table) == [(True,)]
            for privilege in ("insert", "update", "delete"):
                asked = "select has_table_privilege(%s, %s, %s)"
                assert rows(owner, asked, role, table, privilege) == [(False,)]


def test_definer_functions_look_for_names_only_where_they_should(owner: Owner) -> None:
    functions = rows(owner, _DEFINER_FUNCTIONS)
    names = {str(name) for name, _, _ in functions}
    assert {"awf_api_key", "awf_memberships", "awf_make_partition"} <= names
    for name, runs_as, config in functions:
        # without a pinned search_path a caller's own table could be read as its owner
        assert "search_path=" in str(config), f"{name} has no search_path of its own"
        assert runs_as in (LOOKUP, OWNER)


def test_definer_functions_are_not_for_everybody(owner: Owner) -> None:
    open_to_all = rows(
        owner,
        "select p.proname from pg_proc p where p.pronamespace = 'public'::regnamespace and p.prosecdef"
        " and (p.proacl is null or exists"
        "   (select from aclexplode(p.proacl) acl where acl.grantee = 0 and acl.privilege_type = 'EXECUTE'))",
    )
    assert open_to_all == []


def test_there_is_no_view_that_reads_past_the_walls(owner: Owner) -> None:
    views = rows(
        owner,
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('v', 'm')"
        " and not coalesce('security_invoker=true' = any(reloptions), false)",
    )
    assert views == []
