"""The admin pages of workflows: where they are called, with which secret, how they are retried, and a test call."""

from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from actions import retry, schedules, signing_secrets, transport, trials
from actions.serializers import QUIET_MINUTES_MAX
from awfdrs_site.lib import clock
from safety import rulefields, rules
from tenants import scoping, second_step
from tenants.admin import show_once
from tenants.admin_base import OfTenantForm, PlatformAdmin, actor_of, is_platform
from tenants.models import Vendor, Workflow

SHOWN_CATEGORY = "transient_error"  # the page shows the schedule of one; the rules page shows all

URLS = ("retry_url", "status_url", "compensate_url")
URL_CHARACTERS = 2000


def _url_field(help_text: str = "") -> forms.CharField:
    # Text, because our own check says more than a URL field would.
    return forms.CharField(
        required=False, max_length=URL_CHARACTERS, help_text=help_text, strip=True
    )


class WorkflowForm(OfTenantForm):
    retry_url = _url_field("Where a run is asked for again; without it nothing is retried.")
    status_url = _url_field()
    compensate_url = _url_field()
    vendor: Any = forms.ModelChoiceField(queryset=None, required=False)
    quiet_minutes = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=QUIET_MINUTES_MAX,
        initial=60,
        help_text="After this long without a failure an incident resolves itself; empty: never.",
    )
    new_secret = forms.BooleanField(
        required=False,
        label="Make a new signing secret",
        help_text="Shown once after saving. The one before signs beside it for 24 hours.",
    )

    class Meta:
        model = Workflow
        fields: ClassVar[list[str]] = [
            "slug",
            "name",
            *URLS,
            "idempotent",
            "quiet_minutes",
            "max_in_flight",
            "vendor",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "vendor" in self.fields:  # a new workflow has no tenant yet, so it gets its vendor later
            mine = Vendor.objects.for_tenant(self.instance.tenant_id)
            self.fields["vendor"].queryset = mine.order_by("name", "id")  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        for name in URLS:
            self._judge_url(name)
        return cleaned

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        try:
            return rulefields.NAME.parse(slug)
        except ValueError as refused:
            raise forms.ValidationError(f"This {refused}.") from refused

    def _judge_url(self, name: str) -> None:
        url = self.cleaned_data.get(name)
        try:
            if url:
                transport.check_url(url, allow_cidrs=settings.OUTBOUND_ALLOW_CIDRS)
        except transport.Refused as refused:
            self.add_error(name, str(refused))


@admin.register(Workflow)
class WorkflowAdmin(PlatformAdmin):
    """The signing secret is made here and never read again."""

    can_delete = False
    form = WorkflowForm
    list_display = ("slug", "tenant", "idempotent", "retry_url", "has_secret")
    list_select_related = ("tenant",)
    list_filter = ("tenant", "idempotent")
    search_fields = ("slug", "name")
    ordering = ("slug", "id")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        stored = ("tenant", "slug", "name", *URLS, "idempotent", "quiet_minutes")
        if obj is None:
            return stored
        secret = ("has_secret", "previous_secret_until", "new_secret")
        return (*stored, "max_in_flight", "vendor", *secret, "schedule")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        told = ("tenant", "slug", "has_secret", "previous_secret_until", "schedule")
        return told if obj is not None else ()

    def get_urls(self) -> list[Any]:
        # Not through the site's block: an HTTP call leaves in no transaction.
        test = path("<path:object_id>/test/", self.test, name="tenants_workflow_test")
        return [test, *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        secret = "" if change else signing_secrets.make(obj)
        super().save_model(request, obj, form, change)
        if change and form.cleaned_data["new_secret"]:
            _, secret = signing_secrets.rotate(obj, by=actor_of(request), now=clock.now())
        if secret:
            show_once(request, f"Signing secret of {obj.slug}", secret)

    @method_decorator([never_cache, csrf_protect, require_http_methods(["GET", "HEAD", "POST"])])
    def test(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Ask first, then send one signed call that asks for nothing and show what came back."""
        if (elsewhere := second_step.turned_away(request)) is not None:
            return elsewhere
        if not is_platform(request):
            raise PermissionDenied
        with scoping.platform():
            workflow = self.get_object(request, object_id)
        if workflow is None:
            raise Http404
        trial = None
        if request.method == "POST":
            trial = trials.run(workflow, by=actor_of(request))
        with scoping.platform():
            return self._test_page(request, workflow, trial)

    def _test_page(
        self, request: HttpRequest, workflow: Any, trial: trials.Trial | None
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"Test call to {workflow}",
            "opts": self.opts,
            "workflow": workflow,
            "trial": trial,
        }
        return render(request, "admin/tenants/workflow/test.html", context)

    @admin.display(boolean=True, description="signing secret")
    def has_secret(self, workflow: Any) -> bool:
        return bool(workflow.retry_secret_sealed)

    @admin.display(description="retries of a transient error")
    def schedule(self, workflow: Any) -> SafeString:
        in_force = rules.effective_for(
            tenant_id=workflow.tenant_id,
            workflow=workflow.slug,
            vendor=workflow.vendor.name if workflow.vendor else "",
            error_code="",
            category=SHOWN_CATEGORY,
        )
        drawn = schedules.of(retry.steps(in_force.retry), jitter=in_force.retry.jitter)
        return render_to_string("admin/_schedule.html", {"schedule": drawn})
