"""What people type to find an action."""

from typing import Any

from django import forms

from actions.states import ActionType
from incidents.forms import NumberedFilters

TABS = ("queue", "running", "waiting", "unknown", "failed", "all")


class ActionFilterForm(NumberedFilters):
    """The whole view is in the address: `?tab=waiting&action_type=retry&workflow=billing&incident=INC-12`."""

    offered = ("action_type", "workflow")
    tab = forms.ChoiceField(choices=[(tab, tab) for tab in TABS], required=False)
    action_type = forms.ChoiceField(required=False)
    workflow = forms.ChoiceField(required=False)

    def __init__(self, *args: Any, tenant_id: Any, **kwargs: Any) -> None:
        super().__init__(*args, tenant_id=tenant_id, **kwargs)
        self._offer("action_type", [(value, label) for value, label in ActionType.choices])
        self._offer_workflows()

    @property
    def current_tab(self) -> str:
        return self.cleaned_data["tab"] or TABS[0]
