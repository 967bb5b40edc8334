"""A tenant that leaves: all it owns is written down without a secret, and then all of it is gone, provably."""

import hashlib
import json
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection

from tenants import chain, erasing, exporting, scoping, sealing, secrets
from tenants.journal import SYSTEM
from tenants.models import JournalEntry, Tenant, Workflow
from tenants.scoping import bound
from tenants.verifying import verify
from tests.api.world import one_of_everything
from tests.cast import digest_all, event, journal_of, key_of, submit_all
from tests.databases import Owner
from tests.factories import ChannelFactory, MembershipFactory, WorkflowFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

HOOK = "https://hooks.example.org/services/T000/B000/hook-secret"


@pytest.fixture
def both(acme: Tenant, globex: Tenant) -> tuple[Tenant, Tenant]:
    for tenant, word in ((acme, "acme"), (globex, "globex")):
        one_of_everything(tenant, word)
        submit_all(tenant, [event(run_id=f"run-{n}") for n in range(3)])
        ChannelFactory(tenant=tenant, name="told", url=HOOK)
        key_of(tenant)
    digest_all()
    return acme, globex


def owned(owner: Owner, tenant: Tenant) -> dict[str, int]:
    """Table → the tenant's rows in it, asked as the owner."""
    counts = {}
    for table in exporting.tables()[1:]:
        asked = f"select count(*) from {table.name} where tenant_id = %s"
        found = owner.connection.execute(asked, [tenant.pk]).fetchone()
        counts[table.name] = int(found[0]) if found else 0
    return counts


def test_an_export_holds_every_row_and_no_secret(
    both: tuple[Tenant, Tenant],
    owner: Owner,
    ann: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    acme, _ = both
    workflow: Workflow = WorkflowFactory(tenant=acme, slug="sealed")
    with bound(acme.pk):
        workflow.retry_secret_sealed = secrets.seal(
            "whsec_planted", tenant_id=acme.pk, row_id=workflow.pk
        )
        workflow.save()
    monkeypatch.setattr(exporting, "BATCH", 2)  # many batches
    to = tmp_path / "acme"
    call_command("export_tenant", "acme", to=to, stdout=StringIO())
    manifest = json.loads((to / "manifest.json").read_text())
    rows = {one["name"].removesuffix(".ndjson"): one["rows"] for one in manifest["files"]}
    after = owned(owner, acme) | {"tenants_journalentry": rows["tenants_journalentry"]}
    waiting = {"tenants_unsealedentry": rows["tenants_unsealedentry"]}
    # every table, every row (the export's own line came after it)
    assert rows | waiting == after | waiting | {
        "people": 1,
        "tenants_tenant": 1,
        "rules.yaml": rows["rules.yaml"],
    }
    assert after["events_event"] == 4
    for one in manifest["files"]:
        assert hashlib.sha256((to / one["name"]).read_bytes()).hexdigest() == one["sha256"]
    assert exporting.verify(to) == []
    everything = b"".join(path.read_bytes() for path in to.iterdir())
    for secret in (workflow.retry_secret_sealed, "whsec_", "hook-secret", "argon2", "scrypt"):
        assert secret.encode() not in everything, secret
    assert b"https://hooks.example.org" in everything
    assert b"globex" not in everything
    assert manifest["withheld"]["tenants_apikey"] == ["secret_hash", "previous_secret_hash"]
    assert (to.stat().st_mode & 0o777, (to / "manifest.json").stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )
    assert journal_of(acme, acme.pk) == ["tenant_exported"]
    (to / "tenants_vendor.ndjson").write_text("{}\n")
    assert exporting.verify(to) == ["tenants_vendor.ndjson"]
    with pytest.raises(CommandError, match="not an empty directory"):
        call_command("export_tenant", "acme", to=to, stdout=StringIO())
    with pytest.raises(CommandError, match="No tenant is called nobody"):
        call_command("export_tenant", "nobody", to=tmp_path / "x", stdout=StringIO())


def test_an_erased_tenant_leaves_blank_lines_and_a_whole_chain(
    both: tuple[Tenant, Tenant], owner: Owner, ann: User, mallory: User
) -> None:
    acme, globex = both
    shared = MembershipFactory(tenant=globex, user__username="shared").user
    MembershipFactory(tenant=acme, user=shared)
    n_lines, foreign = len(journal_of(acme)), owned(owner, globex)
    with pytest.raises(CommandError, match="Nothing was erased"):
        call_command("erase_tenant", "acme", stdout=StringIO())
    said = StringIO()
    call_command("erase_tenant", "acme", confirm="acme", stdout=said)
    assert "acme is erased" in said.getvalue()
    left = {name: n for name, n in owned(owner, acme).items() if n}
    assert left == {"tenants_journalentry": n_lines, "tenants_journalseal": n_lines}
    kept = owned(owner, globex)
    for moved in ("tenants_unsealedentry", "tenants_journalseal"):
        foreign.pop(moved), kept.pop(moved)
    assert kept == foreign
    with bound(acme.pk):
        lines = JournalEntry.objects.for_tenant(acme).values_list("actor_label", "detail")
        assert set(map(str, lines)) == {"('erased', {'erased': True})"}
    # blank, and still whole: the platform's own sealed line says why
    report = verify(acme.pk)
    assert (report.findings, report.n_sealed, report.n_erased) == ([], n_lines, n_lines)
    assert verify(chain.PLATFORM).findings == []
    assert verify(globex.pk).findings == []
    assert list(User.objects.order_by("username").values_list("username", flat=True)) == [
        "mallory",
        "shared",
    ]
    with scoping.platform():
        tombstone = Tenant.objects.get(pk=acme.pk)
    assert (tombstone.name, tombstone.is_active) == ("Erased tenant", False)
    assert erasing.erase(acme.pk, by=SYSTEM).rows == 0  # again: nothing is left


def test_blanking_a_line_without_an_erasure_is_found(acme: Tenant, owner: Owner) -> None:
    one_of_everything(acme, "acme")
    sealing.seal_all()
    with owner.connection.transaction():
        owner.connection.execute("select set_config('awf.erasing', 'yes', true)")
        owner.connection.execute(
            "update tenants_journalentry set detail = '{\"erased\": true}' where tenant_id = %s",
            [acme.pk],
        )
    assert {one.what for one in verify(acme.pk).findings} == {"edited"}
    with connection.cursor() as cursor, pytest.raises(Exception, match="permission denied"):
        cursor.execute("delete from tenants_journalentry")
