"""The only place that says how two passes differ, and whether the first one is what really happened: pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from actions.simulation.change import Change
from actions.simulation.kept import Past
from actions.simulation.story import Attempted, AttemptKey, IncidentKey, Opened, Story
from actions.simulation.world import World

SHOWN: Final = 500  # of each list; its count is of all
DIFFERENCES_SHOWN: Final = 20
ASSUMPTIONS: Final = (
    "A retry ends as the recorded attempt of the same number ended.",
    "A success that followed an accepted retry comes of that retry: without it the run stays hurt.",
    "What newly waits for a person is not allowed by anybody; what people allowed and moved, they do again.",
    "Where the waits of a retry are as they were, so are its moments; jitter's dice fall in the middle elsewhere.",
    "A call takes no room among the calls under way, and a breaker starts closed.",
    "Merges, labels, workflows and what events report are as they are today; storms open no incident of their own.",
    "What failed before these days, and campaigns and retries by hand, are as they were.",
)
BEYOND: Final[Mapping[str, str]] = {
    "as_observed": "An attempt that was never made succeeds when its run recovered later, and fails otherwise.",
    "fail": "An attempt that was never made fails.",
}


def result(
    past: Past, change: Change, before: World, after: World, *, assumed: str, n_events: int
) -> dict[str, Any]:
    """Plain data, as it is kept and answered."""
    then, now = before.story, after.story
    told = {
        "incidents": _incidents(then, now),
        "severities": _severities(then, now),
        "attempts": _attempts(then, now),
        "notifications": _told(then, now),
        "approvals": _asked(then, now),
    }
    return {
        "change": change.lines,
        "events": n_events,
        "baseline": baseline(past, before),
        **told,
        "vendors": list(_vendors(then, now)),
        "paused_rules": _counted(then.pauses, now.pauses),
        "is_empty": not any(_differs(part) for part in told.values()),
        "assumptions": [BEYOND[assumed], *ASSUMPTIONS],
    }


def baseline(past: Past, world: World) -> dict[str, Any]:
    """The first pass beside what is recorded: only where they are the same is a difference to be believed."""
    wrong = [*_other_incidents(past, world), *_other_attempts(past, world)]
    return {
        "incidents": len(world.story.incidents),
        "recorded_incidents": sum(past.is_new(one) for one in _met(past)),
        "attempts": len(world.story.attempts),
        "recorded_attempts": sum(map(len, past.attempts_of.values())),
        "is_same": not wrong,
        "differences": wrong[:DIFFERENCES_SHOWN],
    }


def _met(past: Past) -> list[Any]:
    """The incidents that events of these days were counted on."""
    ids = {incident_id for incident_id, _ in past.links.values()}
    return [one for one in past.incidents.values() if one.pk in ids]


def _other_incidents(past: Past, world: World) -> Iterator[str]:
    counted = Counter(incident_id for incident_id, _ in past.links.values())
    called = Counter(past.told)
    for real in _met(past):
        case = world.of_real.get(real.pk)
        if case is None:
            yield f"{real} was there, and is not in the simulation."
            continue
        shown = world.story.incidents.get(case.key)
        if shown is not None:
            yield from _unlike(past, real, shown, counted[real.pk])
        if called[real.pk] != world.story.told[case.key]:
            yield f"{real}: people were called {called[real.pk]} times, in the simulation {world.story.told[case.key]}."
    for shown in world.story.incidents.values():
        if not shown.number:
            yield f"The simulation opens “{shown.title}”, which was not opened."


def _unlike(past: Past, real: Any, shown: Opened, n_events: int) -> Iterator[str]:
    if shown.event_count != n_events:
        yield f"{real} counted {n_events} events, in the simulation {shown.event_count}."
    decided = past.decisions.get(real.pk)
    if decided and decided[0].choice != shown.choice:
        yield f"{real}: {decided[0].choice} was decided, in the simulation {shown.choice or 'nothing'}."


def _other_attempts(past: Past, world: World) -> Iterator[str]:
    recorded = {name for names in past.attempts_of.values() for name, _ in names}
    made = set(world.story.attempts)
    for name in sorted(recorded - made):
        yield f"{_of(name)} was made, and is not in the simulation."
    for name in sorted(made - recorded):
        yield f"{_of(name)} is in the simulation, and was not made."


def _of(name: AttemptKey) -> str:
    return f"Attempt {name.number} of run {name.run} of {name.workflow}"


def _incidents(then: Story, now: Story) -> dict[str, Any]:
    new, gone = _apart(then.incidents, now.incidents)
    return _both(
        then.incidents,
        now.incidents,
        [_incident(now, key) for key in new],
        [_incident(then, key) for key in gone],
    )


def _incident(story: Story, key: IncidentKey) -> dict[str, Any]:
    one = story.incidents.get(key)
    if one is None:  # of before these days
        return {"number": "", "title": "An earlier incident", "workflow": "", "severity": ""}
    said = {"number": one.number, "title": one.title, "workflow": one.workflow}
    return {**said, "severity": one.severity, "opened_at": _iso(one.opened_at)}


def _severities(then: Story, now: Story) -> dict[str, Any]:
    moved = [
        {**_incident(now, key), "before": then.incidents[key].severity}
        for key in now.incidents
        if key in then.incidents and then.incidents[key].severity != now.incidents[key].severity
    ]
    return {"count": len(moved), "moved": moved[:SHOWN]}


def _attempts(then: Story, now: Story) -> dict[str, Any]:
    new, gone = _apart(then.attempts, now.attempts)
    added = [_attempt(now, name, now.attempts[name]) for name in new]
    removed = [_attempt(then, name, then.attempts[name]) for name in gone]
    return _both(then.attempts, now.attempts, added, removed)


def _attempt(story: Story, name: AttemptKey, one: Attempted) -> dict[str, Any]:
    return {
        "workflow": name.workflow,
        "run": name.run,
        "number": name.number,
        "incident": _incident(story, one.incident)["number"],
        "at": _iso(one.at),
        "outcome": one.ended,
        "is_assumed": one.is_assumed,
    }


def _told(then: Story, now: Story) -> dict[str, Any]:
    more, fewer = now.told - then.told, then.told - now.told
    return _both(
        list(then.told.elements()),
        list(now.told.elements()),
        [_incident(now, key) for key in more.elements()],
        [_incident(then, key) for key in fewer.elements()],
    )


def _asked(then: Story, now: Story) -> dict[str, Any]:
    new, gone = _apart(then.asked, now.asked)
    return _both(
        then.asked,
        now.asked,
        [_question(name, now.asked[name]) for name in new],
        [_question(name, then.asked[name]) for name in gone],
    )


def _question(name: AttemptKey, why: str) -> dict[str, Any]:
    return {"workflow": name.workflow, "run": name.run, "reason": why}


def _vendors(then: Story, now: Story) -> Iterator[dict[str, Any]]:
    """What each bore in its worst minute, retries and the calls that workflows made by themselves."""
    for name in sorted({*then.loads, *now.loads}):
        peaks = [max(story.loads.get(name, {"": 0}).values()) for story in (then, now)]
        opened = [story.openings[name] for story in (then, now)]
        yield {
            "vendor": name,
            "peak_before": peaks[0],
            "peak_after": peaks[1],
            "breaker_openings_before": opened[0],
            "breaker_openings_after": opened[1],
        }


def _counted(then: Counter[str], now: Counter[str]) -> dict[str, int]:
    return {"before": then.total(), "after": now.total()}


def _apart(then: Mapping[Any, Any], now: Mapping[Any, Any]) -> tuple[list[Any], list[Any]]:
    return [key for key in now if key not in then], [key for key in then if key not in now]


def _both(then: Any, now: Any, added: list[Any], removed: list[Any]) -> dict[str, Any]:
    return {
        "before": len(then),
        "after": len(now),
        "n_added": len(added),
        "n_removed": len(removed),
        "added": added[:SHOWN],
        "removed": removed[:SHOWN],
    }


def _differs(part: Mapping[str, Any]) -> bool:
    return bool(part.get("n_added") or part.get("n_removed") or part.get("count"))


def _iso(moment: datetime) -> str:
    return moment.isoformat()
