"""The verb `doctor` of the command: whether events get through, and the cure where they do not."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

from .client import encoded, spool_base
from .http import Away, Denied, Http, Problem
from .saying import DONE, NO, Say
from .spool import Spool

SKEW_SECONDS = 60
PROBE = {
    "workflow": "awfdrs-doctor",
    "event_type": "doctor.completed",
    "payload": {},
    "occurred_at": "2026-01-01T00:00:00Z",
}


@dataclass(frozen=True)
class Finding:
    name: str
    is_well: bool
    said: str
    cure: str = ""


def examine(http: Http, directory: Path, key: str, say: Say) -> int:
    findings = list(_findings(http, directory, key))
    for finding in findings:
        cure = f"\n      cure: {finding.cure}" if finding.cure else ""
        mark = "ok  " if finding.is_well else "BAD "
        say.value(asdict(finding), f"{mark}  {finding.name}: {finding.said}{cure}")
    return DONE if all(finding.is_well for finding in findings) else NO


def _findings(http: Http, directory: Path, key: str) -> Iterator[Finding]:
    yield (reached := _reach(http))
    if reached.is_well:
        yield _ready(http)
        yield _may_send(http, key)
    yield from _spool(directory)


def _reach(http: Http) -> Finding:
    try:
        answer = http.call("GET", "health")
    except (Away, Problem) as error:
        return Finding("address", False, str(error), "Say the console's address in AWFDRS_URL.")
    date = answer.headers.get("Date")
    skew = time.time() - parsedate_to_datetime(date).timestamp() if date else 0.0
    if abs(skew) > SKEW_SECONDS:
        said = f"{http.url} answers, but this clock is {skew:+.0f} s off."
        return Finding("address", False, said, "Let NTP set this machine's clock.")
    return Finding("address", True, f"{http.url} answers")


def _ready(http: Http) -> Finding:
    try:
        body = http.call("GET", "health/ready").body
    except (Away, Problem) as error:
        return Finding(
            "server", False, str(error), "Events wait on disk; `manage.py doctor` there says more."
        )
    is_well = body["status"] == "ready"
    return Finding("server", is_well, body["status"], "" if is_well else "Look after its Redis.")


def _may_send(http: Http, key: str) -> Finding:
    """A dry run: nothing is stored."""
    if not key:
        return Finding("key", False, "there is none", "Say it in AWFDRS_KEY; an admin makes one.")
    try:
        http.call("POST", "events", encoded(PROBE), query={"dry_run": "true"})
    except Denied as error:
        cure = "Make a key with the scope events:write under Settings › API keys."
        return Finding("key", False, str(error), cure)
    except (Away, Problem) as error:
        return Finding("key", False, str(error), "Try again; it did not take a sound event.")
    return Finding("key", True, "may report events")


def _spool(directory: Path) -> Iterator[Finding]:
    try:
        spool = Spool(directory)
        spool.check()
        waiting = spool.count()
    except OSError as error:
        cure = "Name a directory that can be written in AWFDRS_SPOOL."
        yield Finding("spool", False, str(error), cure)
        return
    cure = "`awfdrs drain` sends them." if waiting else ""
    yield Finding("spool", not waiting, f"{waiting} events wait in {directory}", cure)
    if spool.refused_path.exists():
        cure = f"Mend the lines, `awfdrs replay {spool.refused_path}`, and remove the file."
        yield Finding("refused", False, "AWFDRS refused events", cure)
    for other in sorted(spool_base().glob("*/*.segment")):
        if other.parent != directory:
            cure = f"`awfdrs drain --spool {other.parent}` with a key of the tenant they belong to."
            yield Finding("other spool", False, f"events wait in {other.parent}", cure)
            return
