"""A tenant's rules as a file: written the same each time, read whole or not at all, refused by line."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import example, given
from hypothesis import strategies as st

from safety import rule_texts, rules
from safety.models import RuleOverride
from safety.rule_texts import DocumentRefused
from safety.rulefields import FIELDS, Choice, Number, Whole, may_tune
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Tenant
from tests.cast import journal_of


def say(tenant: Tenant, scope: str, target: str, **values: Any) -> RuleOverride:
    with scoping.bound(tenant.pk) as now:
        return rules.override(
            tenant_id=tenant.pk,
            scope=scope,
            target=target,
            values={key.replace("__", "."): value for key, value in values.items()},
            reason="because",
            by=SYSTEM,
            now=now,
        )


def manage(*asked: str, tenant: Tenant) -> str:
    out = StringIO()
    call_command("rules", *asked, f"--tenant={tenant.slug}", stdout=out)
    return out.getvalue()


def versions(tenant: Tenant, scope: str = "vendor", target: str = "stripe") -> list[RuleOverride]:
    with scoping.bound(tenant.pk):
        return list(rules.versions(tenant.pk, scope=scope, target=target))


@pytest.fixture
def tuned(acme: Tenant) -> Tenant:
    """Acme with a rule of every scope, among them names that YAML would read as something else."""
    say(acme, "tenant", "", mode="off", retry__jitter="none")
    say(acme, "vendor", "stripe", retry__max_retries=3)
    say(acme, "vendor", "stripe", retry__max_retries=7, retry__jitter_factor=1 / 3)
    say(acme, "vendor", "on", rate_limit__requests_per_second=0.01)
    say(acme, "workflow", "checkout", category="rate_limit", retry__enabled=False)
    say(acme, "code", "404", severity="low")
    say(acme, "category", "vendor_error", timeout_seconds=5)
    say(acme, "vendor", "taken-back", timeout_seconds=9)
    say(acme, "vendor", "taken-back")
    return acme


@pytest.mark.django_db
def test_export_import_export_is_byte_identical(
    tuned: Tenant, globex: Tenant, tmp_path: Path
) -> None:
    say(globex, "vendor", "plaid", timeout_seconds=9)  # the file does not know it
    first = manage("export", tenant=tuned)
    (tmp_path / "rules.yaml").write_bytes(first.encode())
    manage("import", str(tmp_path / "rules.yaml"), tenant=globex)
    assert manage("export", tenant=globex).encode() == first.encode()
    manage("import", str(tmp_path / "rules.yaml"), tenant=tuned)
    assert manage("export", tenant=tuned).encode() == first.encode()
    assert "taken-back" not in first


@pytest.mark.django_db
def test_what_is_imported_are_versions_with_a_reason(acme: Tenant, tmp_path: Path) -> None:
    say(acme, "vendor", "stripe", retry__max_retries=3)
    say(acme, "vendor", "plaid", timeout_seconds=5)
    file = tmp_path / "rules.yaml"
    file.write_text("overrides:\n  vendor:\n    stripe: {retry.max_retries: 7}\n")
    shown = manage("import", str(file), "--reason=the new contract", tenant=acme)
    assert shown.splitlines() == [
        *("vendor plaid: version 2", "  timeout_seconds: 5 → –"),
        *("vendor stripe: version 2", "  retry.max_retries: 3 → 7"),
        "Done.",
    ]
    newest = versions(acme)[0]
    assert (newest.values, newest.reason) == ({"retry.max_retries": 7}, "the new contract")
    assert newest.author.startswith("manage.py rules")
    assert journal_of(acme, newest.pk) == ["rule_changed"]
    assert "say this already" in manage("import", str(file), tenant=acme)
    assert len(versions(acme)) == 2


@pytest.mark.django_db
def test_a_dry_run_says_the_same_and_writes_nothing(acme: Tenant, tmp_path: Path) -> None:
    say(acme, "vendor", "stripe", retry__max_retries=3)
    (tmp_path / "rules.yaml").write_text("overrides: {}\n")
    shown = manage("import", str(tmp_path / "rules.yaml"), "--dry-run", tenant=acme)
    assert "retry.max_retries: 3 → –" in shown
    assert "Nothing was written" in shown
    assert len(versions(acme)) == 1


@pytest.mark.django_db
def test_one_wrong_line_refuses_the_whole_file(acme: Tenant, tmp_path: Path) -> None:
    good = "overrides:\n  vendor:\n    stripe: {retry.max_retries: 7}\n"
    (tmp_path / "bad.yaml").write_text(f"{good}    plaid: {{timeout_seconds: 0}}\n")
    with pytest.raises(CommandError, match=r"bad\.yaml:4: vendor plaid: timeout_seconds must be"):
        manage("import", str(tmp_path / "bad.yaml"), tenant=acme)
    assert versions(acme) == []


@pytest.mark.django_db
def test_a_rule_that_moves_under_an_import_stops_all_of_it(
    acme: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safety import rule_exchange

    looked = rule_exchange.changes

    def slow(*args: Any) -> Any:
        found = looked(*args)
        rules.override(
            tenant_id=acme.pk,
            scope="vendor",
            target="stripe",
            values={"retry.max_retries": 9},
            reason="meanwhile",
            by=SYSTEM,
            now=versions(acme, target="plaid")[0].created_at,
        )
        return found

    say(acme, "vendor", "plaid", timeout_seconds=5)
    monkeypatch.setattr(rule_exchange, "changes", slow)
    (tmp_path / "rules.yaml").write_text("overrides: {vendor: {stripe: {timeout_seconds: 7}}}\n")
    with pytest.raises(CommandError, match="meanwhile"):
        manage("import", str(tmp_path / "rules.yaml"), tenant=acme)
    assert len(versions(acme, target="plaid")) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["import", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["import", "nowhere.yaml", "--reason= "], "Say why"),
    ],
)
def test_what_cannot_be_done_is_said(acme: Tenant, asked: list[str], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        manage(*asked, tenant=acme)


@pytest.mark.django_db
def test_a_tenant_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandError, match="no tenant nobody"):
        manage("export", tenant=Tenant(slug="nobody"))


WRONG = [
    ("rules: {}", "f.yaml:1: unknown key rules; use overrides"),
    ("overrides: 7", "f.yaml:1: overrides must be a table"),
    ("overrides:\n  planet: {}", "f.yaml:2: unknown key planet; known are workflow, vendor"),
    ("overrides:\n  tenant:\n    severity: hihg", "f.yaml:3: tenant: severity must be one of low"),
    ("overrides:\n  tenant:\n    severity: [low]", "f.yaml:3: tenant: severity must be one value"),
    ("overrides:\n  tenant:\n    colour: red", "f.yaml:3: tenant: colour is not a value a rule"),
    ("overrides:\n  vendor:\n    A B: {}", "f.yaml:3: vendor A B: This must be a name of"),
    ("overrides:\n  vendor:\n    stripe: 7", "f.yaml:3: vendor stripe must be a table"),
    ("overrides:\n  category:\n    odd: {}", "f.yaml:3: category odd: This must be one of"),
    (
        "overrides:\n  code:\n    boom:\n      rate_limit.burst_size: 7",
        "f.yaml:4: code boom: rate_limit.burst_size cannot be set for a code",
    ),
    (
        "overrides:\n  tenant:\n    retry.max_delay_ms: 1\n    retry.initial_delay_ms: 2",
        "f.yaml:4: tenant: retry.initial_delay_ms 2 is above max_delay_ms 1",
    ),
    ("overrides:\n  tenant: {}\n  tenant: {}", "f.yaml:3: tenant is already set in line 2"),
    ("overrides: &a {}", "f.yaml:1: YAML anchors and aliases"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_file_is_refused_by_file_line_and_key(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "f.yaml").write_text(text)
    with pytest.raises(DocumentRefused) as refused:
        rule_texts.parsed(tmp_path / "f.yaml")
    assert message in str(refused.value)


def _value(key: str) -> st.SearchStrategy[object]:
    field = FIELDS[key]
    if isinstance(field, Choice):
        return st.sampled_from(field.options)
    if isinstance(field, Whole):
        return st.integers(field.low, field.high)
    if isinstance(field, Number):
        return st.floats(field.low, field.high)
    return st.sampled_from(["none", "full"]) if "jitter" in key else st.booleans()


CODES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=100)
KEYS = sorted(key for key in FIELDS if may_tune("code", key) and "delay" not in key)
VALUES = st.fixed_dictionaries({}, optional={key: _value(key) for key in KEYS})


@given(st.dictionaries(CODES, VALUES, max_size=3))
@example({code: {"severity": "low"} for code in ("on", "404", "~", "<<", "=", "'", "a:", "#")})
@example({"tiny": {"retry.jitter_factor": 5e-324}})
def test_whatever_a_rule_may_say_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, codes: dict[str, dict[str, object]]
) -> None:
    file = tmp_path_factory.getbasetemp() / "again.yaml"
    said = {("code", code): values for code, values in codes.items()}
    written = rule_texts.document(said)
    file.write_text(written)
    again = rule_texts.parsed(file)
    assert rule_texts.document(again) == written
    assert {key for key, values in said.items() if values} == set(again)
