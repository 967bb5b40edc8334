from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Concurrently, and the new one before the old one goes: every page of the list reads it."""

    atomic = False
    dependencies = [("incidents", "0018_walls_seen")]

    operations = [
        AddIndexConcurrently(
            model_name="incident",
            index=models.Index(
                condition=models.Q(("status__in", ("detected", "analyzing", "escalated"))),
                fields=["tenant", "-last_seen_at", "-id"],
                include=["status", "snoozed_until", "assignee"],
                name="incident_tabs",
            ),
        ),
        RemoveIndexConcurrently(model_name="incident", name="incident_open"),
    ]
