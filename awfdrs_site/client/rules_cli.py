"""The verbs `rules effective|export|import|simulate` of the command."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .client import encoded
from .http import Answer, Http, Problem
from .saying import DONE, UNSUPPORTED, Say

Called = Callable[[argparse.Namespace, Http, Say], int]
NOT_THERE = frozenset({404, 405})


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
        ("simulate", "what a YAML file would have changed", simulated),
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
    return _answered(say, lambda: http.call("GET", "rules/export"), "export")


def imported(options: argparse.Namespace, http: Http, say: Say) -> int:
    return _posted(options, http, say, "import")


def simulated(options: argparse.Namespace, http: Http, say: Say) -> int:
    return _posted(options, http, say, "simulate")


def _posted(options: argparse.Namespace, http: Http, say: Say, name: str) -> int:
    document = options.file.read_text(encoding="utf-8")
    body = {"document": document} | ({"reason": options.reason} if options.reason else {})
    return _answered(say, lambda: http.call("POST", f"rules/{name}", encoded(body)), name)


def _answered(say: Say, call: Callable[[], Answer], name: str) -> int:
    try:
        answer = call()
    except Problem as problem:
        if problem.status not in NOT_THERE:
            raise
        text = f"This AWFDRS has no API for `rules {name}`: the console's page Rules is the place."
        return say.failed(UNSUPPORTED, text)
    document = answer.body.get("document") if isinstance(answer.body, dict) else None
    say.value(answer.body, document if document else str(answer.body))
    return DONE
