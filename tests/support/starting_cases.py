"""Everything that may hold some of a world's retries: a limit, a switch, a person, or what happened meanwhile."""

from datetime import timedelta

from awfdrs_site.lib.ids import uuid7
from incidents.models import Run
from incidents.states import RunState
from safety.models import SwitchRelease
from tenants.models import Tenant, Vendor, Workflow
from tenants.scoping import bound, platform
from tests.factories import (
    ApprovalFactory,
    AttemptFactory,
    BreakerFactory,
    CampaignFactory,
)
from tests.support.starting import World


def tenant_cap(world: World) -> None:
    with platform():
        Tenant.objects.filter(pk=world.tenant.pk).update(max_in_flight=5)


def caps_of_workflow_and_vendor(world: World) -> None:
    with bound(world.tenant.pk):
        Vendor.objects.for_tenant(world.tenant).filter(pk=world.vendor.pk).update(max_in_flight=1)
        Workflow.objects.for_tenant(world.tenant).filter(slug="refunds").update(max_in_flight=2)


def attempts_of_runs(world: World) -> None:
    """Of one run as many as may be within an hour, of another one less, in which two retries meet."""
    for place, n_attempts in ((0, 5), (2, 4)):
        for number in range(n_attempts):
            AttemptFactory(
                tenant=world.tenant,
                action=world.actions[place],
                number=100 + number,
                run_id=world.actions[place].run_id,
                status="failed",
                started_at=world.now - timedelta(minutes=number + 1),
            )
    world.change([4], run=world.actions[2].run)


def attempts_of_vendor(world: World) -> None:
    for number in range(8):
        AttemptFactory(
            tenant=world.tenant,
            action=world.actions[0],
            number=100 + number,
            vendor_id=world.vendor.pk,
            status="failed",
            started_at=world.now - timedelta(minutes=number + 2),
        )


def budget(world: World) -> None:
    world.ample(retry_budget__floor_per_minute=2)


def rate(world: World) -> None:
    world.ample(rate_limit__requests_per_second=1, rate_limit__burst_size=2)


def new_buckets(world: World) -> None:
    """Nobody has called these vendors yet (the test leaves `rest` out)."""


def half_open(world: World) -> None:
    world.ample(breaker__half_open_requests=2)
    BreakerFactory(tenant=world.tenant, vendor=world.vendor, state="half_open", epoch=4)


def due_to_probe(world: World) -> None:
    """Open, and its time is over: the first that asks makes it half-open."""
    world.ample(breaker__half_open_requests=2)
    until = world.now - timedelta(seconds=1)
    BreakerFactory(tenant=world.tenant, vendor=world.vendor, state="open", open_until=until)


def blast_of_actions(world: World) -> None:
    world.rule("category", "transient_error", blast_radius__max_actions_per_hour=3)


def blast_of_runs(world: World) -> None:
    world.rule("category", "transient_error", blast_radius__max_runs_per_hour=2)
    world.change([2], run=world.actions[0].run)
    world.change([0], started_at=world.now - timedelta(minutes=5), rule="category transient_error")


def killed_vendor(world: World) -> None:
    world.stop("vendor", str(world.vendor.pk))


def campaigns(world: World) -> None:
    incident = world.actions[0].incident
    for places, status in (([0, 2], "running"), ([1, 3], "paused"), ([4], "aborted")):
        campaign = CampaignFactory(tenant=world.tenant, incident=incident, status=status)
        world.change(places, campaign=campaign)
    world.ample(retry_budget__floor_per_minute=1)


def allowed_by_hand(world: World) -> None:
    """With a limit that only counts what nobody allowed."""
    world.change([0, 2, 5], parameters={"approved_by": "alice"})
    world.rule("category", "transient_error", blast_radius__max_actions_per_hour=2)
    attempts_of_vendor(world)


def approvals(world: World) -> None:
    """One that holds, one that was edited since, one that covers less than it is used for."""
    terms = {"workflow": "payouts"}
    held = {"status": "approved", "plan_hash": "x" * 64}
    good = ApprovalFactory(tenant=world.tenant, terms=terms, **held)
    edited = ApprovalFactory(tenant=world.tenant, terms={"workflow": "payments"}, **held)
    early = ApprovalFactory(tenant=world.tenant, terms=terms, until_id=world.actions[0].pk, **held)
    with bound(world.tenant.pk):
        Workflow.objects.for_tenant(world.tenant).update(idempotent="no")
    for place, approval in ((0, good), (2, edited), (4, early)):
        world.change([place], approval=approval)


def modes(world: World) -> None:
    world.change([0, 3], policy={"mode": "approve"})


def recovered(world: World) -> None:
    with bound(world.tenant.pk):
        mine = Run.objects.for_tenant(world.tenant)
        mine.filter(pk__in=[world.actions[n].run_id for n in (1, 2)]).update(
            state=RunState.RECOVERED_AUTO
        )


def used_up(world: World) -> None:
    world.change([1, 4], attempts_made=3)


def released(world: World) -> None:
    with bound(world.tenant.pk):
        release = SwitchRelease.objects.create(
            tenant=world.tenant, switch_id=uuid7(), per_second=2, next_at=world.now
        )
    world.change([0, 1, 2, 5], parameters={"released": str(release.pk)})


def no_vendor(world: World) -> None:
    world.change([0, 3, 4], vendor=None)
    tenant_cap(world)


def other_kinds(world: World) -> None:
    world.change([2], action_type="escalate")
    world.change([3], action_type="rollback", parameters={"compensates": "what was sent"})
    world.stop("action_type", "rollback")


def everything(world: World) -> None:
    tenant_cap(world)
    budget(world)
    recovered(world)
    modes(world)
    used_up(world)


CASES = [
    tenant_cap,
    caps_of_workflow_and_vendor,
    attempts_of_runs,
    attempts_of_vendor,
    budget,
    rate,
    new_buckets,
    half_open,
    due_to_probe,
    blast_of_actions,
    blast_of_runs,
    killed_vendor,
    campaigns,
    allowed_by_hand,
    approvals,
    released,
    no_vendor,
    other_kinds,
    everything,
]
