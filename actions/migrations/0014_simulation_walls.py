from django.db import migrations

from tenants.walls import READ, WRITE, wall


class Migration(migrations.Migration):
    dependencies = [("actions", "0013_simulations")]

    operations = [
        # the sweep claims them by a lease
        wall("actions_simulation", app=WRITE, pipeline="select, update", platform=READ),
    ]
