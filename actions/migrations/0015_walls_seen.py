from django.db import migrations

from tenants.walls import seen_anew

TABLES = (
    "actions_action",
    "actions_approval",
    "actions_approvalvote",
    "actions_attempt",
    "actions_campaign",
    "actions_campaignrun",
    "actions_channel",
    "actions_delivery",
    "actions_escalation",
    "actions_escalationpolicy",
    "actions_escalationstep",
    "actions_simulation",
    "actions_ticket",
)


class Migration(migrations.Migration):
    """Compared in a way that costs the planner less. A table at a time, so that none is locked while another waits."""

    atomic = False
    dependencies = [("actions", "0014_simulation_walls"), ("tenants", "0010_walls_seen")]

    operations = [
        seen_anew(*TABLES),
    ]
