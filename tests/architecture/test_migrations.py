"""Upgrades under load: no migration locks out yesterday's release, which goes on serving and working beside it."""

import inspect

import pytest

from awfdrs_site.celery import app
from tests.architecture.migration_rules import breaches, judge

# The tasks of 1.0.0. A message of yesterday's beat may name any of them: one is only taken away a release later.
OF_THE_RELEASE_BEFORE = """
    incidents.tasks.digest_events incidents.tasks.decide_incidents actions.tasks.plan_decisions
    actions.tasks.run_due_actions actions.tasks.advance_campaigns actions.tasks.advance_escalations
    actions.tasks.audit_escalations actions.tasks.send_deliveries actions.tasks.follow_tickets
    actions.tasks.verify_actions actions.tasks.ask_unknown actions.tasks.keep_approvals
    actions.tasks.resolve_quiet_incidents safety.tasks.reset_circuit_breakers events.tasks.make_partitions"""
OPERATIONS = """
from django.db import migrations, models
class Migration(migrations.Migration):
    operations = [{}]
"""


def test_migrations_do_nothing_that_locks_out_yesterdays_release() -> None:
    assert [str(breach) for breach in breaches()] == []


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        ('migrations.AddIndex(model_name="event", index=1)', "AddIndexConcurrently"),
        ('migrations.RemoveField(model_name="event", name="extra")', "takes away"),
        ('migrations.AddConstraint(model_name="event", constraint=1)', "NOT VALID"),
        ('migrations.AddField(model_name="e", name="x", field=models.TextField())', "db_default"),
        ('migrations.RunSQL("create index x on events_event (id)")', "without concurrently"),
        ('migrations.RunSQL("alter table a_b add constraint c check (d > 0)")', "not valid"),
        ('migrations.RunSQL("alter table a_b alter column c type bigint")', "rewrites a_b"),
        ('migrations.RunSQL("alter table a_b alter c set not null")', "check constraint first"),
    ],
)
def test_what_locks_or_takes_away_is_found(operation: str, says: str) -> None:
    (found,) = judge("events/0099_x", OPERATIONS.format(operation))
    assert says in found.says


@pytest.mark.parametrize(
    "operation",
    [
        'AddIndexConcurrently(model_name="event", index=1)',
        'migrations.AddField(model_name="e", name="x", field=models.TextField(null=True))',
        'migrations.AddField(model_name="e", name="x", field=models.IntegerField(db_default=0))',
        'migrations.RunSQL("create index concurrently x on events_event (id)")',
        'migrations.RunSQL("alter table a_b add constraint c check (d > 0) not valid")',
        # a table of its own is empty
        'migrations.CreateModel(name="New"), migrations.AddIndex(model_name="new", index=1)',
        'migrations.CreateModel(name="New"), migrations.RunSQL("create index x on events_new (id)")',
    ],
)
def test_what_serves_both_releases_passes(operation: str) -> None:
    assert judge("events/0099_x", OPERATIONS.format(operation)) == []


@pytest.mark.parametrize("name", OF_THE_RELEASE_BEFORE.split())
def test_a_message_of_the_release_before_or_after_is_taken(name: str) -> None:
    """Whatever it carries: arguments that we do not know yet, or no longer need."""
    app.loader.import_default_modules()
    signature = inspect.signature(app.tasks[name].run)
    signature.bind()
    signature.bind(of_another_release="x")


@pytest.mark.django_db
def test_a_task_sent_by_another_release_does_its_work() -> None:
    app.loader.import_default_modules()
    sent = app.tasks["incidents.tasks.digest_events"].signature(kwargs={"batch": 500, "shard": 3})
    assert sent.apply().successful()
