"""What each kind of destination is sent, byte for byte where it matters."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from actions import channel_github, channels, signing, transport
from actions.channels import About, Destination, Item, Message

NOW = datetime(2026, 1, 19, 10, 0, tzinfo=UTC)
SECRET = signing.new_secret()
ABOUT = About(
    id="01950000-0000-7000-8000-000000000001",
    number="INC-12",
    title="Payment failed",
    status="escalated",
    severity="high",
    category="vendor_error",
    error_code="payment_timeout",
    workflow="checkout",
    vendor="stripe",
    event_count=30,
    unrecovered_runs=7,
    url="/incidents/01950000-0000-7000-8000-000000000001/",
)
ITEM = Item(
    id="01950000-0000-7000-8000-0000000000aa",
    kind="triggered",
    subject="INC-12 high: Payment failed",
    text="Payment failed <b>hard</b> & often. <!channel>",
    at=NOW,
    about=ABOUT,
)
OTHER = replace(ITEM, id="01950000-0000-7000-8000-0000000000bb", subject="INC-13 low: Slow")


def message(kind: str, *items: Item, **fields: Any) -> Message:
    to = Destination(
        kind=kind,
        url="https://hooks.example.org/T000/B000",
        secret=fields.pop("secret", SECRET),
        config={"repository": "acme/shop", "labels": ["outage"]},
    )
    return Message(to=to, items=items or (ITEM,), correlation_id="corr-1", **fields)


def sent(said: Message) -> tuple[transport.OutgoingRequest, dict[str, Any]]:
    request = channels.request_of(said, now=NOW)
    return request, json.loads(request.body)


def test_slack_gets_a_notification_and_blocks_that_ping_nobody() -> None:
    request, body = sent(message("slack"))
    assert (request.method, request.url) == ("POST", "https://hooks.example.org/T000/B000")
    assert body == {
        "text": "INC-12 high: Payment failed",
        "blocks": [
            {
                "type": "header",
                "text": {"type": "plain_text", "text": "INC-12 high: Payment failed"},
            },
            {
                "type": "section",
                "text": {
                    "type": "mrkdwn",
                    "text": "Payment failed &lt;b&gt;hard&lt;/b&gt; &amp; often. &lt;!channel&gt;",
                },
            },
        ],
    }
    assert "webhook-signature" not in request.headers


def test_slack_gets_a_group_as_sections_and_a_digest_within_its_limits() -> None:
    _, body = sent(message("slack", ITEM, OTHER))
    assert body["text"] == "INC-12 high: Payment failed (and 1 more)"
    assert body["blocks"][2]["text"]["text"].startswith("*INC-13 low: Slow*\n")

    many = [replace(ITEM, text="x" * 9000)] * 120
    _, digest = sent(message("slack", *many))
    assert len(digest["blocks"]) <= 50
    assert (
        max(len(str(block.get("text", {}).get("text", ""))) for block in digest["blocks"]) <= 3000
    )
    assert digest["blocks"][-1]["elements"][0]["text"] == "100 more are in the console."


def test_pagerduty_gets_one_alert_for_one_incident() -> None:
    request, body = sent(message("pagerduty", secret="R0UT1NG"))
    assert request.url == "https://hooks.example.org/T000/B000"
    assert body == {
        "routing_key": "R0UT1NG",
        "event_action": "trigger",
        "dedup_key": ABOUT.id,
        "client": "AWFDRS",
        "payload": {
            "summary": "INC-12 high: Payment failed",
            "source": "checkout",
            "severity": "error",
            "timestamp": "2026-01-19T10:00:00Z",
            "custom_details": {"text": ITEM.text, "incident": ABOUT.as_json()},
        },
    }


@pytest.mark.parametrize(
    ("kind", "action"), [("acknowledged", "acknowledge"), ("resolved", "resolve")]
)
def test_pagerduty_hears_of_the_same_alert_what_became_of_it(kind: str, action: str) -> None:
    _, body = sent(message("pagerduty", replace(ITEM, kind=kind), secret="R0UT1NG"))
    assert body == {"routing_key": "R0UT1NG", "event_action": action, "dedup_key": ABOUT.id}


@pytest.mark.parametrize(
    ("severity", "there"),
    [("critical", "critical"), ("high", "error"), ("medium", "warning"), ("low", "info")],
)
def test_pagerduty_has_severities_of_its_own(severity: str, there: str) -> None:
    item = replace(ITEM, about=replace(ABOUT, severity=severity))
    assert sent(message("pagerduty", item))[1]["payload"]["severity"] == there


def test_pagerduty_has_one_address_for_everybody_unless_another_is_given() -> None:
    said = message("pagerduty")
    said = replace(said, to=replace(said.to, url=""))
    assert sent(said)[0].url == "https://events.pagerduty.com/v2/enqueue"


def test_a_webhook_gets_a_signed_body_whose_id_stays() -> None:
    request, body = sent(message("webhook", ITEM, OTHER))
    assert request.headers["webhook-id"] == ITEM.id
    signing.verify(headers=request.headers, body=request.body, secret=SECRET, now=NOW)
    assert request.headers["X-Correlation-ID"] == "corr-1"
    more = body.pop("more")
    assert body == {
        "type": "incident.triggered",
        "id": ITEM.id,
        "at": "2026-01-19T10:00:00Z",
        "subject": ITEM.subject,
        "text": ITEM.text,
        "incident": ABOUT.as_json(),
    }
    assert [each["id"] for each in more] == [OTHER.id]


def test_a_webhook_without_a_secret_is_not_signed() -> None:
    request, _ = sent(message("webhook", secret=""))
    assert "webhook-signature" not in request.headers


def test_a_generic_tracker_is_asked_with_the_name_it_gave() -> None:
    closing = replace(ITEM, kind="ticket_close")
    request, body = sent(message("ticket", closing, ticket_id="T-7"))
    signing.verify(headers=request.headers, body=request.body, secret=SECRET, now=NOW)
    assert (body["type"], body["ticket_id"]) == ("ticket.close", "T-7")


def test_an_email_is_one_header_line_and_recognisable() -> None:
    split = replace(ITEM, subject="INC-12\r\nBcc: everybody@example.org")
    said = message("email", split, OTHER)
    mail = channels.mail_of(replace(said, to=replace(said.to, address="ops@example.org")))
    assert mail.to == "ops@example.org"
    assert mail.subject == "INC-12 Bcc: everybody@example.org (and 1 more)"
    assert mail.message_id == f"<{ITEM.id}@awfdrs>"
    assert OTHER.subject in mail.text


def test_a_message_never_prints_its_secret() -> None:
    assert SECRET not in repr(message("webhook"))


# --- GitHub ---

ISSUE = {"number": 41, "html_url": "https://github.com/acme/shop/issues/41"}
Asked = list[tuple[str, str, dict[str, Any]]]


def github(
    *answers: tuple[int, Any],
) -> tuple[Asked, Callable[[transport.OutgoingRequest], transport.Answer]]:
    asked: Asked = []
    left = list(answers)

    def send(request: transport.OutgoingRequest) -> transport.Answer:
        body = json.loads(request.body) if request.body else {}
        asked.append(
            (request.method, request.url.removeprefix("https://hooks.example.org/T000/B000"), body)
        )
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        status, content = left.pop(0)
        return transport.Answer(
            status=status, headers={}, excerpt="", latency_ms=1, body=json.dumps(content).encode()
        )

    return asked, send


def opening(**fields: Any) -> Message:
    return message(
        "github", replace(ITEM, kind="ticket_open", text="Ask @alice <!-- x -->"), **fields
    )


def test_github_gets_one_issue_with_a_mark_and_mentions_nobody() -> None:
    asked, send = github((201, ISSUE))
    said = channel_github.converse(opening(), send=send)
    assert (said.number, said.url) == ("41", ISSUE["html_url"])
    [(method, path, body)] = asked
    assert (method, path) == ("POST", "/repos/acme/shop/issues")
    assert body["title"] == ITEM.subject
    assert body["labels"] == ["outage"]
    assert "@alice" not in body["body"]
    assert body["body"].endswith(f"<!-- awfdrs-incident-{ABOUT.id} -->")
    assert body["body"].count("<!--") == 1


def test_after_an_unseen_outcome_the_issue_is_looked_for_before_another_is_made() -> None:
    asked, send = github((200, {"total_count": 1, "items": [ISSUE]}))
    said = channel_github.converse(opening(attempt=2), send=send)
    assert said.number == "41"
    assert [method for method, _, _ in asked] == ["GET"]
    assert "/search/issues" in asked[0][1]
    assert f"awfdrs-incident-{ABOUT.id}" in asked[0][1]

    asked, send = github((200, {"total_count": 0, "items": []}), (201, ISSUE))
    assert channel_github.converse(opening(attempt=2), send=send).number == "41"
    assert [method for method, _, _ in asked] == ["GET", "POST"]


def test_a_search_that_fails_makes_no_issue() -> None:
    asked, send = github((503, {}))
    assert channel_github.converse(opening(attempt=2), send=send).answer.status == 503
    assert len(asked) == 1


def test_an_incident_that_comes_back_opens_its_issue_again_with_a_comment() -> None:
    asked, send = github((200, ISSUE), (201, {}))
    said = channel_github.converse(opening(ticket_id="41"), send=send)
    assert said.number == "41"
    assert [(method, path) for method, path, _ in asked] == [
        ("PATCH", "/repos/acme/shop/issues/41"),
        ("POST", "/repos/acme/shop/issues/41/comments"),
    ]
    assert asked[0][2] == {"state": "open"}


def test_an_issue_is_closed_with_its_incident() -> None:
    asked, send = github((200, ISSUE), (201, {}))
    closing = message("github", replace(ITEM, kind="ticket_close"), ticket_id="41")
    channel_github.converse(closing, send=send)
    assert asked[0][2] == {"state": "closed", "state_reason": "completed"}
    assert asked[1][1].endswith("/issues/41/comments")


def test_a_test_asks_for_the_repository_and_opens_nothing() -> None:
    asked, send = github((200, {"full_name": "acme/shop"}))
    channel_github.converse(message("github", replace(ITEM, kind="test", about=None)), send=send)
    assert asked == [("GET", "/repos/acme/shop", {})]


@pytest.mark.parametrize("content", [[], "no", {"number": "41; drop"}, {"number": 10**20}])
def test_an_answer_that_names_no_issue_names_none(content: Any) -> None:
    _, send = github((201, content))
    assert channel_github.converse(opening(), send=send).number == ""
