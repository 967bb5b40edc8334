"""Admin pages of rule overrides, kill switches and circuit breakers: staff, and a tenant's admins for their own."""

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import JSONField, OuterRef, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe

import safety.pause_admin  # noqa: F401  # its page is registered by being imported
from awfdrs_site.lib import clock
from safety import breaker, killswitch, rules
from safety.admin_forms import (
    ForceForm,
    GlobalSwitchForm,
    LiftForm,
    RuleForm,
    SwitchForm,
    end_of,
    minutes_field,
    reason_field,
)
from safety.breaker_step import Forced
from safety.killswitch import AlreadyActive
from safety.models import CircuitBreaker, GlobalKillSwitch, KillSwitch, RuleOverride
from safety.presentation import names
from safety.rule_texts import differences, typed
from safety.rulefields import FIELDS
from safety.rules import RuleMoved
from tenants.admin_base import (
    GuardedAdmin,
    ModelForm,
    PlatformAdmin,
    TenantAdmin,
    actor_of,
    is_platform,
    say,
)


@admin.register(RuleOverride)
class RuleOverrideAdmin(TenantAdmin):
    """Never edited: each change is the next version, with its author, reason and difference."""

    can_change = can_delete = False
    verbs_tell_the_journal = True
    form = RuleForm
    change_list_template = "admin/safety/ruleoverride/change_list.html"
    list_display = ("__str__", "difference", "author", "reason", "created_at", "next_version")
    list_filter = ("scope",)
    search_fields = ("target", "author", "reason")
    ordering = ("-id",)
    actions = ("revert",)
    refusals: ClassVar[dict[type[Exception], str]] = {
        IntegrityError: "Somebody else saved a version of this rule meanwhile. Look at it, then save again.",
        RuleMoved: "",  # says both sides itself
    }

    def _message(self, refused: Exception) -> str:
        return str(refused) if isinstance(refused, RuleMoved) else super()._message(refused)

    def get_queryset(self, request: HttpRequest) -> Any:
        before = (
            RuleOverride.objects.for_tenant(OuterRef("tenant_id"))
            .filter(
                scope=OuterRef("scope"), target=OuterRef("target"), version__lt=OuterRef("version")
            )
            .order_by("-version")
        )
        previous = Subquery(before.values("values")[:1], output_field=JSONField())
        return super().get_queryset(request).annotate(previous=previous)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None:
            stored = ("scope", "target", "version", "author", "reason", "created_at")
            shown: tuple[str, ...] = ("tenant", *stored, "in_full", "difference", "next_version")
        else:
            shown = ("tenant", "scope", "target", *FIELDS, "reason", "seen")
        return [name for name in shown if name != "tenant" or is_platform(request)]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        chosen = {"form": ModelForm} if obj is not None else {}
        return super().get_form(request, obj, change=change, **(chosen | kwargs))

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """`?from=` starts with what a version says, so that the next one changes one thing."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        row = self.get_object(request, request.GET.get("from", ""))
        if row is None:
            return initial
        told = {
            "tenant": row.tenant_id,
            "scope": row.scope,
            "target": row.target,
            "seen": row.version,
        }
        return initial | told | {key: typed(value) for key, value in row.values.items()}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        made = rules.override(
            tenant_id=obj.tenant_id,
            scope=obj.scope,
            target=obj.target,
            values=form.accepted,
            reason=obj.reason,
            by=actor_of(request),
            now=clock.now(),
            seen=form.cleaned_data["seen"],
        )
        obj.__dict__.update(vars(made))

    @admin.action(description="Revert to the version before", permissions=["add"])
    def revert(self, request: HttpRequest, queryset: Any) -> None:
        for row in queryset.order_by("id"):
            try:
                rules.revert(row, by=actor_of(request), now=clock.now())
            except RuleMoved as moved:
                say(request, str(moved), is_good=False)
            else:
                say(request, f"Version {row.version} of {row} is reverted.")

    @admin.display(description="changes")
    def difference(self, row: Any) -> str:
        return _lines(differences(getattr(row, "previous", None) or {}, row.values))

    @admin.display(description="values")
    def in_full(self, row: Any) -> str:
        return _lines([f"{key}: {typed(value)}" for key, value in sorted(row.values.items())])

    @admin.display(description="")
    def next_version(self, row: Any) -> str:
        add = reverse("admin:safety_ruleoverride_add")
        return format_html('<a href="{}?from={}">Next version</a>', add, row.pk)


class SwitchPages(GuardedAdmin):
    """Switches are set and lifted through their verbs; what is set is never edited."""

    can_delete = False
    verbs_tell_the_journal = True
    new_form: ClassVar[type[Any]]
    told: ClassVar[tuple[str, ...]] = ("activated_by", "activated_at", "expires_at", "state")
    ordering = ("-id",)
    actions = None
    refusals: ClassVar[dict[type[Exception], str]] = {AlreadyActive: "This is stopped already."}

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_liftable = obj is None or obj.lifted_at is None
        return is_liftable and super().has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [name for name in self.get_fields(request, obj) if obj and name != "lift_reason"]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        chosen = {"form": self.new_form if obj is None else LiftForm}
        return super().get_form(request, obj, change=change, **(chosen | kwargs))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        only = {"show_save_and_add_another": False, "show_save_and_continue": False}
        context |= only | {"save_label": "Stop" if kwargs.get("add") else "Lift"}
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        told = {"by": actor_of(request), "now": clock.now()}
        if change:
            self.lift(obj, reason=form.cleaned_data["lift_reason"], **told)
            return
        expires_at = end_of(form.cleaned_data["minutes"], now=clock.now())
        made = self.activate(obj, reason=obj.reason, expires_at=expires_at, **told)
        obj.__dict__.update(vars(made))

    def activate(self, obj: Any, **told: Any) -> Any:
        raise NotImplementedError

    def lift(self, obj: Any, **told: Any) -> None:
        raise NotImplementedError

    @admin.display(description="state")
    def state(self, switch: Any) -> str:
        if switch.lifted_at is not None:
            return f"lifted by {switch.lifted_by}: {switch.lift_reason}"
        is_over = switch.expires_at is not None and switch.expires_at <= clock.now()
        return "expired" if is_over else "on"


@admin.register(KillSwitch)
class KillSwitchAdmin(SwitchPages, TenantAdmin):
    new_form = SwitchForm
    list_display = ("holds", "reason", "activated_by", "activated_at", "expires_at", "state")
    list_filter = ("scope",)
    search_fields = ("reason", "activated_by")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        tenant = ("tenant",) if is_platform(request) else ()
        if obj is None:
            return (*tenant, "scope", "what", "reason", "minutes")
        lifting = ("lift_reason",) if obj.lifted_at is None else ()
        return (*tenant, "holds", "reason", *self.told, *lifting)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The page names what its switches hold: two look-ups for each tenant, not for each row."""
        found = super().get_changelist_instance(request)
        found.result_list = rows = list(found.result_list)
        for tenant_id in {row.tenant_id for row in rows}:
            mine = [row for row in rows if row.tenant_id == tenant_id]
            known = names(tenant_id, [(row.scope, row.target) for row in mine])
            for row in mine:
                row.holding = known.of(row.scope, row.target)
        return found

    def activate(self, obj: Any, **told: Any) -> Any:
        return killswitch.activate(
            tenant_id=obj.tenant_id, scope=obj.scope, target=obj.target, **told
        )

    def lift(self, obj: Any, **told: Any) -> None:
        killswitch.lift(obj, **told)

    @admin.display(description="holds")
    def holds(self, switch: Any) -> str:
        known = getattr(switch, "holding", None)
        pair = (switch.scope, switch.target)
        return known or names(switch.tenant_id, [pair]).of(*pair)


@admin.register(GlobalKillSwitch)
class GlobalKillSwitchAdmin(SwitchPages, PlatformAdmin):
    new_form = GlobalSwitchForm
    list_display = ("__str__", "reason", "activated_by", "activated_at", "expires_at", "state")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ("reason", "minutes")
        lifting = ("lift_reason",) if obj.lifted_at is None else ()
        return ("reason", *self.told, *lifting)

    def activate(self, obj: Any, **told: Any) -> Any:
        return killswitch.activate_global(**told)

    def lift(self, obj: Any, **told: Any) -> None:
        killswitch.lift_global(obj, **told)


@admin.register(CircuitBreaker)
class CircuitBreakerAdmin(TenantAdmin):
    """Read only; `breaker.force` is the one way in, for platform staff."""

    can_add = can_change = can_delete = False
    action_form = ForceForm
    actions = ("force_open", "force_closed", "hand_back")
    list_display = ("vendor_name", "state", "failures", "open_until", "forced", "forced_until")
    list_select_related = ("tenant", "vendor")
    list_filter = ("state", "forced")
    search_fields = ("vendor__name",)
    ordering = ("vendor__name", "id")
    fields = (
        *("tenant", "vendor_name", "state", "failures", "successes", "opened_at", "open_until"),
        *("open_count", "forced", "forced_until", "forced_reason"),
    )

    class Media:
        css: ClassVar[dict[str, tuple[str, ...]]] = {"all": ("css/admin_pages.css",)}

    def get_actions(self, request: HttpRequest) -> Any:
        return super().get_actions(request) if is_platform(request) else {}

    @admin.display(description="vendor", ordering="vendor__name")
    def vendor_name(self, row: Any) -> str:
        return str(row.vendor)

    @admin.action(description="Force open: no call goes out")
    def force_open(self, request: HttpRequest, queryset: Any) -> None:
        self._force(request, queryset, mode="forced_open")

    @admin.action(description="Force closed: every call goes out")
    def force_closed(self, request: HttpRequest, queryset: Any) -> None:
        self._force(request, queryset, mode="forced_closed")

    @admin.action(description="Hand back: it decides by itself again")
    def hand_back(self, request: HttpRequest, queryset: Any) -> None:
        self._force(request, queryset, mode=None)

    def _force(self, request: HttpRequest, queryset: Any, *, mode: Forced | None) -> None:
        now = clock.now()
        try:
            reason = reason_field().clean(request.POST.get("reason"))
            until = end_of(minutes_field().clean(request.POST.get("minutes")), now=now)
        except ValidationError:
            say(request, "Say why, and for how long.", is_good=False)
            return
        for row in queryset.select_related("vendor").order_by("id"):  # the order locks are taken in
            breaker.force(
                row.vendor,
                mode=mode,
                reason=reason,
                until=until if mode else None,
                by=actor_of(request),
                now=now,
            )
        say(request, "Done.")


def _lines(texts: list[str]) -> str:
    return format_html_join(mark_safe("<br>"), "{}", ((text,) for text in texts))
