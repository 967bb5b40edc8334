"""Console routes of this app, under /incidents/."""

from django.urls import path

from incidents import (
    bulk_views,
    cause_views,
    decision_views,
    first_views,
    incident_event_views,
    list_views,
    merge_views,
    saved_views,
    triage_views,
    views,
)

app_name = "incidents"
urlpatterns = [
    path("", list_views.incident_list, name="list"),
    path("rows/", list_views.live_rows, name="rows"),
    path("facets/", list_views.facets, name="facets"),
    path("volume/", list_views.volume, name="volume"),
    path("complete/", list_views.complete, name="complete"),
    path("views/", saved_views.saved, name="saved"),
    path("views/save/", saved_views.save, name="save-view"),
    path("views/<uuid:pk>/change/", saved_views.change, name="change-view"),
    path("views/<uuid:pk>/move/", saved_views.move, name="move-view"),
    path("views/<uuid:pk>/delete/", saved_views.delete, name="delete-view"),
    path("first/", first_views.waiting, name="first-event"),
    path("first/key/", first_views.first_key, name="first-key"),
    path("undo/", triage_views.undo_latest, name="undo"),
    path("undo/steps/", triage_views.undo_steps, name="undo-steps"),
    path("undo/<uuid:pk>/", triage_views.undo_step, name="undo-step"),
    path("bulk/", bulk_views.bulk_ask, name="bulk"),
    path("bulk/<uuid:pk>/", bulk_views.job, name="bulk-job"),
    path("bulk/<uuid:pk>/undo/", bulk_views.undo_job, name="bulk-undo"),
    path("<uuid:pk>/", views.detail, name="detail"),
    path("decisions/<uuid:pk>/", decision_views.decision, name="decision"),
    path("evidence/<uuid:pk>/", cause_views.evidence, name="evidence"),
    path("<uuid:pk>/acknowledge/", views.acknowledge, name="acknowledge"),
    path("<uuid:pk>/resolve/", views.resolve, name="resolve"),
    path("<uuid:pk>/ignore/", views.ignore, name="ignore"),
    path("<uuid:pk>/escalate/", views.escalate, name="escalate"),
    path("<uuid:pk>/reopen/", views.reopen, name="reopen"),
    path("<uuid:pk>/events/", incident_event_views.events, name="events"),
    path("<uuid:pk>/assign/", triage_views.assign, name="assign"),
    path("<uuid:pk>/snooze/", triage_views.snooze, name="snooze"),
    path("<uuid:pk>/wake/", triage_views.wake, name="wake"),
    path("<uuid:pk>/comment/", triage_views.comment, name="comment"),
    path("<uuid:pk>/merge/", merge_views.merge, name="merge"),
    path("<uuid:pk>/split/", merge_views.split, name="split"),
]
