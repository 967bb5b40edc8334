"""The only place that pings the dead-man's switch outside: only while work flows, so that silence is the alarm."""

from django.conf import settings

from actions import transport
from actions.transport import OutgoingRequest
from awfdrs_site import health

DEADLINE_SECONDS = 5.0


class NotPinged(Exception):
    """Why nobody heard from us."""


def send() -> str:
    """Ping HEARTBEAT_URL, and say what came of it. Raises NotPinged; pings nobody while work waits too long."""
    if not settings.HEARTBEAT_URL:
        return "HEARTBEAT_URL is empty: nobody is pinged."
    if late := health.late():
        return f"Not pinged, on purpose: {', '.join(sorted(late))} of more than {health.LATE_SECONDS} s."
    request = OutgoingRequest(
        method="POST",
        url=settings.HEARTBEAT_URL,
        headers={"User-Agent": "AWFDRS"},
        deadline_seconds=DEADLINE_SECONDS,
    )
    try:
        answer = transport.send(request, allow_cidrs=settings.OUTBOUND_ALLOW_CIDRS)
    except (transport.Refused, transport.NotSent, transport.OutcomeUnknown) as failure:
        raise NotPinged(str(failure)) from failure
    if answer.status >= 400:
        raise NotPinged(f"The answer to the heartbeat was {answer.status}.")
    return f"Pinged: {answer.status}."
