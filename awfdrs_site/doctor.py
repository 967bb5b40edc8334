"""The only place that looks over an installation: what each check found, and what to do where it is not well."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from awfdrs_site import doctor_database, doctor_keys, doctor_parts
from awfdrs_site.doctor_findings import BROKEN, SKIPPED, Finding, broken

Check = Callable[[], Finding]

CHECKS: dict[str, Check] = {
    "settings": doctor_parts.settings_are_safe,
    "database": doctor_database.answers,
    "connections": doctor_database.connections_are_free,
    "roles": doctor_database.login_is_narrow,
    "walls": doctor_database.tables_are_walled,
    "migrations": doctor_database.is_migrated,
    "partitions": doctor_database.days_are_made,
    "clock": doctor_database.clock_is_right,
    "secrets": doctor_keys.secrets_can_be_opened,
    "journal": doctor_keys.journal_is_sealed,
    "redis": doctor_parts.redis_answers,
    "workers": doctor_parts.workers_answer,
    "beat": doctor_parts.beat_is_seen,
    "pipeline": doctor_parts.work_flows,
    "disk": doctor_parts.disk_has_room,
    "mail": doctor_parts.letters_go_out,
    "outbound": doctor_parts.outbound_is_closed,
    "heartbeat": doctor_parts.somebody_outside_listens,
}
ASKS_DATABASE = frozenset(
    {"connections", "roles", "walls", "migrations", "partitions", "clock", "secrets", "journal"}
    | {"beat", "pipeline"}
)
ASKS_REDIS = "workers"
_FIRST = "Mend this first, then look again: other findings may follow."


@dataclass(frozen=True)
class Looked:
    """One check and what came of it."""

    name: str
    finding: Finding


def examine(names: Sequence[str] = ()) -> Iterator[Looked]:
    """Run these checks, or all; one that breaks is a finding and stops no other."""
    away = doctor_database.what_keeps_us_out()
    for name in names or CHECKS:
        if away and name == "database":
            yield Looked(name, away)
        elif away and name in ASKS_DATABASE:
            yield Looked(name, Finding(SKIPPED, "Not looked at: the database does not answer."))
        elif name == ASKS_REDIS and _look(doctor_parts.redis_answers).state == BROKEN:
            yield Looked(name, Finding(SKIPPED, "Not looked at: Redis does not answer."))
        else:
            yield Looked(name, _look(CHECKS[name]))


def _look(check: Check) -> Finding:
    try:
        return check()
    except Exception as failure:  # whatever it is, that is what is wrong
        return broken(failure, doctor_database.CURES, otherwise=_FIRST)
