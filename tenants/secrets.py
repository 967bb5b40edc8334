"""The only place that encrypts a tenant's secrets for the database and reads them back."""

import base64
import hashlib
import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from awfdrs_site.lib import keyrings

FORMAT = "v1"
WRONG_KEY = (
    "Each key in ENCRYPTION_KEY and ENCRYPTION_KEYS_OLD must be"
    f" {keyrings.KEY_BYTES} bytes in URL-safe base64."
)
NOBODY = UUID(int=0)  # stands for the tenant where a secret is sealed that belongs to none
NONCE_BYTES = 12  # random: far below the 2**32 values per key that AES-GCM allows


class SecretUnreadable(Exception):
    """Sealed for another row, altered, or with a key this installation does not have."""

    def __init__(self) -> None:
        super().__init__("A stored secret cannot be read. Enter it again.")


def seal(plaintext: str, *, tenant_id: UUID, row_id: UUID) -> str:
    """`v1.<key id>.<nonce and ciphertext>`, readable only for the same tenant and row."""
    key_id, key = next(iter(_keys().items()))
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, plaintext.encode(), _place(tenant_id, row_id))
    return f"{FORMAT}.{key_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"


def open_sealed(value: str, *, tenant_id: UUID, row_id: UUID) -> str:
    """Raises SecretUnreadable."""
    try:
        version, key_id, encoded = value.split(".")
        raw = base64.b64decode(encoded, altchars=b"-_", validate=True)
        cipher = AESGCM(_keys()[key_id])
        place = _place(tenant_id, row_id)
        plaintext = cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], place).decode()
    except (ValueError, KeyError, InvalidTag) as failure:
        raise SecretUnreadable from failure
    if version != FORMAT:
        raise SecretUnreadable
    return plaintext


def current() -> str:
    """What everything starts with that is sealed with the key in use."""
    return f"{FORMAT}.{next(iter(_keys()))}."


def key_ids() -> list[str]:
    """What sealed values name, of the keys we have."""
    return list(_keys())


def _place(tenant_id: UUID, row_id: UUID) -> bytes:
    return tenant_id.bytes + row_id.bytes


def _keys() -> dict[str, bytes]:
    """By id, in the order configured: the first one encrypts, all of them decrypt."""
    old = settings.ENCRYPTION_KEYS_OLD
    configured = f"{settings.ENCRYPTION_KEY},{old}" if old else settings.ENCRYPTION_KEY
    keys = keyrings.read(configured.split(","), otherwise=WRONG_KEY)
    return {hashlib.sha256(key).hexdigest()[:8]: key for key in keys}
