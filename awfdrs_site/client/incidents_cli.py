"""The verbs `incidents ls|show|ack|resolve` of the command."""

import argparse
import re
from collections.abc import Callable
from typing import Any

from .client import encoded
from .http import Http
from .saying import DONE, NO, Say, row

Called = Callable[[argparse.Namespace, Http, Say], int]
COLUMNS = (
    ("number", 9),
    ("status", 10),
    ("severity", 9),
    ("unrecovered_runs", 6),
    ("workflow", 20),
    ("title", 1),
)
ID = re.compile(r"[0-9a-fA-F-]{36}")
NUMBER = re.compile(r"(?:inc-)?[0-9]{1,18}", re.IGNORECASE)


def add(verbs: Any, with_http: Callable[[Called], Any]) -> None:
    group = verbs.add_parser("incidents", help="list, show, acknowledge, resolve").add_subparsers(
        required=True, metavar="ls|show|ack|resolve"
    )
    ls = group.add_parser("ls", help="newest first")
    ls.add_argument("query", nargs="*", help="the console's query language; is:open by itself")
    ls.add_argument("-n", type=int, default=20, choices=range(1, 101), metavar="1…100")
    ls.set_defaults(verb=with_http(listed))
    for name, help_text, verb in (
        ("show", "one incident, and what happens next", shown),
        ("ack", "say that somebody looks at it", acknowledged),
        ("resolve", "close it", resolved),
    ):
        one = group.add_parser(name, help=help_text)
        one.add_argument("incident", help="INC-12, or its id")
        one.set_defaults(verb=with_http(verb))
        if name == "resolve":
            one.add_argument("--reason", default="")
            one.add_argument(
                "--waive-unrecovered",
                action="store_true",
                help="runs that are not recovered stay so",
            )


def listed(options: argparse.Namespace, http: Http, say: Say) -> int:
    query = " ".join(options.query) or "is:open"
    answer = http.call("GET", "incidents", query={"q": query, "page_size": str(options.n)}).body
    for incident in answer["results"]:
        say.value(incident, row(incident, COLUMNS))
    if answer["next"]:
        say.note(f"{answer['count']} in all; -n shows up to 100.")
    return DONE


def shown(options: argparse.Namespace, http: Http, say: Say) -> int:
    found = _find(options.incident, http, say)
    if found is None:
        return NO
    incident = http.call("GET", f"incidents/{found}").body
    say.value(incident, _text(incident))
    return DONE


def acknowledged(options: argparse.Namespace, http: Http, say: Say) -> int:
    found = _find(options.incident, http, say)
    if found is None:
        return NO
    return _said(http.call("POST", f"incidents/{found}/acknowledge", b"{}").body, say)


def resolved(options: argparse.Namespace, http: Http, say: Say) -> int:
    found = _find(options.incident, http, say)
    if found is None:
        return NO
    body: dict[str, Any] = {"status": "resolved"}
    if options.reason:
        body["reason"] = options.reason
    if options.waive_unrecovered:
        body["waive_unrecovered"] = True
    return _said(http.call("PATCH", f"incidents/{found}/status", encoded(body)).body, say)


def _said(incident: dict[str, Any], say: Say) -> int:
    say.value(incident, row(incident, COLUMNS))
    return DONE


def _find(named: str, http: Http, say: Say) -> str | None:
    """The id of INC-12; anything else is taken for an id."""
    found: str | None = named if ID.fullmatch(named) else None
    if NUMBER.fullmatch(named):
        number = f"INC-{int(named.upper().removeprefix('INC-'))}"
        asked = {"q": number, "page_size": "100"}
        rows = http.call("GET", "incidents", query=asked).body["results"]
        found = next((row["id"] for row in rows if row["number"] == number), None)
    if found is None:
        say.failed(NO, f"There is no incident {named}.")
    return found


def _text(incident: dict[str, Any]) -> str:
    lines = [
        f"{incident['number']}  {incident['title']}",
        f"{incident['status']}, {incident['severity']}, {incident['category']}",
        f"workflow {incident['workflow']}, vendor {incident['vendor'] or 'none'}",
        f"{incident['event_count']} events, {incident['affected_runs']} runs affected, "
        f"{incident['unrecovered_runs']} not recovered",
        f"first seen {incident['first_seen_at']}, last seen {incident['last_seen_at']}",
    ]
    return "\n".join([*lines, *_next(incident.get("next"))])


def _next(step: dict[str, Any] | None) -> list[str]:
    if step is None or step["kind"] == "none":
        return []
    when = f" at {step['at']}" if step["at"] else ""
    reason = f": {step['reason']}" if step["reason"] else ""
    return [f"next: {step['kind']}{when}{reason}"]
