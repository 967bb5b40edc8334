from django.db import migrations

from tenants.walls import ALL, READ, WRITE, belongs, of_no_tenant, wall

SWEPT = "select, update"  # what the cross-tenant sweeps claim


class Migration(migrations.Migration):
    dependencies = [("actions", "0003_remediation")]

    operations = [
        belongs("actions_action", "approval_id", "actions_approval"),
        belongs("actions_action", "campaign_id", "actions_campaign"),
        wall("actions_approval", app=WRITE, pipeline=SWEPT, platform=READ),
        belongs("actions_approval", "incident_id", "incidents_incident"),
        wall("actions_approvalvote", app="select, insert", platform=READ),
        belongs("actions_approvalvote", "approval_id", "actions_approval"),
        wall("actions_campaign", app=WRITE, pipeline=SWEPT, platform=READ),
        belongs("actions_campaign", "incident_id", "incidents_incident"),
        belongs("actions_campaign", "approval_id", "actions_approval"),
        wall("actions_campaignrun", app=WRITE, pipeline=READ, platform=READ),
        belongs("actions_campaignrun", "campaign_id", "actions_campaign"),
        belongs("actions_campaignrun", "run_id", "incidents_run"),
        belongs("actions_campaignrun", "action_id", "actions_action"),
        wall("actions_channel", app=ALL, pipeline=READ),
        of_no_tenant("actions_platformchannel"),
        wall("actions_delivery", app=WRITE, pipeline=SWEPT, platform=READ),
        belongs("actions_delivery", "channel_id", "actions_channel"),
        belongs("actions_delivery", "incident_id", "incidents_incident"),
        belongs("actions_delivery", "action_id", "actions_action"),
        belongs("actions_delivery", "sent_with_id", "actions_delivery"),
        wall("actions_escalationpolicy", app=ALL),
        belongs("actions_escalationpolicy", "workflow_id", "tenants_workflow"),
        wall("actions_escalationstep", app=ALL),
        belongs("actions_escalationstep", "policy_id", "actions_escalationpolicy"),
        belongs("actions_escalationstep", "channel_id", "actions_channel"),
        wall("actions_escalation", app=WRITE, pipeline=SWEPT, platform=READ),
        belongs("actions_escalation", "action_id", "actions_action"),
        belongs("actions_escalation", "incident_id", "incidents_incident"),
        wall("actions_ticket", app=WRITE, pipeline=READ, platform=READ),
        belongs("actions_ticket", "incident_id", "incidents_incident"),
        belongs("actions_ticket", "channel_id", "actions_channel"),
        belongs("actions_ticket", "action_id", "actions_action"),
    ]
