from django.db import migrations

from tenants.walls import ALL, WRITE, belongs, wall


class Migration(migrations.Migration):
    dependencies = [("incidents", "0016_runbooks")]

    operations = [
        wall("incidents_mergepart", app=ALL, pipeline="select, delete"),
        belongs("incidents_mergepart", "step_id", "incidents_undo"),
        belongs("incidents_mergepart", "incident_id", "incidents_incident"),
        wall("incidents_runbook", app=WRITE),
        belongs("incidents_runbook", "workflow_id", "tenants_workflow"),
        wall("incidents_steptick", app=ALL),
        belongs("incidents_steptick", "incident_id", "incidents_incident"),
    ]
