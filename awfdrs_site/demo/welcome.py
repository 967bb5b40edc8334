"""What `make run` says when the stack is ready: who may sign in, and a first event to paste."""

from datetime import UTC, datetime
from pathlib import Path

from awfdrs_site.demo import cast, kept

# The body of the earlier README, unchanged but for the time: a first event a year old would
# open an incident at the bottom of the list.
_BODY = """{
  "tenant_id": "00000000-0000-0000-0000-000000000001",
  "workflow_id": "10000000-0000-0000-0000-000000000001",
  "event_type": "payment.failed",
  "payload": {
    "amount": 100.00,
    "error_code": "payment_timeout",
    "vendor": "stripe"
  },
  "idempotency_key": "unique-key-001",
  "occurred_at": "%s",
  "schema_version": "1.0.0"
}"""


def text(url: str, *, logs: Path) -> str:
    """Everything after the `ready:` line."""
    names = ", ".join(
        f"{person.username} ({person.role})"
        for person in cast.PEOPLE
        if person.works_at == cast.ACME
    )
    return (
        f"sign in: {names}; {cast.OUTSIDER.username} of {cast.GLOBEX.name};"
        f" {cast.STAFF.username} for {url}/admin/\n"
        f"password: {kept.password()}\n"
        f"logs: {logs}\n"
        f"send an event:\n{curl(url)}"
    )


def curl(url: str) -> str:
    """Ready to paste; pasted again, also after a restart, it is the same event: 200."""
    at = kept.keep("curl.occurred_at", lambda old: old or f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    key = kept.known(f"{cast.ACME.slug}.demo")
    return (
        f"curl -i -X POST {url}/api/v1/events \\\n"
        f"  -H 'Authorization: Bearer {key}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d '{_BODY % at}'"
    )
