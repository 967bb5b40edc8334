import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import awfdrs_site.lib.ids
from tenants.walls import ALL, wall


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0007_undo_of_incident"),
        ("tenants", "0003_remediation"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="SavedView",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=awfdrs_site.lib.ids.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("name", models.CharField(max_length=60)),
                ("tab", models.CharField(blank=True, max_length=20)),
                ("query", models.CharField(blank=True, max_length=1000)),
                ("ordering", models.CharField(blank=True, max_length=30)),
                ("is_shared", models.BooleanField(default=False)),
                ("position", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "indexes": [
                    models.Index(
                        condition=models.Q(("is_shared", True)),
                        fields=["tenant", "position", "id"],
                        name="saved_view_shared",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "id"), name="incidents_savedview_of_tenant"
                    ),
                    models.UniqueConstraint(
                        fields=("tenant", "owner", "name"), name="one_saved_view_per_name"
                    ),
                ],
            },
        ),
        wall("incidents_savedview", app=ALL),
    ]
