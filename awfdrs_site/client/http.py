"""The only place of the client that speaks HTTP, and that says what an answer means for the caller."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPMessage
from types import MappingProxyType
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

JSON = "application/json"
LINES = "application/x-ndjson"
# About the event itself: sending it again would be refused again.
ABOUT_THE_EVENT = frozenset({400, 413, 422})
NOT_ALLOWED = frozenset({401, 403})
LIMITED = 429
LATER = frozenset({408, 425, LIMITED})
LONGEST_SECONDS = 3600.0  # whatever an answer asks for
_LEFT = re.compile(r";\s*r=(\d{1,9})\b")  # RateLimit: "default";r=12;t=1
ANSWER_BYTES = 64 * 1024 * 1024


class Away(Exception):
    """Nobody answered, or not now; the same call may work later."""

    def __init__(
        self, why: str, *, retry_after: float | None = None, left: int | None = None
    ) -> None:
        """`left` where it is a limit that says no: so many events it would let in all the same."""
        super().__init__(why)
        self.retry_after, self.left = retry_after, left


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: HTTPMessage


class Problem(Exception):
    """An answer that says no. `problem` is what AWFDRS wrote (RFC 9457)."""

    def __init__(self, problem: dict[str, Any]) -> None:
        self.problem = problem
        self.status = int(problem.get("status", 0))
        self.code = str(problem.get("code", ""))
        said = problem.get("detail") or problem.get("title") or "AWFDRS said no."
        fields = [f"{e.get('pointer')}: {e.get('detail')}" for e in problem.get("errors") or []]
        super().__init__("; ".join([str(said), *fields]))


class Denied(Problem):
    """The key or the address is wrong: nothing is the matter with the event, which is kept."""


class Refused(Problem):
    """AWFDRS will never take this as it is."""


class _Stay(HTTPRedirectHandler):
    """A redirected POST loses its body, and the key would go to whoever is named."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Http:
    """Calls below `url` with one key; `url` is what people open, without /api/v1."""

    def __init__(self, url: str, key: str, *, timeout: float = 10.0) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"{url!r} is no http or https address.")
        self.url = url.rstrip("/")
        self._key, self._timeout = key, timeout
        self._opener = build_opener(_Stay)

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        content_type: str = JSON,
        query: Mapping[str, str] = MappingProxyType({}),
    ) -> Answer:
        """One answer below 400. Raises Away, Denied or Refused."""
        asked = {name: value for name, value in query.items() if value}
        request = Request(  # noqa: S310  # the scheme was looked at
            f"{self.url}/api/v1/{path}" + (f"?{urlencode(asked)}" if asked else ""),
            data=body,
            method=method,
            headers={"Accept": JSON, "User-Agent": "awfdrs-client/1"},
        )
        if self._key:
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        if body is not None:
            request.add_header("Content-Type", content_type)
        return self._answered(request)

    def _answered(self, request: Request) -> Answer:
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return Answer(answer.status, _read(answer), answer.headers)
        except HTTPError as refusal:
            with refusal:
                raise _said_no(refusal) from None
        except (OSError, HTTPException) as error:  # URLError and time-outs are OSErrors
            why = getattr(error, "reason", None) or error
            raise Away(f"{self.url} does not answer: {why}") from None


def _said_no(refusal: HTTPError) -> Exception:
    status = refusal.code
    if status >= 500 or status in LATER:
        after = refusal.headers.get("Retry-After", "")
        seconds = min(float(after), LONGEST_SECONDS) if after.isdecimal() else None
        left = _left(refusal.headers) if status == LIMITED else None
        return Away(f"AWFDRS answers {status}: later.", retry_after=seconds, left=left)
    try:
        problem = _read(refusal)
    except (Away, OSError, HTTPException):
        problem = None
    if not isinstance(problem, dict) or "code" not in problem:
        # A proxy or another program: an event is not refused because the address is wrong.
        return Denied(
            {"status": status, "title": f"{status}, and not from AWFDRS: is the URL right?"}
        )
    problem = {**problem, "status": status}
    return Denied(problem) if status in NOT_ALLOWED else Refused(problem)


def _left(headers: Message) -> int:
    found = _LEFT.search(headers.get("RateLimit", ""))
    return int(found[1]) if found else 0


def _read(answer: IO[bytes]) -> Any:
    raw = answer.read(ANSWER_BYTES)
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        raise Away("What answers there is not AWFDRS: no JSON came back.") from None
