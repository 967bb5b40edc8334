"""Admin pages of escalation policies with their steps: staff, and a tenant's admins for their own."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import F
from django.http import HttpRequest

from actions.escalation_forms import (
    STEPS_MOST,
    EscalationPolicyForm,
    EscalationStepForm,
    EscalationSteps,
)
from actions.models import EscalationPolicy, EscalationStep
from tenants.admin_base import TenantAdmin, is_platform, subclass, tenant_of

ASIDE = 1000  # positions out of the way of the new ones, while they are given anew

if TYPE_CHECKING:
    Inline = admin.TabularInline[EscalationStep, EscalationPolicy]
else:
    Inline = admin.TabularInline


class StepInline(Inline):
    """Whoever may change the policy may change its steps."""

    model = EscalationStep
    form = EscalationStepForm
    formset = EscalationSteps
    extra = 0
    min_num = 1
    max_num = STEPS_MOST
    fields = ("order", "channel", "user", "role", "wait_minutes")
    ordering = ("position", "id")

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        own = tenant_of(request)
        kwargs["form"] = subclass(EscalationStepForm, own_tenant=own or (obj and obj.tenant))
        return super().get_formset(request, obj, **kwargs)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_of_parent(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_of_parent(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_of_parent(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_of_parent(request, obj)

    def _is_of_parent(self, request: HttpRequest, obj: Any) -> bool:
        return bool(self.admin_site._registry[EscalationPolicy].may(request, obj))  # type: ignore[attr-defined]


@admin.register(EscalationPolicy)
class EscalationPolicyAdmin(TenantAdmin):
    """Switched off, never deleted. What runs already keeps the policy as it was when it began."""

    can_delete = False
    form = EscalationPolicyForm
    inlines = (StepInline,)
    list_display = ("name", "steps_in_words", "workflow", "minimum_severity", "is_active")
    list_filter = ("minimum_severity", "is_active")
    list_select_related = ("workflow",)
    search_fields = ("name",)
    ordering = ("name", "id")
    actions = None

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("steps__channel", "steps__user")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        tenant = ("tenant",) if is_platform(request) else ()
        return (*tenant, *EscalationPolicyForm.Meta.fields)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """In the order that was typed; no two steps may stand at one place meanwhile."""
        formset.save(commit=False)
        for gone in formset.deleted_objects:
            gone.delete()
        policy = form.instance
        mine = EscalationStep.objects.for_tenant(policy.tenant_id).filter(policy=policy)
        mine.update(position=F("position") + ASIDE)
        for place, row in enumerate(formset.in_order()):
            step = row.instance
            step.tenant_id, step.policy, step.position = policy.tenant_id, policy, place
            step.save()

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """A changed step is a changed policy: the journal says what its steps are now."""
        told: dict[str, Any] = super().construct_change_message(request, form, formsets, add)
        if any(formset.has_changed() for formset in formsets or ()):
            steps = EscalationStep.objects.for_tenant(form.instance.tenant_id)
            mine = steps.filter(policy=form.instance).select_related("channel", "user")
            told["steps"] = [in_words(step) for step in mine.order_by("position")]
        return told

    @admin.display(description="tells")
    def steps_in_words(self, policy: Any) -> str:
        steps = sorted(policy.steps.all(), key=lambda step: step.position)
        return ", ".join(in_words(step) for step in steps)


def in_words(step: EscalationStep) -> str:
    """Whom, and after how long."""
    whom = step.channel or step.user or f"every {step.get_role_display().lower()}"
    return f"{whom} after {step.wait_minutes} min" if step.position else str(whom)
