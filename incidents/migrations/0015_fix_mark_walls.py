from django.db import migrations

from tenants.walls import READ, belongs, wall

APPEND = "select, insert"


class Migration(migrations.Migration):
    dependencies = [("incidents", "0014_fix_marks")]

    operations = [
        wall("incidents_fixmark", app=APPEND, platform=READ),
        belongs("incidents_fixmark", "incident_id", "incidents_incident"),
    ]
