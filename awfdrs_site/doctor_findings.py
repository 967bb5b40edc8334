"""What a check of the doctor answers."""

from collections.abc import Mapping
from dataclasses import dataclass

OK, WARNING, BROKEN, SKIPPED = "ok", "warning", "broken", "skipped"


@dataclass(frozen=True)
class Finding:
    """`cure` is what to do, in one sentence; empty where all is well."""

    state: str
    says: str
    cure: str = ""


def told(failure: Exception) -> str:
    first = next(iter(str(failure).splitlines()), "")
    return f"{type(failure).__name__}: {first}" if first else type(failure).__name__


def broken(failure: Exception, cures: Mapping[str, str], *, otherwise: str) -> Finding:
    """With the first cure whose part of the message fits."""
    said = str(failure)
    cure = next((cure for part, cure in cures.items() if part in said), otherwise)
    return Finding(BROKEN, told(failure), cure)


def found(*, is_well: bool, says: str, cure: str, otherwise: str = BROKEN) -> Finding:
    return Finding(OK, says) if is_well else Finding(otherwise, says, cure)
