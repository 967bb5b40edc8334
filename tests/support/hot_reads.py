"""The only list of the reads that pages and answers make all the time, as the database gets them."""

from dataclasses import dataclass
from typing import Any

from actions.models import Action
from awfdrs_site.lib import clock, ids
from events import recent
from events.models import Event
from incidents.models import EventLink, Incident, IncidentHour, Run
from tenants import scoping
from tenants.models import Tenant


@dataclass(frozen=True)
class Hot:
    name: str
    statement: str
    parameters: tuple[Any, ...]


def of(tenant: Tenant) -> list[Hot]:
    """Of the tenant, who has an incident."""
    with scoping.bound(tenant.pk):
        incidents = Incident.objects.for_tenant(tenant)
        one = incidents.order_by("-event_count", "id")[0].pk
        today = ids.first_of(clock.now() - recent.WINDOWS[0])
        runs = Run.objects.for_tenant(tenant)
        events = Event.objects.for_tenant(tenant).order_by("-id")
        links = EventLink.objects.for_tenant(tenant).order_by("-id")
        asked = {
            "list of incidents": incidents.open().for_list().newest_first()[:50],
            "how many are open": incidents.open().order_by().values("status"),
            "one incident": incidents.filter(pk=one).for_page(),
            "runs of an incident": runs.of_incident(one)
            .select_related("workflow", "incident")
            .order_by("-id")[:50],
            "hours of an incident": IncidentHour.objects.for_tenant(tenant).filter(incident_id=one),
            "events of an incident": links.filter(incident_id=one, pk__gte=today)[:20],
            "list of runs": runs.newest_first()[:50],
            "list of actions": Action.objects.for_tenant(tenant).order_by("-id")[:50],
            "newest events": events.filter(pk__gte=today)[:50],
            "events of every day": events[:50],
        }
        return [Hot(name, *rows.query.sql_with_params()) for name, rows in asked.items()]
