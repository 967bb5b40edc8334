"""The only shape of what analysis claims: a sentence, the numbers behind it, and the events that were counted."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

Kind = Literal["vendor", "change", "attribute", "step", "cycle"]

LEAST = 5  # failures; fewer support nothing
SURE = 0.01  # of q: one false claim in a hundred


@dataclass(frozen=True)
class Hypothesis:
    """`event_ids` are the failures the claim counts; `compared` how many reports or runs it was tested on."""

    kind: Kind
    subject: str  # the vendor, the change, `field=value`, the step, the rhythm
    claim: str
    statistic: str  # name and value of the test
    q_value: float
    interval: tuple[float, float]  # of the share named in `share_of`, 95 %
    share_of: str
    compared: int
    score: float  # what it explains, in units of log-likelihood: the order of the cards
    event_ids: tuple[UUID, ...]
    lift: float | None = None
    support: float | None = None

    @property
    def n(self) -> int:
        return len(self.event_ids)


def percent(hits: int, n: int) -> str:
    return f"{100 * hits / n:.0f} %" if n else "none"
