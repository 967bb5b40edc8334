"""The only place that signs what we send and checks such signatures (Standard Webhooks 1.0)."""

import base64
import hmac
import secrets as entropy
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from standardwebhooks import Webhook

TOLERANCE = timedelta(minutes=5)  # clocks differ, and a captured request is soon worthless
SECRET_BYTES = 32  # the standard asks for 24 to 64


class SignatureInvalid(Exception):
    """Not from a holder of the secret, not this content, or not from now."""


def new_secret() -> str:
    return "whsec_" + base64.b64encode(entropy.token_bytes(SECRET_BYTES)).decode()


def headers(
    *, message_id: str, at: datetime, body: bytes, secrets: Sequence[str]
) -> dict[str, str]:
    """While a secret is replaced, both are given and the receiver accepts either."""
    if not secrets:
        raise ValueError("no secret to sign with")
    signatures = [_sign(message_id, at=at, body=body, secret=secret) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def verify(*, headers: Mapping[str, str], body: bytes, secret: str, now: datetime) -> None:
    """Raises SignatureInvalid. Whether the id was seen before is for the caller to remember."""
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, signatures = given["webhook-id"], given["webhook-signature"]
        at = datetime.fromtimestamp(int(given["webhook-timestamp"]), tz=UTC)
        expected = _sign(message_id, at=at, body=body, secret=secret)
    except (KeyError, ValueError, OverflowError, OSError) as failure:
        raise SignatureInvalid("The signature headers are missing or malformed.") from failure
    if abs(now - at) > TOLERANCE:
        raise SignatureInvalid("The signature is too old or from the future.")
    if not any(_is_same(signature, expected) for signature in signatures.split(" ")):
        raise SignatureInvalid("No signature matches.")


def _sign(message_id: str, *, at: datetime, body: bytes, secret: str) -> str:
    # The library drops the time zone instead of converting, so it is given UTC.
    return Webhook(secret).sign(message_id, at.astimezone(UTC), body.decode())


def _is_same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
