"""An incident that nothing is heard of any more resolves itself, unless somebody is still waiting for it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection

from actions import outlook, planning
from actions.states import ActionType, Verification
from actions.states import Status as ActionStatus
from awfdrs_site import poller
from awfdrs_site.lib import clock, rfc3339
from events.models import PendingEvent
from incidents import lifecycle, quiet
from incidents.models import Incident, Run
from incidents.states import RunState, Status
from tenants.journal import SYSTEM
from tenants.models import JournalEntry, Tenant, Workflow
from tenants.scoping import bound, pipeline
from tests.cast import (
    Api,
    Travel,
    decide_all,
    digest_all,
    event,
    failure,
    journal_of,
    key_of,
    only_incident,
    signed_in,
    submit,
    submit_all,
)
from tests.factories import ActionFactory, IncidentFactory, WorkflowFactory

pytestmark = pytest.mark.django_db

DECLINED = failure(error_code="card_declined", error_message="No money")  # watched: no action


def sweep(**asked: Any) -> int:
    return quiet.resolve_quiet(has_open_actions=outlook.has_open, **asked)


def failed(tenant: Tenant, **fields: Any) -> Incident:
    """A failure that was decided and planned for."""
    submit(tenant, **({"payload": DECLINED} | fields))
    digest_all()
    decide_all()
    planning.plan_due()
    with bound(tenant.pk):
        found: Incident = Incident.objects.for_tenant(tenant).latest("id")
    return found


def tell(tenant: Tenant, minutes: int | None) -> None:
    with bound(tenant.pk):
        Workflow.objects.for_tenant(tenant).update(quiet_minutes=minutes)


def test_what_was_quiet_for_an_hour_resolves_itself_and_says_why(
    acme: Tenant, time_travel: Travel
) -> None:
    incident = failed(acme)
    time_travel(minutes=59)
    assert sweep() == 0
    time_travel(minutes=2)
    assert sweep() == 1
    resolved = only_incident(acme)
    assert (resolved.status, resolved.resolved_reason) == (Status.RESOLVED, "Quiet for 60 minutes.")
    with bound(acme.pk):
        line = JournalEntry.objects.for_tenant(acme).get(verb="resolved")
        run = Run.objects.for_tenant(acme).get()
    assert (line.subject_id, line.detail["reason"]) == (str(incident.pk), "Quiet for 60 minutes.")
    # its failure had no run of its own: it is let go, and that is recorded
    assert (run.state, run.recovery_note) == (RunState.WAIVED, "Quiet for 60 minutes.")
    assert journal_of(acme, run.pk) == ["waived"]
    assert (resolved.affected_runs, resolved.unrecovered_runs) == (1, 0)
    assert sweep() == 0


def test_a_named_run_that_is_still_hurt_keeps_it_open(acme: Tenant, time_travel: Travel) -> None:
    failed(acme, run_id="order-7")
    time_travel(days=3)
    # N1: nothing hurt is closed silently
    assert sweep() == 0
    with bound(acme.pk) as now:
        run = Run.objects.for_tenant(acme).get()
        lifecycle.waive(run, by=SYSTEM, now=now, reason="refunded")
    assert sweep() == 1


def test_one_named_run_among_many_events_keeps_them_all(acme: Tenant, time_travel: Travel) -> None:
    submit_all(acme, [event(payload=DECLINED) for _ in range(3)])
    failed(acme, run_id="order-7")
    time_travel(days=1)
    assert sweep() == 0
    with bound(acme.pk):
        assert Run.objects.for_tenant(acme).filter(state=RunState.FAILED).count() == 4


def test_an_event_that_others_name_as_their_run_is_a_named_run(
    acme: Tenant, time_travel: Travel
) -> None:
    first = submit(acme, payload=DECLINED)
    failed(acme, run_id=str(first.event_id))
    time_travel(days=1)
    assert sweep() == 0


def test_an_escalated_incident_follows_the_same_rule(acme: Tenant, time_travel: Travel) -> None:
    for run in ({}, {"run_id": "order-7"}):
        incident = failed(acme, **run)
        with bound(acme.pk) as now:
            lifecycle.escalate(incident, by=SYSTEM, now=now, reason="look")
        time_travel(hours=2)
        assert sweep() == (0 if run else 1)


def test_the_workflow_says_how_long_and_may_say_never(acme: Tenant, time_travel: Travel) -> None:
    failed(acme)
    tell(acme, None)
    time_travel(days=30)
    assert sweep() == 0
    tell(acme, 1)
    assert sweep() == 1
    assert only_incident(acme).resolved_reason == "Quiet for 1 minute."


def test_it_counts_from_when_the_last_failure_was_received(
    acme: Tenant, time_travel: Travel
) -> None:
    failed(acme)
    time_travel(minutes=50)
    # it happened before the first, but it came now
    failed(acme, occurred_at=rfc3339.format(clock.read() - timedelta(hours=2)))
    time_travel(minutes=30)
    assert sweep() == 0
    time_travel(minutes=31)
    assert sweep() == 1


def test_one_that_came_from_the_future_waits_no_longer(acme: Tenant, time_travel: Travel) -> None:
    failed(acme, occurred_at=rfc3339.format(clock.read() + timedelta(hours=20)))
    time_travel(minutes=61)
    assert sweep() == 1


def test_a_reopened_one_is_given_its_time_again(acme: Tenant, time_travel: Travel) -> None:
    incident = failed(acme)
    time_travel(hours=2)
    assert sweep() == 1
    with bound(acme.pk) as now:
        lifecycle.reopen(incident, by=SYSTEM, now=now, reason="not so fast")
    decide_all()
    planning.plan_due()
    assert sweep() == 0
    time_travel(minutes=61)
    assert sweep() == 1


def test_nothing_is_closed_that_nobody_decided_or_planned_for(
    acme: Tenant, time_travel: Travel
) -> None:
    submit(acme, payload=DECLINED)
    digest_all()
    time_travel(hours=3)
    assert sweep() == 0
    decide_all()
    assert sweep() == 0
    planning.plan_due()
    assert sweep() == 1


OPEN_ACTIONS = [
    (ActionStatus.PENDING, ""),
    (ActionStatus.IN_PROGRESS, ""),
    (ActionStatus.PARKED, ""),
    (ActionStatus.AWAITING_APPROVAL, ""),
    (ActionStatus.UNKNOWN, ""),
    (ActionStatus.COMPLETED, Verification.PENDING),
]


@pytest.mark.parametrize(("status", "verification"), OPEN_ACTIONS)
def test_never_while_an_action_is_open(
    acme: Tenant, time_travel: Travel, status: str, verification: str
) -> None:
    incident = failed(acme)
    action = ActionFactory(tenant=acme, incident=incident, status=status, verification=verification)
    time_travel(hours=3)
    assert sweep() == 0
    with bound(acme.pk):
        type(action).objects.for_tenant(acme).update(
            status=ActionStatus.SKIPPED, verification=Verification.NONE
        )
    assert sweep() == 1


def test_never_while_a_run_is_to_be_retried(acme: Tenant, time_travel: Travel) -> None:
    WorkflowFactory(tenant=acme, slug="checkout", retry_url="https://workflow.example.com/retry")
    incident = failed(acme, payload=failure())
    with bound(acme.pk):
        assert Run.objects.for_tenant(acme).get().state == RunState.RETRY_SCHEDULED
    time_travel(hours=3)
    assert quiet.resolve_quiet(has_open_actions=lambda *_: False) == 0
    assert incident.status == Status.ANALYZING


def test_not_while_the_inbox_is_behind(acme: Tenant, globex: Tenant, time_travel: Travel) -> None:
    for tenant in (acme, globex):
        failed(tenant)
    submit(acme, payload=DECLINED)
    time_travel(hours=2)
    # what waits there may be the very failure that is missing
    assert sweep() == 1
    assert only_incident(globex).status == Status.RESOLVED
    with bound(acme.pk) as now:
        PendingEvent.objects.for_tenant(acme).update(poisoned_at=now)
    assert sweep() == 1


def test_those_that_stay_open_do_not_stand_before_the_others(
    acme: Tenant, time_travel: Travel
) -> None:
    with bound(acme.pk) as now:
        pass
    staying, quiet_one = (
        IncidentFactory(tenant=acme, decided_at=now, planned_at=now, opened_at=now)
        for _ in range(2)
    )
    ActionFactory(tenant=acme, incident=staying, action_type=ActionType.ESCALATE)
    time_travel(hours=2)
    assert sweep(limit=1) == 1
    with bound(acme.pk):
        open_ones = Incident.objects.for_tenant(acme).open().values_list("pk", flat=True)
        assert list(open_ones) == [staying.pk]
    assert quiet_one.pk > staying.pk


def test_a_failure_that_comes_between_look_and_lock_keeps_it_open(
    acme: Tenant, time_travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed(acme)
    time_travel(hours=2)
    find = quiet._find

    def late(after: quiet.Place, limit: int) -> tuple[list[tuple[UUID, UUID]], quiet.Place]:
        page, last = find(after, limit)
        if page:
            submit(acme, payload=DECLINED)
            digest_all()
        return page, last

    monkeypatch.setattr(quiet, "_find", late)
    assert sweep() == 0
    assert only_incident(acme).status == Status.DETECTED


def test_hundreds_are_let_go_in_few_statements(
    acme: Tenant, time_travel: Travel, django_assert_max_num_queries: Any
) -> None:
    submit_all(acme, [event(payload=DECLINED) for _ in range(300)])
    failed(acme)
    time_travel(hours=2)
    with django_assert_max_num_queries(45):
        assert sweep() == 1
    incident = only_incident(acme)
    assert (incident.affected_runs, incident.unrecovered_runs) == (301, 0)
    assert journal_of(acme, incident.pk)[-2:] == ["run_waived", "resolved"]


def test_the_sweep_reads_open_incidents_by_their_index(acme: Tenant) -> None:
    asked: dict[str, Any] = {"seen_at": quiet.FIRST[0], "id": quiet.FIRST[1], "limit": 200}
    with pipeline(), connection.cursor() as cursor:
        # as with more than a handful of rows: neither read them all nor sort them all
        cursor.execute("set local enable_seqscan = off; set local enable_sort = off")
        cursor.execute(f"explain {quiet._QUIET}", asked)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "incident_quiet" in plan


def test_the_poller_sweeps_it(acme: Tenant, time_travel: Travel) -> None:
    failed(acme)
    time_travel(hours=2)
    assert poller.sweep_once(poller.seldom()) == 1


# --- how long quiet is -------------------------------------------------------------------------

WORKFLOWS = "/api/v1/workflows"


@pytest.mark.parametrize(
    ("said", "kept"),
    [({}, 60), ({"quiet_minutes": 5}, 5), ({"quiet_minutes": None}, None)],
)
def test_a_workflow_is_registered_with_its_quiet_time(
    acme: Tenant, said: dict[str, Any], kept: int | None
) -> None:
    api = Api(key_of(acme))
    made = api.post(WORKFLOWS, {"slug": "nightly"} | said)
    assert (made.status_code, made.json()["quiet_minutes"]) == (201, kept)
    assert api.get(WORKFLOWS).json()["results"][0]["quiet_minutes"] == kept


@pytest.mark.parametrize("said", [0, -1, 525_601, 1.5, "60", True])
def test_a_quiet_time_that_is_none_is_refused(acme: Tenant, said: Any) -> None:
    refused = Api(key_of(acme)).post(WORKFLOWS, {"slug": "nightly", "quiet_minutes": said})
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")


def test_staff_change_it_in_the_admin(acme: Tenant, staff: User) -> None:
    workflow = WorkflowFactory(tenant=acme)
    client = signed_in(staff)
    url = f"/admin/tenants/workflow/{workflow.pk}/change/"
    for typed, kept in (("5", 5), ("", None)):
        client.post(
            url,
            {"name": "Nightly", "idempotent": "key", "max_in_flight": 20, "quiet_minutes": typed},
        )
        with bound(acme.pk):
            workflow.refresh_from_db()
        assert workflow.quiet_minutes == kept
    assert "resolves itself" in client.get(url).content.decode()
    client.post(
        url, {"name": "Nightly", "idempotent": "key", "max_in_flight": 20, "quiet_minutes": "0"}
    )
    with bound(acme.pk):
        workflow.refresh_from_db()
    assert workflow.quiet_minutes is None
