"""Console routes of this app, under /incidents/."""

from django.urls import path

from incidents import merge_views, views

app_name = "incidents"
urlpatterns = [
    path("", views.incident_list, name="list"),
    path("rows/", views.live_rows, name="rows"),
    path("<uuid:pk>/", views.detail, name="detail"),
    path("<uuid:pk>/acknowledge/", views.acknowledge, name="acknowledge"),
    path("<uuid:pk>/resolve/", views.resolve, name="resolve"),
    path("<uuid:pk>/ignore/", views.ignore, name="ignore"),
    path("<uuid:pk>/escalate/", views.escalate, name="escalate"),
    path("<uuid:pk>/reopen/", views.reopen, name="reopen"),
    path("<uuid:pk>/merge/", merge_views.merge, name="merge"),
    path("<uuid:pk>/split/", merge_views.split, name="split"),
]
