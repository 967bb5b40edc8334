from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Concurrently: incidents are written meanwhile."""

    atomic = False
    dependencies = [("incidents", "0019_tabs_index")]

    operations = [
        AddIndexConcurrently(
            model_name="incident",
            index=models.Index(
                condition=models.Q(
                    ("assignee__isnull", False),
                    ("status__in", ("detected", "analyzing", "escalated")),
                ),
                fields=["tenant", "assignee", "-last_seen_at", "-id"],
                name="incident_assigned",
            ),
        ),
    ]
