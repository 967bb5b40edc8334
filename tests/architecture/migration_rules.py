"""What a migration may do while yesterday's release still serves: `python -m tests.architecture.migration_rules`.

Read from the source, so that it takes no database: `make check` runs it.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
APPS = ("tenants", "safety", "events", "incidents", "actions")
# Written before anybody ran the product, or on tables that a release had just made and that were empty.
BEFORE_THE_RULES = frozenset(
    {
        "actions/0003_remediation",
        "actions/0005_campaign_called",
        "actions/0006_action_awaiting",
        "actions/0007_delivery_log",
        "actions/0008_action_lane",
        "actions/0009_action_open",
        "actions/0010_action_unknown",
        "actions/0011_action_rule",
        "actions/0012_delivery_unread",
        "events/0002_walls",
        "incidents/0002_walls",
        "incidents/0003_incident_tabs",
        "incidents/0007_undo_of_incident",
        "tenants/0003_remediation",
    }
)
# Yesterday's release still reads and writes these: taken away only by the release after the one that stopped to.
_TAKES_AWAY = {"RemoveField", "DeleteModel", "RenameField", "RenameModel", "AlterModelTable"}
_LOCKS = {"AddIndex": "AddIndexConcurrently", "RemoveIndex": "RemoveIndexConcurrently"}
_INDEX = re.compile(
    r"\bcreate\s+(?:unique\s+)?index\s+(?!concurrently)[\w\"{}]+\s+on\s+(?:only\s+)?(\w+)", re.I
)
_SCANS = re.compile(
    r"\balter\s+table\s+(\w+)\s+add\s+constraint(?!.*\b(?:not\s+valid|using\s+index)\b)",
    re.I | re.S,
)
_REWRITES = re.compile(
    r"\balter\s+table\s+(\w+)\s+alter\s+(?:column\s+)?\w+\s+(?:set\s+data\s+)?type\b", re.I
)
_NOT_NULL = re.compile(
    r"\balter\s+table\s+(\w+)\s+alter\s+(?:column\s+)?\w+\s+set\s+not\s+null", re.I
)


@dataclass(frozen=True)
class Breach:
    migration: str
    line: int
    says: str

    def __str__(self) -> str:
        return f"{self.migration}:{self.line}: {self.says}"


def breaches() -> list[Breach]:
    """What every migration of ours does that it must not, those before the rules left out."""
    found = []
    for app in APPS:
        for path in sorted((ROOT / app / "migrations").glob("0*.py")):
            name = f"{app}/{path.stem}"
            if name not in BEFORE_THE_RULES:
                found += judge(name, path.read_text())
    return found


def judge(migration: str, source: str) -> list[Breach]:
    """`migration` is app/name; tables that it makes itself are empty, and may be done anything to."""
    tree = ast.parse(source)
    app = migration.split("/")[0]
    made = _made(tree)
    found = []
    for line, says in (*_of_operations(tree, made), *_of_sql(tree, {f"{app}_{m}" for m in made})):
        found.append(Breach(migration, line, says))
    return sorted(found, key=lambda breach: breach.line)


def _made(tree: ast.Module) -> set[str]:
    """Models of this migration's own, by their lower-case name."""
    return {
        str(value.value).lower()
        for call in _calls(tree)
        if _name(call) == "CreateModel"
        for key, value in _keywords(call).items()
        if key == "name" and isinstance(value, ast.Constant)
    }


def _of_operations(tree: ast.Module, made: set[str]) -> Iterator[tuple[int, str]]:
    for call in _calls(tree):
        name, given = _name(call), _keywords(call)
        model = given.get("model_name") or given.get("name")
        if isinstance(model, ast.Constant) and str(model.value).lower() in made:
            continue
        if name in _TAKES_AWAY:
            yield call.lineno, f"{name} takes away what yesterday's release still uses."
        if name in _LOCKS:
            yield call.lineno, f"{name} locks the table while it works: {_LOCKS[name]}."
        if name == "AddConstraint":
            yield (
                call.lineno,
                "AddConstraint reads the whole table under a lock: add it NOT VALID, validate apart.",
            )
        if name == "AddField" and not _may_be_left_out(given.get("field")):
            yield (
                call.lineno,
                "AddField needs null=True or db_default: yesterday's release writes no such column.",
            )


def _may_be_left_out(field: ast.expr | None) -> bool:
    if not isinstance(field, ast.Call):
        return False
    given = _keywords(field)
    null = given.get("null")
    is_many = _name(field) == "ManyToManyField"
    return is_many or "db_default" in given or (isinstance(null, ast.Constant) and bool(null.value))


def _of_sql(tree: ast.Module, made: set[str]) -> Iterator[tuple[int, str]]:
    rules = (
        (_INDEX, "create index without concurrently locks {} against writers."),
        (_SCANS, "add constraint reads all of {} under a lock: add it not valid, validate apart."),
        (_REWRITES, "another type rewrites {} under a lock: add a column instead."),
        (
            _NOT_NULL,
            "set not null reads all of {} under a lock: prove it by a check constraint first.",
        ),
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for pattern, says in rules:
                for table in pattern.findall(node.value):
                    if table not in made:
                        yield node.lineno, says.format(table)


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _keywords(call: ast.Call) -> dict[str, ast.expr]:
    return {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}


def main() -> int:
    found = breaches()
    for breach in found:
        print(breach)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
