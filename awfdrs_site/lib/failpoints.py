"""Named points where a fault test may kill, stop or break the process; a no-op unless AWF_FAILPOINTS names them.

`AWF_FAILPOINTS="action.after_send_before_result=kill9@2;ingest.before_commit=raise"`: the action runs on the nth
passage (default the first) and, for `raise` without a number, on every one.
"""

import os
import signal
import threading
import time
from collections import Counter

from django.conf import settings

_passages: Counter[str] = Counter()
_lock = threading.Lock()


class FailpointReached(RuntimeError):
    """Raised by the `raise` action."""


def failpoint(name: str) -> None:
    """Do what AWF_FAILPOINTS asks at `name`; nothing when it is empty."""
    spec: str = settings.AWF_FAILPOINTS
    if not spec:
        return
    for entry in spec.split(";"):
        point, _, action = entry.partition("=")
        if point == name:
            _act(name, *action.partition("@")[::2])


def _act(name: str, action: str, nth: str) -> None:
    with _lock:
        _passages[name] += 1
        if nth and _passages[name] != int(nth):
            return
    if action == "kill9":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action.startswith("sleep:"):
        time.sleep(float(action.removeprefix("sleep:")))
    else:
        raise FailpointReached(name)
