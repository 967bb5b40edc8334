"""The only place that decides when two reported bodies are the same event."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from uuid import UUID

from awfdrs_site.lib.strict_json import canonical

KNOWN_FIELDS = frozenset(
    {
        "tenant_id",
        "workflow_id",
        "workflow",
        "event_type",
        "payload",
        "occurred_at",
        "idempotency_key",
        "schema_version",
        "run_id",
    }
)
# They say who sends and how often, not what happened.
_NOT_CONTENT = frozenset({"tenant_id", "idempotency_key"})

DIGEST_HEX_CHARACTERS = 16
_SAID_AGAIN = 64  # characters: slugs, types and times stand in many events

# A megabyte of invented fields may not weigh more in the keys than in the event: beyond these
# limits unknown fields share the digest named OTHER_FIELDS.
DIGESTED_FIELDS_MAX = 50
DIGESTED_NAME_MAX_CHARACTERS = 100
OTHER_FIELDS = "*"


def hash_of(fields: Mapping[str, object], *, idempotency_key: str | None) -> bytes:
    # The prefix keeps a chosen key from ever meaning some other body.
    if idempotency_key is not None:
        return hashlib.sha256(b"k:" + idempotency_key.encode()).digest()
    return hashlib.sha256(b"b:" + canonical(fields)).digest()


def digests_of(fields: Mapping[str, object], *, workflow_id: UUID | None) -> dict[str, str]:
    content = {name: value for name, value in fields.items() if name not in _NOT_CONTENT}
    if workflow_id is not None:
        content["workflow_id"] = str(workflow_id)  # upper case in is the same id
    if content.keys() <= KNOWN_FIELDS:
        return {name: _digest(value) for name, value in content.items()}
    named = (content.keys() & KNOWN_FIELDS) | set(_digested_alone(content))
    digests = {name: _digest(content[name]) for name in named}
    others = {name: value for name, value in content.items() if name not in named}
    if others:
        digests[OTHER_FIELDS] = _digest(others)
    return digests


def differing_fields(a: Mapping[str, str], b: Mapping[str, str]) -> tuple[str, ...]:
    """The top-level fields in which two events with one key differ, by their digests."""
    return tuple(sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name)))


def _digested_alone(content: Mapping[str, object]) -> list[str]:
    unknown = sorted(
        name
        for name in content.keys() - KNOWN_FIELDS
        if len(name) <= DIGESTED_NAME_MAX_CHARACTERS and name != OTHER_FIELDS
    )
    return unknown[:DIGESTED_FIELDS_MAX]


def _digest(value: object) -> str:
    if isinstance(value, str) and len(value) <= _SAID_AGAIN:
        return _kept(value)
    return _hashed(value)


def _hashed(value: object) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()[:DIGEST_HEX_CHARACTERS]


_kept = lru_cache(maxsize=4096)(_hashed)  # of texts alone: 1, 1.0 and true are one key to a cache
