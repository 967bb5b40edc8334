"""Console routes of vendors, under /vendors/."""

from django.urls import path

from actions import vendor_views

app_name = "vendors"
urlpatterns = [
    path("", vendor_views.vendor_list, name="list"),
    path("<uuid:pk>/", vendor_views.vendor_detail, name="detail"),
    path("<uuid:pk>/force/", vendor_views.force, name="force"),
]
