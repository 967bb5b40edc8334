"""The forms of triage: whose it is, until when it sleeps, what is noted."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.utils import timezone

from incidents import assigning, snoozing
from incidents.snoozing import Terms
from incidents.states import Severity
from tenants.serializers import FREE_TEXT_CHARACTERS

MORNING = 9  # o'clock, when "tomorrow" begins
PRESETS = (
    ("1", "30 minutes", timedelta(minutes=30)),
    ("2", "1 hour", timedelta(hours=1)),
    ("3", "2 hours", timedelta(hours=2)),
    ("4", "6 hours", timedelta(hours=6)),
    ("5", "Tomorrow 9:00", None),
)
_SEVERITIES = [("", "Any severity"), *reversed(Severity.choices[1:])]


class NoteForm(forms.Form):
    note = forms.CharField(max_length=FREE_TEXT_CHARACTERS)


class WakeForm(forms.Form):
    reason = forms.CharField(max_length=FREE_TEXT_CHARACTERS, required=False)


class AssignForm(forms.Form):
    """`assignee` is a user name, an e-mail address, "me", or nothing for nobody."""

    assignee = forms.CharField(label="Whose is it?", max_length=254, required=False)

    def __init__(self, *args: Any, tenant_id: UUID, me: int | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tenant_id, self.me = tenant_id, me

    def clean_assignee(self) -> Any | None:
        name = self.cleaned_data["assignee"].strip()
        try:
            return assigning.person(self.tenant_id, name, me=self.me) if name else None
        except assigning.NobodyByThatName as unknown:
            raise forms.ValidationError(str(unknown)) from unknown


class SnoozeForm(forms.Form):
    """One of the presets, or exactly one of what else may end it; cleaned, `terms`."""

    preset = forms.ChoiceField(choices=[(key, label) for key, label, _ in PRESETS], required=False)
    until = forms.DateTimeField(
        label="Until",
        required=False,
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "class": "input"}),
    )
    count = forms.IntegerField(
        label="So many more events",
        required=False,
        min_value=1,
        max_value=snoozing.MOST_EVENTS,
        widget=forms.NumberInput(attrs={"class": "input"}),
    )
    rate_per_hour = forms.IntegerField(
        label="So many events in an hour",
        required=False,
        min_value=1,
        max_value=snoozing.MOST_EVENTS,
        widget=forms.NumberInput(attrs={"class": "input"}),
    )
    severity = forms.ChoiceField(label="It is as severe as", choices=_SEVERITIES, required=False)
    on_success = forms.BooleanField(label="One of its runs succeeds", required=False)
    note = forms.CharField(
        label="Why? (optional)",
        max_length=FREE_TEXT_CHARACTERS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, *args: Any, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.now = now

    def clean(self) -> dict[str, Any]:
        said = self.cleaned_data
        ends = {name: said.get(name) for name in ("count", "rate_per_hour", "severity")}
        terms = [Terms(name, value) for name, value in ends.items() if value]
        if said.get("preset"):
            terms.append(Terms("until", preset_end(said["preset"], self.now)))
        if said.get("until"):
            terms.append(Terms("until", said["until"]))
        if said.get("on_success"):
            terms.append(Terms("on_success", True))
        if len(terms) != 1 and not self.errors:
            raise forms.ValidationError("Say one thing that ends it.")
        return said | {"terms": terms[0] if terms else None}


def preset_end(key: str, now: datetime) -> datetime:
    span = next(span for known, _, span in PRESETS if known == key)
    if span is not None:
        return now + span
    morning = now.astimezone(timezone.get_current_timezone()).replace(
        hour=MORNING, minute=0, second=0, microsecond=0
    )
    return morning + timedelta(days=1)
