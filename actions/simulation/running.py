"""The only place that runs a simulation from end to end: reads the days, passes over them twice, and compares."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from actions.simulation import differ, passing, past
from actions.simulation.change import NOTHING, Change
from actions.simulation.kept import Past
from events.models import Event
from incidents import learning, reading
from incidents.analysis.outcome import Matcher
from incidents.learning import Leaves
from incidents.reading import Reading
from tenants import scoping

Beat = Callable[[int], None]  # hears how many percent are done

READ, FIRST, SECOND = 40, 70, 100  # percent, when each part is over


def simulate(
    tenant_id: UUID,
    change: Change,
    *,
    since: datetime,
    until: datetime,
    assumed: str,
    n_events: int,
    beat: Beat,
) -> dict[str, Any]:
    """What the change would have made of these days. Raises TooMuch."""
    found = past.read(tenant_id, since=since, until=until)
    asked = [one.matchers(found.outcomes) for one in (NOTHING, change)]
    then, now = _readings(found, asked, _share(beat, n_events))
    leaves = _leaves(tenant_id, [*then, *now])
    said: dict[str, Any] = {"assumed": assumed}
    before = passing.play(found, NOTHING, then, leaves, beat=lambda: beat(READ), **said)
    after = passing.play(found, change, now, leaves, beat=lambda: beat(FIRST), **said)
    return differ.result(found, change, before, after, assumed=assumed, n_events=len(then))


def _share(beat: Beat, n_events: int) -> Beat:
    return lambda n_read: beat(min(READ, READ * n_read // max(n_events, 1)))


def _readings(
    found: Past, asked: Sequence[Sequence[Matcher]], beat: Beat
) -> tuple[list[Reading], list[Reading]]:
    """Each event as it is read now, and as it would be; its payload is let go."""
    then, now = [], []
    is_alike = asked[0] == asked[1]
    for event in past.events(found, beat=beat):
        said = reading.read(event, asked[0])
        then.append(said)
        now.append(said if is_alike else replace(said, outcome=_again(event, asked[1])))
        event.payload, event.extra = {}, {}
    return then, now


def _again(event: Event, matchers: Sequence[Matcher]) -> Any:
    return reading.read(event, matchers).outcome


def _leaves(tenant_id: UUID, readings: Sequence[Reading]) -> dict[UUID, Leaves]:
    with scoping.bound(tenant_id):
        return learning.load(tenant_id, readings)
