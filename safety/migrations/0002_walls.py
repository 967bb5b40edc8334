from django.db import migrations

from tenants.walls import READ, WRITE, belongs, of_no_tenant, wall


class Migration(migrations.Migration):
    dependencies = [("safety", "0001_tables"), ("tenants", "0002_walls")]

    operations = [
        wall("safety_ruleoverride", app="select, insert", platform="select, insert"),
        wall("safety_circuitbreaker", app=WRITE, pipeline=READ, platform=WRITE),
        belongs("safety_circuitbreaker", "vendor_id", "tenants_vendor"),
        wall("safety_killswitch", app=WRITE, pipeline=READ, platform=WRITE),
        of_no_tenant("safety_globalkillswitch", platform=WRITE),
        wall("safety_vendorbucket", app=WRITE),
        belongs("safety_vendorbucket", "vendor_id", "tenants_vendor"),
    ]
