from django.db import migrations

from tenants.walls import READ, WRITE, belongs, wall


class Migration(migrations.Migration):
    dependencies = [("actions", "0001_tables"), ("incidents", "0002_walls")]

    operations = [
        wall("actions_action", app=WRITE, pipeline="select, update", platform=READ),
        belongs("actions_action", "incident_id", "incidents_incident"),
        belongs("actions_action", "run_id", "incidents_run"),
        belongs("actions_action", "decision_id", "incidents_decision"),
        belongs("actions_action", "workflow_id", "tenants_workflow"),
        belongs("actions_action", "vendor_id", "tenants_vendor"),
        belongs("actions_action", "reverses_id", "actions_action"),
        wall("actions_attempt", app=WRITE, pipeline=READ, platform=READ),
        belongs("actions_attempt", "action_id", "actions_action"),
    ]
