"""The only place that fits other packages' admin pages into ours: people, how they get in, the beat's schedule."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django_celery_beat.admin import PeriodicTaskAdmin, PeriodicTaskForm
from django_celery_beat.models import PeriodicTask, SolarSchedule

from tenants.admin_base import PlatformAdmin

admin.site.unregister([Group, User, PeriodicTask, SolarSchedule])
admin.site.unregister([EmailAddress, Authenticator])


@admin.register(User)
class PersonAdmin(PlatformAdmin, UserAdmin):  # type: ignore[type-arg]
    """People are switched off, never deleted. What they may do follows from memberships alone."""

    can_delete = False
    list_display = ("username", "email", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser")
    ordering = ("username", "id")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Who", {"fields": ("first_name", "last_name", "email")}),
        (
            "May sign in",
            {
                "fields": ("is_active", "is_superuser"),
                "description": "A superuser is platform staff: every tenant, every page here.",
            },
        ),
        ("When", {"fields": ("last_login", "date_joined")}),
    )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.is_staff = obj.is_superuser  # other packages ask for the one, we for the other
        super().save_model(request, obj, form, change)


class TaskForm(PeriodicTaskForm):  # type: ignore[misc]
    def clean(self) -> Any:
        """The package's own looks at `task` also when that was refused already."""
        return self.cleaned_data if "task" in self.errors else super().clean()


@admin.register(PeriodicTask)
class TaskAdmin(PlatformAdmin, PeriodicTaskAdmin):  # type: ignore[misc]
    """Without the package's bulk actions (no journal; a broker call inside the request) and its inline script."""

    form = TaskForm
    actions = ()
    change_form_template = None
    date_hierarchy = None
    list_filter = ("enabled",)
    ordering = ("name", "id")


@admin.register(AccessAttempt)
class AttemptAdmin(PlatformAdmin):
    """Who tried too often. Deleting the row unlocks them; what they typed is shown to nobody."""

    can_add = can_change = False
    list_display = ("username", "ip_address", "failures_since_start", "attempt_time")
    search_fields = ("username", "ip_address")
    ordering = ("-attempt_time", "-id")
    fields = ("username", "ip_address", "failures_since_start", "attempt_time", "user_agent")


@admin.register(Authenticator)
class SecondStepAdmin(PlatformAdmin):
    """Deleting helps who lost their phone and their codes; the secrets are shown to nobody."""

    can_add = can_change = False
    list_display = ("user", "type", "created_at", "last_used_at")
    list_select_related = ("user",)
    list_filter = ("type",)
    search_fields = ("user__username", "user__email")
    ordering = ("user__username", "id")
    fields = ("user", "type", "created_at", "last_used_at")
