from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Concurrently: the tables may be large, and events keep coming."""

    atomic = False
    dependencies = [("incidents", "0011_links_kept")]

    operations = [
        AddIndexConcurrently(
            model_name="incident",
            index=models.Index(
                fields=["tenant", "workflow", "-last_seen_at", "-id"], name="incident_of_workflow"
            ),
        ),
        AddIndexConcurrently(
            model_name="incident",
            index=models.Index(fields=["tenant", "opened_at"], name="incident_opened"),
        ),
        AddIndexConcurrently(
            model_name="incident",
            index=models.Index(
                condition=models.Q(("resolved_at__isnull", False)),
                fields=["tenant", "resolved_at"],
                name="incident_over",
            ),
        ),
        AddIndexConcurrently(
            model_name="run",
            index=models.Index(
                condition=models.Q(("last_failed_at__isnull", False)),
                fields=["tenant", "last_failed_at"],
                name="run_failed",
            ),
        ),
        AddIndexConcurrently(
            model_name="run",
            index=models.Index(
                condition=models.Q(("state__in", ("failed", "retry_scheduled"))),
                fields=["tenant", "first_failed_at"],
                name="run_left",
            ),
        ),
        AddIndexConcurrently(
            model_name="run",
            index=models.Index(
                condition=models.Q(("recovered_at__isnull", False)),
                fields=["tenant", "recovered_at"],
                name="run_recovered",
            ),
        ),
    ]
