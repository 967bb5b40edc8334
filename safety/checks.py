"""The only place where a rulebook that does not hold is told: as Errors of `manage.py check`, or by ending a server."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from safety import rulefiles

# An apps.py imports this module in ready(): a check that nobody imports never runs.


@register("rulebook")
def check_rulebook(**_: Any) -> list[CheckMessage]:
    return errors_in(configured_directory())


def configured_directory() -> Path:
    other = getattr(settings, "AWFDRS_RULES_DIR", "")
    return Path(other) if other else rulefiles.shipped()


def demand() -> None:
    """For the servers, which run no checks: ends the process with every problem, file, line and key."""
    if problems := errors_in(configured_directory()):
        raise SystemExit("\n".join(["awfdrs: the rules do not hold.", *(p.msg for p in problems)]))


def errors_in(directory: Path) -> list[CheckMessage]:
    try:
        rulefiles.load(directory)
    except rulefiles.RulebookError as refused:
        return [Error(str(problem), id="safety.E001") for problem in refused.problems]
    return []
