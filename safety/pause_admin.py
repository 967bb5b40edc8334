"""Admin page of rules that went too far: who was stopped and why, and the only place that lets one go on."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from awfdrs_site.lib import clock
from safety import blast_radius
from safety.admin_forms import reason_field
from safety.models import RulePause
from tenants.admin_base import ModelForm, TenantAdmin, actor_of, is_platform


class ResumeForm(ModelForm):
    """The only change a pause takes."""

    resume_reason = reason_field("Why may it go on by itself?")


@admin.register(RulePause)
class RulePauseAdmin(TenantAdmin):
    """Made by a rule that went beyond its blast radius, ended by a person."""

    can_add = can_delete = False
    verbs_tell_the_journal = True
    form = ResumeForm
    actions = None
    list_display = ("rule", "reason", "paused_at", "state")
    search_fields = ("rule", "reason")
    ordering = ("-id",)
    told: ClassVar[tuple[str, ...]] = ("rule", "reason", "paused_at", "state")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_paused = obj is None or obj.resumed_at is None
        return is_paused and super().has_change_permission(request, obj)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        tenant = ("tenant",) if is_platform(request) else ()
        resuming = ("resume_reason",) if obj is not None and obj.resumed_at is None else ()
        return (*tenant, *self.told, *resuming)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [name for name in self.get_fields(request, obj) if name != "resume_reason"]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        only = {"show_save_and_add_another": False, "show_save_and_continue": False}
        context |= only | {"save_label": "Resume"}
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        blast_radius.resume(
            obj, reason=form.cleaned_data["resume_reason"], by=actor_of(request), now=clock.now()
        )

    @admin.display(description="state")
    def state(self, row: RulePause) -> str:
        if row.resumed_at is None:
            return "paused"
        return f"resumed by {row.resumed_by}: {row.resume_reason}"
