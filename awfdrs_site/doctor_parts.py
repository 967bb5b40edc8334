"""What the doctor asks everything that is not the database."""

import shutil
import time

import redis
from django.conf import settings
from django.core import checks

from awfdrs_site import health, self_reports
from awfdrs_site.doctor_findings import BROKEN, OK, WARNING, Finding, found

ROOM_BYTES = 1 << 30
PING_SECONDS = 2.0
SLOW_SECONDS = 0.1


def settings_are_safe() -> Finding:
    is_production = not (settings.EMBEDDED or settings.DEBUG)
    messages = checks.run_checks(include_deployment_checks=is_production)
    wrong = [one for one in messages if not one.is_silenced() and one.level >= checks.WARNING]
    if not wrong:
        return Finding(OK, "Every setting is of use." if is_production else "For development.")
    worst = BROKEN if any(one.level >= checks.ERROR for one in wrong) else WARNING
    first = wrong[0]
    return Finding(
        worst,
        f"{len(wrong)} settings, first {first.id}: {first.msg.splitlines()[0]}",
        "manage.py check --deploy says all of it.",
    )


def redis_answers() -> Finding:
    began = time.monotonic()
    with redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1
    ) as asked:
        version = asked.info("server")["redis_version"]
    seconds = time.monotonic() - began
    return found(
        is_well=seconds < SLOW_SECONDS,
        says=f"Redis {version} answers within {seconds * 1000:.0f} ms.",
        cure="Bring it nearer: requests ask it for limits, and wait half a second at most.",
        otherwise=WARNING,
    )


def workers_answer() -> Finding:
    from awfdrs_site.celery import app

    names = [next(iter(one)) for one in app.control.ping(timeout=PING_SECONDS) or ()]
    return found(
        is_well=bool(names),
        says=f"{len(names)} workers answer.",
        cure="Start one: celery -A awfdrs_site.celery worker --pool threads -Q digest,actions,default",
    )


def beat_is_seen() -> Finding:
    seen_at, now = self_reports.beat_seen()
    if seen_at is None:
        return Finding(WARNING, "No beat has run yet, or not for three minutes.", _START_BEAT)
    return found(
        is_well=now - seen_at < self_reports.BEAT_LATE,
        says=f"Beat wrote down what it did {(now - seen_at).total_seconds():.0f} s ago.",
        cure=_START_BEAT,
        otherwise=WARNING,
    )


def work_flows() -> Finding:
    late = health.late()
    waits = ", ".join(name.removesuffix("_seconds").replace("_", " ") for name in late)
    return found(
        is_well=not late,
        says=f"Waits longer than {health.LATE_SECONDS} s: {waits}."
        if late
        else "Nothing waits too long.",
        cure="Start more workers; their log says what holds them up.",
    )


def disk_has_room() -> Finding:
    usage = shutil.disk_usage(settings.AWFDRS_DATA)
    return found(
        is_well=usage.free > ROOM_BYTES,
        says=f"{usage.free / (1 << 30):.1f} GiB are free at {settings.AWFDRS_DATA}.",
        cure="Make room, or lower EVENT_RETENTION_DAYS; the database's own disk only its host can see.",
        otherwise=WARNING,
    )


def outbound_is_closed() -> Finding:
    networks = ", ".join(map(str, settings.OUTBOUND_ALLOW_CIDRS))
    return found(
        is_well=not networks,
        says=f"Every tenant's calls may reach {networks}."
        if networks
        else "Private networks are closed to calls.",
        cure="Leave OUTBOUND_ALLOW_CIDRS empty unless every host in there may be called by every tenant.",
        otherwise=WARNING,
    )


def somebody_outside_listens() -> Finding:
    return found(
        is_well=bool(settings.HEARTBEAT_URL),
        says="A dead-man's switch is pinged."
        if settings.HEARTBEAT_URL
        else "Nobody outside would notice silence.",
        cure="Set HEARTBEAT_URL to a dead-man's switch, or watch /api/v1/health/pipeline from outside.",
        otherwise=WARNING,
    )


_START_BEAT = (
    "Start one: celery -A awfdrs_site.celery beat; without it sweeps still run, heartbeats do not."
)
