"""Secrets under a new key: all of them, in batches that may stop, and none that can be moved."""

import base64
from io import StringIO

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from pytest_django import Settings

from actions.models import Channel, PlatformChannel
from tenants import rotating, scoping, secrets
from tenants.journal import SYSTEM
from tenants.models import PlatformJournalEntry, Tenant, Workflow
from tenants.scoping import bound
from tests.factories import ChannelFactory, WorkflowFactory

pytestmark = pytest.mark.django_db

NEW_KEY = base64.urlsafe_b64encode(b"n" * 32).decode()


@pytest.fixture
def rotated_key(settings: Settings) -> None:
    settings.ENCRYPTION_KEYS_OLD = settings.ENCRYPTION_KEY
    settings.ENCRYPTION_KEY = NEW_KEY


def sealed_workflow(tenant: Tenant, secret: str) -> Workflow:
    workflow = WorkflowFactory(tenant=tenant)
    with bound(tenant.pk):
        for name in ("retry_secret_sealed", "previous_secret_sealed"):
            sealed = secrets.seal(secret, tenant_id=tenant.pk, row_id=workflow.pk)
            setattr(workflow, name, sealed)
        workflow.save()
    return workflow


def opened(row: Workflow | Channel, name: str) -> str:
    with bound(row.tenant_id):
        row.refresh_from_db()
    assert getattr(row, name).startswith(secrets.current())
    return secrets.open_sealed(getattr(row, name), tenant_id=row.tenant_id, row_id=row.pk)


def rotate() -> dict[str, int]:
    return {done.place: done.n_sealed for done in rotating.rotate(by=SYSTEM) if done.n_sealed}


@pytest.fixture
def kept(acme: Tenant, globex: Tenant, staff: User) -> list[Workflow]:
    """Three workflows, a channel, a channel of the platform and a second step, under the key of before."""
    channel = ChannelFactory(tenant=acme, name="kept")
    with bound(acme.pk):
        channel.secret_sealed = secrets.seal("token", tenant_id=acme.pk, row_id=channel.pk)
        channel.save()
    with scoping.platform():
        hook = PlatformChannel(name="ops")
        hook.url_sealed = secrets.seal("slack://x", tenant_id=secrets.NOBODY, row_id=hook.pk)
        hook.save()
    place = {"tenant_id": secrets.NOBODY, "row_id": secrets.NOBODY}
    data = {"secret": secrets.seal("totp", **place), "codes": [secrets.seal("one", **place), "x"]}
    Authenticator.objects.create(user=staff, type="totp", data=data)
    return [sealed_workflow(tenant, f"whsec_{n}") for n, tenant in enumerate((acme, globex, acme))]


def test_everything_is_found_and_encrypted_anew(
    kept: list[Workflow], rotated_key: None, settings: Settings
) -> None:
    assert rotate() == {
        "tenants_workflow.retry_secret_sealed": 3,
        "tenants_workflow.previous_secret_sealed": 3,
        "actions_channel.secret_sealed": 1,
        "actions_platformchannel.url_sealed": 1,
        "mfa_authenticator.data": 2,
    }
    settings.ENCRYPTION_KEYS_OLD = ""  # the old key is gone
    assert [opened(row, "retry_secret_sealed") for row in kept] == ["whsec_0", "whsec_1", "whsec_2"]
    with scoping.platform():
        hook = PlatformChannel.objects.get()
    assert (
        secrets.open_sealed(hook.url_sealed, tenant_id=secrets.NOBODY, row_id=hook.pk)
        == "slack://x"
    )
    data = Authenticator.objects.get().data
    place = {"tenant_id": secrets.NOBODY, "row_id": secrets.NOBODY}
    assert secrets.open_sealed(data["secret"], **place) == "totp"
    assert (secrets.open_sealed(data["codes"][0], **place), data["codes"][1]) == ("one", "x")
    with scoping.platform():
        told = PlatformJournalEntry.objects.filter(verb="secrets_rotated")
        assert {line.detail["sealed"] for line in told} == {1, 2, 3}


def test_it_goes_on_where_it_stopped_and_the_second_time_does_nothing(
    kept: list[Workflow], rotated_key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotating, "BATCH", 1)
    place = next(one for one in rotating.places() if one.column == "retry_secret_sealed")
    first = rotating._column(place, None, rotating.Rotated("first"))
    assert first is not None  # and here the machine stopped
    assert rotate()["tenants_workflow.retry_secret_sealed"] == 2
    assert rotate() == {}


def test_what_was_moved_from_another_row_is_named_and_left_alone(
    kept: list[Workflow], rotated_key: None
) -> None:
    mine, foreign = kept[0], kept[1]
    with scoping.platform(), connection.cursor() as cursor:
        cursor.execute(
            "update tenants_workflow set retry_secret_sealed = %s where id = %s",
            [foreign.retry_secret_sealed, mine.pk],
        )
    said = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("rotate_secrets", stdout=said)
    assert ended.value.code == 1
    assert f"1 cannot be read: {mine.pk}" in said.getvalue()
    with bound(mine.tenant_id):
        mine.refresh_from_db()
    assert mine.retry_secret_sealed == foreign.retry_secret_sealed
    assert "whsec_" not in said.getvalue()


def test_every_column_of_secrets_is_text_that_is_found_by_its_name() -> None:
    found = {str(place) for place in rotating.places()}
    assert found >= {
        "tenants_workflow.retry_secret_sealed",
        "tenants_workflow.previous_secret_sealed",
        "actions_channel.secret_sealed",
        "actions_platformchannel.url_sealed",
    }


def test_the_command_says_when_the_old_key_can_go(kept: list[Workflow], rotated_key: None) -> None:
    said = StringIO()
    call_command("rotate_secrets", stdout=said)
    assert "tenants_workflow.retry_secret_sealed: 3 encrypted anew" in said.getvalue()
    assert "Nothing needs ENCRYPTION_KEYS_OLD any more." in said.getvalue()
