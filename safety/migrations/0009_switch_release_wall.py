from django.db import migrations

from tenants.walls import WRITE, wall


class Migration(migrations.Migration):
    dependencies = [("safety", "0008_switch_release")]

    operations = [
        # whoever lifts the platform's switch says how fast every tenant's own comes back
        wall("safety_switchrelease", app=WRITE, platform="select, insert"),
    ]
