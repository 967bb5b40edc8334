from django.db import migrations

from tenants.walls import ALL, READ, belongs, wall

APPEND = "select, insert"


class Migration(migrations.Migration):
    dependencies = [("incidents", "0009_causes")]

    operations = [
        wall("incidents_change", app=APPEND, platform=READ),
        belongs("incidents_change", "workflow_id", "tenants_workflow"),
        belongs("incidents_change", "vendor_id", "tenants_vendor"),
        wall("incidents_analysis", app=ALL, platform=READ),
        belongs("incidents_analysis", "incident_id", "incidents_incident"),
        wall("incidents_evidence", app=ALL, platform=READ),
        belongs("incidents_evidence", "incident_id", "incidents_incident"),
        wall("incidents_categorylabel", app=APPEND, platform=READ),
        belongs("incidents_categorylabel", "incident_id", "incidents_incident"),
    ]
