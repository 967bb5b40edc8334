"""The only place that talks to GitHub Issues: open, reopen and close the one issue of an incident."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from actions import transport
from actions.channels import DEADLINE_SECONDS, Message
from actions.states import DeliveryKind
from actions.transport import answers

API_URL = "https://api.github.com"
VERSION = "2022-11-28"
TITLE_CHARACTERS = 250
NUMBERS = 2**53  # of issues; what is beyond is nobody's
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")

Send = Callable[[transport.OutgoingRequest], transport.Answer]


@dataclass(frozen=True)
class Said:
    """The last answer, and the issue as far as it told us."""

    answer: transport.Answer
    number: str = ""
    url: str = ""


def converse(message: Message, *, send: Send) -> Said:
    """Do what the message asks, in as few calls as it takes; the first answer that is no 2xx ends it.

    After an attempt whose outcome we could not see, the issue is looked for by its mark before another is made.
    """
    if message.first.kind == DeliveryKind.TEST:  # asks whether the token may, and opens nothing
        return Said(
            send(_to(message, "GET", f"{_base(message)}/repos/{_repository(message)}", b""))
        )
    if message.first.kind == DeliveryKind.TICKET_CLOSE:
        return _close(message, send)
    if message.ticket_id:
        return _reopen(message, send)
    if message.attempt > 1:
        found = _find(message, send)
        if found.number or not _is_good(found.answer):
            return found
    return _create(message, send)


def mark_of(incident_id: str) -> str:
    """Stands in the issue's text, unseen by people, so that we find it again."""
    return f"awfdrs-incident-{incident_id}"


def _create(message: Message, send: Send) -> Said:
    item, config = message.first, message.to.config
    body: dict[str, Any] = {
        "title": item.subject[:TITLE_CHARACTERS],
        "body": f"{_plain(item.text)}\n\n<!-- {_mark(message)} -->",
    }
    if config.get("labels"):
        body["labels"] = list(config["labels"])
    return _read(send(_request(message, "POST", "issues", body)))


def _reopen(message: Message, send: Send) -> Said:
    # The state first: setting it twice is harmless, a comment twice is only noise.
    said = _set_state(message, send, {"state": "open"})
    return _comment(message, said, send)


def _close(message: Message, send: Send) -> Said:
    said = _set_state(message, send, {"state": "closed", "state_reason": "completed"})
    return _comment(message, said, send)


def _set_state(message: Message, send: Send, body: Mapping[str, Any]) -> Said:
    return _read(send(_request(message, "PATCH", f"issues/{message.ticket_id}", body)))


def _comment(message: Message, said: Said, send: Send) -> Said:
    if not _is_good(said.answer):
        return said
    body = {"body": _plain(message.first.text)}
    answer = send(_request(message, "POST", f"issues/{message.ticket_id}/comments", body))
    return Said(answer, said.number, said.url)


def _find(message: Message, send: Send) -> Said:
    query = f'repo:{_repository(message)} is:issue in:body "{_mark(message)}"'
    url = f"{_base(message)}/search/issues?per_page=1&q={quote(query)}"
    answer = send(_to(message, "GET", url, b""))
    items = answers.named_in(answer.body).get("items")
    first = items[0] if isinstance(items, list) and items else {}
    return _issue(answer, first if isinstance(first, Mapping) else {})


def _request(
    message: Message, method: str, path: str, body: Mapping[str, Any]
) -> transport.OutgoingRequest:
    url = f"{_base(message)}/repos/{_repository(message)}/{path}"
    return _to(message, method, url, json.dumps(body, ensure_ascii=False).encode())


def _to(message: Message, method: str, url: str, body: bytes) -> transport.OutgoingRequest:
    return transport.OutgoingRequest(
        method=method,
        url=url,
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {message.to.secret}",
            "Content-Type": "application/json",
            "User-Agent": "AWFDRS",
            "X-GitHub-Api-Version": VERSION,
        },
        body=body,
        deadline_seconds=DEADLINE_SECONDS,
    )


def _base(message: Message) -> str:
    return message.to.url.rstrip("/") or API_URL


def _repository(message: Message) -> str:
    return str(message.to.config.get("repository", ""))


def _mark(message: Message) -> str:
    about = message.first.about
    return mark_of(about.id if about else message.first.id)


def _plain(text: str) -> str:
    """A failure's text mentions nobody and closes no comment of ours."""
    return text.replace("@", "@\u200b").replace("<!--", "&lt;!--").replace("-->", "--&gt;")


def _read(answer: transport.Answer) -> Said:
    return _issue(answer, answers.named_in(answer.body))


def _issue(answer: transport.Answer, issue: Mapping[str, Any]) -> Said:
    number, url = issue.get("number"), issue.get("html_url")
    return Said(
        answer,
        str(number) if isinstance(number, int) and 0 < number < NUMBERS else "",
        url if isinstance(url, str) else "",
    )


def _is_good(answer: transport.Answer) -> bool:
    return 200 <= answer.status < 300
