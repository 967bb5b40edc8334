"""The only place that takes a change to be tried on the last days, and finds what was tried."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from actions.models import Simulation
from actions.simulation import past
from actions.simulation.change import Change, OutcomeChange, RuleChange
from actions.simulation.trying import AS_OBSERVED, FAILS
from actions.states import SimulationState
from awfdrs_site.lib.wake import wake
from incidents.analysis import outcome
from incidents.analysis.outcome import Matcher
from safety import rulefields, rules
from safety.rule_exchange import Change as Exchanged
from tenants import journal
from tenants.journal import Actor

DAYS: Final = 7
MOST_EVENTS: Final = 20_000
AT_ONCE: Final = 3  # of a tenant
LASTS: Final = timedelta(hours=1)
ASSUMED: Final = (AS_OBSERVED, FAILS)
SAID: Final = 2000  # characters of the change, in the journal
TASK: Final = "actions.tasks.run_simulations"


class CannotSimulate(Exception):
    """Why this change is not tried, in words; `name` is the field that is wrong."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)


def ask(
    tenant_id: UUID, change: Change, *, days: int, assumed: str, by: Actor, now: datetime
) -> Simulation:
    """Have the change tried; a worker does it. Raises CannotSimulate."""
    mine = Simulation.objects.for_tenant(tenant_id)
    if mine.filter(state=SimulationState.WORKING, expires_at__gt=now).count() >= AT_ONCE:
        raise CannotSimulate("", f"{AT_ONCE} simulations are under way: wait until one has ended.")
    since = now - timedelta(days=days)
    n_events = past.events_between(tenant_id, since, now)[: MOST_EVENTS + 1].count()
    if n_events > MOST_EVENTS:
        which = f"The last {days} days hold" if days > 1 else "The last day holds"
        raise CannotSimulate("days", f"{which} more than {MOST_EVENTS:,} events: too many.")
    of = change.rules[0] if len(change.rules) == 1 and change.outcome is None else None
    simulation: Simulation = Simulation.objects.create(
        tenant_id=tenant_id,
        change=change.as_json(),
        scope=of.scope if of else "",
        target=of.target if of else "",
        assumed=assumed,
        since=since,
        until=now,
        n_events=n_events,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
        created_at=now,
        expires_at=now + LASTS,
    )
    lines = "; ".join(change.lines)[:SAID]
    journal.record(simulation, "simulation_asked", by=by, at=now, change=lines, days=days)
    wake(TASK, queue="default")
    return simulation


def of_rule(
    tenant_id: UUID, *, scope: str, target: str, values: Mapping[str, object]
) -> RuleChange:
    """The next version of one rule. Raises ValuesRefused."""
    accepted = rulefields.validate_values(scope, values)
    newest = rules.versions(tenant_id, scope=scope, target=target).first()
    before = dict(newest.values) if newest else {}
    return RuleChange(scope, target, newest.version if newest else 0, before, accepted)


def of_document(changes: list[Exchanged]) -> Change:
    """What a file of rules would change."""
    return Change(
        tuple(
            RuleChange(one.scope, one.target, one.version, dict(one.before), dict(one.after))
            for one in changes
        )
    )


def of_outcome(matcher: Matcher, *, position: int, replaces: str) -> OutcomeChange:
    """A rule about what events report. Raises CannotSimulate."""
    for name, why in outcome.faults(matcher).items():
        raise CannotSimulate(f"outcome_rule/{name}", why)
    return OutcomeChange(replaces, position, matcher)


def tried(tenant_id: UUID, *, scope: str, target: str, most: int = 50) -> list[Simulation]:
    """What was tried of one rule, the newest first."""
    mine = Simulation.objects.for_tenant(tenant_id).filter(scope=scope, target=target)
    return list(mine.exclude(scope="").order_by("-id")[:most])


def of_version(
    version: int, values: Mapping[str, Any], found: list[Simulation]
) -> Simulation | None:
    """The newest that tried exactly what this version sets, on top of the one before it."""
    for simulation in found:
        [change] = simulation.change["rules"]
        if change["version"] == version - 1 and change["after"] == values:
            return simulation
    return None
