"""The command `awfdrs`: reads what was typed, calls one verb, and ends with a number that scripts can read."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import doctor, incidents_cli, rules_cli, sending, wrap
from .client import Client, spool_directory
from .http import Away, Denied, Http, Problem
from .saying import AWAY, DENIED, DONE, NO, USAGE, Say
from .spool import SpoolFull

Verb = Callable[[argparse.Namespace, Say], int]
EPILOG = (
    "AWFDRS_URL and AWFDRS_KEY say where and as whom; AWFDRS_SPOOL where events wait meanwhile. "
    "It ends with 0 done, 1 no (refused, not found, not well), 2 wrong usage, 3 AWFDRS is away, "
    "4 not allowed, 5 this AWFDRS cannot do it; `run` ends with what its command ended with."
)


SCOPES = (
    "Sending needs events:write; tail, incidents ls and rules effective read; ack and resolve operate;"
    " other rules configure. An admin makes keys under Settings › API keys."
)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    say = Say(is_json=options.json)
    try:
        options.key = options.key_file.read_text().strip() if options.key_file else _key()
        return int(options.verb(options, say))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Away as away:
        return say.failed(AWAY, str(away))
    except Denied as denied:
        hint = f" {SCOPES}" if denied.code == "missing_scope" else ""
        return say.failed(DENIED, f"{denied}{hint}", problem=denied.problem)
    except Problem as problem:
        return say.failed(NO, str(problem), problem=problem.problem)
    except (SpoolFull, OSError) as error:
        return say.failed(NO, str(error))
    except ValueError as error:
        return say.failed(USAGE, str(error))


def _key() -> str:
    return os.environ.get("AWFDRS_KEY", "").strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "awfdrs", description="Report events to AWFDRS and look after its incidents.", epilog=EPILOG
    )
    parser.add_argument("--url", default=os.environ.get("AWFDRS_URL", "http://127.0.0.1:8000"))
    # Not the key itself: the process list shows everybody what was typed.
    parser.add_argument("--key-file", type=Path, help="a file with the API key")
    parser.add_argument("--json", action="store_true", help="answers as JSON, one value a line")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_sending(verbs)
    _add_run(verbs)
    _add_reading(verbs)
    incidents_cli.add(verbs, _with_http)
    rules_cli.add(verbs, _with_http)
    return parser


def _add_sending(verbs: Any) -> None:
    send = verbs.add_parser(
        "send", help="report one event; it is kept on disk while AWFDRS is away"
    )
    send.add_argument("event_type", help="payment.failed, for one")
    send.add_argument("--workflow", required=True)
    send.add_argument("--run-id", default="")
    send.add_argument(
        "--payload", default="{}", help="a JSON object, @FILE, or - for standard input"
    )
    send.add_argument("--field", action="append", default=[], metavar="NAME=TEXT")
    send.add_argument("--idempotency-key", default="")
    send.set_defaults(verb=_with_client(sending.send))
    replay = verbs.add_parser("replay", help="send a file of events, one JSON object a line")
    replay.add_argument("file", type=Path)
    replay.set_defaults(verb=_with_http(sending.replay))
    drain = verbs.add_parser("drain", help="send now what waits on disk")
    drain.add_argument("--spool", help="another key's directory, as `awfdrs doctor` names it")
    drain.set_defaults(verb=_with_client(sending.drain))


def _add_run(verbs: Any) -> None:
    run = verbs.add_parser("run", help="run a command and report how it starts and ends")
    run.add_argument("--workflow", required=True)
    run.add_argument("--run-id", default="", help="made up when it is not said")
    run.add_argument("--event", default="job", help="the first part of the event types: job.failed")
    run.add_argument("--no-stderr", action="store_true", help="leave its last lines out")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    run.set_defaults(verb=_with_client(wrap.run))


def _add_reading(verbs: Any) -> None:
    tail = verbs.add_parser("tail", help="the latest events, and then those that come in")
    tail.add_argument("-n", type=int, default=20, choices=range(1, 101), metavar="1…100")
    tail.add_argument("--workflow", default="")
    tail.add_argument("--once", action="store_true", help="do not wait for more")
    tail.set_defaults(verb=_with_http(sending.tail))
    ask = verbs.add_parser("doctor", help="whether events get through, and the cure where not")
    ask.set_defaults(verb=_examined)


def _with_client(verb: Callable[[argparse.Namespace, Client, Say], int]) -> Verb:
    def called(options: argparse.Namespace, say: Say) -> int:
        # One command, one try: what must wait is sent by the next one, or by `awfdrs drain`. What `run`
        # runs does not wait for what waits: that goes out beside it.
        spool, beside = getattr(options, "spool", None), verb is wrap.run
        with Client(options.url, _needed(options), spool=spool, background=beside) as client:
            if verb is sending.send and not client.spool.is_empty:
                with suppress(Away, Denied, OSError):
                    client.drain()
            return verb(options, client, say)

    return called


def _with_http(verb: Callable[[argparse.Namespace, Http, Say], int]) -> Verb:
    return lambda options, say: verb(options, Http(options.url, _needed(options)), say)


def _examined(options: argparse.Namespace, say: Say) -> int:
    directory = spool_directory(options.url, options.key)
    return doctor.examine(Http(options.url, options.key, timeout=5), directory, options.key, say)


def _needed(options: argparse.Namespace) -> str:
    key: str = options.key
    if not key:
        raise ValueError("Say the API key in AWFDRS_KEY or in a file: --key-file FILE.")
    return key
