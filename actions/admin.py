"""The admin page that needs more than safety knows: the rules in force. Registers the other pages of this app."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

import actions.channel_admin
import actions.escalation_admin  # their pages are registered by being imported
import actions.workflow_admin  # noqa: F401
from actions import retry, schedules
from safety import rulefields, rules
from tenants.admin_base import tenant_of
from tenants.models import Tenant


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
    policy = effective.retry
    return {
        "values": values,
        "schedule": schedules.of(retry.steps(policy), jitter=policy.jitter),
    }
