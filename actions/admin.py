"""Admin pages that need more than safety knows: workflows with their secrets, and the rules in force."""

from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

import actions.escalation_admin  # noqa: F401  # its pages are registered by being imported
from actions import retry, signing, transport
from actions.serializers import QUIET_MINUTES_MAX
from safety import rulefields, rules
from tenants import secrets
from tenants.admin import show_once
from tenants.admin_base import OfTenantForm, PlatformAdmin, tenant_of
from tenants.models import Tenant, Vendor, Workflow

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
        help_text="Shown once after saving. From then on retries are signed with it alone.",
    )

    class Meta:
        model = Workflow
        fields: ClassVar[list[str]] = [
            "slug",
            "name",
            *URLS,
            "idempotent",
            "quiet_minutes",
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
        return (*stored, "vendor", "has_secret", "new_secret") if obj is not None else stored

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("tenant", "slug", "has_secret") if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        secret = signing.new_secret() if not change or form.cleaned_data["new_secret"] else ""
        if secret:
            obj.retry_secret_sealed = secrets.seal(secret, tenant_id=obj.tenant_id, row_id=obj.pk)
        super().save_model(request, obj, form, change)
        if secret:
            show_once(request, f"Signing secret of {obj.slug}", secret)

    @admin.display(boolean=True, description="signing secret")
    def has_secret(self, workflow: Any) -> bool:
        return bool(workflow.retry_secret_sealed)


class EffectiveForm(forms.Form):
    """For which failure; every name may be empty or unknown."""

    tenant = forms.ModelChoiceField(Tenant.objects.order_by("name", "id"))
    workflow = forms.CharField(required=False, max_length=100)
    vendor = forms.CharField(required=False, max_length=100)
    error_code = forms.CharField(required=False, max_length=100)
    category = forms.ChoiceField(
        choices=[(name, name) for name in rulefields.CATEGORIES],
        initial=rulefields.UNKNOWN,
        required=False,
    )


def effective_rules(request: HttpRequest) -> HttpResponse:
    """Default, override and what is in force side by side, and the waits that come of it."""
    form = EffectiveForm(request.GET or None)
    own = tenant_of(request)
    if own is not None:
        del form.fields["tenant"]
    context = {
        **admin.site.each_context(request),
        "title": "Rules in force",
        "form": form,
        **(_in_force(form, own.id if own else None) if form.is_valid() else {}),
    }
    return render(request, "admin/effective_rules.html", context)


def _in_force(form: EffectiveForm, own: Any) -> dict[str, Any]:
    asked = form.cleaned_data
    about = {
        "tenant_id": own or asked["tenant"].id,
        "workflow": asked["workflow"],
        "vendor": asked["vendor"],
        "error_code": asked["error_code"],
        "category": asked["category"] or rulefields.UNKNOWN,
    }
    defaults, effective = rules.effective_for(**about, known=()), rules.effective_for(**about)
    values = [
        {
            "name": name,
            "default": defaults.values.get(name),
            "is_overridden": value.override_id is not None,
            "in_force": value,
        }
        for name, value in sorted(effective.values.items())
    ]
    waits = retry.schedule(effective.retry)
    return {
        "values": values,
        "schedule": [
            {"number": number, "seconds": seconds, "after": sum(waits[:number])}
            for number, seconds in enumerate(waits, start=1)
        ],
        "jitter": effective.retry.jitter,
    }
