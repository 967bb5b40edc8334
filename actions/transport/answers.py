"""The only place that turns bytes from a stranger into an answer we may keep and show."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from awfdrs_site.lib import strict_json
from awfdrs_site.lib.strict_json import MalformedJson

EXCERPT_BYTES = 4096
KEPT_HEADERS = ("retry-after", "content-type")
MAX_HEADER_LENGTH = 200
REDACTED = "[redacted]"
RETRYABLE = frozenset({408, 425, 429})

_SECRET_HEADER = re.compile(
    r"auth|cookie|token|secret|signature|password|credential|api-?key", re.IGNORECASE
)
# Sixteen characters, so that "bearer token expired" stays readable.
_SECRET_SHAPES = re.compile(
    r"whsec_[A-Za-z0-9+/_=-]+|(?<=bearer )[\w.~+/=-]{16,}|(?<=basic )[\w+/=-]{16,}", re.IGNORECASE
)
_MIN_SECRET_LENGTH = 6  # shorter pieces would black out ordinary words


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # lower-case names, only KEPT_HEADERS
    excerpt: str
    latency_ms: int
    body: bytes = field(default=b"", repr=False)  # for machines; people see the excerpt

    @property
    def is_accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may be taken later; every other answer that is not accepted is final."""
        return self.status in RETRYABLE or self.status >= 500

    def told_by(self, who: str) -> str:
        """One sentence for people."""
        redirect = " Redirects are not followed." if 300 <= self.status < 400 else ""
        return f"{who} answered {self.status}.{redirect}"


def kept_headers(
    received: Iterable[tuple[bytes, bytes]], *, secrets: Sequence[str]
) -> dict[str, str]:
    named = {name.decode("latin-1").lower(): value for name, value in received}
    return {
        name: redact(_plain(named[name].decode("latin-1")), secrets=secrets)[:MAX_HEADER_LENGTH]
        for name in KEPT_HEADERS
        if name in named
    }


def excerpt(body: bytes, *, secrets: Sequence[str]) -> str:
    # Redacted before it is cut, or a secret across the cut would show its first half.
    text = redact(_plain(body.decode("utf-8", "replace")), secrets=secrets)
    return text.encode()[:EXCERPT_BYTES].decode("utf-8", "ignore")


def redact(text: str, *, secrets: Sequence[str]) -> str:
    # Longest first: a secret may contain another one.
    for secret in sorted(set(secrets), key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return _SECRET_SHAPES.sub(REDACTED, text)


def named_in(body: bytes) -> Mapping[str, Any]:
    """The fields of a JSON object that we could keep; none when it is too deep, or no such thing."""
    try:
        found = strict_json.loads(body, max_bytes=len(body))
    except MalformedJson:
        return {}
    return found if isinstance(found, Mapping) else {}


def secrets_in(headers: Mapping[str, str]) -> list[str]:
    """What an echo of our own request must not show: whole values, and their parts."""
    values = [value for name, value in headers.items() if _SECRET_HEADER.search(name)]
    parts = [part for value in values for part in re.split(r"[\s,;]+", value)]
    return [secret for secret in values + parts if len(secret) >= _MIN_SECRET_LENGTH]


def _plain(text: str) -> str:
    """Without control, format (right-to-left overrides) and unassigned characters."""
    return "".join(
        character
        for character in text
        if character in "\n\t" or not unicodedata.category(character).startswith("C")
    )
