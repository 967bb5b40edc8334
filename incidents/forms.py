"""What people type to find an incident and to say why they move it."""

from typing import Any
from uuid import UUID

from django import forms

from incidents.states import Severity, Status
from tenants.models import Vendor, Workflow

REASON_CHARACTERS = 4000
OFFERED = 200  # more workflows or vendors than this are found by address: ?workflow=slug
TABS = ("attention", "open", "resolved")


class FilterForm(forms.Form):
    """The whole view is in the address: `?tab=open&severity=high&q=timeout`."""

    tab = forms.ChoiceField(choices=[(tab, tab) for tab in TABS], required=False)
    q = forms.CharField(max_length=200, required=False)
    status = forms.ChoiceField(required=False)
    severity = forms.ChoiceField(required=False)
    workflow = forms.ChoiceField(required=False)
    vendor = forms.ChoiceField(required=False)

    def __init__(self, *args: Any, tenant_id: UUID, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        workflows = Workflow.objects.for_tenant(tenant_id).order_by("slug", "id")
        vendors = Vendor.objects.for_tenant(tenant_id).order_by("name", "id")
        self._offer("status", [(value, label) for value, label in Status.choices])
        self._offer("severity", [(value, label) for value, label in reversed(Severity.choices)])
        self._offer("workflow", _pairs(workflows.values_list("slug", flat=True)[:OFFERED]))
        self._offer("vendor", _pairs(vendors.values_list("name", flat=True)[:OFFERED]))

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        """`name`'s choices; a workflow or vendor that is asked for by address is among them."""
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        asked = self.data.get(name, "")
        if name in ("workflow", "vendor") and asked and (asked, asked) not in choices:
            choices = [*choices, (asked, asked)]
        field.choices = [("", f"Any {name}"), *choices]
        field.widget.attrs = {"data-submits": "", **({"class": "is-set"} if asked else {})}

    @property
    def choices(self) -> list[forms.BoundField]:
        return [self[name] for name in ("status", "severity", "workflow", "vendor")]

    @property
    def current_tab(self) -> str:
        return self.cleaned_data["tab"] or TABS[0]

    @property
    def is_filtered(self) -> bool:
        return any(value for name, value in self.cleaned_data.items() if name != "tab")


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=REASON_CHARACTERS)


class ResolveForm(forms.Form):
    reason = forms.CharField(max_length=REASON_CHARACTERS, required=False)
    waive_unrecovered = forms.BooleanField(required=False)


def _pairs(names: Any) -> list[tuple[str, str]]:
    return [(name, name) for name in names]
