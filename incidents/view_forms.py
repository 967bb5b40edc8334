"""What people type to keep a view of the incident list."""

from typing import Any

from django import forms

from awfdrs_site.lib import query
from awfdrs_site.lib.query import QueryError
from incidents.forms import ORDERS, TABS


class NamedForm(forms.Form):
    """A view's name, and whether everybody sees it: asked only of those who may share."""

    name = forms.CharField(label="Name", max_length=60)
    is_shared = forms.BooleanField(label="Everybody in this tenant sees it", required=False)

    def __init__(self, *args: Any, may_share: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_share:
            del self.fields["is_shared"]

    @property
    def is_to_be_shared(self) -> bool:
        return bool(self.cleaned_data.get("is_shared"))


class SaveForm(NamedForm):
    tab = forms.ChoiceField(
        choices=[(tab, tab) for tab in TABS], required=False, widget=forms.HiddenInput
    )
    q = forms.CharField(max_length=query.LENGTH, required=False, widget=forms.HiddenInput)
    ordering = forms.ChoiceField(
        choices=list(ORDERS.items()), required=False, widget=forms.HiddenInput
    )

    def clean_q(self) -> str:
        text: str = self.cleaned_data["q"]
        try:
            query.parse(text)
        except QueryError as wrong:
            raise forms.ValidationError(str(wrong)) from wrong
        return text
