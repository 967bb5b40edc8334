"""Console routes of rules, under /rules/."""

from django.urls import path

from safety import rule_views

app_name = "rules"
urlpatterns = [
    path("", rule_views.in_force, name="in-force"),
    path("change/", rule_views.change, name="change"),
    path("tenant/", rule_views.versions, {"scope": "tenant"}, name="of-tenant"),
    path("<uuid:pk>/revert/", rule_views.revert, name="revert"),
    path("<slug:scope>/<path:target>/", rule_views.versions, name="versions"),
]
