"""The doctor finds what is wrong and says what to do; each check is shown well and ill."""

from io import StringIO
from ipaddress import ip_network

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from awfdrs_site import doctor, doctor_database, doctor_parts, health
from awfdrs_site.doctor_findings import BROKEN, OK, SKIPPED, WARNING, Finding
from tests.databases import Owner

pytestmark = pytest.mark.django_db
_LAST_UNDONE = """
delete from django_migrations
where app = 'events' and name = (select max(name) from django_migrations where app = 'events')
"""
_ONE_MORE = (
    "insert into django_migrations (app, name, applied) values ('events', '9999_later', now())"
)


def look(name: str) -> Finding:
    (looked,) = doctor.examine([name])
    return looked.finding


@pytest.mark.parametrize(
    "name", ["roles", "walls", "migrations", "partitions", "clock", "redis", "disk", "outbound"]
)
def test_what_is_well_needs_no_cure(name: str) -> None:
    finding = look(name)
    assert (finding.state, finding.cure) == (OK, ""), finding


def test_a_database_that_may_forget_what_it_said_is_broken() -> None:
    """Tests run without waiting for the disk; that is what it finds."""
    finding = look("database")
    assert finding.state == BROKEN
    assert "synchronous_commit" in finding.cure


def test_a_table_without_its_wall_is_named(owner: Owner) -> None:
    owner.connection.execute("alter table actions_ticket no force row level security")
    try:
        finding = look("walls")
    finally:
        owner.connection.execute("alter table actions_ticket force row level security")
    assert finding.state == BROKEN
    assert "actions_ticket" in finding.says


def test_migrations_that_wait_are_told() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_LAST_UNDONE)
        finding = look("migrations")
        cursor.execute(_ONE_MORE)
        assert look("migrations").state == BROKEN  # both: what waits comes first
    assert finding.state == BROKEN
    assert "manage.py migrate" in finding.cure


def test_a_database_of_a_later_release_is_a_warning() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_ONE_MORE)
    assert look("migrations").state == WARNING


def test_without_the_database_the_rest_is_looked_at_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    found = {one.name: one.finding for one in doctor.examine(["database", "walls", "disk"])}
    states = {name: finding.state for name, finding in found.items()}
    assert states == {"database": BROKEN, "walls": SKIPPED, "disk": OK}
    assert "refused" in found["database"].says


def test_each_part_that_is_ill_has_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_parts, "PING_SECONDS", 0.05)
    monkeypatch.setattr(health, "late", lambda: ["oldest_undigested_seconds"])
    monkeypatch.setattr(doctor_parts, "ROOM_BYTES", 1 << 62)
    monkeypatch.setattr(doctor_database, "SKEW_SECONDS", -1)
    ill = {
        "workers": BROKEN,
        "pipeline": BROKEN,
        "disk": WARNING,
        "clock": WARNING,
        "beat": WARNING,
        "outbound": WARNING,
        "heartbeat": WARNING,
        "redis": BROKEN,
    }
    with override_settings(
        REDIS_URL="redis://127.0.0.1:1/0", OUTBOUND_ALLOW_CIDRS=[ip_network("10.0.0.0/8")]
    ):
        found = {one.name: one.finding for one in doctor.examine(list(ill))}
    assert {name: finding.state for name, finding in found.items()} == ill
    assert all(finding.cure for finding in found.values())


def test_the_command_ends_with_1_when_something_is_broken_and_says_what_to_do() -> None:
    out = StringIO()
    call_command("doctor", "walls", "heartbeat", stdout=out)  # a warning alone is no failure
    assert "→ Set HEARTBEAT_URL" in out.getvalue()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "database", stdout=out)
    assert ended.value.code == 1
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "everything", stderr=out)
    assert ended.value.code == 2
