from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("actions", "0009_action_open"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="action",
            index=models.Index(
                condition=models.Q(("status", "unknown")),
                fields=["run_at", "id"],
                name="action_unknown",
            ),
        ),
    ]
