"""The sealed journal: every committed line is chained, and whoever touches one is found."""

import logging
from collections.abc import Iterator
from io import StringIO
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from awfdrs_site.lib.ids import uuid7
from tenants import chain, journal, scoping, sealing
from tenants.chain import Head
from tenants.journal import SYSTEM, Line
from tenants.models import JournalEntry, JournalSeal, Tenant, UnsealedEntry, Vendor
from tenants.scoping import bound
from tenants.verifying import Report, verify
from tests.cast import Travel
from tests.databases import Owner
from tests.factories import VendorFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def vendor(acme: Tenant) -> Vendor:
    return VendorFactory(tenant=acme)


def say(vendor: Vendor, *verbs: str) -> list[JournalEntry]:
    with bound(vendor.tenant_id) as now:
        return journal.record_many(
            [Line(vendor, verb, {"n": 1.5, "ü": None}) for verb in verbs], by=SYSTEM, at=now
        )


@pytest.fixture
def five(vendor: Vendor) -> list[JournalEntry]:
    """Acme's five sealed lines, as seq 1 to 5."""
    said = say(vendor, "one", "two", "three", "four", "five")
    sealing.seal_due()
    return said


_AS_OWNER = """
create or replace function travel.as_owner(statement text, sets_triggers_aside boolean) returns void
language plpgsql security definer as $$
begin
  if sets_triggers_aside then
    perform set_config('session_replication_role', 'replica', true);
  end if;
  execute statement;
  perform set_config('session_replication_role', 'origin', true);
end $$
"""


@pytest.fixture(autouse=True, scope="module")
def _owners_door(owner: Owner) -> Iterator[None]:
    """The owner's hand inside a test's own transaction: a function that runs as the owner."""
    owner.connection.execute(_AS_OWNER)
    yield
    owner.connection.execute("drop function travel.as_owner")


def as_owner(statement: str, *, sets_triggers_aside: bool = False) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select travel.as_owner(%s, %s)", [statement, sets_triggers_aside])


def tamper(statement: str, **ids: UUID) -> None:
    """What somebody who owns the database could do."""
    as_owner(
        statement.format(**{name: f"'{value}'::uuid" for name, value in ids.items()}),
        sets_triggers_aside=True,
    )


def found(report: Report) -> list[tuple[str, int | None, UUID | None]]:
    return [(one.what, one.seq, one.entry_id) for one in report.findings]


def test_what_is_committed_is_chained_in_order_and_no_longer_waits(
    acme: Tenant, globex: Tenant, five: list[JournalEntry]
) -> None:
    say(VendorFactory(tenant=globex), "other")
    sealing.seal_due()
    with bound(acme.pk):
        seals = list(JournalSeal.objects.for_tenant(acme).order_by("seq"))
        assert not UnsealedEntry.objects.for_tenant(acme).exists()
    assert [(seal.seq, seal.entry_id) for seal in seals] == [
        (n, entry.pk) for n, entry in enumerate(five, 1)
    ]
    # each tenant has a chain of its own, and so has the platform
    for chain_id in (acme.pk, globex.pk, chain.PLATFORM):
        assert verify(chain_id).findings == []
    assert verify(globex.pk).head is not None
    assert verify(acme.pk).n_sealed == 5


def test_a_line_with_a_smaller_id_that_commits_later_is_sealed_too(
    acme: Tenant, vendor: Vendor
) -> None:
    early = JournalEntry(tenant=acme, verb="early", subject_type="vendor", subject_id="1")
    early.actor_kind, early.actor_label = "system", "AWFDRS"
    late = say(vendor, "late")[0]
    sealing.seal_due()
    with bound(acme.pk) as now:
        early.at = now
        early.save(force_insert=True)
    assert early.pk < late.pk
    sealing.seal_due()
    with bound(acme.pk):
        assert list(
            JournalSeal.objects.for_tenant(acme).order_by("seq").values_list("entry_id", flat=True)
        ) == [late.pk, early.pk]
    assert verify(acme.pk).findings == []


def test_an_edited_line_is_named(acme: Tenant, five: list[JournalEntry]) -> None:
    tamper("update tenants_journalentry set actor_label = 'bob' where id = {id}", id=five[2].pk)
    assert found(verify(acme.pk)) == [("edited", 3, five[2].pk)]


def test_a_deleted_line_is_named(acme: Tenant, five: list[JournalEntry]) -> None:
    tamper("delete from tenants_journalentry where id = {id}", id=five[3].pk)
    assert found(verify(acme.pk)) == [("deleted", 4, five[3].pk)]


def test_a_line_that_is_deleted_with_its_seal_leaves_a_gap(
    acme: Tenant, five: list[JournalEntry]
) -> None:
    tamper("delete from tenants_journalentry where id = {id}", id=five[1].pk)
    tamper("delete from tenants_journalseal where seq = 2")
    assert found(verify(acme.pk)) == [("missing", 2, None)]


def test_reordered_lines_are_named_and_no_other(acme: Tenant, five: list[JournalEntry]) -> None:
    tamper(
        "update tenants_journalseal set seq = case seq when 2 then 93 else 92 end where seq in (2, 3)",
    )
    tamper("update tenants_journalseal set seq = seq - 90 where seq > 90")
    assert found(verify(acme.pk)) == [("reordered", 2, five[2].pk), ("reordered", 3, five[1].pk)]


def test_lines_that_took_each_others_place_are_named(
    acme: Tenant, five: list[JournalEntry]
) -> None:
    tamper(
        "update tenants_journalentry a set verb = b.verb from tenants_journalentry b"
        " where (a.id, b.id) in (({one}, {two}), ({two}, {one}))",
        one=five[0].pk,
        two=five[4].pk,
    )
    assert [(what, seq) for what, seq, _ in found(verify(acme.pk))] == [
        ("edited", 1),
        ("edited", 5),
    ]


def test_a_line_slipped_in_past_the_sealer_is_named(acme: Tenant, five: list[JournalEntry]) -> None:
    forged = uuid7()
    tamper(
        "insert into tenants_journalentry select (jsonb_populate_record(entry, jsonb_build_object('id', {id}))).*"
        " from tenants_journalentry entry where id = {copied}",
        id=forged,
        copied=five[0].pk,
    )
    sealing.seal_due()
    assert found(verify(acme.pk)) == [("unsealed", None, forged)]


def test_an_end_cut_off_with_its_seals_is_found_by_a_head_that_was_noted(
    acme: Tenant, five: list[JournalEntry]
) -> None:
    noted = verify(acme.pk).head
    assert noted is not None
    tamper("delete from tenants_journalentry where id = {id}", id=five[4].pk)
    tamper("delete from tenants_journalseal where seq = 5")
    assert verify(acme.pk).findings == []  # nothing inside the database can tell
    assert found(verify(acme.pk, expected=noted)) == [("truncated", 5, None)]
    made_anew = Head(4, noted.link)
    assert [one.what for one in verify(acme.pk, expected=made_anew).findings] == ["truncated"]


def test_the_tail_is_named_and_is_a_finding_only_when_nobody_seals(
    acme: Tenant, vendor: Vendor, time_travel: Travel
) -> None:
    waiting = say(vendor, "waits")[0]
    report = verify(acme.pk)
    assert (report.findings, report.n_waiting, report.waiting) == ([], 1, [waiting.pk])
    time_travel(minutes=2)
    assert found(verify(acme.pk)) == [("unsealed", None, waiting.pk)]


def test_a_key_that_came_later_seals_on_and_the_old_one_still_verifies(
    acme: Tenant, five: list[JournalEntry], vendor: Vendor, settings: object
) -> None:
    old = settings.AUDIT_KEY  # type: ignore[attr-defined]
    settings.AUDIT_KEY = "bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4="  # type: ignore[attr-defined]
    settings.AUDIT_KEYS_OLD = old  # type: ignore[attr-defined]
    say(vendor, "six")
    sealing.seal_due()
    assert verify(acme.pk).findings == []
    settings.AUDIT_KEYS_OLD = ""  # type: ignore[attr-defined]
    assert {one.what for one in verify(acme.pk).findings} == {"unreadable"}


@pytest.mark.parametrize("table", ["journalentry", "platformjournalentry", "journalseal"])
@pytest.mark.parametrize(
    "statement", ["update tenants_{} set id = id", "delete from tenants_{}", "truncate tenants_{}"]
)
def test_the_owner_is_refused_too(acme: Tenant, table: str, statement: str) -> None:
    if table == "journalseal":
        statement = statement.replace("id = id", "seq = seq")
    with pytest.raises(Exception, match="append-only"):
        as_owner(statement.format(table))


def test_what_the_platform_did_is_sealed_in_a_chain_of_its_own(acme: Tenant) -> None:
    with scoping.platform() as now:
        line = journal.record_platform(
            subject_type="tenant", subject_id=acme.pk, verb="created", by=SYSTEM, at=now
        )
    sealing.seal_due()
    assert verify(chain.PLATFORM).n_sealed == 1
    tamper(
        "update tenants_platformjournalentry set verb = 'x' where id = {id}",
        id=line.pk,
    )
    assert found(verify(chain.PLATFORM)) == [("edited", 1, line.pk)]


def test_only_one_process_seals_and_the_other_does_not_wait(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(vendor, "one")
    monkeypatch.setattr(sealing, "_ONE_SEALER", "select %s = 0")  # as when another holds the lock
    assert sealing.seal_all() == 0
    assert verify(vendor.tenant_id).n_waiting == 1


def test_the_command_names_each_row_and_fails(acme: Tenant, five: list[JournalEntry]) -> None:
    whole = StringIO()
    call_command("verify_audit", stdout=whole)
    assert "acme: whole, 5 sealed, head 5:" in whole.getvalue()
    head = whole.getvalue().split("head ")[1].split()[0]
    call_command("verify_audit", tenant="acme", expect=head, stdout=StringIO())
    tamper("update tenants_journalentry set verb = 'x' where id = {id}", id=five[0].pk)
    said = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("verify_audit", tenant="acme", stdout=said)
    assert ended.value.code == 1
    assert f"acme: edited: seq 1, entry {five[0].pk}" in said.getvalue()


@pytest.mark.parametrize(
    "options", [{"tenant": "nobody"}, {"expect": "1:00"}, {"tenant": "acme", "expect": "one"}]
)
def test_the_command_says_what_it_cannot_do(acme: Tenant, options: dict[str, str]) -> None:
    with pytest.raises(CommandError):
        call_command("verify_audit", stdout=StringIO(), **options)


def test_heads_that_moved_go_to_the_log(
    acme: Tenant, five: list[JournalEntry], caplog: pytest.LogCaptureFixture
) -> None:
    head = verify(acme.pk).head
    assert head is not None
    with caplog.at_level(logging.INFO, logger="tenants.sealing"):
        sealing.tell_heads()
    told = [(line.tenant_id, line.seq, line.hash) for line in caplog.records]  # type: ignore[attr-defined]
    assert told == [(str(acme.pk), 5, head.link.hex())]
