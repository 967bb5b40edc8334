from django.db import migrations
from django.db.migrations.operations import RunSQL


class Migration(migrations.Migration):
    """Retention finds the keys of dropped days by their events' ids, which come in order: a few pages of index."""

    atomic = False
    dependencies = [("events", "0004_ingestion_walls")]

    operations = [
        RunSQL(
            "create index concurrently if not exists key_by_age on events_eventkey using brin (event_id)"
            " with (pages_per_range = 32, autosummarize = on)",
            "drop index concurrently if exists key_by_age",
        )
    ]
