"""Console routes of runs, under /runs/."""

from django.urls import path

from incidents import run_views

app_name = "runs"
urlpatterns = [
    path("", run_views.run_list, name="list"),
    path("<uuid:pk>/", run_views.run_detail, name="detail"),
    path("<uuid:pk>/waive/", run_views.waive, name="waive"),
]
