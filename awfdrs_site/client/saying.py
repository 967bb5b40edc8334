"""The only place that says how the command `awfdrs` speaks: for people, or JSON, and the numbers it ends with."""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

DONE, NO, USAGE, AWAY, DENIED, UNSUPPORTED = range(6)
# What others reported must not steer this terminal.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Say:
    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json

    def value(self, value: Any, text: str) -> None:
        """The answer, on standard output: `value` for programs, `text` for people."""
        print(json.dumps(value) if self.is_json else _CONTROLS.sub("�", text), flush=True)

    def note(self, text: str) -> None:
        """Beside the answer, on standard error."""
        print(f"awfdrs: {_CONTROLS.sub('�', text)}", file=sys.stderr, flush=True)

    def failed(self, code: int, text: str, **more: Any) -> int:
        self.note(text)
        if self.is_json:
            self.value({"error": text, "exit": code, **more}, "")
        return code


def row(item: Mapping[str, Any], widths: Iterable[tuple[str, int]]) -> str:
    """Columns of one line; the last is as long as it is."""
    cells = [f"{'' if item.get(name) is None else item[name]!s:<{width}}" for name, width in widths]
    return "  ".join(cells).rstrip()
