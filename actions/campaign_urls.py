"""Console routes of campaigns, under /campaigns/."""

from django.urls import path

from actions import campaign_views

app_name = "campaigns"
urlpatterns = [
    path("", campaign_views.campaign_list, name="list"),
    path("plan/", campaign_views.plan, name="plan"),
    path("<uuid:pk>/", campaign_views.campaign_detail, name="detail"),
    path("<uuid:pk>/start/", campaign_views.start, name="start"),
    path("<uuid:pk>/pause/", campaign_views.pause, name="pause"),
    path("<uuid:pk>/resume/", campaign_views.resume, name="resume"),
    path("<uuid:pk>/abort/", campaign_views.abort, name="abort"),
]
