"""Console routes of permission, under /approvals/."""

from django.urls import path

from actions import approval_views

app_name = "approvals"
urlpatterns = [
    path("", approval_views.approval_list, name="list"),
    path("count/", approval_views.count, name="count"),
    path("<uuid:pk>/", approval_views.approval_detail, name="detail"),
    path("<uuid:pk>/approve/", approval_views.approve, name="approve"),
    path("<uuid:pk>/reject/", approval_views.reject, name="reject"),
]
