"""What the source itself promises: layers, two signals, tenants named first, a sentence on top of every file."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
from django.apps import apps

from tenants.querysets import TenantQuerySet

ROOT = Path(__file__).parents[2]
PACKAGES = ("awfdrs_site", "tenants", "safety", "events", "incidents", "actions")
# After these the tenant is said: by the filter, or by the rows that are written.
SAYS_WHOSE = {"for_tenant", "create", "bulk_create", "bulk_update"}
# The demo's workflows and the client are the outside world: they live by their own clock.
OUTSIDE = {ROOT / "awfdrs_site" / "demo", ROOT / "awfdrs_site" / "client"}
CLOCKS = {"now", "utcnow", "today", "localtime"}


def modules() -> list[Path]:
    found = [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]
    return [path for path in found if "migrations" not in path.parts]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Walked once: the tests below look at every node of the product."""
    return tuple(ast.walk(tree_of(path)))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tenant_owned() -> set[str]:
    return {
        model.__name__
        for model in apps.get_models()
        if isinstance(model._default_manager.get_queryset(), TenantQuerySet)
    }


def unscoped(nodes: Iterable[ast.AST], owned: set[str]) -> Iterator[int]:
    """Lines with `Model.objects` that nobody asks for a tenant."""
    scoped = {
        id(call.func.value)
        for call in nodes
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and (
            call.func.attr in SAYS_WHOSE
            or {"tenant", "tenant_id"} & {keyword.arg for keyword in call.keywords}
        )
    }
    for node in nodes:
        if (
            isinstance(node, ast.Attribute)
            and node.attr in {"objects", "_default_manager", "_base_manager"}
            and isinstance(node.value, ast.Name | ast.Attribute)
            and (node.value.id if isinstance(node.value, ast.Name) else node.value.attr) in owned
            and id(node) not in scoped
        ):
            yield node.lineno


def test_tenant_owned_models_are_the_ones_we_think() -> None:
    assert {"Incident", "Run", "Event", "EventKey", "JournalEntry", "Action"} <= tenant_owned()
    assert not {"Tenant", "GlobalKillSwitch", "PlatformJournalEntry"} & tenant_owned()


def test_nobody_asks_a_tenants_model_without_saying_whose() -> None:
    owned = tenant_owned()
    found = [
        f"{name_of(path)}:{line}" for path in modules() for line in unscoped(nodes_of(path), owned)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "is_found"),
    [
        ("Incident.objects.filter(pk=1)", True),
        ("Incident.objects", True),
        ("models.Incident.objects.all()", True),
        ("Incident._default_manager.get()", True),
        ("Incident.objects.for_tenant(t).filter(pk=1)", False),
        ("Incident.objects.create(tenant=t)", False),
        ("Incident.objects.get_or_create(tenant=t)", False),
        ("Incident.objects.get_or_create(pk=1)", True),
        ("User.objects.get()", False),
    ],
)
def test_the_rule_finds_what_it_is_for(code: str, is_found: bool) -> None:
    assert bool(list(unscoped([*ast.walk(ast.parse(code))], {"Incident"}))) is is_found


def test_exactly_two_signals_go_upward() -> None:
    made = {
        f"{name_of(path)}:{ast.unparse(node.targets[0])}"
        for path in modules()
        for node in nodes_of(path)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func).endswith("Signal")
    }
    # a third one needs an ADR (DESIGN.md)
    assert made == {"events/signals.py:events_stored", "incidents/signals.py:decision_recorded"}


def test_signals_are_sent_on_commit_by_one_module_each() -> None:
    senders = {
        (name_of(path), ast.unparse(node.func))
        for path in modules()
        for node in nodes_of(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr.startswith("send")
        and ast.unparse(node.func).split(".")[0] in {"events_stored", "decision_recorded"}
    }
    assert senders == {
        ("events/ingest.py", "events_stored.send"),
        ("incidents/decisions.py", "decision_recorded.send"),
    }


def test_imports_point_down() -> None:
    # in a process of its own: it configures logging, and disables every logger that is not its own
    linter = Path(sys.executable).with_name("lint-imports")
    ended = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout


def test_every_file_says_what_it_is_the_place_for() -> None:
    silent = [
        name_of(path)
        for path in modules()
        if tree_of(path).body and not ast.get_docstring(tree_of(path))
    ]
    assert silent == []


def test_nobody_reads_the_machines_clock_for_what_the_databases_clock_decides() -> None:
    asked = {
        f"{name_of(path)}: {ast.unparse(node.func)}"
        for path in modules()
        if OUTSIDE.isdisjoint(path.parents)
        for node in nodes_of(path)
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in CLOCKS
        and not ast.unparse(node.func).endswith("clock.now")
    }
    # DESIGN.md rule 3; "two minutes ago" beside a time may be a little off, and so may where a span begins
    assert asked == {
        "tenants/templatetags/console.py: timezone.now",
        "awfdrs_site/incoming_traces.py: datetime.now",
    }
