"""Console routes of this app, at the root."""

from django.urls import path

from actions import views

app_name = "actions"
urlpatterns = [
    path("incidents/<uuid:pk>/actions/", views.panel, name="panel"),
    path("runs/<uuid:pk>/actions/", views.run_panel, name="run-panel"),
    path("actions/<uuid:pk>/approve/", views.approve, name="approve"),
    path("actions/<uuid:pk>/reject/", views.reject, name="reject"),
]
