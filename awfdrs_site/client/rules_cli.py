"""The verbs `rules effective|export|import|simulate` of the command."""

import argparse
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Any

from .client import encoded
from .http import Http, Problem
from .saying import DONE, NO, UNSUPPORTED, Say

Called = Callable[[argparse.Namespace, Http, Say], int]
NOT_THERE = frozenset({404, 405})
LOOKS_APART_SECONDS = 1.0


def add(verbs: Any, with_http: Callable[[Called], Any]) -> None:
    group = verbs.add_parser("rules", help="what is in force").add_subparsers(
        required=True, metavar="effective|export|import|simulate"
    )
    effective = group.add_parser("effective", help="each value with its source")
    for name in ("workflow", "vendor", "error-code"):
        effective.add_argument(f"--{name}", default="")
    effective.set_defaults(verb=with_http(in_force))
    export = group.add_parser("export", help="the tenant's rules as YAML")
    export.set_defaults(verb=with_http(exported))
    for name, help_text, verb in (
        ("import", "make the rules what a YAML file says", imported),
        ("simulate", "what a YAML file would have made of the last days", simulated),
    ):
        one = group.add_parser(name, help=help_text)
        one.add_argument("file", type=Path)
        one.add_argument("--reason", default="")
        one.set_defaults(verb=with_http(verb))


def in_force(options: argparse.Namespace, http: Http, say: Say) -> int:
    asked = {
        "workflow": options.workflow,
        "vendor": options.vendor,
        "error_code": options.error_code,
    }
    body = http.call("GET", "rules/effective", query=asked).body
    lines = [
        f"{name}: {said['value']}  ({said['source']})" for name, said in body["values"].items()
    ]
    say.value(body, "\n".join(lines))
    return DONE


def exported(options: argparse.Namespace, http: Http, say: Say) -> int:
    return _answered(say, "export", lambda: _export(http, say))


def imported(options: argparse.Namespace, http: Http, say: Say) -> int:
    return _answered(say, "import", lambda: _import(options, http, say))


def simulated(options: argparse.Namespace, http: Http, say: Say) -> int:
    return _answered(say, "simulate", lambda: _simulate(options, http, say))


def _export(http: Http, say: Say) -> int:
    body = http.call("GET", "rules/export").body
    say.value(body, body["document"].rstrip("\n"))
    return DONE


def _import(options: argparse.Namespace, http: Http, say: Say) -> int:
    body = http.call("POST", "rules/import", _document(options)).body
    lines = [
        line
        for one in body["changes"]
        for line in (f"{one['rule']}: version {one['version']}", *_indented(one["differences"]))
    ]
    say.value(body, "\n".join(lines) or "The rules say this already.")
    return DONE


def _simulate(options: argparse.Namespace, http: Http, say: Say) -> int:
    """Waits for the end; what is wrong with the simulation itself is no success."""
    taken = http.call("POST", "rules/simulate", _document(options)).body
    path = f"rules/simulations/{taken['simulation_id']}"
    found = http.call("GET", path).body
    while found["state"] == "working":
        sleep(LOOKS_APART_SECONDS)
        found = http.call("GET", path).body
    say.value(found, _text(found))
    return DONE if found["state"] == "done" else NO


def _text(found: dict[str, Any]) -> str:
    result = found["result"]
    if result is None:
        return f"{found['state']}: {found['error']}"
    lines = [*result["change"], f"{found['events']} events"]
    for name in ("incidents", "attempts", "notifications", "approvals"):
        one = result[name]
        lines.append(f"{name}: {one['n_added']} more, {one['n_removed']} fewer")
    if not result["baseline"]["is_same"]:
        lines.append("without the change it is not what really happened:")
        lines += _indented(result["baseline"]["differences"])
    return "\n".join(lines)


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _document(options: argparse.Namespace) -> bytes:
    document = options.file.read_text(encoding="utf-8")
    return encoded({"document": document} | ({"reason": options.reason} if options.reason else {}))


def _answered(say: Say, name: str, call: Callable[[], int]) -> int:
    try:
        return call()
    except Problem as problem:
        if problem.status not in NOT_THERE:
            raise
        text = f"This AWFDRS has no API for `rules {name}`: the console's page Rules is the place."
        return say.failed(UNSUPPORTED, text)
