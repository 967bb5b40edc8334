from django.db import migrations

from tenants.walls import ALL, WRITE, belongs, wall

# The sweep that wakes snoozed incidents reads how often they failed lately, whosever they are.
READ_HOURS = (
    "create policy pipeline on incidents_incidenthour to awf_pipeline using (true) with check (true);"
    "grant select on incidents_incidenthour to awf_pipeline"
)


class Migration(migrations.Migration):
    dependencies = [("incidents", "0004_triage")]

    operations = [
        wall("incidents_undo", app=ALL, pipeline="select, delete"),
        belongs("incidents_undo", "incident_id", "incidents_incident"),
        wall("incidents_bulkjob", app=WRITE, pipeline="select, update"),
        wall("incidents_bulkitem", app=WRITE),
        belongs("incidents_bulkitem", "job_id", "incidents_bulkjob"),
        belongs("incidents_bulkitem", "incident_id", "incidents_incident"),
        migrations.RunSQL(READ_HOURS, migrations.RunSQL.noop),
    ]
