from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("actions", "0011_action_rule")]

    operations = [
        migrations.AddIndex(
            "delivery",
            models.Index(
                fields=["tenant", "user", "-id"],
                condition=models.Q(user__isnull=False, read_at__isnull=True),
                name="delivery_unread",
            ),
        ),
        migrations.AddIndex(
            "delivery",
            models.Index(
                fields=["-id"],
                condition=models.Q(status="failed"),
                name="delivery_given_up",
            ),
        ),
    ]
