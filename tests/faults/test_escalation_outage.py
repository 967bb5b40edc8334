"""The receiver is down for ten minutes, every worker is killed, Redis is flushed: nobody is left untold."""

import json
import signal
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from statistics import median

import pytest
from django_redis import get_redis_connection

from actions import escalation_audit, planning, signing
from actions.models import Delivery
from awfdrs_site.lib import clock, rfc3339
from incidents.models import Incident
from tenants import scoping, secrets
from tests.cast import Travel
from tests.databases import Owner
from tests.factories import (
    ChannelFactory,
    EscalationPolicyFactory,
    EscalationStepFactory,
    IncidentFactory,
)
from tests.faults.nursery import Nursery, nursery
from tests.faults.sizes import sized
from tests.faults.table import Row
from tests.journeys.conftest import Stage
from tests.journeys.conftest import stage as stage
from tests.support.receiver import Received, Reply

pytestmark = pytest.mark.faults

N_INCIDENTS = sized(small=6, full=60)
DOWN_MINUTES, WAIT_MINUTES = 10, 5
N_TOLD = 4  # two steps, two rounds
# One worker a minute, and none of them lives long.
NEVER = datetime.max.replace(tzinfo=UTC)
POINTS = (
    "action.after_claim",
    "action.after_started_commit",
    "escalation.before_commit",
    "delivery.after_claim",
    "delivery.after_start",
    "delivery.after_send_before_result",
)
WORK = """
from datetime import timedelta
from actions import execution, outbox
from awfdrs_site import poller
def work(point, kept_minutes):
    settings.AWF_FAILPOINTS = f"{point}=kill9"
    outbox.KEPT_FOR = timedelta(minutes=int(kept_minutes))
    for _ in range(4):
        poller.sweep_once(poller.sweeps(run_due=execution.run_due, send_due=outbox.send_due))
"""
PREPARE = "from actions import execution, outbox; execution.run_due(limit=0)"


@dataclass(frozen=True)
class Heard:
    """One message as the receiver took it, in the story's time."""

    incident: str
    message: str
    told_at: datetime
    heard_at: datetime


@pytest.fixture(scope="module")
def workers(owner: Owner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    errors = tmp_path_factory.mktemp("escalation-workers") / "errors"
    with nursery(work=WORK, prepare=PREPARE, errors=errors) as made:
        yield made


def escalated(stage: Stage) -> set[str]:
    """The incidents, each to be told by two channels, twice; nothing of it has begun."""
    policy = EscalationPolicyFactory(tenant=stage.tenant, repeats=1)
    for place in range(2):
        channel = ChannelFactory(tenant=stage.tenant, url=stage.receiver.url("/told"))
        with scoping.bound(stage.tenant.pk):
            channel.secret_sealed = secrets.seal(
                signing.new_secret(), tenant_id=stage.tenant.pk, row_id=channel.pk
            )
            channel.save()
        EscalationStepFactory(
            tenant=stage.tenant,
            policy=policy,
            position=place,
            channel=channel,
            wait_minutes=WAIT_MINUTES,
        )
    incidents: list[Incident] = [
        IncidentFactory(tenant=stage.tenant, severity="high") for _ in range(N_INCIDENTS)
    ]
    for incident in incidents:
        with scoping.bound(stage.tenant.pk) as now:
            planning.escalation(incident, "All attempts failed.", now=now)
    return {str(incident.pk) for incident in incidents}


class OtherSide:
    """Down until it is up; writes down what it took, and only that."""

    def __init__(self, stage: Stage) -> None:
        self.up_since, self.n_refused = NEVER, 0
        self.heard: list[Heard] = []
        stage.receiver.answer("/told", self._answer)

    def _answer(self, request: Received) -> Reply:
        at = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), tz=UTC)
        if self.up_since == NEVER:
            self.n_refused += 1
            return Reply(status=503)
        body = json.loads(request.body)
        for item in [body, *body["more"]]:
            told_at = rfc3339.parse(item["at"])
            self.heard.append(Heard(item["incident"]["id"], item["id"], told_at, at))
        return Reply()

    def caught_up_after(self, first: Iterable[Heard]) -> float:
        """Seconds from its return until it had heard the last of what was due before."""
        due = [one.heard_at for one in first if one.told_at <= self.up_since]
        return (max(due) - self.up_since).total_seconds()


def go_through_it(
    stage: Stage, time_travel: Travel, workers: Nursery, side: OtherSide, *, kept_minutes: int
) -> Counter[int]:
    """Ten minutes of outage in which every worker dies, then the other side is back; how workers ended."""
    points, ended = cycle(POINTS), Counter[int]()
    for _ in range(DOWN_MINUTES):
        time_travel(minutes=1)
        get_redis_connection("default").flushall()
        ended[workers.wait(workers.fork(next(points), str(kept_minutes)))] += 1
    side.up_since = clock.read()
    for _ in range(60):
        time_travel(minutes=1)
        stage.turn()
    return ended


def told(stage: Stage, **fields: str) -> list[Delivery]:
    with scoping.bound(stage.tenant.pk):
        mine = Delivery.objects.for_tenant(stage.tenant).filter(kind="triggered", **fields)
        return list(mine.order_by("id"))


def test_nobody_is_left_untold(
    stage: Stage, time_travel: Travel, workers: Nursery, row: Row
) -> None:
    incidents, side = escalated(stage), OtherSide(stage)
    ended = go_through_it(stage, time_travel, workers, side, kept_minutes=24 * 60)

    # the outage was one, and the workers died of it
    assert side.n_refused > 0
    assert ended[-signal.SIGKILL] >= DOWN_MINUTES // 2
    by_incident: dict[str, set[str]] = defaultdict(set)
    for one in side.heard:
        by_incident[one.incident].add(one.message)
    missed = sum(N_TOLD - len(by_incident[incident]) for incident in incidents)
    # G16: missed 0; a message that came twice has one id
    assert missed == 0
    assert {len(messages) for messages in by_incident.values()} == {N_TOLD}
    assert escalation_audit.audit() == 0

    first: dict[str, Heard] = {}
    for one in side.heard:
        first.setdefault(one.message, one)
    late = sorted((one.heard_at - one.told_at).total_seconds() for one in first.values())
    # ten minutes of outage, a quarter of an hour between tries at most, and the lease of a dead worker
    assert late[-1] <= timedelta(minutes=DOWN_MINUTES + 15 + 3).total_seconds()
    row.tell(
        f"{DOWN_MINUTES} min receiver away, {ended[-signal.SIGKILL]} workers killed, Redis flushed each minute",
        load=f"{N_INCIDENTS} incidents, {len(first)} messages, {len(side.heard) - len(first)} came twice, "
        f"late p50 {median(late):.0f} s, max {late[-1]:.0f} s",
        losses=missed,
        story_seconds=side.caught_up_after(first.values()),
        control=f"refused {side.n_refused} × meanwhile",
    )


def test_without_a_day_of_trying_some_are_missed_and_each_is_said(
    stage: Stage, time_travel: Travel, workers: Nursery, row: Row
) -> None:
    """The positive control: a sender that gives up at once loses what this test can see."""
    incidents, side = escalated(stage), OtherSide(stage)
    go_through_it(stage, time_travel, workers, side, kept_minutes=0)
    got = {(one.incident, one.message) for one in side.heard}
    missed = N_TOLD * len(incidents) - len(got)
    lost = told(stage, status="failed")
    assert missed == len(lost) > 0
    # and nothing of it is silent
    assert escalation_audit.audit(limit=1000) == missed
    row.tell(
        "the same with a sender that gives up at once",
        load=f"{N_INCIDENTS} incidents, {N_TOLD * N_INCIDENTS} messages",
        losses=missed,
        control=f"{missed} missed, as it must, and each is said",
    )
