"""Everything out, everything gone, everything back: equal to the byte, with the journal's chain whole."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from awfdrs_site import backups
from tenants import scoping, sealing
from tenants.models import Tenant
from tests.cast import decide_all, digest_all, journal_of, submit
from tests.databases import Owner
from tests.factories import ActionFactory, AttemptFactory, MembershipFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


@pytest.fixture
def made(acme: Tenant, tmp_path: Path) -> Path:
    """A backup of a small installation where something happened."""
    submit(acme, run_id="a", payload={"error_code": "x", "error_message": "tab\there\nand \\N"})
    digest_all()
    decide_all()
    AttemptFactory(tenant=acme, action=ActionFactory(tenant=acme), number=1)
    MembershipFactory(tenant=acme)
    sealing.seal_all()
    call_command("backup", str(tmp_path / "kept"), stdout=StringIO())
    return tmp_path / "kept"


def restored(directory: Path, *flags: str) -> str:
    out = StringIO()
    call_command("restore", str(directory), *flags, stdout=out, stderr=out)
    return out.getvalue()


def test_what_was_wiped_comes_back_equal_and_the_journal_is_whole(
    made: Path, acme: Tenant, owner: Owner
) -> None:
    told = journal_of(acme)
    assert not [one for one in made.glob("*.gz") if one.stat().st_mode & 0o077]
    owner.empty()
    said = restored(made, "--verify")
    assert "every table is equal" in said
    assert "acme: whole" in said
    assert journal_of(acme) == told
    # and goes on: nothing new meets a number that is taken
    submit(acme, run_id="b")
    assert digest_all() == 1
    MembershipFactory(tenant=acme)


def test_a_difference_is_found(made: Path, acme: Tenant) -> None:
    with scoping.platform():
        Tenant.objects.filter(pk=acme.pk).update(name="Acme & Sons")
    assert [line.split()[0] for line in backups.differences(made)] == ["tenants_tenant"]


def test_it_restores_into_an_empty_database_only(made: Path) -> None:
    with pytest.raises(CommandError, match="is not empty"):
        restored(made)


def test_what_does_not_fit_is_refused_whole(made: Path, owner: Owner) -> None:
    path = made / backups.MANIFEST
    whole: dict[str, Any] = json.loads(path.read_text())
    owner.empty()
    table = whole["tables"]["tenants_tenant"] | {"sha256": "0" * 64}
    for changed, says in (
        ({"migrations": [*whole["migrations"], ["events", "9999_later"]]}, "by another release"),
        ({"format": 2}, "this release reads 1"),
        ({"tables": whole["tables"] | {"tenants_tenant": table}}, "its checksum differs"),
    ):
        path.write_text(json.dumps(whole | changed))
        with pytest.raises(CommandError, match=says):
            restored(made)
    path.unlink()
    with pytest.raises(CommandError, match="holds no finished backup"):
        restored(made)
    with scoping.platform():
        assert not Tenant.objects.exists()


def test_a_backup_never_writes_over_another_one_and_other_keys_are_told(
    made: Path, owner: Owner
) -> None:
    with pytest.raises(CommandError, match="is not empty"):
        call_command("backup", str(made))
    owner.empty()
    with override_settings(ENCRYPTION_KEY="QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="):
        assert "secrets cannot be read" in restored(made)
