from django.db import migrations, models

# Who has seen its secret last, as the journal still knows; a key that it does not know stays nobody's.
# The owner sees no row of a table whose walls are forced, its own included.
KNOWN = """
alter table tenants_apikey no force row level security;
alter table tenants_journalentry no force row level security;
update tenants_apikey made set made_by = coalesce((
  select line.actor_id from tenants_journalentry line
  where line.tenant_id = made.tenant_id and line.subject_type = 'apikey' and line.subject_id = made.id::text
    and line.verb in ('api_key_added', 'api_key_rotated') and line.actor_kind = 'user'
  order by line.at desc limit 1), '');
alter table tenants_apikey force row level security;
alter table tenants_journalentry force row level security;
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0008_audit_indexes")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="made_by",
            field=models.CharField(
                blank=True, db_default="", default="", editable=False, max_length=64
            ),
        ),
        migrations.RunSQL(KNOWN, migrations.RunSQL.noop),
    ]
