"""Admin pages of channels: a tenant's own for its admins, the platform's for staff; both can be tried."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from actions import channel_platform, outbox, signing
from actions.channel_forms import SIGNED, ChannelForm, PlatformChannelForm
from actions.models import Channel, Delivery, PlatformChannel
from actions.states import ChannelKind, DeliveryKind
from awfdrs_site.lib.ids import uuid7
from tenants import scoping, second_step, secrets
from tenants.admin import show_once
from tenants.admin_base import PlatformAdmin, TenantAdmin, block_of

TEST_SUBJECT = "Test from AWFDRS"
TEST_TEXT = "Somebody tries whether this channel works. Nothing has happened."


class TestedAdmin:
    """A page beside the change form that sends one message and shows what really came of it.

    Not through the site's block: an HTTP call leaves in no transaction.
    """

    def get_urls(self) -> list[Any]:
        name = f"actions_{self.opts.model_name}_test"  # type: ignore[attr-defined]
        test = path("<path:object_id>/test/", self.test, name=name)
        return [test, *super().get_urls()]  # type: ignore[misc]

    @method_decorator([never_cache, csrf_protect, require_http_methods(["GET", "HEAD", "POST"])])
    def test(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        if (elsewhere := second_step.turned_away(request)) is not None:
            return elsewhere
        with block_of(request):
            if not self.has_view_permission(request):  # type: ignore[attr-defined]
                raise PermissionDenied
            channel = self.get_object(request, object_id)  # type: ignore[attr-defined]
        if channel is None:
            raise Http404
        told = self.send_test(request, channel) if request.method == "POST" else {}
        with block_of(request):
            return self._test_page(request, channel, told)

    def send_test(self, request: HttpRequest, channel: Any) -> dict[str, Any]:
        raise NotImplementedError

    def _test_page(self, request: HttpRequest, channel: Any, told: dict[str, Any]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "title": f"Test of {channel}",
            "opts": self.opts,  # type: ignore[attr-defined]
            "channel": channel,
            **told,
        }
        return render(request, "admin/actions/channel_test.html", context)


@admin.register(Channel)
class ChannelAdmin(TestedAdmin, TenantAdmin):
    """Switched off, never deleted: the log names them."""

    can_delete = False
    form = ChannelForm
    list_display = ("name", "kind", "is_active", "group_wait_seconds", "hourly_cap")
    list_filter = ("kind", "is_active")
    search_fields = ("name",)
    ordering = ("name", "id")
    actions = None
    change_form_template = "admin/actions/channel_form.html"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        typed = ["name", "kind", "url", "address", "secret", "repository", "labels"]
        fields = ["tenant", *typed, "group_wait_seconds", "hourly_cap", "is_active"]
        if obj is not None:
            fields += ["has_secret", *(["new_secret"] if obj.kind in SIGNED else [])]
        shown = super().get_fields(request, obj) if obj is None else ["tenant"]
        return [name for name in fields if name != "tenant" or "tenant" in shown]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # A secret that one kind of service gave is never sent to another.
        fixed = super().get_readonly_fields(request, obj)
        return (*fixed, "kind", "has_secret") if obj is not None else fixed

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        typed, made = form.cleaned_data.get("secret", ""), ""
        if obj.kind in SIGNED and (not change or form.cleaned_data.get("new_secret")):
            typed = made = signing.new_secret()
        if typed:
            obj.secret_sealed = secrets.seal(typed, tenant_id=obj.tenant_id, row_id=obj.pk)
        super().save_model(request, obj, form, change)
        if made:
            show_once(request, f"Signing secret of {obj.name}", made)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Whoever knows the address of such a webhook may post to it: the journal does not say it."""
        told: dict[str, Any] = super().construct_change_message(request, form, formsets, add)
        if form.instance.kind == ChannelKind.SLACK and "url" in told:
            told["url"] = "set"
        return told

    def send_test(self, request: HttpRequest, channel: Any) -> dict[str, Any]:
        with scoping.bound(channel.tenant_id, durable=True) as now:
            delivery = outbox.tell(
                tenant_id=channel.tenant_id,
                kind=DeliveryKind.TEST,
                target=channel,
                subject=TEST_SUBJECT,
                text=TEST_TEXT,
                dedupe_key=f"test:{uuid7(now)}",
                now=now,
            )
        outbox.send_at_once(tenant_id=channel.tenant_id, delivery_id=delivery.pk)
        with scoping.bound(channel.tenant_id):
            sent: Delivery = Delivery.objects.for_tenant(channel.tenant_id).get(pk=delivery.pk)
        return {"sent": sent, "is_taken": sent.sent_at is not None}

    @admin.display(boolean=True, description="secret")
    def has_secret(self, channel: Any) -> bool:
        return bool(channel.secret_sealed)


@admin.register(PlatformChannel)
class PlatformChannelAdmin(TestedAdmin, PlatformAdmin):
    """Spoken to by Apprise; its address is written here and never read again."""

    form = PlatformChannelForm
    fields = ("name", "secret_url", "is_active")
    list_display = ("name", "is_active", "created_at")
    ordering = ("name", "id")
    change_form_template = "admin/actions/channel_form.html"

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if url := form.cleaned_data["secret_url"]:
            place = {"tenant_id": secrets.NOBODY, "row_id": obj.pk}
            obj.url_sealed = secrets.seal(url, **place)
        super().save_model(request, obj, form, change)

    def send_test(self, request: HttpRequest, channel: Any) -> dict[str, Any]:
        told = channel_platform.send(channel, subject=TEST_SUBJECT, text=TEST_TEXT)
        return {"told": told, "is_taken": told.is_taken}
