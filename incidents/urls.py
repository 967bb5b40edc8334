"""Console routes of this app, under /incidents/."""

from django.urls import path

from incidents import list_views, merge_views, views

app_name = "incidents"
urlpatterns = [
    path("", list_views.incident_list, name="list"),
    path("rows/", list_views.live_rows, name="rows"),
    path("facets/", list_views.facets, name="facets"),
    path("volume/", list_views.volume, name="volume"),
    path("complete/", list_views.complete, name="complete"),
    path("<uuid:pk>/", views.detail, name="detail"),
    path("<uuid:pk>/acknowledge/", views.acknowledge, name="acknowledge"),
    path("<uuid:pk>/resolve/", views.resolve, name="resolve"),
    path("<uuid:pk>/ignore/", views.ignore, name="ignore"),
    path("<uuid:pk>/escalate/", views.escalate, name="escalate"),
    path("<uuid:pk>/reopen/", views.reopen, name="reopen"),
    path("<uuid:pk>/merge/", merge_views.merge, name="merge"),
    path("<uuid:pk>/split/", merge_views.split, name="split"),
]
