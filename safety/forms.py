"""What people type to stop something and to let it go again."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms

from safety.states import SwitchScope
from safety.switch_models import FASTEST_RELEASE, RELEASE_PER_SECOND
from tenants.models import Vendor, Workflow

REASON_CHARACTERS = 4000
OFFERED = 200  # more workflows than this are stopped through the API
KINDS = (("action_type:retry", "Every retry"), ("action_type:escalate", "Every escalation"))
ENDS = (
    ("15", "15 minutes"),
    ("60", "1 hour"),
    ("240", "4 hours"),
    ("1440", "24 hours"),
    ("", "Until somebody lifts it"),
)


class StopForm(forms.Form):
    what = forms.ChoiceField(label="What must stop?")
    reason = forms.CharField(
        label="Why?",
        max_length=REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Everybody sees it while the switch is on.",
    )
    minutes = forms.ChoiceField(label="For how long?", choices=ENDS, initial="60", required=False)

    def __init__(self, *args: Any, tenant_id: UUID, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        what = self.fields["what"]
        assert isinstance(what, forms.ChoiceField)
        what.choices = targets = _targets(tenant_id)
        self.offered = [choice for _, group in targets[1:] for choice in group]

    @property
    def target(self) -> tuple[str, str]:
        """(scope, target) of what was chosen."""
        scope, _, target = self.cleaned_data["what"].partition(":")
        return scope, target

    def expires_at(self, *, now: datetime) -> datetime | None:
        minutes = self.cleaned_data["minutes"]
        return now + timedelta(minutes=int(minutes)) if minutes else None

    def nearest(self, text: str) -> str:
        """The choice that a few typed letters mean: called so, beginning so, or holding them."""
        asked = text.strip().lower()
        ways = (str.__eq__, str.startswith, str.__contains__)
        found = (
            value
            for is_meant in ways
            for value, name in self.offered
            if asked and is_meant(name.lower(), asked)
        )
        return next(found, "")


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=REASON_CHARACTERS)


class LiftForm(ReasonForm):
    release_per_second = forms.IntegerField(
        min_value=1, max_value=FASTEST_RELEASE, initial=RELEASE_PER_SECOND, required=False
    )

    def clean_release_per_second(self) -> int:
        return self.cleaned_data["release_per_second"] or RELEASE_PER_SECOND


def _targets(tenant_id: UUID) -> list[Any]:
    workflows = Workflow.objects.for_tenant(tenant_id).order_by("slug", "id")[:OFFERED]
    vendors = Vendor.objects.for_tenant(tenant_id).order_by("name", "id")[:OFFERED]
    groups = (
        ("One workflow", [(f"{SwitchScope.WORKFLOW}:{row.pk}", row.slug) for row in workflows]),
        ("One vendor", [(f"{SwitchScope.VENDOR}:{row.pk}", row.name) for row in vendors]),
        ("One kind of action", list(KINDS)),
    )
    return [(f"{SwitchScope.TENANT}:", "Everything of this tenant"), *(g for g in groups if g[1])]
