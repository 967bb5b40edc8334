"""HTTP answers about what is allowed: vendors with their breakers, kill switches, rules in force."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, ClassVar, cast
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Prefetch, Q, Value, When
from django.http import Http404
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from awfdrs_site.lib import clock, params
from awfdrs_site.lib.pagination import Listing
from awfdrs_site.lib.problems import FieldError, Problem
from safety import breaker, killswitch, rules
from safety.killswitch import AlreadyActive
from safety.models import CircuitBreaker, GlobalKillSwitch, KillSwitch
from safety.previews import NOTHING_ABOVE, Above, LiftPreview
from safety.rulefields import CATEGORIES
from safety.serializers import (
    AUTO,
    GLOBAL,
    ActivatedSerializer,
    BreakerForce,
    EffectiveSerializer,
    GlobalSwitchSerializer,
    KillSwitchSerializer,
    LiftedSerializer,
    LiftPreviewSerializer,
    StopPreviewSerializer,
    SwitchActivation,
    SwitchLift,
    SwitchPage,
    VendorSerializer,
)
from safety.states import SwitchScope
from tenants import second_step
from tenants.api import TenantAPIView, get_or_404
from tenants.models import Vendor, Workflow
from tenants.scoping import bound, platform

# The kinds of action live above; what they may be called is all that a switch needs to know.
ACTION_TYPES = frozenset(
    {
        "retry",
        "escalate",
        "notify",
        "ticket",
        "rollback",
        "circuit_breaker_open",
        "circuit_breaker_close",
        "kill_switch_activate",
        "kill_switch_deactivate",
    }
)


class Vendors(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}
    listing = Listing(VendorSerializer, orders={"name": "name"}, default_order="name")

    def get(self, request: Request) -> Response:
        tenant_id = self.caller.tenant.id
        breakers = Prefetch("breakers", CircuitBreaker.objects.for_tenant(tenant_id))
        rows = Vendor.objects.for_tenant(tenant_id).prefetch_related(breakers)
        return self.listing.answer(request, rows, prepare=_with_breakers)


class VendorBreaker(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"post": "configure"}
    subject: Vendor

    def find(self, **kwargs: Any) -> Vendor:
        return get_or_404(Vendor.objects.for_tenant(self.caller.tenant), pk=kwargs["pk"])

    @extend_schema(request=BreakerForce, responses=VendorSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        asked, now = self.body(BreakerForce), clock.now()
        until = asked.get("expires_at")
        _refuse_past(until, now=now)
        breaker.force(
            self.subject,
            mode=None if asked["state"] == AUTO else asked["state"],
            reason=asked["reason"],
            until=until,
            by=self.caller.actor,
            now=now,
        )
        _with_breaker(self.subject)
        return self.wrote(VendorSerializer(self.subject).data)


class KillSwitches(TenantAPIView):
    """The platform's switch needs a platform block, so POST opens its block itself."""

    verbs: ClassVar[Mapping[str, str]] = {"get": "view", "post": "stop"}
    drivers = frozenset({"post"})
    listing = Listing(KillSwitchSerializer)
    above: Above = NOTHING_ABOVE  # the composition root passes what counts actions

    @extend_schema(responses=SwitchPage)
    def get(self, request: Request) -> Response:
        tenant_id, now = self.caller.tenant.id, clock.now()
        on = Q(lifted_at=None) & (Q(expires_at=None) | Q(expires_at__gt=now))
        rows = KillSwitch.objects.for_tenant(tenant_id).annotate(
            is_active=Case(When(on, then=Value(True)), default=Value(False))
        )
        held = [s for s in killswitch.active(tenant_id, now=now) if s.scope == GLOBAL]
        return self.listing.answer(
            request, rows, extra={"platform": GlobalSwitchSerializer(held, many=True).data}
        )

    @extend_schema(
        request=SwitchActivation,
        responses={
            201: KillSwitchSerializer,
            200: OpenApiResponse(ActivatedSerializer, "A dry run."),
        },
    )
    def post(self, request: Request) -> Response:
        asked = self.body(SwitchActivation)
        is_global = asked["scope"] == GLOBAL
        if is_global and not _is_platform(request):
            raise Problem("forbidden", "The global switch belongs to the platform.")
        block = platform() if is_global else bound(self.caller.tenant.id)
        try:
            with block as now:
                _refuse_past(asked.get("expires_at"), now=now)
                answer = self._activate(asked, now=now)
                if self.is_dry_run:
                    answer = {**answer, "preview": self._preview(answer)}
                transaction.set_rollback(self.is_dry_run)
        except AlreadyActive:
            raise Problem("conflict", "This is stopped already.") from None
        return self.wrote(answer, status=HTTPStatus.CREATED)

    def _preview(self, switch: Mapping[str, Any]) -> Mapping[str, Any]:
        """Of the caller's tenant: the platform's own is asked of nobody's actions."""
        tenant_id = self.caller.tenant.id
        with bound(tenant_id):
            found = self.above.stop(tenant_id, switch["scope"], switch["target"])
        return StopPreviewSerializer(found).data

    def _activate(self, asked: Mapping[str, Any], *, now: datetime) -> Mapping[str, Any]:
        said = {"reason": asked["reason"], "expires_at": asked.get("expires_at")}
        by = self.caller.actor
        if asked["scope"] == GLOBAL:
            target_of(self.caller.tenant.id, GLOBAL, asked.get("target", ""))
            return _written(killswitch.activate_global(**said, by=by, now=now))
        target = target_of(self.caller.tenant.id, asked["scope"], asked.get("target", ""))
        switch = killswitch.activate(
            tenant_id=self.caller.tenant.id,
            scope=asked["scope"],
            target=target,
            **said,
            by=by,
            now=now,
        )
        return _written(switch)


class KillSwitchLift(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"post": "stop"}
    drivers = frozenset({"post"})
    above: Above = NOTHING_ABOVE
    subject: KillSwitch | GlobalKillSwitch

    def find(self, **kwargs: Any) -> KillSwitch | GlobalKillSwitch:
        with bound(self.caller.tenant.id):
            own = KillSwitch.objects.for_tenant(self.caller.tenant).filter(**kwargs).first()
            found = own or GlobalKillSwitch.objects.filter(**kwargs).first()
        if found is None:
            raise Http404
        return found

    @extend_schema(request=SwitchLift, responses=LiftedSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said, by = self.body(SwitchLift), self.caller.actor
        preview = {"preview": self._preview(pk)} if self.is_dry_run else {}
        if isinstance(self.subject, KillSwitch):
            with bound(self.caller.tenant.id) as now:
                answer = _written(killswitch.lift(self.subject, **said, by=by, now=now))
                transaction.set_rollback(self.is_dry_run)
            return self.wrote({**answer, **preview})
        if not _is_platform(request):
            raise Problem("forbidden", "The global switch belongs to the platform.")
        if second_step.is_owed(request._request):  # ADR 0010: stopping is easy, going on is not
            raise Problem("forbidden", "Going on everywhere takes the second step of signing in.")
        with platform() as now:
            killswitch.lift_global(self.subject, **said, by=by, now=now)
            answer = _written(GlobalKillSwitch.objects.get(pk=pk))
            transaction.set_rollback(self.is_dry_run)
        return self.wrote({**answer, **preview})

    def _preview(self, pk: UUID) -> Mapping[str, Any]:
        """Of the caller's tenant. One that is off already holds nothing."""
        tenant_id = self.caller.tenant.id
        with bound(tenant_id) as now:
            previews = self.above.lifts(tenant_id, killswitch.active(tenant_id, now=now))
        return LiftPreviewSerializer(previews.get(pk, LiftPreview())).data


class EffectiveRules(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}
    parameters = ("workflow", "vendor", "error_code", "category")

    @extend_schema(responses=EffectiveSerializer)
    def get(self, request: Request) -> Response:
        asked = {name: params.text(request.query_params, name) for name in self.parameters}
        category = asked.pop("category") or rules.NO_CATEGORY
        if category not in CATEGORIES:
            raise params.refused("category", "choice", f"One of {', '.join(CATEGORIES)}.")
        found = rules.effective_for(
            tenant_id=self.caller.tenant.id,
            workflow=asked["workflow"],
            vendor=asked["vendor"],
            error_code=asked["error_code"],
            category=category,
        )
        return Response({**asked, "category": found.category, "values": found.as_json()})


def target_of(tenant_id: UUID, scope: str, given: str) -> str:
    """What the switch stores for the id or slug that was given. Raises Problem 422."""
    if scope in (GLOBAL, SwitchScope.TENANT):
        if given:
            raise _wrong_target("unexpected", f"A {scope} switch has no target.")
        return ""
    if scope == SwitchScope.ACTION_TYPE:
        if given not in ACTION_TYPES:
            raise _wrong_target("choice", "This is not a kind of action.")
        return given
    found = _named(tenant_id, scope, given)
    if found is None:
        raise _wrong_target("unknown", f"There is no such {scope}.")
    return str(found)


def _named(tenant_id: UUID, scope: str, given: str) -> UUID | None:
    model, name = (Workflow, "slug") if scope == SwitchScope.WORKFLOW else (Vendor, "name")
    wanted = Q(pk=UUID(given)) if params.is_id(given) else Q(**{name: given})
    found: UUID | None = (
        model.objects.for_tenant(tenant_id).filter(wanted).values_list("pk", flat=True).first()
    )
    return found


def _wrong_target(code: str, detail: str) -> Problem:
    return Problem("validation_failed", errors=[FieldError("/target", code, detail)])


def _refuse_past(until: datetime | None, *, now: datetime) -> None:
    if until is not None and until <= now:
        error = FieldError("/expires_at", "past", "This must be in the future.")
        raise Problem("validation_failed", errors=[error])


def _is_platform(request: Request) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def _with_breakers(vendors: list[Vendor]) -> None:
    for vendor in vendors:
        _with_breaker(vendor)


def _with_breaker(vendor: Vendor) -> None:
    """A vendor that was never called has a closed breaker that nobody had to store."""
    rows = CircuitBreaker.objects.for_tenant(vendor.tenant_id).filter(vendor=vendor)
    row = rows.first() or CircuitBreaker(vendor=vendor)
    policy = breaker.policy_for(vendor)
    row.policy = policy  # type: ignore[attr-defined]
    row.recent = breaker.recent(row, policy=policy, now=clock.now())  # type: ignore[attr-defined]
    vendor.breaker = row  # type: ignore[attr-defined]


def _written(switch: KillSwitch | GlobalKillSwitch) -> Mapping[str, Any]:
    switch.is_active = switch.lifted_at is None  # type: ignore[union-attr]
    if isinstance(switch, GlobalKillSwitch):
        switch.scope, switch.target = GLOBAL, ""  # type: ignore[attr-defined]
    data: Mapping[str, Any] = KillSwitchSerializer(cast(KillSwitch, switch)).data
    return data
