"""Console routes of the delivery log, under /deliveries/."""

from django.urls import path

from actions import delivery_views

app_name = "deliveries"
urlpatterns = [
    path("", delivery_views.delivery_list, name="list"),
    path("<uuid:pk>/resend/", delivery_views.resend, name="resend"),
]
