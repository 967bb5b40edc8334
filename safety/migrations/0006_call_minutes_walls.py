from django.db import migrations

from tenants.walls import READ, WRITE, belongs, wall


class Migration(migrations.Migration):
    dependencies = [("safety", "0005_call_minutes")]

    operations = [
        # whoever is asked for /metrics reads the minutes
        wall("safety_vendorminute", app=WRITE, pipeline=READ, platform=READ),
        belongs("safety_vendorminute", "vendor_id", "tenants_vendor"),
        wall("safety_rulepause", app=WRITE, platform=WRITE),
    ]
