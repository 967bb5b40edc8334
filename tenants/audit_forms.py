"""What people type to find a line of the audit log."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django import forms

from awfdrs_site.lib import params, rfc3339

PERSON_CHARACTERS = 200
SUBJECT_CHARACTERS = 105  # 40 of a kind, a colon, 64 of an id
DAY = "%Y-%m-%d"
MINUTE = "%Y-%m-%dT%H:%M"


class MomentField(forms.CharField):
    """A day, a minute as browsers send it, or an instant as the API writes it; without an offset it is UTC."""

    def clean(self, value: Any) -> datetime | None:
        text = super().clean(value)
        return _moment(text) if text else None


class AuditForm(forms.Form):
    """The whole view is in the address: `?who=ann&what=rule_changed&since=2026-01-19`."""

    who = params.TextField(required=False, max_length=PERSON_CHARACTERS)
    what = params.TextField(required=False, max_length=60)
    subject = params.TextField(required=False, max_length=SUBJECT_CHARACTERS)
    since = MomentField(required=False, max_length=40)
    until = MomentField(required=False, max_length=40)
    before = params.IdField(required=False)  # the page of lines older than this one
    after = params.IdField(required=False)

    def clean_subject(self) -> tuple[str, str]:
        """`incident`, or `incident:` and its id."""
        kind, _, subject_id = self.cleaned_data["subject"].partition(":")
        return kind, subject_id

    @property
    def asked(self) -> dict[str, str]:
        """What narrows the view, as the address says it."""
        names = ("who", "what", "subject", "since", "until")
        return {name: self.data[name] for name in names if self.data.get(name)}

    @property
    def place(self) -> tuple[UUID | None, UUID | None]:
        return self.cleaned_data["before"], self.cleaned_data["after"]


def _moment(text: str) -> datetime:
    for shape in (DAY, MINUTE):
        try:
            return datetime.strptime(text, shape).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        return rfc3339.parse(text)
    except ValueError:
        raise forms.ValidationError("This must be a day or a time.", code="format") from None
