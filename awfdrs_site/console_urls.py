"""Every route of the console. Here the incident pages learn what the actions above them plan."""

from dataclasses import replace

from django.urls import include, path

from actions import approval_pages
from actions.holding import ABOVE as SWITCHES_ABOVE
from actions.ladder_views import ABOVE as RULES_ABOVE
from actions.outlook import ABOVE
from awfdrs_site import help_views, styleguide, views

INCIDENTS_ABOVE = replace(ABOVE, asked=approval_pages.asked)

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("", include("tenants.urls")),
    path("", include("tenants.account_urls")),
    path("audit/", include("tenants.audit_urls")),
    path("", include("actions.urls")),
    path("campaigns/", include("actions.campaign_urls")),
    path("approvals/", include("actions.approval_urls")),
    path("deliveries/", include("actions.delivery_urls")),
    path("vendors/", include("actions.vendor_urls")),
    path("incidents/", include("incidents.urls"), {"above": INCIDENTS_ABOVE}),
    path("runs/", include("incidents.run_urls"), {"above": ABOVE}),
    path("events/", include("incidents.event_urls")),
    path("quarantine/", include("events.quarantine_urls")),
    path("help/", include("awfdrs_site.help_urls")),
    path("styleguide/", styleguide.styleguide, name="styleguide"),
    path("problems/<slug:code>", help_views.problem, name="problem"),
    path("rules/", include("actions.simulation_urls")),
    path("rules/", include("safety.rule_urls"), {"above": RULES_ABOVE}),
    path("kill-switches/", include("safety.urls"), {"above": SWITCHES_ABOVE}),
]
