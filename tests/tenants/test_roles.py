"""The cluster's roles: made once however often asked, with deadlines that hold behind a pooler."""

import pytest
from django.conf import settings
from django.db import connection

from tenants import roles
from tests.databases import Owner
from tests.threads import at_once


def test_making_the_roles_again_and_at_once_changes_nothing(owner: Owner) -> None:
    wanted = "select rolname, rolcanlogin, rolinherit from pg_roles where rolname like 'awf%%' order by 1"
    before = owner.connection.execute(wanted).fetchall()
    at_once(
        4,
        lambda _: roles.ensure(
            owner_url=settings.DATABASE_OWNER_URL, login=settings.DATABASE_LOGIN
        ),
    )
    assert owner.connection.execute(wanted).fetchall() == before
    assert [name for name, can_login, _ in before if can_login] == ["awf_login"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("statement_timeout", "15s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "15s"),
    ],
)
def test_the_login_has_deadlines_of_its_own(setting: str, value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select current_setting(%s)", [setting])
        assert cursor.fetchone() == (value,)


@pytest.mark.django_db
def test_the_login_may_use_djangos_tables_and_nothing_is_granted_twice_over() -> None:
    roles.grant_framework_tables(using="default")  # as the login: not its business
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from auth_user")
        assert cursor.fetchone() == (0,)


def test_members_may_become_what_a_block_says_and_nothing_else(owner: Owner) -> None:
    memberships = (
        "select r.rolname::text from pg_auth_members m join pg_roles r on r.oid = m.roleid"
        " join pg_roles u on u.oid = m.member where u.rolname = 'awf_login' order by 1"
    )
    held = [row[0] for row in owner.connection.execute(memberships)]
    # neither the owner nor the look-ups: those run as definer functions only
    assert held == sorted([roles.APP, roles.PIPELINE, roles.PLATFORM])
