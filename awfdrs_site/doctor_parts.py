"""What the doctor asks everything that is not the database."""

import shutil
import socket
import time
from collections.abc import Mapping
from typing import Any

import redis
from django.conf import settings
from django.core import checks

from awfdrs_site import health, self_reports
from awfdrs_site.doctor_findings import BROKEN, OK, WARNING, Finding, broken, found

ROOM_BYTES = 1 << 30
PING_SECONDS = 2.0
SLOW_SECONDS = 0.1
KEEPS_ALL = "noeviction"
QUEUES = frozenset({"digest", "actions", "default"})


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
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1
        ) as asked:
            known = asked.info()
    except redis.RedisError as failure:
        return broken(failure, _REDIS_CURES, otherwise=_SEE_IT)
    return _redis_as(known, seconds=time.monotonic() - began)


def _redis_as(known: Mapping[str, Any], *, seconds: float) -> Finding:
    says = f"Redis {known['redis_version']} answers within {seconds * 1000:.0f} ms"
    policy = known.get("maxmemory_policy", KEEPS_ALL)
    ill = {
        "is a replica, which takes no writes": known.get("role", "master") != "master",
        "is a cluster": bool(known.get("cluster_enabled")),
        f"forgets by {policy} when it is full": known.get("maxmemory", 0) and policy != KEEPS_ALL,
        "is far away": seconds >= SLOW_SECONDS,
    }
    if why := next((why for why, is_so in ill.items() if is_so), ""):
        is_of_no_use = why.startswith("is a ")
        return Finding(BROKEN if is_of_no_use else WARNING, f"{says}, and {why}.", _THE_RIGHT_REDIS)
    return Finding(OK, f"{says}.")


def workers_answer() -> Finding:
    from awfdrs_site.celery import app

    queues = app.control.inspect(timeout=PING_SECONDS).active_queues() or {}
    if not queues:
        return Finding(BROKEN, "No worker answers.", _START_WORKER)
    heard = {queue["name"] for of_one in queues.values() for queue in of_one}
    deaf = sorted(QUEUES - heard)
    return found(
        is_well=not deaf,
        says=f"Workers that answer: {len(queues)}"
        + (f", and none listens to {', '.join(deaf)}." if deaf else "."),
        cure=_START_WORKER,
        otherwise=WARNING,
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


def letters_go_out() -> Finding:
    if not settings.EMAIL_BACKEND.endswith("smtp.EmailBackend"):
        return Finding(OK, "Letters do not go by SMTP.")
    server = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    try:
        socket.create_connection((settings.EMAIL_HOST, settings.EMAIL_PORT), PING_SECONDS).close()
    except OSError as failure:
        says = f"{server} takes no letters: {failure}"
        return Finding(WARNING, says, "Set EMAIL_HOST and EMAIL_PORT: invitations go by mail.")
    return Finding(OK, f"{server} takes letters.")


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


_START_WORKER = (
    "Start one: celery -A awfdrs_site.celery worker --pool threads -Q digest,actions,default"
)
_SEE_IT = "See that it runs and that REDIS_URL names it; until then limits are each process's own and pages poll."
_REDIS_CURES = {
    "WRONGPASS": "Correct the password in REDIS_URL.",
    "invalid username-password": "Correct the password in REDIS_URL.",
    "Authentication required": "Put its password into REDIS_URL: redis://:password@host:6379/0.",
    "NOPERM": "Let this user run every command on every key and channel.",
}
_THE_RIGHT_REDIS = (
    "Name a primary that stands alone and is near, with maxmemory-policy noeviction, in REDIS_URL."
)
_START_BEAT = (
    "Start one: celery -A awfdrs_site.celery beat; without it sweeps still run, heartbeats do not."
)
