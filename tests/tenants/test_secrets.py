import base64
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured

from tenants.secrets import SecretUnreadable, open_sealed, seal

ACME = UUID("00000000-0000-0000-0000-000000000001")
GLOBEX = UUID("00000000-0000-0000-0000-000000000002")
ROW = UUID("10000000-0000-0000-0000-000000000001")
OTHER_ROW = UUID("10000000-0000-0000-0000-000000000002")
OLD_KEY = base64.urlsafe_b64encode(b"\xfb" * 32).decode()  # its base64 needs - and _
NEW_KEY = base64.urlsafe_b64encode(b"n" * 32).decode()


def configure(monkeypatch: pytest.MonkeyPatch, keys: str, old: str = "") -> None:
    settings = SimpleNamespace(ENCRYPTION_KEY=keys, ENCRYPTION_KEYS_OLD=old)
    monkeypatch.setattr("tenants.secrets.settings", settings)


@pytest.fixture(autouse=True)
def _old_key(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, OLD_KEY)


@pytest.mark.parametrize("plaintext", ["whsec_abc", "", "ü \0 \n", "x" * 10_000])
def test_it_opens_what_it_sealed(plaintext: str) -> None:
    sealed = seal(plaintext, tenant_id=ACME, row_id=ROW)
    assert open_sealed(sealed, tenant_id=ACME, row_id=ROW) == plaintext


def test_the_stored_value_shows_nothing_of_the_secret() -> None:
    sealed = seal("whsec_abcdefgh", tenant_id=ACME, row_id=ROW)
    assert sealed.isascii()
    assert "abcdefgh" not in sealed
    assert b"abcdefgh" not in base64.urlsafe_b64decode(sealed.split(".")[2])


def test_the_same_secret_looks_different_each_time() -> None:
    assert seal("a", tenant_id=ACME, row_id=ROW) != seal("a", tenant_id=ACME, row_id=ROW)


@pytest.mark.parametrize(("tenant_id", "row_id"), [(GLOBEX, ROW), (ACME, OTHER_ROW), (ROW, ACME)])
def test_a_value_copied_to_another_row_cannot_be_read(tenant_id: UUID, row_id: UUID) -> None:
    sealed = seal("whsec_abc", tenant_id=ACME, row_id=ROW)
    with pytest.raises(SecretUnreadable, match="Enter it again"):
        open_sealed(sealed, tenant_id=tenant_id, row_id=row_id)


def test_every_altered_character_is_noticed() -> None:
    sealed = seal("whsec_abc", tenant_id=ACME, row_id=ROW)
    for position, character in enumerate(sealed.rstrip("=")[:-1]):
        altered = sealed[:position] + ("A" if character != "A" else "B") + sealed[position + 1 :]
        with pytest.raises(SecretUnreadable):
            open_sealed(altered, tenant_id=ACME, row_id=ROW)


@pytest.mark.parametrize("value", ["", "v1", "v1.x", "v1.aaaaaaaa.", "v1.aaaaaaaa.é", "a.b.c.d"])
def test_what_was_never_sealed_cannot_be_read(value: str) -> None:
    with pytest.raises(SecretUnreadable):
        open_sealed(value, tenant_id=ACME, row_id=ROW)


def test_a_known_key_does_not_make_rubbish_readable() -> None:
    key_id = seal("a", tenant_id=ACME, row_id=ROW).split(".")[1]
    for encoded in ("", "AAAA", "!!!!"):
        with pytest.raises(SecretUnreadable):
            open_sealed(f"v1.{key_id}.{encoded}", tenant_id=ACME, row_id=ROW)


def test_after_a_rotation_the_first_key_encrypts_and_all_decrypt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = seal("old", tenant_id=ACME, row_id=ROW)
    configure(monkeypatch, NEW_KEY, old=OLD_KEY)
    assert open_sealed(before, tenant_id=ACME, row_id=ROW) == "old"
    configure(monkeypatch, f"{NEW_KEY}, {OLD_KEY}")
    after = seal("new", tenant_id=ACME, row_id=ROW)
    assert open_sealed(before, tenant_id=ACME, row_id=ROW) == "old"
    configure(monkeypatch, NEW_KEY)
    assert open_sealed(after, tenant_id=ACME, row_id=ROW) == "new"
    # The old key is gone, and with it what it sealed.
    with pytest.raises(SecretUnreadable):
        open_sealed(before, tenant_id=ACME, row_id=ROW)


@pytest.mark.parametrize("keys", ["", "short", OLD_KEY[:-8], f"{OLD_KEY},", "é" * 44])
def test_a_wrong_key_is_named_and_never_shown(keys: str, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, keys)
    with pytest.raises(ImproperlyConfigured, match="32 bytes in URL-safe base64") as complaint:
        seal("a", tenant_id=ACME, row_id=ROW)
    assert not keys or keys not in str(complaint.value)
