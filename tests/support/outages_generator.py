"""Makes outages whose cause is known, as a tenant would report them: seeded, and told nothing of the engine."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 2, tzinfo=UTC)
VENDORS = ("stripe", "adyen", "sendgrid", "okta", "fedex", "twilio")
WORKFLOWS = ("checkout", "refunds", "onboarding", "shipping", "invoices", "reports", "payouts")
STEPS = ("validate", "reserve", "charge", "fulfil", "notify")
REGIONS = ("eu-west-1", "eu-central-1", "us-east-1", "us-west-2", "ap-south-1")
CODES = ("upstream_error", "timeout", "boom", "E1042", "rejected")


@dataclass
class Outage:
    """`label` is its kind, `culprit` what a right answer names; both are empty where nothing is behind it."""

    label: str
    culprit: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    hurt: str = ""  # the workflow that somebody would look at


@dataclass
class _Run:
    workflow: str
    at: datetime
    number: int
    vendor: str
    fields: dict[str, Any]


Failing = Callable[[_Run], float]


class _World:
    """A tenant on an ordinary day: workflows with vendors and steps, runs that mostly succeed."""

    def __init__(self, seed: int, *, hours: float | None = None) -> None:
        self.random = random.Random(seed)
        pick = self.random
        self.hours = hours or pick.uniform(2, 8)
        self.vendors = pick.sample(VENDORS, pick.randint(2, 5))
        self.uses = {
            name: pick.sample(self.vendors, pick.randint(1, min(3, len(self.vendors))))
            for name in pick.sample(WORKFLOWS, pick.randint(3, 5))
        }
        self.noise = pick.uniform(0.002, 0.04)
        self.runs_each = int(pick.uniform(150, 400))
        self.busy = ""
        self.tells_success = pick.random() < 0.85
        self.begins = START + timedelta(
            days=pick.randint(0, 60), hours=self.hours * pick.uniform(0.35, 0.65)
        )
        self.opens = self.begins - timedelta(hours=self.hours * pick.uniform(0.4, 0.6))
        self.ends = self.opens + timedelta(hours=self.hours)
        self.strength = pick.uniform(0.45, 1.0)
        self.version = f"{pick.randint(1, 9)}.{pick.randint(0, 20)}.{pick.randint(0, 9)}"

    def run(self, workflow: str, number: int) -> _Run:
        pick = self.random
        at = self.opens + (self.ends - self.opens) * pick.random()
        fields = {
            "region": pick.choice(REGIONS),
            "host": f"worker-{pick.randint(1, 12)}",
            "plan": pick.choice(("free", "pro", "pro", "enterprise")),
            "customer": {
                "id": f"cus_{pick.randint(1, 300)}",
                "country": pick.choice(("DE", "FR", "US", "IN")),
            },
            "amount": pick.randint(100, 90000),
            "currency": pick.choice(("EUR", "EUR", "USD", "GBP")),
            "app_version": self.version,
        }
        return _Run(workflow, at, number, pick.choice(self.uses[workflow]), fields)

    def runs(self) -> list[_Run]:
        made = [
            self.run(workflow, number) for workflow in self.uses for number in range(self.runs_each)
        ]
        return sorted(made, key=lambda run: run.at)

    def failure(
        self, run: _Run, *, step: str = "", after: float = 0.0, code: str = ""
    ) -> dict[str, Any]:
        step = step or "charge"
        return self._body(
            run,
            f"{run.workflow}.failed",
            after=after,
            step=step,
            error_code=code or CODES[sum(map(ord, run.workflow + step)) % len(CODES)],
            error_message=f"{step} did not work for {run.number}",
        )

    def success(self, run: _Run) -> dict[str, Any]:
        return self._body(run, f"{run.workflow}.completed", after=1.0)

    def _body(self, run: _Run, event_type: str, *, after: float, **payload: Any) -> dict[str, Any]:
        at = run.at + timedelta(seconds=after)
        return {
            "workflow": run.workflow,
            "event_type": event_type,
            "occurred_at": at.isoformat().replace("+00:00", "Z"),
            "run_id": f"{run.workflow}-{run.number}",
            "payload": {"vendor": run.vendor, **run.fields, **payload},
        }

    def told(self, failing: Failing) -> list[dict[str, Any]]:
        """What is reported when a run fails with the probability that `failing` says."""
        bodies = []
        for run in self.runs():
            if self.random.random() < max(failing(run), self.noise):
                step = "charge" if failing(run) > self.noise else self.random.choice(STEPS)
                bodies.append(self.failure(run, step=step))
            elif self.tells_success:
                bodies.append(self.success(run))
        return bodies

    def decoys(self, *, workflow: str = "") -> list[dict[str, Any]]:
        """Changes that have nothing to do with it: of other workflows, or hours before."""
        pick, made = self.random, []
        for _ in range(pick.randint(0, 3)):
            others = [name for name in self.uses if name != workflow]
            if pick.random() < 0.6:
                at = self.opens + (self.ends - self.opens) * pick.random()
                made.append(_change(at, f"deploy {pick.randint(1, 999)}", pick.choice(others)))
            else:
                at = self.begins - timedelta(hours=pick.uniform(1, 12))
                made.append(_change(at, f"config {pick.randint(1, 999)}", ""))
        return made


def _change(at: datetime, summary: str, workflow: str) -> dict[str, Any]:
    body = {
        "kind": summary.split()[0],
        "summary": summary,
        "occurred_at": at.isoformat().replace("+00:00", "Z"),
    }
    return body | ({"workflow": workflow} if workflow else {})


def vendor_outage(seed: int) -> Outage:
    world = _World(seed)
    down = world.random.choice(world.vendors)
    for name in world.random.sample(sorted(world.uses), world.random.randint(2, len(world.uses))):
        if down not in world.uses[name]:
            world.uses[name].append(down)
    lasts = timedelta(hours=world.hours * world.random.uniform(0.2, 0.5))

    def failing(run: _Run) -> float:
        within = world.begins <= run.at < world.begins + lasts
        return world.strength if run.vendor == down and within else 0.0

    bodies = world.told(failing)
    return Outage("vendor", down, bodies, world.decoys())


def bad_deploy(seed: int) -> Outage:
    world = _World(seed)
    workflow = world.random.choice(sorted(world.uses))
    is_announced = world.random.random() < 0.6
    after = world.begins + timedelta(seconds=world.random.uniform(0, 240))
    world.strength = max(world.strength, 0.5)
    name = f"{workflow} {world.version}.1"

    def failing(run: _Run) -> float:
        if run.workflow == workflow and run.at >= world.begins and not is_announced:
            run.fields["app_version"] = f"{world.version}.1"
        return world.strength if run.workflow == workflow and run.at >= after else 0.0

    bodies = world.told(failing)
    changes = world.decoys(workflow=workflow)
    if is_announced:
        scope = workflow if world.random.random() < 0.8 else ""
        changes.append(_change(world.begins, f"deploy {name}", scope))
    culprit = f"deploy {name}" if is_announced else f"{world.version}.1"
    return Outage("change", culprit, bodies, changes, workflow)


def bad_region(seed: int) -> Outage:
    world = _World(seed)
    region = world.random.choice(REGIONS)
    hurt = world.random.sample(sorted(world.uses), world.random.randint(1, 3))

    def failing(run: _Run) -> float:
        is_there = run.workflow in hurt and run.fields["region"] == region
        return world.strength if is_there and run.at >= world.begins else 0.0

    bodies = world.told(failing)
    return Outage("attribute", f"region={region}", bodies, world.decoys(), hurt[0])


def poison_payload(seed: int) -> Outage:
    """A customer, a currency or an amount that nothing can be done with."""
    world = _World(seed)
    workflow = world.random.choice(sorted(world.uses))
    what: dict[str, Any] = world.random.choice(
        (
            {"currency": "XXX"},
            {"amount": 0},
            {"customer": {"id": "cus_9999", "country": "DE"}},
            {"coupon": "TEN-OFF"},
        )
    )
    often = world.random.uniform(0.1, 0.35)

    def failing(run: _Run) -> float:
        run.fields.setdefault("coupon", "none")
        if run.workflow != workflow or run.at < world.begins:
            return 0.0
        if run.number % 100 >= 100 * often:
            return 0.0
        run.fields.update(what)
        return 1.0

    bodies = world.told(failing)
    name, value = next(iter(what.items()))
    culprit = f"{name}.id={value['id']}" if isinstance(value, dict) else f"{name}={value}"
    return Outage("attribute", culprit, bodies, world.decoys(), workflow)


def upstream_step(seed: int) -> Outage:
    """One step fails, and what comes after it in the same run fails of that."""
    world = _World(seed)
    workflow = world.random.choice(sorted(world.uses))
    place = world.random.randint(0, 2)
    after = STEPS[place + 1 : place + 1 + world.random.randint(1, 3)]
    bodies = []
    for run in world.runs():
        is_hit = run.workflow == workflow and run.at >= world.begins
        if is_hit and world.random.random() < world.strength:
            bodies.append(world.failure(run, step=STEPS[place]))
            for delay, step in enumerate(after, 1):
                if world.random.random() < 0.9:
                    later = delay * world.random.uniform(1, 20)
                    bodies.append(world.failure(run, step=step, after=later))
        elif world.random.random() < world.noise:
            bodies.append(world.failure(run, step=world.random.choice(STEPS)))
        elif world.tells_success:
            bodies.append(world.success(run))
    return Outage("step", STEPS[place], bodies, world.decoys(workflow=workflow), workflow)


def cron_overlap(seed: int) -> Outage:
    """While another job runs, every so often, this one fails."""
    pick = random.Random(seed)
    minutes = pick.choice((20, 30, 60, 60, 120, 240))
    world = _World(seed, hours=minutes / 60 * pick.uniform(5, 10))
    workflow = world.busy = pick.choice(sorted(world.uses))
    at, lasts = pick.uniform(0, 0.8) * minutes, pick.uniform(0.04, 0.14) * minutes

    def is_busy(moment: datetime) -> bool:
        return (moment.timestamp() / 60 - at) % minutes < lasts

    def failing(run: _Run) -> float:
        return world.strength if run.workflow == workflow and is_busy(run.at) else 0.0

    bodies = world.told(failing)
    return Outage("cycle", f"{minutes}", bodies, world.decoys(), workflow)


def no_cause(seed: int) -> Outage:
    """Failures that come as they come: more of them than usual, some in a burst, of nothing in particular."""
    world = _World(seed)
    workflow = world.random.choice(sorted(world.uses))
    often = world.random.uniform(0.03, 0.3)
    is_burst = world.random.random() < 0.5

    def failing(run: _Run) -> float:
        if run.workflow != workflow or (is_burst and run.at < world.begins):
            return 0.0
        return often

    return Outage("", "", world.told(failing), world.decoys(workflow=workflow), workflow)


CAUSES = (vendor_outage, bad_deploy, bad_region, poison_payload, upstream_step, cron_overlap)


def outages(n: int, *, n_without: int, seed: int = 0) -> list[Outage]:
    made = [CAUSES[k % len(CAUSES)](seed * 100_003 + k) for k in range(n)]
    return made + [no_cause(seed * 100_003 + 50_000 + k) for k in range(n_without)]
