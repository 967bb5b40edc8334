"""The only place that says which failures are the same failure: normaliser, signature, title."""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache

from incidents import masking, wording

VERSION = 2  # raise it when any masking changes: signatures of two versions never meet
TITLE_LIMIT = 200
_FIELD_LIMIT = 255  # a code, vendor or step longer than this is noise, and an index key has limits
_ROUNDS = 3


@dataclass(frozen=True)
class Signature:
    version: int
    hash: str
    components: tuple[tuple[str, str], ...]


def normalise(text: str) -> str:
    """A message without what changes: lower case, one space, a placeholder for every value.

    Total, linear and idempotent: the answer is a fixed point of `masking.masked` by
    construction, and a text that has not settled after three rounds is noise.
    """
    return _normalised(text[: wording.INPUT_LIMIT])


# A storm repeats one text, and one failure, thousands of times; each memory is below 10 MiB at the very worst.
@lru_cache(maxsize=1024)
def _normalised(text: str) -> str:
    settled = masking.masked(text)
    for _ in range(_ROUNDS):
        again = masking.masked(settled)
        if again == settled:
            return settled
        settled = again
    return masking.NOISE


@lru_cache(maxsize=256)
def fingerprint(
    *,
    workflow: str,
    event_type: str,
    vendor: str,
    error_code: str,
    template: str,
    step: str,
) -> Signature:
    """What a failure is grouped by; event type and step only speak when nothing else does.

    `template` is the key of the message's template, empty when there is no message.
    """
    code = _field(error_code)
    components = [
        ("workflow", workflow),
        ("vendor", _field(vendor)),
        ("code", code),
        ("template", template),
    ]
    if not code and not template:
        components += [("event_type", _field(event_type)), ("step", normalise(step))]
    return Signature(version=VERSION, hash=_hash(components), components=tuple(components))


def _field(text: str) -> str:
    return wording.fold(text[:_FIELD_LIMIT])[:_FIELD_LIMIT].strip()


def _hash(components: list[tuple[str, str]]) -> str:
    # JSON keeps ("ab", "c") apart from ("a", "bc"), and escapes what UTF-8 cannot carry.
    canonical = json.dumps([VERSION, components], separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:32]


def title(*, event_type: str, error_code: str, error_message: str, vendor: str, step: str) -> str:
    """One line for people: the message as it was written, else the code in words and the place."""
    message = wording.first_line(error_message)
    if message:
        return _shortened(message)
    place = wording.first_line(step) or wording.first_line(event_type)
    what = wording.humanised(error_code) or wording.first_line(vendor)
    return _shortened(" · ".join(part for part in (what, place) if part) or "Unnamed failure")


def _shortened(line: str) -> str:
    if len(line) <= TITLE_LIMIT:
        return line
    return line[: TITLE_LIMIT - 1].rstrip() + "…"
