"""Console routes of this app, under /kill-switches/."""

from django.urls import path

from safety import views

app_name = "safety"
urlpatterns = [
    path("", views.kill_switches, name="kill-switches"),
    path("stop/", views.stop, name="stop"),
    path("preview/", views.preview, name="preview"),
    path("activate/", views.activate, name="activate"),
    path("bar/", views.bar, name="bar"),
    path("<uuid:pk>/lift/", views.lift, name="lift"),
]
