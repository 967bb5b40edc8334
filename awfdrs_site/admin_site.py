"""The only admin site, under /admin/: each of its views runs and renders in the block of who asks."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST

from tenants import admin_base, second_step

View = Callable[..., HttpResponseBase]
# "r/…" would send people to any object by its number: nothing here links to it.
_LEFT_OUT = frozenset({"view_on_site"})


class Site(admin.AdminSite):
    site_header = site_title = "AWFDRS administration"
    index_title = "Administration"
    site_url = "/"

    def register(  # type: ignore[override]
        self, models: Any, admin_class: Any = None, **options: Any
    ) -> None:
        """What other packages bring along is for platform staff, and journalled like ours."""
        wanted = admin_class or admin.ModelAdmin
        if not issubclass(wanted, admin_base.GuardedAdmin):
            wanted = type(wanted.__name__, (admin_base.PlatformAdmin, wanted), {})
        super().register(models, wanted, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        return admin_base.is_platform(request) or admin_base.tenant_of(request) is not None

    def admin_view(self, view: View, cacheable: bool = False) -> View:  # type: ignore[override]
        """DESIGN.md rule 11: the block is open while the view runs and its page renders."""

        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if (elsewhere := second_step.turned_away(request)) is not None:
                return elsewhere
            with admin_base.block_of(request):
                response = view(request, *args, **kwargs)
                if hasattr(response, "render"):
                    response.render()
            return response

        guarded = csrf_protect(inner if cacheable else never_cache(inner))
        return update_wrapper(guarded, view)

    def get_urls(self) -> list[Any]:
        from actions.admin import effective_rules  # registers with this site: not while it is made

        return [
            path("rules/effective/", self.admin_view(effective_rules), name="effective-rules"),
            *(route for route in super().get_urls() if getattr(route, "name", "") not in _LEFT_OUT),
        ]

    def login(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """There is one door: the console's."""
        return redirect_to_login(request.GET.get("next", "/admin/"))

    @method_decorator(require_POST)
    def logout(self, request: HttpRequest, extra_context: Any = None) -> Any:
        logout(request)
        return redirect("tenants:sign-in")

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """No form of ours asks it, and it breaks on relations that are asked for backwards."""
        raise PermissionDenied

    def get_log_entries(self, request: HttpRequest) -> Any:
        """Django's own log is not kept: the journal is the record."""
        return LogEntry.objects.none()


site = admin.site
