"""The only reader of YAML: text to tables that know their lines, traps refused."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 256 * 1024  # the shipped files are 4 KiB; more is a mistake or an attack
MAX_DEPTH = 16

_TAG = "tag:yaml.org,2002:"
_TEXT = _TAG + "str"


@dataclass(frozen=True)
class Problem:
    """What is wrong and where; line 0 speaks of the file as a whole."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}"


@dataclass(frozen=True)
class Scalar:
    text: str
    line: int
    is_quoted: bool
    type_name: str  # what YAML 1.1 would make of it: str, int, float, bool, null, timestamp ...


@dataclass(frozen=True)
class Table:
    entries: Mapping[str, "Node"]
    lines: Mapping[str, int]  # of the keys
    line: int


@dataclass(frozen=True)
class Listing:
    line: int


Node = Scalar | Table | Listing


class _Refused(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def read(path: Path) -> tuple[Table | None, list[Problem]]:
    """The file's table and every problem met; no table when the text as a whole is refused."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        return None, [Problem(path.name, 0, f"cannot be read: {error.strerror}")]
    return read_text(raw, path.name)


def read_text(raw: bytes, name: str) -> tuple[Table | None, list[Problem]]:
    """The same of a text that came another way; problems call it `name`."""
    problems: list[Problem] = []
    try:
        node = _compose(_decoded(raw))
    except _Refused as refused:
        return None, [Problem(name, refused.line, refused.message)]
    tree = _tree(node, name, problems) if node is not None else None
    if not isinstance(tree, Table):
        problems.append(Problem(name, 1, "the file must be a table of keys and values"))
        return None, problems
    return tree, problems


def _decoded(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise _Refused(0, f"is larger than {MAX_BYTES // 1024} KiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _Refused(line, "is not UTF-8") from error


def _compose(text: str) -> yaml.Node | None:
    try:
        # The events come first: a bomb or a deep nest is refused before any tree is built.
        _refuse_traps(yaml.parse(text, Loader=yaml.SafeLoader))
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _Refused(line, "contains a control character") from error
    except yaml.MarkedYAMLError as error:
        raise _Refused(
            _line_of(error.problem_mark), f"is not valid YAML: {error.problem}"
        ) from error


def _line_of(mark: Any) -> int:  # pure and C marks are different classes, and may be missing
    return int(mark.line) + 1 if mark is not None else 0


def _refuse_traps(events: Iterator[yaml.Event]) -> None:
    depth = documents = 0
    for event in events:
        line = _line_of(event.start_mark)
        _refuse_reference(event, line)
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            raise _Refused(line, "only one YAML document is allowed")
        if depth > MAX_DEPTH:
            raise _Refused(line, f"is nested more than {MAX_DEPTH} levels deep")


def _refuse_reference(event: yaml.Event, line: int) -> None:
    if getattr(event, "anchor", None) is not None:
        raise _Refused(line, "YAML anchors and aliases (& and *) are refused")
    tag = getattr(event, "tag", None)
    if tag is not None:
        raise _Refused(line, f"YAML tags are refused: {str(tag)[:80]}")


def _tree(node: yaml.Node, file: str, problems: list[Problem]) -> Node:
    line = _line_of(node.start_mark)
    if isinstance(node, yaml.ScalarNode):
        return Scalar(node.value, line, node.style is not None, node.tag.removeprefix(_TAG))
    if isinstance(node, yaml.MappingNode):
        return _table(node, file, problems)
    return Listing(line)


def _table(node: yaml.MappingNode, file: str, problems: list[Problem]) -> Table:
    entries: dict[str, Node] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = _line_of(key.start_mark)
        if not isinstance(key, yaml.ScalarNode) or key.tag != _TEXT:
            shown = key.value[:80] if isinstance(key, yaml.ScalarNode) else "a list or table"
            problems.append(Problem(file, line, f'a key must be text: write "{shown}" in quotes'))
        elif key.value in lines:
            first = lines[key.value]
            problems.append(Problem(file, line, f"{key.value[:80]} is already set in line {first}"))
        else:
            lines[key.value] = line
            entries[key.value] = _tree(value, file, problems)
    return Table(entries, lines, _line_of(node.start_mark))
