"""The only place that gathers what the overview shows, to a person who was woken: what needs them, what does not."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.urls import reverse

from actions import approval_pages, recovered, vendor_pages
from actions.models import Action
from actions.outlook import ABOVE
from actions.recovered import Recovered
from actions.states import Status
from actions.vendor_shapes import VendorRow
from events import conservation
from incidents import console
from incidents.console import Reader
from incidents.hours import hour_of
from incidents.models import Incident, Run
from incidents.presentation import chart, runs
from incidents.presentation.addresses import listed
from incidents.presentation.figures import Chart, UpTo
from incidents.presentation.shapes import Row, RunLine
from incidents.states import Status as IncidentStatus
from safety import killswitch

DAY = timedelta(hours=24)
DAY_HOURS = 24
INCIDENTS_SHOWN = 5


@dataclass(frozen=True)
class Need:
    """Something that only a person can do, how many there are of it, and where it is done."""

    label: str
    n: UpTo
    says: str
    url: str


@dataclass(frozen=True)
class Slow:
    """A run and how long it took, or has waited so far."""

    line: RunLine
    lasted: str


@dataclass(frozen=True)
class Overview:
    needs: tuple[Need, ...]
    rows: tuple[Row, ...]  # the most urgent of the incidents that need attention
    n_attention: UpTo
    attention_url: str
    recovered: Recovered
    volume: Chart
    vendors: tuple[VendorRow, ...]
    waiting: tuple[Slow, ...]
    slowest: tuple[Slow, ...]
    is_new: bool  # nothing was ever reported

    @property
    def is_calm(self) -> bool:
        return not self.n_attention.n and not any(need.n.n for need in self.needs)


def overview(reader: Reader) -> Overview:
    tenant_id, now = reader.tenant_id, reader.now
    attention = console.view(reader, "attention")
    urgent = list(console.in_order(attention, "-severity").for_list()[:INCIDENTS_SHOWN])
    return Overview(
        needs=_needs(tenant_id, now=now),
        rows=console.rows_of(reader, urgent),
        n_attention=console.up_to(attention),
        attention_url=listed(tab="attention"),
        recovered=recovered.since(tenant_id, now - DAY),
        volume=_volume(tenant_id, now=now),
        vendors=vendor_pages.telling(tenant_id, now=now),
        waiting=tuple(_slow(recovered.waiting_longest(tenant_id), now=now)),
        slowest=tuple(_slow(recovered.slowest(tenant_id, now - DAY), now=now)),
        is_new=not urgent and not Incident.objects.for_tenant(tenant_id).exists(),
    )


def reader_of(tenant_id: UUID, user_id: int | None, *, now: datetime) -> Reader:
    return Reader(tenant_id, now, ABOVE, user_id=user_id)


def _needs(tenant_id: UUID, *, now: datetime) -> tuple[Need, ...]:
    escalated = Incident.objects.for_tenant(tenant_id).filter(status=IncidentStatus.ESCALATED)
    unknown = Action.objects.for_tenant(tenant_id).filter(status=Status.UNKNOWN)
    switches = killswitch.active(tenant_id, now=now)
    return (
        Need(
            "Approvals",
            UpTo(approval_pages.waiting(tenant_id)),
            "wait for a yes or a no",
            reverse("approvals:list"),
        ),
        Need(
            "Escalated incidents",
            console.up_to(escalated),
            "the machine gave up on them",
            listed(tab="open", q="is:escalated"),
        ),
        Need(
            "Unknown outcomes",
            console.up_to(unknown),
            "calls that nobody saw the end of",
            f"{reverse('actions:list')}?tab=unknown",
        ),
        Need(
            "Kill switches on",
            UpTo(len(switches)),
            "hold actions until they are lifted",
            reverse("safety:kill-switches"),
        ),
    )


def _volume(tenant_id: UUID, *, now: datetime) -> Chart:
    """What was accepted, by the hour it came in: from the books, not from the events."""
    accepted: Counter[datetime] = Counter()
    since = hour_of(now) - timedelta(hours=DAY_HOURS - 1)
    for one in conservation.by_hour(tenant_id, since=since):
        accepted[one.hour] += one.tally.accepted
    return chart.chart(accepted, n_hours=DAY_HOURS, now=now)


def _slow(found: Iterable[Run], *, now: datetime) -> Iterable[Slow]:
    for run in found:
        if run.first_failed_at is not None:
            ended = now if run.is_unrecovered or not run.recovered_at else run.recovered_at
            yield Slow(runs.line(run), runs.lasted(ended - run.first_failed_at))
