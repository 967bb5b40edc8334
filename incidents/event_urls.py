"""Console routes of events, under /events/."""

from django.urls import path

from incidents import event_views

app_name = "events"
urlpatterns = [
    path("", event_views.event_list, name="list"),
    path("<uuid:pk>/", event_views.event_detail, name="detail"),
]
