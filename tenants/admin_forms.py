"""What platform staff type to make tenants' keys, people's memberships and vendors."""

from typing import Any, ClassVar

from django import forms
from django.contrib.auth import get_user_model

from tenants.admin_base import ModelForm, OfTenantForm
from tenants.models import ApiKey, Membership, Vendor
from tenants.states import Scope

SCOPES = (
    (Scope.EVENTS_WRITE, "events:write (send events)"),
    (Scope.READ, "read (incidents, runs, actions)"),
    (Scope.OPERATE, "operate (triage and actions)"),
    (Scope.CONFIGURE, "configure (rules, breakers, kill switches, workflows, vendors)"),
)


def _scopes() -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(choices=SCOPES, widget=forms.CheckboxSelectMultiple)


class KeyForm(ModelForm):
    """What may change of a key that exists; its secret is nowhere to be read."""

    scopes = _scopes()
    rate_per_second = forms.FloatField(
        required=False, min_value=0.01, help_text="Empty: the limit of the installation."
    )
    burst = forms.IntegerField(required=False, min_value=1, max_value=1_000_000)

    class Meta:
        model = ApiKey
        fields: ClassVar[list[str]] = ["name", "scopes", "rate_per_second", "burst", "expires_at"]


class NewKeyForm(OfTenantForm, KeyForm):
    pass


class MembershipForm(OfTenantForm):
    user = forms.ModelChoiceField(get_user_model()._default_manager.order_by("username", "pk"))

    class Meta:
        model = Membership
        fields: ClassVar[list[str]] = ["user", "role"]


class VendorForm(OfTenantForm):
    class Meta:
        model = Vendor
        fields: ClassVar[list[str]] = ["name", "max_in_flight"]

    def clean_name(self) -> Any:
        name = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError("This contains characters that cannot be shown.")
        return name
