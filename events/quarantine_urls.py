"""Console routes of refused events, under /quarantine/."""

from django.urls import path

from events import quarantine_views

app_name = "quarantine"
urlpatterns = [
    path("", quarantine_views.quarantine_list, name="list"),
    path("received/", quarantine_views.received, name="received"),
    path("<uuid:pk>/", quarantine_views.quarantine_detail, name="detail"),
    path("<uuid:pk>/replay/", quarantine_views.replay, name="replay"),
]
