"""The only place that reads an installation's keys: each 32 random bytes in URL-safe base64."""

import base64
from collections.abc import Iterable

from django.core.exceptions import ImproperlyConfigured

KEY_BYTES = 32


def read(encoded: Iterable[str], *, otherwise: str) -> list[bytes]:
    """The keys in their order. Raises ImproperlyConfigured with what `otherwise` says, never with the value."""
    return [_key(one.strip(), otherwise) for one in encoded]


def _key(encoded: str, otherwise: str) -> bytes:
    try:
        key = base64.b64decode(encoded, altchars=b"-_", validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ImproperlyConfigured(otherwise)
    return key
