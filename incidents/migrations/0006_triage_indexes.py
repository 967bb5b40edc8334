from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Concurrently: the table may be large, and events keep coming."""

    atomic = False
    dependencies = [("incidents", "0005_triage_walls")]

    operations = [
        AddIndexConcurrently(
            model_name="incident",
            index=models.Index(
                condition=models.Q(("snoozed_until__isnull", False)),
                fields=["snoozed_until"],
                name="incident_snoozed",
            ),
        ),
        AddIndexConcurrently(
            model_name="incident",
            index=models.Index(
                condition=models.Q(("acknowledged_until__isnull", False)),
                fields=["acknowledged_until"],
                name="incident_ack_ends",
            ),
        ),
    ]
