from django.db import migrations
from django.db.migrations.operations import RunSQL


class Migration(migrations.Migration):
    """Retention asks of a day's links which events explain an incident, before the day is dropped."""

    dependencies = [("incidents", "0010_cause_walls"), ("events", "0004_ingestion_walls")]

    operations = [
        RunSQL(
            [
                "create policy pipeline on incidents_eventlink to awf_pipeline using (true) with check (true)",
                "grant select on incidents_eventlink to awf_pipeline",
            ],
            [
                "revoke select on incidents_eventlink from awf_pipeline",
                "drop policy pipeline on incidents_eventlink",
            ],
        )
    ]
