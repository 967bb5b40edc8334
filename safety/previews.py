"""What the layer above knows of kill switches: what one would hold, what one holds, what a lift would let run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from safety.killswitch import Held


@dataclass(frozen=True)
class StopPreview:
    """What would be held from now on; what is under way is not called back."""

    would_hold: int = 0
    under_way: int = 0
    by_type: Mapping[str, int] = field(default_factory=dict)
    by_workflow: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LiftPreview:
    """What is held, and what would become of it: one of the four."""

    held: int = 0
    would_run: int = 0
    superseded: int = 0  # its run has recovered meanwhile, or its incident is ignored: skipped
    expired: int = (
        0  # what allowed it does not hold any more: people are asked again, or it is given up
    )
    still_held: int = 0  # another switch holds it too

    def __add__(self, other: "LiftPreview") -> "LiftPreview":
        names = self.__dataclass_fields__
        return LiftPreview(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True)
class Above:
    """(tenant id, scope, target) -> what would be held; (tenant id, switches) -> what each holds."""

    stop: Callable[[UUID, str, str], StopPreview]
    lifts: Callable[[UUID, Sequence[Held]], Mapping[UUID, LiftPreview]]


NOTHING_ABOVE = Above(stop=lambda *_: StopPreview(), lifts=lambda *_: {})
