"""The only place that words why events are one incident, and how its neighbours differ."""

import re
from collections.abc import Mapping
from datetime import datetime

from incidents.analysis.similarity import Likeness
from incidents.models import Incident
from incidents.presentation.figures import Apart, Component, Piece
from incidents.presentation.rows import Surroundings, pill
from incidents.presentation.shapes import Neighbour
from incidents.remedies import Remedy

_NAMES = {"event_type": "Event type", "template": "Text", "message": "Text"}
_TEXTS = frozenset({"template", "message"})
_VARIABLE = re.compile(r"(<\*>|<[a-z]{2,8}>)")
_NOTHING = "none"
_WORKED = {True: "it worked", False: "it did not help", None: ""}


def components(parts: Mapping[str, str]) -> tuple[Component, ...]:
    """The parts that a signature is made of; a text in pieces, its variable places apart."""
    return tuple(
        Component(name=_name(name), pieces=pieces(value) if name in _TEXTS else (Piece(value),))
        for name, value in parts.items()
        if value
    )


def pieces(text: str) -> tuple[Piece, ...]:
    """`timed out after <num> s` as what is written and what varies."""
    parts = _VARIABLE.split(text)
    return tuple(Piece(part, bool(place % 2)) for place, part in enumerate(parts) if part)


def neighbour(
    incident: Incident, likeness: Likeness, remedy: Remedy, *, now: datetime
) -> Neighbour:
    """Another incident beside this one, with what was done about it."""
    return Neighbour(
        url=incident.get_absolute_url(),
        number=str(incident),
        title=incident.title,
        pill=pill(incident, Surroundings(now)),
        last_seen_at=incident.last_seen_at,
        percent=round(100 * likeness.score),
        same=tuple(_name(name).lower() for name in likeness.same),
        different=tuple(
            Apart(_name(one.component), pieces(one.here or _NOTHING), pieces(one.there or _NOTHING))
            for one in likeness.different
        ),
        shared=likeness.shared,
        done=f"{remedy.done}: {remedy.detail}" if remedy.detail else remedy.done,
        worked=_WORKED[remedy.worked],
    )


def _name(component: str) -> str:
    return _NAMES.get(component, component.replace("_", " ").capitalize())
