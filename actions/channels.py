"""The only place that says what each kind of destination is sent: pure, from one message to one request."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from actions import signing, transport
from actions.states import ChannelKind, DeliveryKind
from awfdrs_site.lib import correlation

DEADLINE_SECONDS = 10.0
SLACK_HEADER_CHARACTERS = 150
SLACK_TEXT_CHARACTERS = 2900  # of 3000
SLACK_SECTIONS = 20  # of 50 blocks; what is more stays a number
PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
PAGERDUTY_SUMMARY_CHARACTERS = 1024
EMAIL_SUBJECT_CHARACTERS = 200

_PAGERDUTY_ACTIONS = {
    DeliveryKind.ACKNOWLEDGED: "acknowledge",
    DeliveryKind.RESOLVED: "resolve",
}
_PAGERDUTY_SEVERITIES = {"critical": "critical", "high": "error", "medium": "warning"}
_TYPES = {
    DeliveryKind.TRIGGERED: "incident.triggered",
    DeliveryKind.ACKNOWLEDGED: "incident.acknowledged",
    DeliveryKind.RESOLVED: "incident.resolved",
    DeliveryKind.TICKET_OPEN: "ticket.open",
    DeliveryKind.TICKET_CLOSE: "ticket.close",
}


@dataclass(frozen=True)
class About:
    """The incident that something is said of, as it was when it was sent."""

    id: str
    number: str
    title: str
    status: str
    severity: str
    category: str
    error_code: str
    workflow: str
    vendor: str | None
    event_count: int
    unrecovered_runs: int
    url: str

    def as_json(self) -> dict[str, Any]:
        return dict(self.__dict__)


@dataclass(frozen=True)
class Item:
    """One thing said; several go in one message when they came together."""

    id: str  # the delivery's: stable over every try, so that a duplicate can be recognised
    kind: str
    subject: str
    text: str
    at: datetime
    about: About | None = None


@dataclass(frozen=True)
class Destination:
    """A channel with its secret opened, or a person."""

    kind: str
    url: str = ""
    address: str = ""
    secret: str = field(default="", repr=False)
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """What goes out in one request; the first item gives it its id."""

    to: Destination
    items: Sequence[Item]
    correlation_id: str
    attempt: int = 1
    ticket_id: str = ""  # in the tracker elsewhere, once it is known
    refusal: str = ""  # why it cannot be sent at all, found while it was built

    @property
    def first(self) -> Item:
        return self.items[0]

    @property
    def subject(self) -> str:
        more = len(self.items) - 1
        return f"{self.first.subject} (and {more} more)" if more else self.first.subject

    @property
    def text(self) -> str:
        if len(self.items) == 1:
            return self.first.text
        return "\n\n".join(f"{item.subject}\n{item.text}" for item in self.items)


@dataclass(frozen=True)
class Mail:
    """The same for people who read e-mail."""

    to: str
    subject: str
    text: str
    message_id: str


def request_of(message: Message, *, now: datetime) -> transport.OutgoingRequest:
    """The one request of a Slack-compatible webhook, PagerDuty, a generic webhook or a generic tracker."""
    url, body = _BODIES[ChannelKind(message.to.kind)](message)
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return transport.OutgoingRequest(
        method="POST",
        url=url,
        headers={
            "Content-Type": "application/json",
            correlation.HEADER: message.correlation_id,
            **_signature(message, content, now=now),
        },
        body=content,
        deadline_seconds=DEADLINE_SECONDS,
    )


def mail_of(message: Message) -> Mail:
    """One e-mail; mail programs thread and drop duplicates by its id."""
    return Mail(
        to=message.to.address,
        # A line break would end the header and start another one.
        subject=" ".join(message.subject.split())[:EMAIL_SUBJECT_CHARACTERS],
        text=message.text,
        message_id=f"<{message.first.id}@awfdrs>",
    )


def secrets_of(to: Destination) -> list[str]:
    """What an answer that echoes our request must not show."""
    path = to.url.partition("://")[2].partition("/")[2]
    # Whoever knows the path of such a webhook may post to it.
    is_secret_path = to.kind == ChannelKind.SLACK and len(path) >= 6
    return [known for known in (to.secret, path if is_secret_path else "") if known]


def _signature(message: Message, content: bytes, *, now: datetime) -> dict[str, str]:
    if message.to.kind not in (ChannelKind.WEBHOOK, ChannelKind.TICKET) or not message.to.secret:
        return {}
    return signing.headers(
        message_id=message.first.id, at=now, body=content, secrets=(message.to.secret,)
    )


def _slack(message: Message) -> tuple[str, dict[str, Any]]:
    """`text` is the notification, and all that receivers without blocks show."""
    blocks: list[dict[str, Any]] = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": message.subject[:SLACK_HEADER_CHARACTERS]},
        }
    ]
    for item in message.items[:SLACK_SECTIONS]:
        said = item.text if len(message.items) == 1 else f"*{item.subject}*\n{item.text}"
        text = {"type": "mrkdwn", "text": _slack_text(said)}
        blocks.append({"type": "section", "text": text})
    more = len(message.items) - SLACK_SECTIONS
    if more > 0:
        rest = {"type": "mrkdwn", "text": f"{more} more are in the console."}
        blocks.append({"type": "context", "elements": [rest]})
    return message.to.url, {"text": _slack_text(message.subject), "blocks": blocks}


def _slack_text(text: str) -> str:
    """Its three control characters: a failure's title must not ping a whole workspace."""
    cut = text[:SLACK_TEXT_CHARACTERS]
    safe = cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe[:SLACK_TEXT_CHARACTERS]


def _pagerduty(message: Message) -> tuple[str, dict[str, Any]]:
    item = message.first
    about = item.about
    body: dict[str, Any] = {
        "routing_key": message.to.secret,
        "event_action": _PAGERDUTY_ACTIONS.get(DeliveryKind(item.kind), "trigger"),
        # One alert there for one incident here, whoever says it how often.
        "dedup_key": about.id if about else item.id,
    }
    if body["event_action"] == "trigger":
        body["client"] = "AWFDRS"
        body["payload"] = {
            "summary": item.subject[:PAGERDUTY_SUMMARY_CHARACTERS],
            "source": about.workflow if about else "awfdrs",
            "severity": _PAGERDUTY_SEVERITIES.get(about.severity if about else "", "info"),
            "timestamp": _stamp(item.at),
            "custom_details": {
                "text": item.text,
                **({"incident": about.as_json()} if about else {}),
            },
        }
    return message.to.url or PAGERDUTY_URL, body


def _webhook(message: Message) -> tuple[str, dict[str, Any]]:
    more = [_item(item) for item in message.items[1:]]
    return message.to.url, {**_item(message.first), "more": more}


def _ticket(message: Message) -> tuple[str, dict[str, Any]]:
    return message.to.url, {**_item(message.first), "ticket_id": message.ticket_id or None}


def _item(item: Item) -> dict[str, Any]:
    return {
        "type": _TYPES.get(DeliveryKind(item.kind), item.kind),
        "id": item.id,
        "at": _stamp(item.at),
        "subject": item.subject,
        "text": item.text,
        "incident": item.about.as_json() if item.about else None,
    }


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


_BODIES: dict[str, Callable[[Message], tuple[str, dict[str, Any]]]] = {
    ChannelKind.SLACK: _slack,
    ChannelKind.PAGERDUTY: _pagerduty,
    ChannelKind.WEBHOOK: _webhook,
    ChannelKind.TICKET: _ticket,
}
