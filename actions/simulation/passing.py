"""One pass over the days: the engine's own decisions, in memory, on a clock that goes from one thing to the next.

Nothing is sent and nothing is stored. What workflows and people did stays as it was: a call ends as the recorded one
of the same number ended, people allow what they allowed, and a success that followed a retry comes of that retry.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from actions.simulation import hearing, trying
from actions.simulation.change import Change
from actions.simulation.kept import Past, Tried
from actions.simulation.story import AttemptKey
from actions.simulation.world import World
from actions.states import AttemptStatus
from incidents.learning import Leaves
from incidents.reading import Reading
from incidents.runs import Key

ACCEPTED = (AttemptStatus.SUCCEEDED, AttemptStatus.UNKNOWN)


def play(
    past: Past,
    change: Change,
    readings: Sequence[Reading],
    leaves: Mapping[UUID, Leaves],
    *,
    assumed: str,
    beat: Callable[[], None],
) -> World:
    """The world at its end. `leaves` are what grouping has learned; the pass learns on a copy."""
    world = World(past, change, copy.deepcopy(leaves), assumed, hearing.hear)
    world.succeeded_at = _successes(readings)
    for said in readings:
        if cause := _cause(past, said):
            name, tried = cause
            world.withheld[name].append((said.event.received_at - tried.at, said))
        else:
            world.at(said.event.received_at, 1, hearing.hear, said)
    vendors = {vendor.pk: vendor for vendor in past.vendors.values()}
    for key, vendor_id, at, is_of_campaign in past.by_hand:
        vendor = vendors.get(vendor_id) if vendor_id else None
        world.at(at, 0, trying.by_hand, key, vendor, is_of_campaign)
    world.run_until(past.until, beat=beat)
    return world


def _successes(readings: Sequence[Reading]) -> dict[Key, list[datetime]]:
    found: dict[Key, list[datetime]] = defaultdict(list)
    for said in readings:
        if said.run_key and said.report and said.report.kind == "success":
            found[said.run_key].append(said.event.received_at)
    return found


def _cause(past: Past, said: Reading) -> tuple[AttemptKey, Tried] | None:
    """The accepted retry that a success followed: made, it is told; not made, it never was."""
    if said.run_key is None or said.report is None or said.report.kind != "success":
        return None
    before = [
        (name, tried)
        for name, tried in past.attempts_of.get(said.run_key, ())
        if tried.status in ACCEPTED and tried.at < said.event.received_at
    ]
    return max(before, key=lambda one: one[1].at, default=None)
