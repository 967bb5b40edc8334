"""The only place that gathers what the workflow pages show: how each is, what failed last, and how it is retried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, Max, Q, Subquery, Sum
from django.db.models.expressions import OuterRef
from django.urls import reverse

from actions import retry, schedules, workflow_words
from actions.outlook import ABOVE
from actions.schedules import Schedule
from actions.workflow_words import Retried
from incidents import console, runbooks
from incidents.console import Reader
from incidents.hours import hour_of
from incidents.models import Incident, IncidentHour, Run
from incidents.presentation import chart, checklist, runs
from incidents.presentation.addresses import listed
from incidents.presentation.checklist import Written
from incidents.presentation.figures import Chart, Numbered, UpTo
from incidents.presentation.shapes import Pill, Row, RunLine
from safety import rules
from safety.effective import Effective
from safety.rulefields import CATEGORIES
from tenants.models import Workflow

PAGE_SIZE = 50
INCIDENTS_SHOWN = RUNS_SHOWN = 10
DAY_HOURS = 24
SHOWN_CATEGORY = "transient_error"  # what the list speaks of; a workflow's page asks for any


@dataclass(frozen=True)
class WorkflowRow:
    id: UUID
    url: str
    slug: str
    health: Pill
    n_open: int
    n_left: int
    last_failed_at: datetime | None
    retried: Retried


@dataclass(frozen=True)
class WorkflowPage(Numbered):
    rows: tuple[WorkflowRow, ...]
    category: str


@dataclass(frozen=True)
class Setting:
    name: str
    value: str


@dataclass(frozen=True)
class WorkflowDetail:
    row: WorkflowRow
    name: str
    vendor: str
    vendor_url: str
    settings: tuple[Setting, ...]
    category: str
    categories: tuple[str, ...]
    schedule: Schedule
    sources: tuple[Setting, ...]
    rules_url: str
    chart: Chart
    incidents: tuple[Row, ...]
    incidents_url: str
    runs: tuple[RunLine, ...]
    n_runs_left: UpTo
    runs_url: str
    runbook: Written


@dataclass(frozen=True)
class _Open:
    """A workflow's open incidents, counted."""

    n: int = 0
    n_left: int = 0
    latest_at: datetime | None = None


@dataclass(frozen=True)
class _Surroundings:
    """What several workflows' rows need besides themselves; each is read once."""

    tenant_id: UUID
    workflows: Sequence[Any]
    category: str
    now: datetime

    @cached_property
    def open(self) -> Mapping[UUID, _Open]:
        ids = [workflow.pk for workflow in self.workflows]
        mine = Incident.objects.for_tenant(self.tenant_id).open().filter(workflow_id__in=ids)
        rows = mine.order_by().values_list("workflow_id")
        counted = rows.annotate(Count("pk"), Sum("unrecovered_runs"), Max("last_seen_at"))
        return {pk: _Open(n, left, at) for pk, n, left, at in counted}

    @cached_property
    def known(self) -> Any:
        return rules.overrides(self.tenant_id)

    def in_force(self, workflow: Workflow) -> Effective:
        return rules.effective_for(
            tenant_id=self.tenant_id,
            workflow=workflow.slug,
            vendor=workflow.vendor.name if workflow.vendor else "",
            error_code="",
            category=self.category,
            known=self.known,
        )

    def row(self, workflow: Any) -> WorkflowRow:
        counted = self.open.get(workflow.pk, _Open())
        return WorkflowRow(
            id=workflow.pk,
            url=reverse("actions:workflow", args=[workflow.pk]),
            slug=workflow.slug,
            health=workflow_words.health(counted.n, counted.latest_at, now=self.now),
            n_open=counted.n,
            n_left=counted.n_left,
            last_failed_at=workflow.last_failed_at,
            retried=workflow_words.retried(workflow, self.in_force(workflow)),
        )


def page(tenant_id: UUID, number: int, *, now: datetime) -> WorkflowPage:
    """By name, so that nothing moves while somebody looks."""
    mine = _told(tenant_id)
    start = (number - 1) * PAGE_SIZE
    found = list(mine.order_by("slug", "id")[start : start + PAGE_SIZE + 1])
    around = _Surroundings(tenant_id, found[:PAGE_SIZE], SHOWN_CATEGORY, now)
    return WorkflowPage(
        rows=tuple(map(around.row, around.workflows)),
        category=SHOWN_CATEGORY,
        number=number,
        n_matching=console.up_to(Workflow.objects.for_tenant(tenant_id)),
        has_next=len(found) > PAGE_SIZE,
    )


def detail(tenant_id: UUID, pk: UUID, category: str, *, now: datetime) -> WorkflowDetail | None:
    """None for a workflow that is not the tenant's."""
    workflow = _told(tenant_id).filter(pk=pk).first()
    if workflow is None:
        return None
    around = _Surroundings(tenant_id, [workflow], category, now)
    in_force, left = around.in_force(workflow), _left(workflow)
    policy = in_force.retry
    return WorkflowDetail(
        row=around.row(workflow),
        name=workflow.name,
        vendor=workflow.vendor.name if workflow.vendor else "",
        vendor_url=reverse("vendors:detail", args=[workflow.vendor_id]) if workflow.vendor else "",
        settings=tuple(Setting(*one) for one in workflow_words.settings(workflow)),
        category=category,
        categories=CATEGORIES,
        schedule=schedules.of(retry.steps(policy), jitter=policy.jitter),
        sources=tuple(Setting(*one) for one in workflow_words.sources(in_force)),
        rules_url=_rules_url(workflow, category),
        chart=chart.chart(_hours(workflow, now=now), n_hours=DAY_HOURS, now=now),
        incidents=_incidents(workflow, now=now),
        incidents_url=listed(tab="open", q=f'workflow:"{workflow.slug}"'),
        runs=tuple(runs.line(run) for run in _oldest(left)),
        n_runs_left=console.up_to(left),
        runs_url=f"{reverse('runs:list')}?{urlencode({'state': 'left', 'workflow': workflow.slug})}",
        runbook=checklist.written(workflow, runbooks.of_workflow(workflow)),
    )


def _told(tenant_id: UUID) -> Any:
    """Workflows with their last failure, which an index finds for each."""
    seen = Incident.objects.for_tenant(tenant_id).filter(workflow=OuterRef("pk"))
    last = seen.order_by("-last_seen_at", "-id").values("last_seen_at")[:1]
    mine = Workflow.objects.for_tenant(tenant_id).select_related("vendor")
    return mine.annotate(last_failed_at=Subquery(last))


def _incidents(workflow: Workflow, *, now: datetime) -> tuple[Row, ...]:
    mine = Incident.objects.for_tenant(workflow.tenant_id).open().filter(workflow=workflow)
    shown = list(mine.newest_first().for_list()[:INCIDENTS_SHOWN])
    return console.rows_of(Reader(workflow.tenant_id, now, ABOVE), shown)


def _left(workflow: Workflow) -> Any:
    return Run.objects.for_tenant(workflow.tenant_id).unrecovered().filter(workflow=workflow)


def _oldest(left: Any) -> Any:
    ordered = left.order_by("first_failed_at", "id")
    return ordered.select_related("workflow", "incident")[:RUNS_SHOWN]


def _hours(workflow: Workflow, *, now: datetime) -> dict[datetime, int]:
    """Failures by the hour of the last day, of incidents that were seen in it."""
    since = hour_of(now) - timedelta(hours=DAY_HOURS - 1)
    lately = Q(incident__workflow=workflow, incident__last_seen_at__gte=since)
    mine = IncidentHour.objects.for_tenant(workflow.tenant_id).filter(lately, hour__gte=since)
    return dict(mine.order_by().values_list("hour").annotate(Sum("n_events")))


def _rules_url(workflow: Workflow, category: str) -> str:
    asked = {"workflow": workflow.slug, "category": category}
    return f"{reverse('rules:in-force')}?{urlencode(asked)}"
