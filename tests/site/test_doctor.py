"""The doctor finds what is wrong and says what to do; each check is shown well and ill."""

import base64
from io import StringIO
from ipaddress import ip_network
from typing import Any
from unittest.mock import Mock

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from pytest_django import Settings

from awfdrs_site import doctor, doctor_database, doctor_parts, health
from awfdrs_site.celery import app
from awfdrs_site.doctor_findings import BROKEN, OK, SKIPPED, WARNING, Finding
from tenants import journal, scoping, sealing, secrets
from tenants.journal import SYSTEM
from tenants.models import Tenant
from tests.cast import Travel
from tests.databases import Owner
from tests.factories import WorkflowFactory

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
    monkeypatch.setattr(doctor_database, "CROWDED", 0)
    monkeypatch.setattr(health, "late", lambda: ["oldest_undigested_seconds"])
    monkeypatch.setattr(doctor_parts, "ROOM_BYTES", 1 << 62)
    monkeypatch.setattr(doctor_database, "SKEW_SECONDS", -1)
    ill = {
        "pipeline": BROKEN,
        "connections": WARNING,
        "mail": WARNING,
        "disk": WARNING,
        "clock": WARNING,
        "beat": WARNING,
        "outbound": WARNING,
        "heartbeat": WARNING,
        "redis": BROKEN,
    }
    with override_settings(
        REDIS_URL="redis://127.0.0.1:1/0",
        OUTBOUND_ALLOW_CIDRS=[ip_network("10.0.0.0/8")],
        EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=1,
    ):
        found = {one.name: one.finding for one in doctor.examine(list(ill))}
        assert look("workers").state == SKIPPED  # without Redis nobody can be asked
    assert {name: finding.state for name, finding in found.items()} == ill
    assert all(finding.cure for finding in found.values())


@pytest.mark.parametrize(
    ("said", "cure"),
    [
        ("FATAL:  sorry, too many clients already", "max_connections"),
        ("FATAL:  remaining connection slots are reserved for roles", "max_connections"),
        ('FATAL:  password authentication failed for user "awf_login"', "password"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', "pg_hba.conf"),
        ('FATAL:  database "awfdrs" does not exist', "Make the database"),
        ("failed to resolve host 'postgres'", "name service"),
        ("transaction blocks not allowed in statement pooling mode", "pool_mode"),
        ("connection refused", "See that the server runs"),
    ],
)
def test_what_keeps_us_out_of_the_database_names_its_own_cure(
    said: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses() -> None:
        raise psycopg.OperationalError(said)

    monkeypatch.setattr(health, "ask_database", refuses)
    assert cure in look("database").cure


def test_a_database_that_takes_no_writes_is_broken() -> None:
    with connection.cursor() as cursor:
        cursor.execute("set transaction read only")
    finding = look("database")
    assert (finding.state, "primary" in finding.cure) == (BROKEN, True)


@pytest.mark.parametrize(
    ("known", "state", "why"),
    [
        ({}, OK, "answers within"),
        ({"role": "slave"}, BROKEN, "replica"),
        ({"cluster_enabled": 1}, BROKEN, "cluster"),
        ({"maxmemory": 1 << 30, "maxmemory_policy": "allkeys-lru"}, WARNING, "allkeys-lru"),
        ({"maxmemory": 0, "maxmemory_policy": "allkeys-lru"}, OK, "answers within"),
    ],
)
def test_a_redis_that_answers_may_still_be_the_wrong_one(
    known: dict[str, Any], state: str, why: str
) -> None:
    finding = doctor_parts._redis_as({"redis_version": "7.0.15", **known}, seconds=0.01)
    assert (finding.state, why in finding.says) == (state, True)


@pytest.mark.parametrize(
    ("queues", "state", "says"),
    [
        (None, BROKEN, "No worker"),
        ({"one": [{"name": "digest"}], "two": [{"name": "default"}]}, WARNING, "actions"),
        ({"one": [{"name": name} for name in ("digest", "actions", "default")]}, OK, "answer: 1."),
    ],
)
def test_workers_must_listen_to_every_queue(
    queues: Any, state: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        app.control, "inspect", Mock(**{"return_value.active_queues": lambda: queues})
    )
    finding = look("workers")
    assert (finding.state, says in finding.says) == (state, True)


def test_secrets_and_seals_of_a_key_that_is_not_here_are_told(
    acme: Tenant, settings: Settings
) -> None:
    workflow = WorkflowFactory(tenant=acme)
    with scoping.bound(acme.pk) as now:
        workflow.retry_secret_sealed = secrets.seal("s", tenant_id=acme.pk, row_id=workflow.pk)
        workflow.save()
        journal.record_tenant(acme.pk, "tried", by=SYSTEM, at=now)
    sealing.seal_due()
    assert [look("secrets").state, look("journal").state] == [OK, OK]
    encryption, audit = settings.ENCRYPTION_KEY, settings.AUDIT_KEY
    settings.ENCRYPTION_KEY = settings.AUDIT_KEY = base64.urlsafe_b64encode(bytes(32)).decode()
    assert "1 in tenants_workflow.retry_secret_sealed" in look("secrets").says
    assert "AUDIT_KEYS_OLD" in look("journal").cure
    settings.ENCRYPTION_KEYS_OLD, settings.AUDIT_KEYS_OLD = encryption, audit
    assert [look("secrets").state, look("journal").state] == [OK, OK]


def test_lines_of_the_journal_that_nobody_seals_are_told(acme: Tenant, time_travel: Travel) -> None:
    with scoping.bound(acme.pk) as now:
        journal.record_tenant(acme.pk, "tried", by=SYSTEM, at=now)
    assert look("journal").state == OK
    time_travel(minutes=2)
    assert "Start a worker" in look("journal").cure


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
