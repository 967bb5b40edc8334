"""What the admin's tests share: every page of the site, and rows of Globex that nobody at Acme may see."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse

from actions.models import Channel, EscalationPolicy
from incidents.models import OutcomeRule
from safety import blast_radius, breaker, killswitch, rules
from safety.blast_radius import Rule
from safety.models import CircuitBreaker, GlobalKillSwitch, KillSwitch, RuleOverride, RulePause
from tenants import auth, scoping
from tenants.journal import Actor
from tenants.models import ApiKey, JournalEntry, Membership, Tenant, Vendor, Workflow
from tests.factories import (
    ChannelFactory,
    EscalationStepFactory,
    MembershipFactory,
    OutcomeRuleFactory,
    VendorFactory,
    WorkflowFactory,
)

CANARY = "canary"
BY = Actor("user", "0", "somebody")
# what a tenant's admin sees
TENANTS_OWN = {
    *(RuleOverride, KillSwitch, CircuitBreaker, OutcomeRule),
    *(EscalationPolicy, Channel, RulePause),
}


@dataclass(frozen=True)
class Page:
    """One named route of the admin; `model` is None for pages of the site itself."""

    name: str
    model: Any
    of_object: bool

    def path(self, object_id: Any = None) -> str:
        return reverse(f"admin:{self.name}", args=[object_id] if self.of_object else [])


def pages() -> list[Page]:
    """Every named route of `admin.site.get_urls()`, but the list of one app, whose names vary."""
    models = {
        f"{model._meta.app_label}_{model._meta.model_name}_": model
        for model in admin.site._registry
    }
    found = []
    for route in _routes(admin.site.get_urls()):
        if route.name is None or route.name == "app_list":
            continue
        model = next((m for name, m in models.items() if route.name.startswith(name)), None)
        found.append(
            Page(
                route.name,
                model,
                of_object="object_id" in str(route.pattern) or "<id>" in str(route.pattern),
            )
        )
    return found


def _routes(routes: list[Any]) -> Iterator[URLPattern]:
    for route in routes:
        if isinstance(route, URLResolver):
            yield from _routes(route.url_patterns)
        else:
            yield route


def client_of(user: User | None) -> Client:
    """Answers 500 instead of raising, so that a test can say which page did."""
    client = Client(raise_request_exception=False)
    if user is not None:
        client.force_login(user)
    return client


def rows_of(tenant: Tenant, word: str) -> dict[Any, Any]:
    """One row of every model that has pages, each with `word` in whatever people read of it."""
    member = MembershipFactory(tenant=tenant, user__username=f"{word}-person", role="operator")
    vendor = VendorFactory(tenant=tenant, name=f"{word}-vendor")
    workflow = WorkflowFactory(tenant=tenant, slug=f"{word}-workflow")
    outcome = OutcomeRuleFactory(tenant=tenant, reason=f"{word}-outcome")
    policy = EscalationStepFactory(tenant=tenant, policy__name=f"{word}-policy").policy
    with scoping.bound(tenant.pk) as now:
        key = auth.issue_key(tenant_id=tenant.pk, name=f"{word}-key", scopes=["read"], now=now).key
        held = breaker.force(
            vendor, mode="forced_open", reason=f"{word}-force", until=None, by=BY, now=now
        )
        switch = killswitch.activate(
            tenant_id=tenant.pk,
            scope="workflow",
            target=str(workflow.pk),
            reason=f"{word}-stop",
            expires_at=None,
            by=BY,
            now=now,
        )
        blast = Rule("code", f"{word}-code")
        pause = blast_radius.pause(tenant.pk, blast, reason=f"{word}-pause", now=now)
        rule = override(tenant, target=f"{word}-vendor", reason=f"{word}-rule")
        line = JournalEntry.objects.for_tenant(tenant).order_by("id").first()
    return {
        Tenant: tenant,
        User: member.user,
        Membership: member,
        Vendor: vendor,
        Workflow: workflow,
        ApiKey: key,
        CircuitBreaker: held,
        KillSwitch: switch,
        RuleOverride: rule,
        RulePause: pause,
        OutcomeRule: outcome,
        EscalationPolicy: policy,
        Channel: ChannelFactory(tenant=tenant, name=f"{word}-channel"),
        JournalEntry: line,
    }


def override(
    tenant: Tenant, *, target: str, reason: str = "because", **values: Any
) -> RuleOverride:
    with scoping.bound(tenant.pk) as now:
        return rules.override(
            tenant_id=tenant.pk,
            scope="vendor",
            target=target,
            values={key.replace("__", "."): value for key, value in values.items()}
            or {"retry.max_retries": 3},
            reason=reason,
            by=BY,
            now=now,
        )


def global_switch() -> GlobalKillSwitch:
    with scoping.platform() as now:
        return killswitch.activate_global(
            reason=f"{CANARY}-everything", expires_at=None, by=BY, now=now
        )


def unknown_id(model: Any) -> Any:
    is_uuid = model._meta.pk.get_internal_type() == "UUIDField"
    return uuid4() if is_uuid else 987_654_321
