from django.db import migrations

from tenants.walls import seen_anew

TABLES = (
    "safety_circuitbreaker",
    "safety_killswitch",
    "safety_ruleoverride",
    "safety_rulepause",
    "safety_switchrelease",
    "safety_vendorbucket",
    "safety_vendorminute",
    "safety_vendorsecond",
)


class Migration(migrations.Migration):
    """Compared in a way that costs the planner less. A table at a time, so that none is locked while another waits."""

    atomic = False
    dependencies = [("safety", "0009_switch_release_wall"), ("tenants", "0010_walls_seen")]

    operations = [
        seen_anew(*TABLES),
    ]
