"""By what lists of incidents, events and runs are narrowed in the API."""

from typing import Any

import django_filters as filters
from django.db.models import QuerySet

from awfdrs_site.lib import clock, query
from awfdrs_site.lib.params import IdFilter, InstantFilter, NameOrIdFilter, TextFilter, refused
from awfdrs_site.lib.query import QueryError
from events.models import Event
from incidents import query_filters, reported
from incidents.analysis.outcome import Outcome
from incidents.models import EventLink, Evidence, Incident
from incidents.query_filters import Asker
from incidents.states import RunState, Severity, Status
from safety.rulefields import CATEGORIES


def workflow_filter() -> NameOrIdFilter:
    return NameOrIdFilter(relation="workflow", name="slug")


def vendor_filter() -> NameOrIdFilter:
    return NameOrIdFilter(relation="vendor", name="name")


class IncidentFilters(filters.FilterSet):  # type: ignore[misc]  # the library has no types
    status = filters.ChoiceFilter(choices=Status.choices)
    severity = filters.ChoiceFilter(choices=Severity.choices)
    category = filters.ChoiceFilter(choices=[(name, name) for name in CATEGORIES])
    workflow = workflow_filter()
    vendor = vendor_filter()
    parent = IdFilter(field_name="parent_id")  # the incidents of a storm
    assignee = TextFilter(field_name="assignee__username")
    since = InstantFilter(field_name="last_seen_at", lookup_expr="gte")
    until = InstantFilter(field_name="first_seen_at", lookup_expr="lt")
    q = TextFilter(method="search", max_length=query.LENGTH)

    def search(self, rows: QuerySet[Incident], _name: str, text: str) -> QuerySet[Incident]:
        """The console's query language; plain words search title, code and number."""
        caller = self.request.caller
        above = self.request.parser_context["view"].above
        waiting = above.waiting_for_people(caller.tenant.id)
        asker = Asker(caller.tenant.id, clock.now(), caller.user_id, waiting)
        try:
            return query_filters.narrowed(rows, text, asker=asker)
        except QueryError as wrong:
            raise refused("q", "query", str(wrong)) from wrong


class EventFilters(filters.FilterSet):  # type: ignore[misc]
    workflow = workflow_filter()
    event_type = TextFilter(max_length=255)
    outcome = filters.ChoiceFilter(choices=[(o.value, o.value) for o in Outcome], method="of_link")
    run_id = TextFilter(field_name="run_ref")
    incident = IdFilter(field_name="incident_id", method="of_link")
    vendor = TextFilter(field_name="vendor_name")
    evidence = IdFilter(field_name="evidence", method="of_evidence")
    since = InstantFilter(field_name="received_at", lookup_expr="gte")
    until = InstantFilter(field_name="received_at", lookup_expr="lt")
    q = TextFilter(method="search")

    def search(self, rows: QuerySet[Event], _name: str, text: str) -> QuerySet[Event]:
        return rows.filter(reported.saying(text))

    def of_evidence(self, rows: QuerySet[Event], _name: str, value: Any) -> QuerySet[Event]:
        """Exactly the events that a hypothesis counted."""
        mine = Evidence.objects.for_tenant(self.request.tenant).filter(pk=value)
        return rows.filter(pk__in=[pk for row in mine for pk in row.event_ids])

    def of_link(self, rows: QuerySet[Event], name: str, value: Any) -> QuerySet[Event]:
        """By what the digest made of the event: the link's own index answers."""
        links = EventLink.objects.for_tenant(self.request.tenant)
        return rows.filter(pk__in=links.filter(**{name: value}).values("pk"))


class RunsOfIncidentFilters(filters.FilterSet):  # type: ignore[misc]
    state = filters.ChoiceFilter(choices=RunState.choices)


class RunFilters(RunsOfIncidentFilters):
    workflow = workflow_filter()
    incident = IdFilter(field_name="affected_by__incident_id")
