from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("safety", "0006_call_minutes_walls")]

    operations = [
        migrations.AddField(
            model_name="circuitbreaker",
            name="closed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="circuitbreaker",
            name="opened_because",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="circuitbreaker",
            name="slow_probes",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="circuitbreaker",
            name="window",
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
        ),
    ]
