"""What people type to find an action."""

from typing import Any

from django import forms

from actions.states import ActionType
from incidents.forms import NUMBER, Filters

TABS = ("queue", "running", "waiting", "unknown", "failed", "all")


class ActionFilterForm(Filters):
    """The whole view is in the address: `?tab=waiting&action_type=retry&workflow=billing&incident=INC-12`."""

    offered = ("action_type", "workflow")
    tab = forms.ChoiceField(choices=[(tab, tab) for tab in TABS], required=False)
    action_type = forms.ChoiceField(required=False)
    workflow = forms.ChoiceField(required=False)
    incident = forms.RegexField(NUMBER, required=False)
    page = forms.IntegerField(min_value=1, required=False)

    def __init__(self, *args: Any, tenant_id: Any, **kwargs: Any) -> None:
        super().__init__(*args, tenant_id=tenant_id, **kwargs)
        self._offer("action_type", [(value, label) for value, label in ActionType.choices])
        self._offer_workflows()

    def clean_incident(self) -> int | None:
        found = NUMBER.fullmatch(self.cleaned_data["incident"])
        return int(found[1]) if found else None

    @property
    def current_tab(self) -> str:
        return self.cleaned_data["tab"] or TABS[0]

    @property
    def incident_number(self) -> str:
        number = self.cleaned_data["incident"]
        return f"INC-{number}" if number is not None else ""

    @property
    def is_filtered(self) -> bool:
        said = ((k, v) for k, v in self.cleaned_data.items() if k not in ("page", "tab"))
        return any(value not in ("", None) for _, value in said)
