"""The only place that decides whether a reported body is an event, and what its fields mean."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar, cast
from uuid import UUID

from awfdrs_site.lib import rfc3339
from awfdrs_site.lib.problems import FieldError as FieldError
from awfdrs_site.lib.strict_json import escape_token, printable
from events.digests import KNOWN_FIELDS, digests_of, hash_of
from events.digests import differing_fields as differing_fields

DEFAULT_SCHEMA_VERSION = "1.0.0"
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
FUTURE_LIMIT = timedelta(hours=24)  # beyond it a clock is wrong, not early
FUTURE_TOLERANCE = timedelta(minutes=5)  # ordinary clock drift is not worth a warning
RUN_ID_MAX_CHARACTERS = 200
VENDOR_MAX_CHARACTERS = 100
NAMED_FIELDS_MAX = 20  # a megabyte of invented fields may not flood the answer

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_EVENT_TYPE = re.compile(r"[a-z0-9][a-z0-9._-]{2,254}")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_SCHEMA_VERSION = re.compile(r"([0-9]{1,5})\.[0-9]{1,5}(?:\.[0-9]{1,5})?")


class InvalidEvent(Exception):
    """Everything that is wrong with the body, in the order of its fields."""

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        super().__init__(", ".join(f"{error.pointer} {error.code}" for error in errors))
        self.errors = errors


class TenantMismatch(Exception):
    """The body names another tenant than the caller's; which one is not repeated."""


@dataclass(frozen=True, slots=True)
class IncomingEvent:
    """Exactly one of `workflow_id` and `workflow_slug` is set."""

    workflow_id: UUID | None
    workflow_slug: str | None
    event_type: str
    payload: dict[str, object]
    occurred_at: datetime
    idempotency_key: str | None
    schema_version: str
    run_id: str | None
    extra: dict[str, object]
    warnings: tuple[str, ...]
    key_hash: bytes
    field_digests: dict[str, str]


def parse_event(
    body: object, *, tenant_id: UUID, now: datetime, retention_days: int
) -> IncomingEvent:
    """`body` comes from strict_json.loads. Raises TenantMismatch, then InvalidEvent."""
    if not isinstance(body, dict):
        raise InvalidEvent((FieldError("", "type", "An event is a JSON object."),))
    fields = cast(dict[str, object], body)
    reader = _Reader(fields)
    _check_tenant(reader, tenant_id)
    workflow_id, workflow_slug = _workflow(reader)
    event_type = reader.required("event_type", _event_type)
    payload = reader.required("payload", _payload)
    occurred_at = reader.required("occurred_at", partial(_occurred_at, now=now))
    idempotency_key = reader.optional("idempotency_key", _idempotency_key)
    schema_version = reader.optional("schema_version", _schema_version)
    run_id = reader.optional("run_id", _run_id)
    if reader.errors or event_type is None or payload is None or occurred_at is None:
        raise InvalidEvent(tuple(reader.errors))
    extra = {name: value for name, value in fields.items() if name not in KNOWN_FIELDS}
    return IncomingEvent(
        workflow_id=workflow_id,
        workflow_slug=workflow_slug,
        event_type=event_type,
        payload=payload,
        occurred_at=occurred_at,
        idempotency_key=idempotency_key,
        schema_version=schema_version or DEFAULT_SCHEMA_VERSION,
        run_id=run_id or _run_id_within(payload),
        extra=extra,
        warnings=_warnings(extra, occurred_at, now=now, retention_days=retention_days),
        key_hash=hash_of(fields, idempotency_key=idempotency_key),
        field_digests=digests_of(fields, workflow_id=workflow_id),
    )


def vendor_name(payload: Mapping[str, object]) -> str:
    """'' when the payload names no vendor; cut at 100 characters."""
    vendor = payload.get("vendor")
    return vendor.strip()[:VENDOR_MAX_CHARACTERS].rstrip() if isinstance(vendor, str) else ""


_Value = TypeVar("_Value")
_Rule = Callable[[object], _Value]


class _Wrong(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class _Reader:
    """Reads field after field and remembers what is wrong, so that one answer names it all."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self.fields = fields
        self.errors: list[FieldError] = []

    def required(self, name: str, rule: _Rule[_Value]) -> _Value | None:
        if name not in self.fields:
            self.refuse(name, "required", "This field is required.")
        return self.optional(name, rule)

    def optional(self, name: str, rule: _Rule[_Value]) -> _Value | None:
        if name not in self.fields:
            return None
        value = self.fields[name]
        if value is None:
            self.refuse(name, "null", "null is not a value here: leave the field out.")
            return None
        try:
            return rule(value)
        except _Wrong as wrong:
            self.refuse(name, wrong.code, wrong.detail)
            return None

    def refuse(self, name: str, code: str, detail: str) -> None:
        self.errors.append(FieldError(f"/{escape_token(name)}", code, detail))


def _check_tenant(reader: _Reader, tenant_id: UUID) -> None:
    if reader.fields.get("tenant_id") is None:  # here alone null means absent
        return
    named = reader.optional("tenant_id", _uuid)
    if named is not None and named != tenant_id:
        raise TenantMismatch


def _workflow(reader: _Reader) -> tuple[UUID | None, str | None]:
    if "workflow_id" in reader.fields and "workflow" in reader.fields:
        reader.refuse("workflow", "ambiguous", "Send workflow_id or workflow, not both.")
        return None, None
    if "workflow" in reader.fields:
        return None, reader.optional("workflow", _slug)
    if "workflow_id" not in reader.fields:
        reader.refuse("workflow_id", "required", "Send workflow_id or workflow.")
    return reader.optional("workflow_id", _uuid), None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong("type", "This must be a string.")
    return value


def _uuid(value: object) -> UUID:
    text = _text(value)
    if not _UUID.fullmatch(text):
        raise _Wrong("format", "This must be a UUID of 36 characters.")
    return UUID(text)


def _slug(value: object) -> str:
    text = _text(value)
    if not _SLUG.fullmatch(text):
        raise _Wrong("format", "This must match [a-z0-9][a-z0-9._-]{0,99}.")
    return text


def _event_type(value: object) -> str:
    text = _text(value)
    if not _EVENT_TYPE.fullmatch(text):
        raise _Wrong("format", "This must match [a-z0-9][a-z0-9._-]{2,254}.")
    return text


def _payload(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _Wrong("type", "This must be an object.")
    return value


def _occurred_at(value: object, *, now: datetime) -> datetime:
    try:
        moment = rfc3339.parse(_text(value))
    except ValueError:
        detail = "This must be an RFC 3339 time with an offset, such as 2026-01-19T10:00:00Z."
        raise _Wrong("format", detail) from None
    if moment < EARLIEST:
        raise _Wrong("too_early", "This must not be before 1970.")
    if moment > now + FUTURE_LIMIT:
        raise _Wrong("too_late", "This must not be more than 24 hours in the future.")
    return moment


def _idempotency_key(value: object) -> str:
    text = _text(value)
    if not _KEY.fullmatch(text):
        raise _Wrong("format", "This must be 1 to 255 visible ASCII characters without spaces.")
    return text


def _schema_version(value: object) -> str:
    match = _SCHEMA_VERSION.fullmatch(_text(value))
    if match is None:
        raise _Wrong("format", "This must be a version such as 1.0.0.")
    if int(match[1]) != 1:
        raise _Wrong("unsupported", "Only schema versions 1.x are read.")
    return match[0]


def _run_id(value: object) -> str:
    text = _text(value)
    if not 1 <= len(text) <= RUN_ID_MAX_CHARACTERS:
        raise _Wrong("length", f"This must be 1 to {RUN_ID_MAX_CHARACTERS} characters long.")
    return text


def _run_id_within(payload: Mapping[str, object]) -> str | None:
    """A payload is the sender's own: what cannot name a run there is no error."""
    named = payload.get("run_id")
    if isinstance(named, bool) or not isinstance(named, str | int):
        return None
    text = str(named)
    return text if 1 <= len(text) <= RUN_ID_MAX_CHARACTERS else None


def _warnings(
    extra: Mapping[str, object], occurred_at: datetime, *, now: datetime, retention_days: int
) -> tuple[str, ...]:
    warnings = []
    if extra:
        warnings.append(f"unknown fields were kept in extra: {_named(extra)}")
    if occurred_at < now - timedelta(days=retention_days):
        warnings.append(f"occurred_at is older than the {retention_days} days events are kept")
    if occurred_at > now + FUTURE_TOLERANCE:
        warnings.append("occurred_at is in the future")
    return tuple(warnings)


def _named(names: Iterable[str]) -> str:
    ordered = [printable(name) for name in sorted(names)]
    shown = ", ".join(ordered[:NAMED_FIELDS_MAX])
    left = len(ordered) - NAMED_FIELDS_MAX
    return f"{shown} and {left} more" if left > 0 else shown
