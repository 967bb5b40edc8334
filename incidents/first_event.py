"""The only place that helps a tenant send its first event: what to paste, and whether one has come."""

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from events.models import Event
from incidents.models import Incident

NO_KEY = "awf_…"

_CURL = """\
curl -i -X POST {origin}/api/v1/events \\
  -H 'Authorization: Bearer {token}' \\
  -H 'Content-Type: application/json' \\
  -d '{event}'"""
_PYTHON = """\
import json, urllib.request

event = {event}
request = urllib.request.Request(
    "{origin}/api/v1/events",
    json.dumps(event).encode(),
    {{"Authorization": "Bearer {token}", "Content-Type": "application/json"}},
)
print(urllib.request.urlopen(request).read().decode())"""
_COMMAND = """\
export AWFDRS_URL={origin} AWFDRS_KEY={token}
awfdrs send payment.failed --workflow billing --run-id run-1 \\
  --field error_code=payment_timeout --field vendor=stripe"""


@dataclass(frozen=True)
class Way:
    """One way to send it, ready to be pasted."""

    slug: str
    label: str
    text: str


@dataclass(frozen=True)
class Came:
    """The first event, and the incident that it opened once it was sorted."""

    received_at: datetime
    incident: Incident | None


def ways(*, origin: str, token: str, now: datetime) -> tuple[Way, ...]:
    event = json.dumps(
        {
            "workflow": "billing",
            "event_type": "payment.failed",
            "run_id": "run-1",
            "occurred_at": now.isoformat(timespec="seconds"),
            "idempotency_key": "run-1-failed",
            "payload": {"error_code": "payment_timeout", "vendor": "stripe"},
        },
        indent=2,
    )
    said = {"origin": origin, "token": token or NO_KEY, "event": event}
    return (
        Way("curl", "curl", _CURL.format(**said)),
        Way("python", "Python", _PYTHON.format(**said)),
        Way("command", "Command line", _COMMAND.format(**said)),
    )


def came(tenant_id: UUID) -> Came | None:
    """None as long as nothing has come."""
    event = Event.objects.for_tenant(tenant_id).order_by("id").only("received_at").first()
    if event is None:
        return None
    incident = Incident.objects.for_tenant(tenant_id).order_by("id").first()
    return Came(event.received_at, incident)
