"""What people type on the settings pages: passwords, preferences, members, keys."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib.auth.password_validation import validate_password

from tenants.preferences import Preferences
from tenants.states import Density, Role, Scope, Theme

SCOPES = (
    (Scope.EVENTS_WRITE, "events:write – send events"),
    (Scope.READ, "read – incidents, runs, actions"),
    (Scope.OPERATE, "operate – triage and actions"),
    (Scope.CONFIGURE, "configure – rules, breakers, kill switches, workflows"),
)
ROLES = (
    (Role.VIEWER, "Viewer – looks"),
    (Role.OPERATOR, "Operator – triages, acts, approves, stops"),
    (Role.APPROVER, "Approver – looks and approves"),
    (Role.AUDITOR, "Auditor – looks, reads the audit log, exports"),
    (Role.ADMIN, "Admin – everything, members and keys included"),
)
LIFETIMES = ((30, "30 days"), (90, "90 days"), (365, "A year"), (0, "Until it is revoked"))


class PlainForm(forms.Form):
    label_suffix = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""


def _password(label: str, *, autocomplete: str) -> forms.CharField:
    widget = forms.PasswordInput({"autocomplete": autocomplete})
    return forms.CharField(label=label, strip=False, max_length=4096, widget=widget)


class NewPasswordForm(PlainForm):
    """A new password, twice; `person` is whose it will be."""

    password = _password("New password", autocomplete="new-password")
    again = _password("Once more", autocomplete="new-password")

    def __init__(self, *args: Any, person: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if given.get("password") != given.get("again"):
            self.add_error("again", "The two are not the same.")
        elif given.get("password"):
            try:
                validate_password(given["password"], self.person)
            except forms.ValidationError as weak:
                self.add_error("password", weak)
        return given


class ChangePasswordForm(NewPasswordForm):
    old = _password("Your password now", autocomplete="current-password")
    field_order = ("old", "password", "again")


class ForgottenForm(PlainForm):
    email = forms.EmailField(
        label="E-mail", max_length=254, widget=forms.EmailInput({"autocomplete": "email"})
    )


class JoinForm(NewPasswordForm):
    """Who says yes to an invitation and has no account yet."""

    name = forms.CharField(
        label="Your name", max_length=150, widget=forms.TextInput({"autocomplete": "name"})
    )
    field_order = ("name", "password", "again")


class PreferencesForm(PlainForm):
    theme = forms.ChoiceField(choices=Theme.choices)
    density = forms.ChoiceField(choices=Density.choices, label="Rows")
    time_zone = forms.ChoiceField(
        choices=[(zone, zone) for zone in ("UTC", *sorted(available_timezones() - {"UTC"}))]
    )
    single_keys = forms.TypedChoiceField(
        choices=(("on", "On"), ("off", "Off")),
        coerce=lambda value: value == "on",
        label="Keys of a single letter",
        help_text="Off: the keyboard types and moves, and does nothing else here.",
    )

    @classmethod
    def showing(cls, preferred: Preferences) -> "PreferencesForm":
        return cls(
            initial={
                "theme": preferred.theme,
                "density": preferred.density,
                "time_zone": preferred.time_zone,
                "single_keys": "on" if preferred.single_keys else "off",
            }
        )

    def preferred(self) -> Preferences:
        return Preferences(**self.cleaned_data)


class InviteForm(PlainForm):
    email = forms.EmailField(label="E-mail", max_length=254)
    role = forms.ChoiceField(choices=ROLES)


class RoleForm(PlainForm):
    role = forms.ChoiceField(choices=ROLES)


class KeyForm(PlainForm):
    name = forms.CharField(
        max_length=100, help_text="Which system uses it, such as “checkout, live”."
    )
    scopes = forms.MultipleChoiceField(
        choices=SCOPES, label="It may", widget=forms.CheckboxSelectMultiple
    )
    days = forms.TypedChoiceField(choices=LIFETIMES, coerce=int, initial=90, label="It ends after")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError("This contains characters that cannot be shown.")
        return name

    def expires_at(self, *, now: datetime) -> datetime | None:
        days = self.cleaned_data["days"]
        return now + timedelta(days=days) if days else None
