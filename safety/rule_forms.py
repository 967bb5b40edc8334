"""What people type to look rules up and to change one value of one."""

from typing import Any
from uuid import UUID

from django import forms

from safety import rule_texts, rulefields, rules
from safety.forms import OFFERED, REASON_CHARACTERS
from safety.rulefiles import DEFAULT
from tenants.models import Vendor, Workflow

NAME_CHARACTERS = 100


class AskedForm(forms.Form):
    """The failure in question; every name may be empty or unknown."""

    workflow = forms.CharField(required=False, max_length=NAME_CHARACTERS)
    vendor = forms.CharField(required=False, max_length=NAME_CHARACTERS)
    error_code = forms.CharField(required=False, max_length=NAME_CHARACTERS)
    category = forms.ChoiceField(
        choices=[(name, name.replace("_", " ")) for name in rulefields.CATEGORIES],
        initial=rulefields.UNKNOWN,
        required=False,
        help_text="Of the classifier; a rule's own outranks it.",
    )

    def __init__(self, *args: Any, tenant_id: UUID, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        book = rules.rulebook()
        workflows = Workflow.objects.for_tenant(tenant_id).order_by("slug", "id")
        vendors = Vendor.objects.for_tenant(tenant_id).order_by("name", "id")
        own = vendors.values_list("name", flat=True)[:OFFERED]
        self.known = {
            "workflow": list(workflows.values_list("slug", flat=True)[:OFFERED]),
            "vendor": sorted({*own, *book.vendors} - {DEFAULT}),
            "error_code": sorted(book.codes),
        }
        for name in self.known:
            self.fields[name].widget.attrs |= {"list": f"known-{name}", "autocomplete": "off"}

    @property
    def asked(self) -> dict[str, str]:
        return self.cleaned_data | {"category": self.cleaned_data["category"] or rulefields.UNKNOWN}


class ChangeForm(forms.Form):
    """One value of one rule, as its next version. `seen` is the version that was looked at, 0 for none."""

    key = forms.ChoiceField(label="Value")
    value = forms.CharField(
        label="Set to",
        required=False,
        max_length=NAME_CHARACTERS,
        help_text="Empty: this rule says nothing about it any more.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    reason = forms.CharField(
        label="Why?", max_length=REASON_CHARACTERS, widget=forms.Textarea(attrs={"rows": 2})
    )
    seen = forms.IntegerField(min_value=0, widget=forms.HiddenInput)

    def __init__(self, *args: Any, scope: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        key = self.fields["key"]
        assert isinstance(key, forms.ChoiceField)
        names = [name for name in rulefields.FIELDS if rulefields.may_tune(scope, name)]
        key.choices = [(name, name) for name in names]

    def changed(self, values: rule_texts.Values) -> dict[str, object]:
        """These values with the one that was typed."""
        key, value = self.cleaned_data["key"], self.cleaned_data["value"]
        rest = {name: each for name, each in values.items() if name != key}
        return {**rest, key: value} if value else rest
