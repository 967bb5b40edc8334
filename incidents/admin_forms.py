"""What people type in the admin to say what an event reports, and to try it before they save."""

from typing import Any, ClassVar

from django import forms

from incidents import outcome_rules
from incidents.analysis.outcome import faults
from incidents.analysis.patterns import STARS_MOST
from incidents.models import OutcomeRule
from incidents.outcome_rules import Trial
from incidents.states import Outcome
from safety.admin_forms import reason_field
from tenants.admin_base import OfTenantForm

_PATTERN = (
    f"* stands for any text, ? for one character, at most {STARS_MOST} *; or a regular expression "
    "between two slashes, such as /^card_(declined|expired)$/. Case does not matter."
)


class OutcomeRuleForm(OfTenantForm):
    """A rule, new or changed. Why is asked each time anew.

    One that is only tried comes back unsaved, with what it would change.
    """

    is_only_tried: ClassVar[bool] = False
    trial: Trial | None = None
    outcome = forms.ChoiceField(label="Reports a", choices=Outcome.choices)
    reason = reason_field()

    class Meta:
        model = OutcomeRule
        fields: ClassVar[list[str]] = [
            *("position", "event_type", "status", "error_code", "payload_path", "payload_value"),
            *("outcome", "is_enabled", "reason"),
        ]
        help_texts: ClassVar[dict[str, str]] = {
            "position": "Rules are asked from the smallest number on; the first that holds decides.",
            "event_type": f"Such as payment.*. {_PATTERN}",
            "status": "Equal to status in the payload; case does not matter.",
            "error_code": f"Such as card_*, of error_code in the payload. {_PATTERN}",
            "payload_path": "Inside the payload, such as state, error.kind or items.0.code.",
            "payload_value": "Equal to what stands there; empty: anything but null, blank, 0 or false.",
            "is_enabled": "Rules are switched off, never deleted.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["reason"] = ""

    def is_valid(self) -> bool:
        self.fields["reason"].required = not self.is_only_tried
        is_good = super().is_valid()
        self.fields["reason"].required = True  # as the page asks for it, also after a trial
        if is_good and self.is_only_tried:
            self.trial = outcome_rules.trial(self.instance)
        return is_good and not self.is_only_tried

    def _post_clean(self) -> None:
        """The instance has the values only now; they are judged as the verb will judge them."""
        super()._post_clean()  # type: ignore[misc]
        if not self.errors:
            for name, text in faults(outcome_rules.matcher_of(self.instance)).items():
                self.add_error(name, text)
