"""The only place that gathers what the safety overview and the vendor pages show; `vendor_words` then words it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.urls import reverse

from actions import facts, holding, vendor_use, vendor_words
from actions.outlook import ABOVE
from actions.vendor_shapes import (
    Overview,
    PausedLine,
    Use,
    VendorDetail,
    VendorLine,
    VendorPage,
    VendorRow,
)
from actions.vendor_use import Used
from incidents import console
from incidents.console import Reader
from incidents.hours import hour_of
from incidents.models import Incident, IncidentHour
from incidents.presentation import chart, timeline
from incidents.presentation.figures import Chart
from incidents.presentation.shapes import NextStep
from safety import blast_radius, budget, killswitch, presentation, rules
from safety.effective import Effective
from safety.models import CircuitBreaker, RulePause, VendorMinute
from safety.presentation import SwitchLine
from safety.states import BreakerStatus
from tenants.models import JournalEntry, Tenant, Vendor

PAGE_SIZE = 50
OVERVIEW_SHOWN = 20  # vendors with something to say; the list has all
TELLING_SHOWN = 8  # on the first page
INCIDENTS_SHOWN = 10
LINES_SHOWN = 30
DAY_HOURS = 24


@dataclass(frozen=True)
class Surroundings:
    """What several vendors' lines need besides their rows; each is read once, when it is asked for."""

    tenant_id: UUID
    vendors: Sequence[Vendor]
    now: datetime

    @cached_property
    def breakers(self) -> Mapping[UUID, CircuitBreaker]:
        mine = CircuitBreaker.objects.for_tenant(self.tenant_id).filter(vendor_id__in=self._ids)
        return {row.vendor_id: row for row in mine}

    @cached_property
    def in_force(self) -> Mapping[UUID, Effective]:
        known = rules.overrides(self.tenant_id)
        return {
            vendor.pk: rules.effective_for(
                tenant_id=self.tenant_id,
                workflow="",
                vendor=vendor.name,
                error_code="",
                known=known,
            )
            for vendor in self.vendors
        }

    @cached_property
    def used(self) -> Mapping[UUID, Used]:
        return vendor_use.of(self.tenant_id, self._ids, now=self.now)

    @cached_property
    def meters(self) -> Mapping[UUID, budget.Meter]:
        return budget.meters(self.tenant_id, self._ids, now=self.now)

    @cached_property
    def n_open(self) -> Mapping[UUID, int]:
        mine = Incident.objects.for_tenant(self.tenant_id).open().filter(vendor_id__in=self._ids)
        rows = mine.order_by().values("vendor_id").annotate(n=Count("pk"))
        return {row["vendor_id"]: row["n"] for row in rows}

    @cached_property
    def hours(self) -> Mapping[UUID, Mapping[datetime, int]]:
        """Failures by the hour of the last day, of incidents that were seen in it."""
        since = hour_of(self.now) - timedelta(hours=DAY_HOURS - 1)
        mine = IncidentHour.objects.for_tenant(self.tenant_id).filter(
            hour__gte=since, incident__last_seen_at__gte=since, incident__vendor_id__in=self._ids
        )
        found: dict[UUID, dict[datetime, int]] = defaultdict(dict)
        rows = mine.order_by().values_list("incident__vendor_id", "hour").annotate(Sum("n_events"))
        for vendor_id, hour, n in rows:
            found[vendor_id][hour] = n
        return found

    def step(self, vendor: Vendor) -> NextStep:
        policy = self.in_force[vendor.pk].breaker
        return vendor_words.step(self.breakers.get(vendor.pk), policy, now=self.now)

    def uses(self, vendor: Vendor) -> tuple[Use, ...]:
        used, in_force = self.used[vendor.pk], self.in_force[vendor.pk]
        return vendor_words.uses(vendor, used, in_force, now=self.now)

    def chart(self, vendor: Vendor) -> Chart:
        return chart.chart(self.hours.get(vendor.pk, {}), n_hours=DAY_HOURS, now=self.now)

    @property
    def _ids(self) -> list[UUID]:
        return [vendor.pk for vendor in self.vendors]


def page(tenant_id: UUID, number: int, *, now: datetime) -> VendorPage:
    """By name, so that nothing moves while somebody looks."""
    mine = Vendor.objects.for_tenant(tenant_id)
    start = (number - 1) * PAGE_SIZE
    found = list(mine.order_by("name", "id")[start : start + PAGE_SIZE + 1])
    around = Surroundings(tenant_id, found[:PAGE_SIZE], now)
    return VendorPage(
        rows=tuple(_row(vendor, around) for vendor in around.vendors),
        number=number,
        n_matching=console.up_to(mine),
        has_next=len(found) > PAGE_SIZE,
    )


def detail(vendor: Vendor, *, now: datetime, may_stop: bool) -> VendorDetail:
    tenant_id = vendor.tenant_id
    around = Surroundings(tenant_id, [vendor], now)
    row, in_force = around.breakers.get(vendor.pk), around.in_force[vendor.pk]
    return VendorDetail(
        id=vendor.pk,
        url=_url(vendor),
        name=vendor.name,
        breaker=around.step(vendor),
        is_forced=row is not None and bool(row.forced),
        openings=vendor_words.openings(row, in_force.breaker),
        uses=around.uses(vendor),
        amplified=vendor_words.amplified(around.meters[vendor.pk]),
        chart=around.chart(vendor),
        incidents=_incidents(vendor, now=now),
        n_open=around.n_open.get(vendor.pk, 0),
        incidents_url=_listed(vendor),
        days=timeline.days(_lines(row), now=now) if row is not None else (),
        in_force=vendor_words.in_force(in_force),
        stop_url=_stop_url(vendor) if may_stop else "",
    )


def overview(tenant_id: UUID, *, now: datetime) -> Overview:
    mine = Vendor.objects.for_tenant(tenant_id)
    shown = list(_telling(tenant_id, now=now).order_by("name", "id")[:OVERVIEW_SHOWN])
    around = Surroundings(tenant_id, shown, now)
    lines = [(vendor, _line(vendor, around)) for vendor in shown]
    return Overview(
        switches=_switches(tenant_id, now=now),
        paused=tuple(_paused(row) for row in blast_radius.paused(tenant_id)),
        in_flight=_in_flight(tenant_id),
        troubled=tuple(line for _, line in lines if line.breaker.kind != "resolved"),
        busy=tuple(line for _, line in lines),
        n_vendors=mine.count(),
    )


def telling(tenant_id: UUID, *, now: datetime) -> tuple[VendorRow, ...]:
    """Rows of the vendors that have something to say, by name."""
    shown = list(_telling(tenant_id, now=now).order_by("name", "id")[:TELLING_SHOWN])
    around = Surroundings(tenant_id, shown, now)
    return tuple(_row(vendor, around) for vendor in shown)


def _telling(tenant_id: UUID, *, now: datetime) -> Any:
    """Vendors that were called within the hour, or whose breaker is not simply closed."""
    ours = {"vendor_id": OuterRef("pk")}
    minutes = VendorMinute.objects.for_tenant(tenant_id).filter(**ours, at__gt=now - budget.METERED)
    breakers = CircuitBreaker.objects.for_tenant(tenant_id).filter(
        Q(forced__gt="") | ~Q(state=BreakerStatus.CLOSED), **ours
    )
    return Vendor.objects.for_tenant(tenant_id).filter(Exists(minutes) | Exists(breakers))


def _switches(tenant_id: UUID, *, now: datetime) -> tuple[SwitchLine, ...]:
    active = killswitch.active(tenant_id, now=now)
    counts = holding.counts(tenant_id, active)
    return presentation.active_lines(tenant_id, active, may_lift=False, counts=counts)


def _paused(row: RulePause) -> PausedLine:
    return PausedLine(
        row.rule, row.reason, row.paused_at, reverse("admin:safety_rulepause_change", args=[row.pk])
    )


def _in_flight(tenant_id: UUID) -> Use:
    most = Tenant.objects.values_list("max_in_flight", flat=True).get(pk=tenant_id)
    under_way = facts.calling(tenant_id).count()
    return Use("Calls under way, all workflows", under_way, most, "now")


def _line(vendor: Vendor, around: Surroundings) -> VendorLine:
    return VendorLine(
        url=_url(vendor),
        name=vendor.name,
        breaker=around.step(vendor),
        uses=around.uses(vendor),
        amplified=vendor_words.amplified(around.meters[vendor.pk]),
    )


def _row(vendor: Vendor, around: Surroundings) -> VendorRow:
    hours = around.hours.get(vendor.pk, {})
    return VendorRow(
        id=vendor.pk,
        url=_url(vendor),
        name=vendor.name,
        breaker=around.step(vendor),
        n_open=around.n_open.get(vendor.pk, 0),
        n_failures=hours.get(hour_of(around.now), 0),
        in_flight=vendor_words.in_flight(vendor, around.used[vendor.pk]),
        retries=vendor_words.amplified(around.meters[vendor.pk]).says,
        chart=around.chart(vendor),
    )


def _incidents(vendor: Vendor, *, now: datetime) -> Any:
    mine = Incident.objects.for_tenant(vendor.tenant_id).open().filter(vendor=vendor)
    shown = list(mine.newest_first().for_list()[:INCIDENTS_SHOWN])
    return console.rows_of(Reader(vendor.tenant_id, now, ABOVE), shown)


def _lines(row: CircuitBreaker) -> Iterable[JournalEntry]:
    """The breaker's own. Its page says whose it is, and the words say what it became."""
    mine = JournalEntry.objects.for_tenant(row.tenant_id)
    own = mine.filter(subject_type="circuitbreaker", subject_id=str(row.pk))
    for entry in own.order_by("-id")[:LINES_SHOWN]:
        # why it opened stays written on the row, so later lines repeat it
        because = entry.detail.get("because") if entry.detail.get("after") == "open" else ""
        entry.detail = {"reason": entry.detail.get("cause") or because or ""}
        yield entry


def _url(vendor: Vendor) -> str:
    return reverse("vendors:detail", args=[vendor.pk])


def _listed(vendor: Vendor) -> str:
    return f"{reverse('incidents:list')}?{urlencode({'tab': 'open', 'vendor': vendor.name})}"


def _stop_url(vendor: Vendor) -> str:
    query = urlencode({"what": f"vendor:{vendor.pk}", "next": _url(vendor)})
    return f"{reverse('safety:stop')}?{query}"
