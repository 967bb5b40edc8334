from django.db import migrations

# The claim asks for the next lane, and within it for what is due first (actions/claiming.py spells it the same).
LANE = (
    "(md5(tenant_id::text || action_type || coalesce(workflow_id::text, '-')"
    " || coalesce(vendor_id::text, '-'))::uuid)"
)


class Migration(migrations.Migration):
    dependencies = [("actions", "0007_delivery_log")]

    operations = [
        migrations.RunSQL(
            f"create index action_lane on actions_action ({LANE}, run_at, id) where status = 'pending'",
            "drop index action_lane",
        )
    ]
