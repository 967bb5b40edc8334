from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("incidents", "0006_triage_indexes")]

    operations = [
        migrations.AddIndex(
            model_name="undo",
            index=models.Index(
                condition=models.Q(("undone_at", None)),
                fields=["tenant", "incident", "-at"],
                name="undo_of_incident",
            ),
        ),
    ]
