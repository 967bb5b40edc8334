"""What people type to hold a vendor's breaker, or to hand it back."""

from datetime import datetime, timedelta

from django import forms

from safety.breaker_step import Forced

REASON_CHARACTERS = 4000
AUTO = "auto"
MODES = (
    ("forced_open", "Hold open: no call goes out"),
    ("forced_closed", "Hold closed: every call goes out"),
    ("shadow", "Watch only: judge, refuse nothing"),
)
ENDS = (
    ("15", "15 minutes"),
    ("60", "1 hour"),
    ("240", "4 hours"),
    ("1440", "24 hours"),
    ("", "Until somebody hands it back"),
)


class ForceForm(forms.Form):
    mode = forms.ChoiceField(label="What should it do?", choices=(*MODES, (AUTO, "Hand it back")))
    minutes = forms.ChoiceField(label="For how long?", choices=ENDS, initial="60", required=False)
    reason = forms.CharField(
        label="Why?",
        max_length=REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="It stands in the breaker's timeline.",
    )

    @property
    def forced(self) -> Forced | None:
        """None hands it back."""
        mode: Forced | str = self.cleaned_data["mode"]
        return None if mode == AUTO else mode  # type: ignore[return-value]  # one of MODES

    def until(self, *, now: datetime) -> datetime | None:
        minutes = self.cleaned_data["minutes"]
        is_held = self.forced is not None
        return now + timedelta(minutes=int(minutes)) if minutes and is_held else None
