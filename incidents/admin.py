"""Admin pages of outcome rules: staff, and a tenant's admins for their own."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from awfdrs_site.lib import clock
from incidents import outcome_rules
from incidents.admin_forms import OutcomeRuleForm
from incidents.analysis.outcome import SHIPPED, Matcher
from incidents.models import OutcomeRule
from tenants.admin_base import TenantAdmin, actor_of, is_platform

CHANGES_SHOWN = 20


@admin.register(OutcomeRule)
class OutcomeRuleAdmin(TenantAdmin):
    """In the order in which they are asked; tried before they are saved, switched off instead of deleted."""

    can_delete = False
    verbs_tell_the_journal = True
    form = OutcomeRuleForm
    change_form_template = "admin/incidents/outcomerule/change_form.html"
    change_list_template = "admin/incidents/outcomerule/change_list.html"
    list_display = ("position", "conditions", "outcome", "is_enabled", "created_by", "reason")
    list_display_links = ("conditions",)
    list_filter = ("outcome", "is_enabled")
    search_fields = ("event_type", "error_code", "payload_path", "reason", "created_by")
    ordering = ("tenant__name", "position", "id")
    actions = None
    told: ClassVar[tuple[str, ...]] = ("created_by", "created_at", "last_reason")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        tenant = ("tenant",) if is_platform(request) else ()
        return (*tenant, *OutcomeRuleForm.Meta.fields, *(self.told if obj else ()))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fixed = super().get_readonly_fields(request, obj)
        return (*fixed, *self.told) if obj else fixed

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        form.is_only_tried = "_try" in request.POST
        return form

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        shipped = [(in_words(matcher), matcher.outcome.label) for matcher in SHIPPED]
        return super().changelist_view(request, {"shipped": shipped} | (extra_context or {}))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        trial = getattr(context["adminform"].form, "trial", None)
        shown = trial.changed[:CHANGES_SHOWN] if trial else []
        context |= {"trial": trial, "changes": shown, "tried_events": outcome_rules.TRIED_EVENTS}
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        saved = outcome_rules.save(obj, by=actor_of(request), now=clock.now())
        obj.__dict__.update(vars(saved))

    @admin.display(description="conditions")
    def conditions(self, rule: Any) -> str:
        return in_words(outcome_rules.matcher_of(rule))

    @admin.display(description="reason of the last change")
    def last_reason(self, rule: Any) -> str:
        return str(rule.reason)


def in_words(matcher: Matcher) -> str:
    """Its conditions as people say them."""
    said = []
    if matcher.event_type:
        said.append(f"event type is like {matcher.event_type}")
    if matcher.status:
        said.append(f"status is {matcher.status}")
    if matcher.error_code:
        said.append(f"error code is like {matcher.error_code}")
    if matcher.payload_path:
        value = f"is {matcher.payload_value}" if matcher.payload_value else "is not empty"
        said.append(f"{matcher.payload_path} in the payload {value}")
    return " and ".join(said)
