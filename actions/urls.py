"""Console routes of this app, at the root."""

from django.urls import path

from actions import (
    analytics_views,
    canary_views,
    compensation_views,
    inbox_views,
    ladder_views,
    overview_views,
    page_views,
    post_mortem_views,
    reversal_views,
    vendor_views,
    views,
    workflow_views,
)
from incidents import runbook_views

app_name = "actions"
urlpatterns = [
    path("overview/", overview_views.overview, name="overview"),
    path("analytics/", analytics_views.analytics, name="analytics"),
    path("analytics/sheet/", analytics_views.sheet, name="analytics-sheet"),
    path("actions/", page_views.action_list, name="list"),
    path("actions/<uuid:pk>/", page_views.action_detail, name="detail"),
    path("incidents/<uuid:pk>/actions/", views.panel, name="panel"),
    path("incidents/<uuid:pk>/post-mortem/", post_mortem_views.post_mortem, name="post-mortem"),
    path("runs/<uuid:pk>/actions/", views.run_panel, name="run-panel"),
    path("actions/<uuid:pk>/approve/", views.approve, name="approve"),
    path("actions/<uuid:pk>/reject/", views.reject, name="reject"),
    path("actions/<uuid:pk>/run/", views.run, name="run"),
    path("actions/<uuid:pk>/compensate/", compensation_views.compensate, name="compensate"),
    path("actions/<uuid:pk>/reverse/", reversal_views.reverse, name="reverse"),
    path("actions/<uuid:pk>/canary/", canary_views.let_through, name="canary"),
    path("workflows/", workflow_views.workflow_list, name="workflows"),
    path("workflows/<uuid:pk>/", workflow_views.workflow_detail, name="workflow"),
    path("workflows/<uuid:pk>/runbook/", runbook_views.runbook, name="runbook"),
    path("safety/promote/", ladder_views.promote, name="promote"),
    path("safety/", vendor_views.overview, name="safety"),
    path("inbox/", inbox_views.messages, name="inbox"),
    path("inbox/read/", inbox_views.read_all, name="read-all"),
    path("inbox/<uuid:pk>/read/", inbox_views.read, name="read"),
]
