"""What people type in the admin to say whom an incident is told to, and in which order."""

from typing import Any, ClassVar

from django import forms
from django.contrib.auth import get_user_model

from actions.models import Channel, EscalationPolicy, EscalationStep
from tenants.access import TenantRef
from tenants.admin_base import ModelForm, OfTenantForm
from tenants.models import Membership, TenantOwned, Workflow

MINUTES_MOST = 7 * 24 * 60
REPEATS_MOST = 50
STEPS_MOST = 20


def _minutes(help_text: str, **fields: Any) -> forms.IntegerField:
    return forms.IntegerField(max_value=MINUTES_MOST, help_text=help_text, **fields)


class EscalationPolicyForm(OfTenantForm):
    workflow: Any = forms.ModelChoiceField(
        queryset=None,
        required=False,
        help_text="Only incidents of this workflow; empty: every incident without a policy of its own.",
    )
    repeats = forms.IntegerField(
        min_value=0,
        max_value=REPEATS_MOST,
        initial=2,
        help_text="How often all steps start again while nobody acknowledges.",
    )
    acknowledge_minutes = _minutes(
        "An acknowledgement lasts this long, then the steps go on; empty: for ever.",
        min_value=1,
        required=False,
    )

    class Meta:
        model = EscalationPolicy
        fields: ClassVar[list[str]] = [
            *("name", "workflow", "minimum_severity", "repeats", "acknowledge_minutes"),
            "is_active",
        ]
        help_texts: ClassVar[dict[str, str]] = {
            "minimum_severity": "Of several that apply, the one with the highest is followed.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        mine = _of_tenant(Workflow, self._tenant_id())
        self.fields["workflow"].queryset = mine.order_by("slug", "id")  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        workflow = self.cleaned_data.get("workflow")
        if workflow is not None and workflow.tenant_id != self.instance.tenant_id:
            self.add_error("workflow", "This workflow is another tenant's.")
        return cleaned

    def _tenant_id(self) -> Any:
        return self.own_tenant.id if self.own_tenant else self.instance.tenant_id


class EscalationStepForm(ModelForm):
    """One target: a channel, a person or everybody of a role."""

    order = forms.IntegerField(
        required=False, min_value=0, help_text="Steps are told from the smallest number on."
    )
    own_tenant: ClassVar[TenantRef | None] = None
    channel: Any = forms.ModelChoiceField(queryset=None, required=False)
    user: Any = forms.ModelChoiceField(queryset=None, required=False, label="Person")
    wait_minutes = _minutes(
        "After the step before. Of the first step: after the last one, when all start again.",
        min_value=0,
        initial=5,
    )

    class Meta:
        model = EscalationStep
        fields: ClassVar[list[str]] = ["wait_minutes", "channel", "user", "role"]  # and `order`

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tenant_id = self.own_tenant.id if self.own_tenant else None
        channels = _of_tenant(Channel, tenant_id)
        members = _of_tenant(Membership, tenant_id)
        people = get_user_model()._default_manager.filter(pk__in=members.values("user_id"))
        self.fields["channel"].queryset = channels.order_by("name", "id")  # type: ignore[attr-defined]
        self.fields["user"].queryset = people.order_by("username", "pk")  # type: ignore[attr-defined]
        if not self.instance._state.adding:
            self.initial["order"] = self.instance.position + 1

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        named = [name for name in ("channel", "user", "role") if self.cleaned_data.get(name)]
        if len(named) != 1:
            self._validate_constraints = False  # the database would say the same in its own words
            self.add_error(None, "Choose one: a channel, a person or a role.")
        return cleaned


class EscalationSteps(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """All steps of a policy, in the order that was typed; those without a number come last."""

    def clean(self) -> None:
        super().clean()
        if any(form.errors for form in self.forms):
            return
        kept = self.in_order()
        if not kept:
            raise forms.ValidationError("Say whom to tell: a policy needs at least one step.")
        for form in kept:
            self._judge_tenant(form)
        if self._repeats_at_once(kept):
            kept[0].add_error("wait_minutes", "At least a minute: the steps start again after it.")

    def in_order(self) -> list[Any]:
        """The forms of the steps that stay or are new, as they will be told."""
        kept = [form for form in self.forms if self._is_kept(form)]
        return sorted(kept, key=_order)

    def _is_kept(self, form: Any) -> bool:
        is_a_step = form.has_changed() or not form.instance._state.adding
        return is_a_step and not self._should_delete_form(form)  # type: ignore[attr-defined]

    def _judge_tenant(self, form: Any) -> None:
        """Staff see every tenant's; the policy's own tenant is known only now."""
        tenant_id = self.instance.tenant_id
        chosen = form.cleaned_data
        channel, user = chosen.get("channel"), chosen.get("user")
        members = Membership.objects.for_tenant(tenant_id) if tenant_id else None
        if channel is not None and channel.tenant_id != tenant_id:
            form.add_error("channel", "This channel is another tenant's.")
        if user is not None and members is not None and not members.filter(user=user).exists():
            form.add_error("user", "This person is not a member of the tenant.")

    def _repeats_at_once(self, kept: list[Any]) -> bool:
        return bool(self.instance.repeats) and not kept[0].cleaned_data["wait_minutes"]


def _order(form: Any) -> float:
    typed = form.cleaned_data.get("order")
    return float("inf") if typed is None else typed


def _of_tenant(model: type[TenantOwned], tenant_id: Any) -> Any:
    """Staff choose the tenant in the same form: until then they see everybody's."""
    return model.objects.for_tenant(tenant_id) if tenant_id else model.objects.all()
