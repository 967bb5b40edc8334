"""What a campaign's numbers mean: its stages, and when one of them has failed; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import ceil
from typing import Any

EVIDENCE = 20  # calls: a share of fewer says nothing, unless the stage has no more
STAGES_MOST = 10
VERIFY_SECONDS_MOST = 900  # then the action itself counts as not verified


@dataclass(frozen=True)
class Terms:
    """`stages` say how many runs have been called when each is over: a number, or a share such as "5%"."""

    stages: tuple[int | str, ...] = (1, "5%", "25%", "100%")
    failure_share: float = 0.2
    verify_seconds: int = VERIFY_SECONDS_MOST

    def as_json(self) -> dict[str, Any]:
        return {
            "stages": list(self.stages),
            "failure_share": self.failure_share,
            "verify_seconds": self.verify_seconds,
        }


@dataclass(frozen=True)
class Tally:
    """The calls of a stage since it began, or was resumed; `unanswered` are made and not sent yet or under way."""

    n_runs: int
    n_answered: int
    n_failed: int
    n_called: int  # whose outcome is not known yet
    n_eligible: int
    n_unanswered: int

    @property
    def is_over(self) -> bool:
        return self.n_called == 0 and self.n_eligible == 0


def of_json(parameters: Mapping[str, Any]) -> Terms:
    return Terms(**{**parameters, "stages": tuple(parameters["stages"])})


def ends(terms: Terms, n_runs: int) -> list[int]:
    """How many runs have been called when each stage is over; a stage that would add none is left out."""
    wanted = accumulate((min(n_runs, _runs(stage, n_runs)) for stage in terms.stages), max)
    return [end for end in dict.fromkeys(wanted) if end > 0]


def has_failed(terms: Terms, tally: Tally) -> bool:
    """Certain as soon as the failures alone exceed their share, whatever else comes back."""
    counted = max(tally.n_answered, min(tally.n_runs, EVIDENCE))
    return tally.n_failed > terms.failure_share * counted


def _runs(stage: int | str, n_runs: int) -> int:
    if isinstance(stage, int):
        return stage
    return ceil(n_runs * int(stage.removesuffix("%")) / 100)
