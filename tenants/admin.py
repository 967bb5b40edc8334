"""Admin pages of tenants, memberships, API keys and vendors, and of the journal: for platform staff."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html

from awfdrs_site.lib import clock
from tenants import auth, keys
from tenants.admin_base import PlatformAdmin, actor_of, say
from tenants.admin_forms import KeyForm, MembershipForm, NewKeyForm, VendorForm
from tenants.models import (
    ApiKey,
    JournalEntry,
    Membership,
    PlatformJournalEntry,
    Tenant,
    Vendor,
)


def show_once(request: HttpRequest, what: str, secret: str) -> None:
    """Nobody can read it again, so the message says what to do with it."""
    text = "{}: {} – copy it now, it is shown this once."
    say(request, format_html(text, what, secret))


@admin.register(Tenant)
class TenantsAdmin(PlatformAdmin):
    """Tenants are switched off, never deleted: their evidence stays."""

    can_delete = False
    list_display = ("name", "slug", "is_active", "created_at")
    list_filter = ("is_active",)
    search_fields = ("name", "slug")
    ordering = ("name", "id")
    fields = (
        "name",
        "slug",
        "is_active",
        "registers_workflows",
        "storm_runs",
        "max_in_flight",
        "approvals_needed",
        "approval_hours",
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("slug",) if obj is not None else ()


@admin.register(Membership)
class MembershipAdmin(PlatformAdmin):
    form = MembershipForm
    list_display = ("user", "role", "tenant")
    list_select_related = ("user", "tenant")
    list_filter = ("role", "tenant")
    search_fields = ("user__username", "user__email", "tenant__name")
    ordering = ("tenant__name", "user__username", "id")
    fields = ("tenant", "user", "role")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("tenant", "user") if obj is not None else ()


@admin.register(ApiKey)
class ApiKeyAdmin(PlatformAdmin):
    """Secrets are written and never read; a key is revoked, never deleted."""

    can_delete = False
    form = NewKeyForm
    list_display = ("__str__", "tenant", "scopes", "last_used_at", "expires_at", "revoked_at")
    list_select_related = ("tenant",)
    list_filter = ("tenant",)
    search_fields = ("name", "prefix")
    ordering = ("-id",)
    actions = ("rotate", "revoke")
    _CHANGEABLE = ("name", "scopes", "rate_per_second", "burst", "expires_at")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        told = ("prefix", "last_used_at", "previous_expires_at", "revoked_at") if obj else ()
        return ("tenant", *self._CHANGEABLE, *told)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        told = ("prefix", "last_used_at", "previous_expires_at", "revoked_at")
        return ("tenant", *told) if obj is not None else ()

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        chosen = {"form": KeyForm} if obj is not None else {}
        return super().get_form(request, obj, change=change, **(chosen | kwargs))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        chosen = {name: form.cleaned_data[name] for name in self._CHANGEABLE}
        made = auth.issue_key(tenant_id=obj.tenant_id, now=clock.now(), **chosen)
        obj.__dict__.update(vars(made.key))
        show_once(request, f"API key {made.key.name}", made.token)

    @admin.action(description="Rotate: a new secret, the old one ends in 24 hours")
    def rotate(self, request: HttpRequest, queryset: Any) -> None:
        chosen = list(queryset.filter(revoked_at=None)[:2])
        if len(chosen) != 1:
            say(request, "Rotate one live key at a time: its secret is shown once.", is_good=False)
            return
        made = keys.rotate(chosen[0], by=actor_of(request), now=clock.now())
        show_once(request, f"New secret of {made.key.name}", made.token)

    @admin.action(description="Revoke: refused from the next request on")
    def revoke(self, request: HttpRequest, queryset: Any) -> None:
        for key in queryset.order_by("id"):
            keys.revoke(key, by=actor_of(request), now=clock.now())
        say(request, "Revoked.")


@admin.register(Vendor)
class VendorAdmin(PlatformAdmin):
    can_delete = False
    form = VendorForm
    list_display = ("name", "tenant", "created_at")
    list_select_related = ("tenant",)
    list_filter = ("tenant",)
    search_fields = ("name",)
    ordering = ("name", "id")
    fields = ("tenant", "name", "max_in_flight")


class ReadOnlyJournal(PlatformAdmin):
    can_add = can_change = can_delete = False
    list_display: Any = ("at", "verb", "subject_type", "subject_id", "actor_label")
    search_fields = ("=subject_id", "=correlation_id", "=verb")
    ordering = ("-at", "-id")
    actions = None


@admin.register(JournalEntry)
class JournalEntryAdmin(ReadOnlyJournal):
    list_display = ("at", "tenant", "verb", "subject_type", "subject_id", "actor_label")
    list_select_related = ("tenant",)
    list_filter = ("tenant", "subject_type")


@admin.register(PlatformJournalEntry)
class PlatformJournalEntryAdmin(ReadOnlyJournal):
    pass
