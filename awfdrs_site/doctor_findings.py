"""What a check of the doctor answers."""

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


def found(*, is_well: bool, says: str, cure: str, otherwise: str = BROKEN) -> Finding:
    return Finding(OK, says) if is_well else Finding(otherwise, says, cure)
