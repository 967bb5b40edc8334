"""The only place that reads ids in paths and the parameters of a query: strict, and never an unknown name."""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import QuerySet
from django.http import QueryDict
from django.urls import register_converter
from django_filters import Filter, FilterSet
from rest_framework.request import Request

from awfdrs_site.lib import rfc3339
from awfdrs_site.lib.problems import FieldError, Problem
from awfdrs_site.lib.strict_json import escape_token, printable

UUID_PATTERN = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
TEXT_CHARACTERS = 200
_UUID = re.compile(UUID_PATTERN)
_UNSEARCHABLE = re.compile(r"[\x00-\x1f\x7f]")


class IdConverter:
    """`<id:pk>`: upper case in is the same id."""

    regex = UUID_PATTERN

    def to_python(self, value: str) -> UUID:
        return UUID(value)

    def to_url(self, value: UUID | str) -> str:
        return str(value)


register_converter(IdConverter, "id")


class InstantField(forms.CharField):
    def clean(self, value: Any) -> datetime | None:
        text = super().clean(value)
        try:
            return rfc3339.parse(text) if text else None
        except ValueError:
            raise forms.ValidationError(
                "This must be an RFC 3339 time with an offset; write its + as %2B.", code="format"
            ) from None


class IdField(forms.CharField):
    def clean(self, value: Any) -> UUID | None:
        text = super().clean(value)
        if text and not _UUID.fullmatch(text):
            raise forms.ValidationError("This must be a UUID of 36 characters.", code="format")
        return UUID(text) if text else None


class TextField(forms.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"max_length": TEXT_CHARACTERS, "strip": False} | kwargs))

    def clean(self, value: Any) -> str:
        text: str = super().clean(value)
        if _UNSEARCHABLE.search(text):
            raise forms.ValidationError("This holds a control character.", code="format")
        return text


class InstantFilter(Filter):  # type: ignore[misc]  # the library has no types
    field_class = InstantField


class IdFilter(Filter):  # type: ignore[misc]
    field_class = IdField


class TextFilter(Filter):  # type: ignore[misc]
    field_class = TextField


class NameOrIdFilter(Filter):  # type: ignore[misc]
    """`?workflow=checkout` or its id; one that nobody has gives an empty list."""

    field_class = TextField

    def __init__(self, *, relation: str, name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.relation, self.name = relation, name

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        if not value:
            return qs
        if _UUID.fullmatch(value):
            return qs.filter(**{f"{self.relation}_id": UUID(value)})
        return qs.filter(**{f"{self.relation}__{self.name}": value})


def refuse_unknown(query: QueryDict, known: Collection[str]) -> None:
    """Raises Problem 422 for a name nobody reads, and for one that is empty or said twice."""
    errors = [
        _error(name, *wrong)
        for name, values in query.lists()
        if (wrong := _wrong(name, values, known)) is not None
    ]
    if errors:
        raise Problem("validation_failed", "A query parameter is not valid.", errors=errors)


def narrowed(rows: QuerySet[Any], request: Request, filters: type[FilterSet]) -> QuerySet[Any]:
    """The rows the query asks for. Raises Problem 422 for values that cannot be meant."""
    asked = filters(data=request.query_params, queryset=rows, request=request)
    if not asked.is_valid():
        raise Problem(
            "validation_failed",
            "A query parameter is not valid.",
            errors=list(_form_errors(asked.form.errors.get_json_data())),
        )
    found: QuerySet[Any] = asked.qs
    return found


def whole(query: QueryDict, name: str, *, default: int, most: int) -> int:
    """A whole number from 1 to `most`, in plain digits."""
    text = query.get(name)
    if text is None:
        return default
    # [0-9], not isdigit: "²" is a digit to Python
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise refused(name, "range", f"This must be a whole number from 1 to {most}.")
    return int(text)


def flag(query: QueryDict, name: str) -> bool:
    text = query.get(name, "false")
    if text not in ("true", "false"):
        raise refused(name, "choice", "This must be true or false.")
    return text == "true"


def text(query: QueryDict, name: str) -> str:
    """Free of control characters and at most TEXT_CHARACTERS long; '' when it is not given."""
    try:
        return TextField(required=False).clean(query.get(name, ""))
    except forms.ValidationError as wrong:
        raise refused(name, wrong.error_list[0].code or "invalid", wrong.messages[0]) from None


def is_id(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def refused(name: str, code: str, detail: str) -> Problem:
    return Problem(
        "validation_failed", "A query parameter is not valid.", errors=[_error(name, code, detail)]
    )


def _wrong(name: str, values: list[str], known: Collection[str]) -> tuple[str, str] | None:
    if name not in known:
        return "unknown_parameter", "This parameter is not known here."
    if len(values) > 1:
        return "repeated", "This parameter may be given once."
    if not values[0]:
        return "blank", "Leave the parameter out instead of leaving it empty."
    return None


def _form_errors(found: Mapping[str, list[dict[str, str]]]) -> list[FieldError]:
    return [
        _error(name, error["code"] or "invalid", error["message"])
        for name, errors in found.items()
        for error in errors
    ]


def _error(name: str, code: str, detail: str) -> FieldError:
    return FieldError(f"/{escape_token(printable(name))}", code, printable(detail, limit=300))
