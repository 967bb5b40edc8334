from django.db import migrations

from tenants.walls import ALL, READ, WRITE, belongs, first_partitions, partitioned_by_day, wall

APPEND = "select, insert"


class Migration(migrations.Migration):
    dependencies = [("incidents", "0001_tables"), ("events", "0002_walls")]

    operations = [
        wall("incidents_incident", app=WRITE, pipeline=READ, platform=READ),
        belongs("incidents_incident", "workflow_id", "tenants_workflow"),
        belongs("incidents_incident", "vendor_id", "tenants_vendor"),
        belongs("incidents_incident", "previous_id", "incidents_incident"),
        belongs("incidents_incident", "parent_id", "incidents_incident"),
        belongs("incidents_incident", "merged_into_id", "incidents_incident"),
        wall("incidents_run", app=WRITE, pipeline=READ, platform=READ),
        belongs("incidents_run", "workflow_id", "tenants_workflow"),
        belongs("incidents_run", "incident_id", "incidents_incident"),
        wall("incidents_affectedrun", app=ALL, pipeline=READ, platform=READ),
        belongs("incidents_affectedrun", "incident_id", "incidents_incident"),
        belongs("incidents_affectedrun", "run_id", "incidents_run"),
        wall("incidents_decision", app=APPEND, pipeline=READ, platform=READ),
        belongs("incidents_decision", "incident_id", "incidents_incident"),
        # Links carry ids like everything that points to events (DESIGN.md rule 10): no foreign keys.
        partitioned_by_day(
            "incidents_eventlink",
            "create index link_by_incident on incidents_eventlink (tenant_id, incident_id, id desc)",
            "create index link_by_run on incidents_eventlink (tenant_id, run_id, id desc)",
            "alter table incidents_eventlink add foreign key (tenant_id) references tenants_tenant (id)",
        ),
        # a merge moves links to the other incident
        wall("incidents_eventlink", app=f"{APPEND}, update", platform=READ),
        first_partitions("incidents_eventlink"),
        wall("incidents_template", app=WRITE, platform=READ),
        belongs("incidents_template", "workflow_id", "tenants_workflow"),
        wall("incidents_signaturealias", app=ALL, platform=READ),
        wall("incidents_incidenthour", app=ALL, platform=READ),
        belongs("incidents_incidenthour", "incident_id", "incidents_incident"),
        wall("incidents_outcomerule", app=WRITE, platform=WRITE),
    ]
