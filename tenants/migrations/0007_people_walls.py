from django.db import migrations
from django.db.migrations.operations import RunSQL

from tenants.walls import ALL, wall

# A tenant's admins make members of their own: the wall of the table already says whose rows they are.
MEMBERS = RunSQL(
    "grant insert, update (role), delete on tenants_membership to awf_app",
    "revoke insert, update (role), delete on tenants_membership from awf_app",
)


class Migration(migrations.Migration):
    dependencies = [("tenants", "0006_people")]

    operations = [wall("tenants_invitation", app=ALL), MEMBERS]
