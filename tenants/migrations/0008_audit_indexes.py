from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # the journal is long, and writers do not wait for its indexes
    dependencies = [("tenants", "0007_people_walls")]

    operations = [
        AddIndexConcurrently(
            model_name="journalentry",
            index=models.Index(fields=["tenant", "verb", "-at", "-id"], name="journal_by_verb"),
        ),
        AddIndexConcurrently(
            model_name="journalentry",
            index=models.Index(
                fields=["tenant", "actor_label", "-at", "-id"],
                condition=~models.Q(actor_kind="system"),
                name="journal_by_person",
            ),
        ),
    ]
