"""The only place that turns the body of an API request into a value: content type, charset, strict JSON."""

from typing import Any

from django.http import HttpRequest
from rest_framework.parsers import BaseParser

from awfdrs_site.lib import strict_json
from awfdrs_site.lib.problems import FieldError, Problem

MIB = 1024 * 1024
EVENT_BYTES = MIB
BATCH_BYTES = 5 * MIB
DEPTH = 32
TOO_LARGE = "awfdrs.too_large"  # in the ASGI scope: the limit that a body was not read for


def read(request: HttpRequest, *, max_bytes: int = EVENT_BYTES, max_depth: int = DEPTH) -> object:
    """Raises Problem 415, strict_json.MalformedJson and TooLarge."""
    if request.body:  # without one its type says nothing, and `loads` says what is missing
        refuse_other_types(request)
    return strict_json.loads(request.body, max_bytes=max_bytes, max_depth=max_depth)


def read_object(request: HttpRequest) -> dict[str, object]:
    """The fields of a verb; no body at all is no fields. Raises also Problem 422."""
    if not request.body:
        return {}
    body = read(request)
    if not isinstance(body, dict):
        error = FieldError("", "type", "The body must be an object.")
        raise Problem("validation_failed", errors=[error])
    return body


def encoding_of(request: HttpRequest) -> str:
    return request.headers.get("Content-Encoding", "identity").strip().lower() or "identity"


def refuse_other_types(
    request: HttpRequest,
    *,
    types: tuple[str, ...] = ("application/json",),
    encodings: tuple[str, ...] = ("identity",),
) -> None:
    """JSON in UTF-8 and not packed, unless said otherwise; anything else would be a second decoder to fool."""
    if encoding_of(request) not in encodings:
        packed = " or with ".join(one for one in encodings if one != "identity")
        without = f"without a Content-Encoding{f' or with {packed}' if packed else ''}"
        raise Problem("unsupported_media_type", f"Send the body {without}.")
    if request.content_type not in types:
        raise Problem("unsupported_media_type", f"Send the body as {' or '.join(types)}.")
    charset = (request.content_params or {}).get("charset", "utf-8").strip("\"' ").lower()
    if charset not in ("utf-8", "utf8"):
        raise Problem("unsupported_media_type", "JSON is UTF-8.")


class StrictJSONParser(BaseParser):
    """What DRF itself parses with; our views call `read`, which also sees a chunked one."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return strict_json.loads(stream.read(), max_bytes=EVENT_BYTES)
