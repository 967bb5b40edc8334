"""What people type of the second step: one code, from the app or from the list of recovery codes."""

from typing import Any

from allauth.core import context
from allauth.mfa.base import forms as steps
from allauth.mfa.totp.forms import ActivateTOTPForm
from django import forms

from tenants import second_step


def _code() -> forms.CharField:
    attributes = {"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}
    return forms.CharField(label="Code", max_length=32, widget=forms.TextInput(attributes))


class _Checked:
    """Checked by us: the package would count attempts and used codes in Redis, which may be away."""

    label_suffix = ""

    def clean_code(self) -> Any:
        code = self.cleaned_data["code"]  # type: ignore[attr-defined]
        try:
            self.authenticator = second_step.take(context.request, self.user, code)  # type: ignore[attr-defined]
        except second_step.TooManyCodes as refused:
            raise forms.ValidationError(str(refused)) from refused
        if self.authenticator is None:
            raise forms.ValidationError("That code does not fit, or was used already.")
        return code


class AuthenticateForm(_Checked, steps.AuthenticateForm):  # type: ignore[misc]
    code = _code()


class ReauthenticateForm(_Checked, steps.ReauthenticateForm):  # type: ignore[misc]
    code = _code()


class ActivateForm(ActivateTOTPForm):  # type: ignore[misc]
    label_suffix = ""
    code = _code()

    def clean_code(self) -> Any:
        self.cleaned_data["code"] = "".join(self.cleaned_data["code"].split())
        try:
            return super().clean_code()
        except forms.ValidationError as refused:
            raise forms.ValidationError("That code does not fit. Try the next one.") from refused
