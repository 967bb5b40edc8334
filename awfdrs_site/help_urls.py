"""Console routes of help, under /help/."""

from django.urls import path

from awfdrs_site import help_views

app_name = "help"
urlpatterns = [
    path("", help_views.index, name="list"),
    path("<slug:slug>/", help_views.page, name="page"),
]
