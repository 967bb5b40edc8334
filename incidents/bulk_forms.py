"""The form of the list's bulk bar: which incidents, what to do, and what the verb must be told."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.urls import reverse

from incidents import assigning, bulk, bulk_verbs
from incidents.triage_forms import PRESETS, preset_end
from tenants.serializers import FREE_TEXT_CHARACTERS

NEEDS_REASON = ("ignore", "escalate")


class BulkForm(forms.Form):
    """`ids` are the ticked rows; with `all`, everything of `view` that was there up to `through`."""

    verb = forms.ChoiceField(choices=[(verb, verb) for verb in bulk_verbs.VERBS])
    all = forms.BooleanField(required=False)
    sure = forms.BooleanField(required=False)
    view = forms.CharField(max_length=3000, required=False)
    through = forms.UUIDField(required=False)
    reason = forms.CharField(max_length=FREE_TEXT_CHARACTERS, required=False)
    waive_unrecovered = forms.BooleanField(required=False)
    preset = forms.ChoiceField(choices=[(key, label) for key, label, _ in PRESETS], required=False)
    assignee = forms.CharField(max_length=254, required=False)

    def __init__(self, *args: Any, tenant_id: UUID, me: int | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tenant_id, self.me = tenant_id, me

    def clean(self) -> dict[str, Any]:
        said = self.cleaned_data
        said["ids"] = _ids(self.data)
        if not said.get("all") and not said["ids"]:
            raise forms.ValidationError("Select incidents first.")
        if said.get("all") and not said.get("through"):
            raise forms.ValidationError("Which ones? Go back to the list and select them again.")
        if said.get("waive_unrecovered") and not said.get("reason"):
            raise forms.ValidationError("Say why the runs are given up.")
        return said

    def clean_assignee(self) -> int | None:
        name = self.cleaned_data["assignee"].strip()
        try:
            return assigning.person(self.tenant_id, name, me=self.me).pk if name else None
        except assigning.NobodyByThatName as unknown:
            raise forms.ValidationError(str(unknown)) from unknown

    def needs_asking(self) -> bool:
        """Whether a page must ask first: for a word the verb needs, or whether really all is meant."""
        said = self.cleaned_data
        lacks_word = said["verb"] in NEEDS_REASON and not said["reason"]
        lacks_end = said["verb"] == "snooze" and not said["preset"]
        return lacks_word or lacks_end or (said["all"] and not said["sure"])

    def parameters(self, *, now: datetime) -> dict[str, Any]:
        """As the job keeps them."""
        said = self.cleaned_data
        told: dict[str, Any] = {"reason": said["reason"]}
        if said["verb"] == "resolve" and said["waive_unrecovered"]:
            told["waive_unrecovered"] = True
        if said["verb"] == "snooze":
            told["until"] = preset_end(said["preset"], now).isoformat()
        if said["verb"] == "assign":
            told["assignee"] = said["assignee"]
        return told


def view_of(query: str) -> str:
    return f"{reverse('incidents:list')}?{query}" if query else reverse("incidents:list")


def _ids(data: Mapping[str, Any]) -> list[UUID]:
    """Ticked boxes each by itself, or one value with commas, as a script sends it."""
    said = data.getlist("ids") if hasattr(data, "getlist") else []
    given = [one for part in said for one in part.split(",") if one]
    try:
        return [UUID(one) for one in dict.fromkeys(given[: bulk.IDS_MOST])]
    except ValueError:
        raise forms.ValidationError("These are no incidents.") from None
