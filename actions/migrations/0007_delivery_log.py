from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("actions", "0006_action_awaiting")]

    operations = [
        migrations.AddField("delivery", "latency_ms", models.PositiveIntegerField(null=True)),
        migrations.AddIndex(
            "delivery",
            models.Index(
                fields=["lease_until"],
                condition=models.Q(status="sending"),
                name="delivery_lease",
            ),
        ),
        migrations.AddIndex(
            "delivery",
            models.Index(
                fields=["tenant", "sent_with"],
                condition=models.Q(sent_with__isnull=False),
                name="delivery_carried",
            ),
        ),
    ]
