"""The only place that compares two payloads: which values came, went and changed, by where they stand."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from typing import Any

MOST = 200  # differences shown; the first ones, by path
DEEPEST = 32
SHOWN = 300  # characters of a value


@dataclass(frozen=True)
class Difference:
    """`kind` is came, went or changed; a value that is not there is empty."""

    path: str
    kind: str
    good: str
    bad: str


def differences(good: Mapping[str, Any], bad: Mapping[str, Any]) -> tuple[Difference, ...]:
    """What the bad one has, lacks and says otherwise, in order of path; the first MOST."""
    before, after = dict(_leaves(good)), dict(_leaves(bad))
    found: list[Difference] = []
    for path in sorted(before.keys() | after.keys()):
        if len(found) == MOST:
            break
        if path not in before:
            found.append(Difference(path, "came", "", after[path]))
        elif path not in after:
            found.append(Difference(path, "went", before[path], ""))
        elif before[path] != after[path]:
            found.append(Difference(path, "changed", before[path], after[path]))
    return tuple(found)


def _leaves(payload: Any) -> Iterator[tuple[str, str]]:
    """(`a.b[0]`, value as JSON) of every value, without recursion: payloads may be as deep as they like."""
    waiting: list[tuple[str, Any, int]] = [("", payload, 0)]
    while waiting:
        path, value, depth = waiting.pop()
        if depth < DEEPEST and isinstance(value, Mapping) and value:
            waiting += [(_key(path, name), inner, depth + 1) for name, inner in value.items()]
        elif depth < DEEPEST and _is_list(value) and value:
            waiting += [(f"{path}[{n}]", inner, depth + 1) for n, inner in enumerate(value)]
        elif path:
            yield path, _written(value)


def _key(path: str, name: Any) -> str:
    """Names with marks of their own are quoted, so that no two places are written alike."""
    text = str(name)
    plain = text.replace("_", "a").replace("-", "a")
    word = text if plain.isalnum() else dumps(text, ensure_ascii=False)
    return f"{path}.{word}" if path else word


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _written(value: Any) -> str:
    try:
        text = dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    except (RecursionError, TypeError, ValueError):
        text = "…"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
