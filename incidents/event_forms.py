"""What people type to find an event."""

from typing import Any
from uuid import UUID

from django import forms

from incidents.forms import NumberedFilters
from incidents.states import Outcome


class EventFilterForm(NumberedFilters):
    """`?workflow=billing&outcome=failure&run=run-7&incident=INC-12`; `q` is an id, a code or part of a message."""

    offered = ("outcome", "workflow")
    q = forms.CharField(max_length=200, required=False)
    run = forms.CharField(max_length=200, required=False)
    vendor = forms.CharField(max_length=100, required=False)
    outcome = forms.ChoiceField(required=False)
    workflow = forms.ChoiceField(required=False)

    def __init__(self, *args: Any, tenant_id: UUID, **kwargs: Any) -> None:
        super().__init__(*args, tenant_id=tenant_id, **kwargs)
        self._offer("outcome", [(one.value, one.label) for one in Outcome])
        self._offer_workflows()
