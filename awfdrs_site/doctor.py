"""The only place that looks over an installation: what each check found, and what to do where it is not well."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from awfdrs_site import doctor_database, doctor_parts, health
from awfdrs_site.doctor_findings import BROKEN, SKIPPED, Finding

Check = Callable[[], Finding]

CHECKS: dict[str, Check] = {
    "settings": doctor_parts.settings_are_safe,
    "database": doctor_database.answers,
    "roles": doctor_database.login_is_narrow,
    "walls": doctor_database.tables_are_walled,
    "migrations": doctor_database.is_migrated,
    "partitions": doctor_database.days_are_made,
    "clock": doctor_database.clock_is_right,
    "redis": doctor_parts.redis_answers,
    "workers": doctor_parts.workers_answer,
    "beat": doctor_parts.beat_is_seen,
    "pipeline": doctor_parts.work_flows,
    "disk": doctor_parts.disk_has_room,
    "outbound": doctor_parts.outbound_is_closed,
    "heartbeat": doctor_parts.somebody_outside_listens,
}
ASKS_DATABASE = frozenset(
    {"roles", "walls", "migrations", "partitions", "clock", "beat", "pipeline"}
)


@dataclass(frozen=True)
class Looked:
    """One check and what came of it."""

    name: str
    finding: Finding


def examine(names: Sequence[str] = ()) -> Iterator[Looked]:
    """Run these checks, or all; one that breaks is a finding and stops no other."""
    away = _what_keeps_us_out()
    for name in names or CHECKS:
        if away and name == "database":
            yield Looked(name, away)
        elif away and name in ASKS_DATABASE:
            yield Looked(name, Finding(SKIPPED, "Not looked at: the database does not answer."))
        else:
            yield Looked(name, _look(CHECKS[name]))


def _what_keeps_us_out() -> Finding | None:
    """Past the pool, which would only say that it has no connection."""
    try:
        health.ask_database()
    except Exception as failure:
        return Finding(
            BROKEN,
            _told(failure),
            "See that the server runs, that DATABASE_URL names it, and that it lets this machine in.",
        )
    return None


def _look(check: Check) -> Finding:
    try:
        return check()
    except Exception as failure:  # whatever it is, that is what is wrong
        cure = "Mend this first, then look again: other findings may follow."
        return Finding(BROKEN, _told(failure), cure)


def _told(failure: Exception) -> str:
    first = next(iter(str(failure).splitlines()), "")
    return f"{type(failure).__name__}: {first}" if first else type(failure).__name__
