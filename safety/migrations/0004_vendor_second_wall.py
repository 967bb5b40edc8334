from django.db import migrations

from tenants.walls import READ, WRITE, belongs, wall


class Migration(migrations.Migration):
    dependencies = [("safety", "0003_vendor_second")]

    operations = [
        wall("safety_vendorsecond", app=WRITE, platform=READ),
        belongs("safety_vendorsecond", "vendor_id", "tenants_vendor"),
    ]
