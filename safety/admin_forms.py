"""What people type in the admin to tune rules, to stop things, to lift switches and to force breakers."""

from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib.admin.helpers import ActionForm

from safety import rule_texts, rulefields
from safety.forms import ENDS, REASON_CHARACTERS
from safety.models import GlobalKillSwitch, KillSwitch, RuleOverride
from safety.rulefields import ValuesRefused
from safety.states import RuleScope, SwitchScope
from tenants.admin_base import ModelForm, OfTenantForm, subclass
from tenants.models import Vendor, Workflow

ACTION_TYPES = ("retry", "escalate")
VALUE_CHARACTERS = 100
NOT_SET = ("", "not set here")


def reason_field(label: str = "Why?") -> forms.CharField:
    return forms.CharField(
        label=label, max_length=REASON_CHARACTERS, widget=forms.Textarea(attrs={"rows": 2})
    )


def minutes_field() -> forms.ChoiceField:
    return forms.ChoiceField(label="For how long?", choices=ENDS, required=False)


def end_of(minutes: str, *, now: datetime) -> datetime | None:
    return now + timedelta(minutes=int(minutes)) if minutes else None


def _value_field(key: str) -> forms.Field:
    """One value of a rule, empty when this rule says nothing about it."""
    field = rulefields.FIELDS[key]
    if isinstance(field, rulefields.Choice):
        return _chosen(key, field.options)
    if isinstance(field, rulefields.Jitter):
        return _chosen(key, rulefields.JITTERS)
    if isinstance(field, rulefields.Whole | rulefields.Number):
        hint = f"{field.low:,} to {field.high:,}"
        return forms.CharField(
            label=key, required=False, max_length=VALUE_CHARACTERS, help_text=hint
        )
    return _chosen(key, ("true", "false"))


def _chosen(key: str, options: tuple[str, ...]) -> forms.ChoiceField:
    choices = [NOT_SET, *((option, option) for option in options)]
    return forms.ChoiceField(label=key, required=False, choices=choices)


class RuleValuesForm(OfTenantForm):
    """The next version of a rule. It replaces the one before whole: what is empty is not set any more."""

    accepted: dict[str, Any]
    scope = forms.ChoiceField(choices=RuleScope.choices)
    target = forms.CharField(
        required=False,
        max_length=100,
        help_text="Slug of the workflow, name of the vendor, error code or category; empty for the tenant.",
    )
    reason = reason_field()
    # The version that the form was filled from: another one in force is a conflict.
    seen = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)

    class Meta:
        model = RuleOverride
        fields: ClassVar[list[str]] = ["scope", "target", "reason"]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        scope = self.cleaned_data.get("scope")
        if scope:
            self._judge_target(scope)
            self._judge_values(scope)
        return cleaned

    def _judge_target(self, scope: str) -> None:
        target = self.cleaned_data.get("target", "")
        try:
            rule_texts.target_of(scope, target)
        except ValueError as refused:
            self.add_error("target", str(refused))

    def _judge_values(self, scope: str) -> None:
        typed = {key: self.cleaned_data.get(key) for key in rulefields.FIELDS}
        try:
            self.accepted = rulefields.validate_values(
                scope, {key: text for key, text in typed.items() if text}
            )
        except ValuesRefused as refused:
            for key, message in refused.errors.items():
                self.add_error(key, f"This {message}.")


RuleForm = subclass(RuleValuesForm, **{key: _value_field(key) for key in rulefields.FIELDS})


class GlobalSwitchForm(ModelForm):
    reason = reason_field()
    minutes = minutes_field()

    class Meta:
        model = GlobalKillSwitch
        fields: ClassVar[list[str]] = ["reason"]


class SwitchForm(OfTenantForm):
    """A new kill switch. What it holds is typed as people call it and kept by its id."""

    what = forms.CharField(
        label="Target",
        required=False,
        max_length=100,
        help_text="Slug of the workflow, name of the vendor, retry or escalate; empty for the tenant.",
    )
    scope = forms.ChoiceField(label="Holds", choices=SwitchScope.choices)
    reason = reason_field()
    minutes = minutes_field()

    class Meta:
        model = KillSwitch
        fields: ClassVar[list[str]] = ["scope", "reason"]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        scope, tenant_id = self.cleaned_data.get("scope"), self.instance.tenant_id
        if scope and tenant_id:
            self._find(tenant_id, SwitchScope(scope), self.cleaned_data.get("what", ""))
        return cleaned

    def _find(self, tenant_id: UUID, scope: SwitchScope, typed: str) -> None:
        found = _target(tenant_id, scope, typed)
        if found is None:
            self.add_error("what", f"The tenant has no {scope.label.lower()} of that name.")
            return
        self.instance.target = found


class LiftForm(ModelForm):
    """The only change a kill switch takes."""

    lift_reason = reason_field("Why is it safe to lift it?")


class ForceForm(ActionForm):
    """Beside the actions on breakers: why, and for how long."""

    reason = forms.CharField(label="Why?", max_length=REASON_CHARACTERS, required=False)
    minutes = minutes_field()


def _target(tenant_id: UUID, scope: SwitchScope, typed: str) -> str | None:
    if scope == SwitchScope.TENANT:
        return "" if not typed else None
    if scope == SwitchScope.ACTION_TYPE:
        return typed if typed in ACTION_TYPES else None
    if scope == SwitchScope.WORKFLOW:
        found: Any = Workflow.objects.for_tenant(tenant_id).filter(slug=typed).first()
    else:
        found = Vendor.objects.for_tenant(tenant_id).filter(name=typed).first()
    return str(found.pk) if found else None
