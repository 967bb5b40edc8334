"""The only fields that the API reads bodies with: no coercion, no unknown names, no silent trimming."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework import serializers

from awfdrs_site.lib import params, rfc3339
from awfdrs_site.lib.strict_json import printable

FREE_TEXT_CHARACTERS = 4000
SLUG_PATTERN = r"[a-z0-9][a-z0-9._-]{0,99}"


class TextField(serializers.CharField):
    """A string and nothing that could be read as one."""

    def __init__(self, **kwargs: Any) -> None:
        settled = {"trim_whitespace": False, "max_length": FREE_TEXT_CHARACTERS}
        super().__init__(**(settled | kwargs))

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class ReasonField(TextField):
    """Said by a person to people: blanks alone say nothing."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not self.allow_blank and not text.strip():
            self.fail("blank")
        return text


class SlugField(TextField):
    # doubled, because the messages are format strings
    default_error_messages = {"format": "This must match [a-z0-9][a-z0-9._-]{{0,99}}."}  # noqa: RUF012

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not re.fullmatch(SLUG_PATTERN, text):
            self.fail("format")
        return text


class FlagField(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=printable(str(data)))
        return data


class WholeField(serializers.IntegerField):
    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class IdField(serializers.UUIDField):
    def to_internal_value(self, data: Any) -> UUID:
        if not isinstance(data, str) or not re.fullmatch(params.UUID_PATTERN, data):
            self.fail("invalid", value="")
        return UUID(data)


class InstantField(serializers.DateTimeField):
    def to_internal_value(self, value: Any) -> datetime:
        try:
            return rfc3339.parse(value if isinstance(value, str) else "")
        except ValueError:
            self.fail("invalid", format="RFC 3339 with an offset")


class VerbSerializer(serializers.Serializer[Any]):
    """The body of a verb: unknown fields are refused before anything is judged."""

    tenant_id = IdField(required=False, allow_null=True, help_text="Only the caller's own.")

    def to_internal_value(self, data: Mapping[str, Any]) -> Any:
        unknown = [name for name in data if name not in self.fields]
        if unknown:
            raise serializers.ValidationError(
                {printable(name): ["This field is not known here."] for name in unknown},
                code="unknown_field",
            )
        return super().to_internal_value(data)


class NoFields(VerbSerializer):
    """A verb that needs nothing said."""


class ReasonGiven(VerbSerializer):
    reason = ReasonField()


class ReasonOrNote(VerbSerializer):
    reason = ReasonField(required=False, allow_blank=True, default="")
    note = ReasonField(required=False, allow_blank=True, default="")


class FieldErrorSerializer(serializers.Serializer[Any]):
    pointer = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457; some codes add members, such as `allowed`, `current` or `runs`."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    correlation_id = serializers.CharField()
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]
