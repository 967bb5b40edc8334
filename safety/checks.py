"""The only link from the rulebook to `manage.py check`: every problem becomes an Error there."""

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


def errors_in(directory: Path) -> list[CheckMessage]:
    try:
        rulefiles.load(directory)
    except rulefiles.RulebookError as refused:
        return [Error(str(problem), id="safety.E001") for problem in refused.problems]
    return []
