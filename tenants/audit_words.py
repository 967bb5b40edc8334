"""The only place that words a journal line for auditors: what it is about, and what was before and after."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(\+00:00|Z)")
SHOWN = 300  # characters of one value
TYPES = {  # where the name of a model is not what people call it
    "affectedrun": "affected run",
    "apikey": "API key",
    "campaignrun": "campaign run",
    "circuitbreaker": "breaker",
    "escalationpolicy": "escalation policy",
    "killswitch": "kill switch",
    "outcomerule": "outcome rule",
    "ruleoverride": "rule",
    "rulepause": "rule pause",
}


@dataclass(frozen=True)
class Told:
    """One value of a line; `before` is None where the line tells no change."""

    name: str
    before: str | None
    after: str


def verb(name: str) -> str:
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def kind(subject_type: str) -> str:
    return TYPES.get(subject_type, subject_type)


def told(detail: Mapping[str, Any]) -> tuple[Told, ...]:
    """Changes are kept as [before, after], or as `before` and `after`."""
    if {"before", "after"} <= detail.keys():
        rest = {name: value for name, value in detail.items() if name not in ("before", "after")}
        change = Told("", _text(detail["before"]), _text(detail["after"]))
        return (change, *_each(rest, ""))
    return tuple(_each(detail, ""))


def _each(values: Mapping[str, Any], above: str) -> Iterator[Told]:
    for name, value in values.items():
        full = f"{above}{name.replace('_', ' ')}"
        if isinstance(value, dict) and value:
            yield from _each(value, f"{full} · ")
        elif _is_change(value):
            yield Told(full, _text(value[0]), _text(value[1]))
        else:
            yield Told(full, None, _text(value))


def _is_change(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and not isinstance(value[0], list | dict)


def _text(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value)[:SHOWN] or "–"
    moment = _MOMENT.fullmatch(str(value))
    return f"{moment[1]} {moment[2]} UTC" if moment else str(value)[:SHOWN]
