"""The only place that reads what an event's payload says about a failure."""

from collections.abc import Mapping
from dataclasses import dataclass

_LIMIT = 8192  # as much as the normaliser reads
_MAX_BITS = 256  # Python refuses to write out an integer of thousands of digits


@dataclass(frozen=True)
class Facts:
    event_type: str
    error_code: str
    error_message: str
    vendor: str
    step: str
    status: str  # the most exact one given: an HTTP status code if there is one, else a word
    workflow: str


def facts_from(event_type: str, payload: object, workflow: str) -> Facts:
    said: Mapping[str, object] = payload if isinstance(payload, Mapping) else {}
    return Facts(
        event_type=event_type,
        error_code=text_of(said.get("error_code")),
        error_message=text_of(said.get("error_message")),
        vendor=text_of(said.get("vendor")),
        step=text_of(said.get("step")),
        status=(
            text_of(said.get("status_code"))
            or text_of(said.get("http_status"))
            or text_of(said.get("status"))
        ),
        workflow=workflow,
    )


def text_of(value: object) -> str:
    """Any JSON value as text; objects, lists and null say nothing."""
    if isinstance(value, str):
        return value[:_LIMIT].strip()
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return ""
    if isinstance(value, int | float):
        return str(value)
    return ""
