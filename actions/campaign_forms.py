"""What people type to plan a campaign."""

import re
from uuid import UUID

from django import forms

from actions.campaign_terms import STAGES_MOST, VERIFY_SECONDS_MOST, Terms
from incidents.models import Incident

REASON_CHARACTERS = 4000
STAGES = "1, 5%, 25%, 100%"
_STAGE = re.compile(r"[1-9]\d{0,5}|(?:[1-9]\d?|100)%", re.ASCII)


class PlanForm(forms.Form):
    """Cleaned, the incident and the terms of its campaign."""

    incident = forms.UUIDField(widget=forms.HiddenInput)
    stages = forms.CharField(
        label="Stages",
        initial=STAGES,
        max_length=100,
        help_text="How many runs were called when each stage is over. Each must prove itself first.",
    )
    failure_percent = forms.IntegerField(
        label="Pause above so many failures, in percent",
        initial=20,
        min_value=0,
        max_value=100,
        help_text="Of a stage's calls; the first call alone decides its stage.",
    )
    verify_minutes = forms.IntegerField(
        label="Wait for success, in minutes",
        initial=VERIFY_SECONDS_MOST // 60,
        min_value=1,
        max_value=VERIFY_SECONDS_MOST // 60,
        help_text="A run whose success is not reported in time counts as failed.",
    )

    def __init__(self, *args: object, tenant_id: UUID, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.tenant_id = tenant_id

    def clean_incident(self) -> Incident:
        mine = Incident.objects.for_tenant(self.tenant_id).filter(pk=self.cleaned_data["incident"])
        if (incident := mine.first()) is None:
            raise forms.ValidationError("There is no such incident.")
        return incident

    def clean_stages(self) -> tuple[int | str, ...]:
        words = re.split(r"[\s,;]+", self.cleaned_data["stages"].strip(" ,;"))
        for word in words:
            if not _STAGE.fullmatch(word):
                raise forms.ValidationError(f"“{word}” is no number of runs and no share of them.")
        if words[-1] != "100%" or len(words) > STAGES_MOST:
            raise forms.ValidationError(f"At most {STAGES_MOST} stages, the last of them 100%.")
        return tuple(word if word.endswith("%") else int(word) for word in words)

    @property
    def terms(self) -> Terms:
        asked = self.cleaned_data
        return Terms(
            stages=asked["stages"],
            failure_share=asked["failure_percent"] / 100,
            verify_seconds=60 * asked["verify_minutes"],
        )


class WhyForm(forms.Form):
    reason = forms.CharField(max_length=REASON_CHARACTERS, required=False)
