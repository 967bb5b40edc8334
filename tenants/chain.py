"""The only place that knows what a seal of the journal covers, and that judges a chain link by link."""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings

from awfdrs_site.lib import keyrings

WRONG_KEY = f"Each key in AUDIT_KEY must be {keyrings.KEY_BYTES} bytes in URL-safe base64."
LINK_BYTES = 32
START = bytes(LINK_BYTES)  # what the first link stands on
PLATFORM = UUID(int=0)  # the chain of what belongs to no tenant
REMEMBERED = 1000  # links of rows out of place, of which one may be what the next row stands on


@dataclass(frozen=True)
class Head:
    """The newest link of a chain."""

    seq: int
    link: bytes


@dataclass(frozen=True)
class Sealed:
    """One row of a chain beside what its line says now; `content` is None when the line is gone."""

    seq: int
    entry_id: UUID
    payload: bytes
    link: bytes
    key_id: str
    content: str | None


@dataclass(frozen=True)
class Finding:
    """One row that is not as it was sealed. `what` is one word, `says` a sentence."""

    what: str  # edited | deleted | reordered | missing | unsealed | unreadable | truncated
    says: str
    seq: int | None = None
    entry_id: UUID | None = None


def keys() -> dict[str, bytes]:
    """By id: the first one seals, all of them verify. What was sealed before there was an AUDIT_KEY stays readable."""
    given = settings.AUDIT_KEY or settings.ENCRYPTION_KEY
    old = [settings.AUDIT_KEYS_OLD, settings.ENCRYPTION_KEY, settings.ENCRYPTION_KEYS_OLD]
    encoded = filter(str.strip, ",".join([given, *old]).split(","))
    made = map(_derived, keyrings.read(encoded, otherwise=WRONG_KEY))
    return {hashlib.sha256(key).hexdigest()[:8]: key for key in made}


def payload_hash(key: bytes, content: str | None) -> bytes:
    """Keyed, so that what was erased cannot be guessed from it."""
    return hmac.digest(key, b"payload\0" + (content or "").encode(), "sha256")


def link(
    key: bytes, *, chain: UUID, previous: bytes, seq: int, entry_id: UUID, payload: bytes
) -> bytes:
    place = chain.bytes + previous + seq.to_bytes(8, "big") + entry_id.bytes + payload
    return hmac.digest(key, b"link\0" + place, "sha256")


@dataclass
class Walk:
    """Judges the rows of one chain in the order of their seq; what was found so far decides what the next stands on."""

    chain: UUID
    keys: Mapping[str, bytes]
    erased_through: int = (
        0  # up to here a line may have been blanked by an erasure that is itself sealed
    )
    erased: str = ""  # the content of a blanked line, which `content` of one ends with
    seq: int = 0
    n_erased: int = 0
    bases: list[bytes] = field(default_factory=lambda: [START])

    def judge(self, row: Sealed) -> Iterator[Finding]:
        if row.seq != self.seq + 1:
            lost = f"{self.seq + 1}" if row.seq == self.seq + 2 else f"{self.seq + 1}–{row.seq - 1}"
            yield Finding(
                "missing", f"Seal {lost} is gone, and what it sealed with it.", row.seq - 1
            )
            self.bases = []  # nobody can say what this row stands on
        self.seq = row.seq
        yield from self._judge(row)

    def _judge(self, row: Sealed) -> Iterator[Finding]:
        key = self.keys.get(row.key_id)
        stands = key is None or not self.bases or any(self._fits(key, row, b) for b in self.bases)
        # The rows after one out of place may stand on any of those before them.
        self.bases = [row.link] if stands else [*self.bases[-REMEMBERED:], row.link]
        if row.content is None:
            yield _finding(row, "deleted", "The line is gone; its seal is still here.")
        elif key is None:
            yield _finding(row, "unreadable", f"It was sealed with key {row.key_id}, not ours.")
        elif not hmac.compare_digest(payload_hash(key, row.content), row.payload):
            if row.seq <= self.erased_through and row.content.endswith(self.erased) and stands:
                self.n_erased += 1
            else:
                yield _finding(row, "edited", "The line does not say what was sealed.")
        elif not stands:
            yield _finding(row, "reordered", "The line is genuine but not in its place.")

    def _fits(self, key: bytes, row: Sealed, base: bytes) -> bool:
        made = link(
            key,
            chain=self.chain,
            previous=base,
            seq=row.seq,
            entry_id=row.entry_id,
            payload=row.payload,
        )
        return hmac.compare_digest(made, row.link)


def _finding(row: Sealed, what: str, says: str) -> Finding:
    return Finding(what, says, row.seq, row.entry_id)


def _derived(key: bytes) -> bytes:
    """Never the key itself: what encrypts secrets and what seals the journal have nothing in common."""
    return hmac.digest(key, b"awfdrs journal seal", "sha256")
