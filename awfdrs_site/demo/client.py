"""The simulated workflow's way to the product: the public HTTP API with a real key."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.management.base import BaseCommand, CommandError

TIMEOUT_SECONDS = 15


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any

    @property
    def is_stored(self) -> bool:
        """New (201), or known already and the same (200)."""
        return self.status in (200, 201)


class Client:
    """Safe to share between threads. Raises CommandError when nobody answers."""

    def __init__(self, base_url: str, *, key: str) -> None:
        self._base = base_url.rstrip("/") + "/api/v1"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        # A proxy of the environment would be asked for our own loopback.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def post(self, path: str, body: Mapping[str, Any]) -> Reply:
        return self._send("POST", path, json.dumps(body).encode())

    def get(self, path: str) -> Reply:
        return self._send("GET", path, None)

    def _send(self, method: str, path: str, body: bytes | None) -> Reply:
        request = urllib.request.Request(  # noqa: S310  # the operator's own base URL
            self._base + path, data=body, headers=self._headers, method=method
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return Reply(answer.status, _json(answer.read()))
        except urllib.error.HTTPError as refused:
            with refused:
                return Reply(refused.code, _json(refused.read()))
        except OSError as error:
            raise CommandError(f"{self._base} does not answer: {error}") from error


def say(command: BaseCommand, line: str) -> None:
    """A line that is seen at once, also by who reads a pipe."""
    command.stdout.write(line)
    command.stdout.flush()


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return {"detail": raw[:200].decode("utf-8", "replace")}
