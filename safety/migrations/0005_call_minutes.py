import django.db.models.deletion
from django.db import migrations, models

import awfdrs_site.lib.ids
import tenants.models


class Migration(migrations.Migration):
    dependencies = [
        ("safety", "0004_vendor_second_wall"),
        ("tenants", "0003_remediation"),
    ]

    operations = [
        migrations.CreateModel(
            name="RulePause",
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
                (
                    "rule",
                    models.CharField(
                        help_text="What lets the retries go: a code or category.", max_length=210
                    ),
                ),
                ("reason", models.CharField(max_length=300)),
                ("paused_at", models.DateTimeField(editable=False)),
                ("resumed_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("resumed_by", models.CharField(blank=True, editable=False, max_length=200)),
                ("resume_reason", models.CharField(blank=True, editable=False, max_length=4000)),
                ("version", models.PositiveBigIntegerField(default=1, editable=False)),
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
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "id"), name="safety_rulepause_of_tenant"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("resumed_at", None)),
                        fields=("tenant", "rule"),
                        name="one_pause_per_rule",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="VendorMinute",
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
                ("slot", models.PositiveSmallIntegerField()),
                ("at", models.DateTimeField()),
                ("originals", models.PositiveIntegerField(db_default=0, default=0)),
                ("retries", models.PositiveIntegerField(db_default=0, default=0)),
                ("campaign_calls", models.PositiveIntegerField(db_default=0, default=0)),
                (
                    "tenant",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
                (
                    "vendor",
                    tenants.models.TenantKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.vendor",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "id"), name="safety_vendorminute_of_tenant"
                    ),
                    models.UniqueConstraint(
                        fields=("tenant", "vendor", "slot"), name="one_row_per_minute_of_the_hour"
                    ),
                ],
            },
        ),
    ]
