"""The rulebook: what is shipped, and every way in which a file or an override is refused."""

import runpy
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery.signals import worker_init
from hypothesis import example, given
from hypothesis import strategies as st

from awfdrs_site.celery import demand_rules
from safety import checks, rulefiles, strict_yaml
from safety.rulefields import FIELDS, NAME, SCOPES, ValuesRefused, may_tune, validate_values
from safety.rulefiles import RetryPolicy, RulebookError, load, shipped

SHIPPED = load(shipped())

# reference/original-facts.md §4, typed again so that a slip in a file is seen
CODES = {
    "insufficient_funds": ("medium", False, None, "user_error", "Customer has insufficient funds"),
    "card_declined": ("medium", False, None, "user_error", "Card was declined by issuer"),
    "expired_card": ("low", False, None, "user_error", "Card has expired"),
    "payment_gateway_timeout": ("high", True, 3, "transient_error", "Payment gateway timed out"),
    "payment_gateway_error": ("high", True, 2, "vendor_error", "Payment gateway returned error"),
    "timeout": ("high", True, 3, "transient_error", "API request timed out"),
    "rate_limit_exceeded": ("medium", True, 5, "rate_limit", "API rate limit exceeded"),
    "internal_server_error": ("high", True, 2, "vendor_error", "Vendor internal server error"),
    "service_unavailable": (
        "critical",
        True,
        3,
        "vendor_error",
        "Service temporarily unavailable",
    ),
    "bad_request": ("medium", False, None, "validation_error", "Invalid request parameters"),
    "unauthorized": ("high", False, None, "auth_error", "Authentication failed"),
    "forbidden": ("high", False, None, "auth_error", "Authorization failed"),
    "connection_timeout": (
        "critical",
        True,
        3,
        "infrastructure_error",
        "Database connection timeout",
    ),
    "deadlock": ("high", True, 2, "transient_error", "Database deadlock detected"),
    "constraint_violation": (
        "medium",
        False,
        None,
        "validation_error",
        "Database constraint violation",
    ),
}
POLICIES = {
    "transient_error": RetryPolicy(True, 3, "exponential", 1000, 30000, 2.0, "factor", 0.1),
    "rate_limit": RetryPolicy(True, 5, "exponential", 2000, 60000, 2.5, "factor", 0.2, True),
    "vendor_error": RetryPolicy(True, 2, "exponential", 1500, 20000, 2.0, "none"),
    "infrastructure_error": RetryPolicy(True, 4, "exponential", 2000, 60000, 2.0, "factor", 0.15),
    "user_error": RetryPolicy(False, 0),
    "validation_error": RetryPolicy(False, 0),
    "auth_error": RetryPolicy(False, 0),
    "default": RetryPolicy(True, 3, "exponential", 1000, 30000, 2.0, "factor", 0.1),
    "exponential_backoff": RetryPolicy(True, 5, "exponential", 1000, 300000, 2.0, "factor", 0.2),
    "no_retry": RetryPolicy(False, 0),
}
# threshold, open seconds, half-open, retries, initial ms, max ms, timeout, per second, burst
VENDORS = {
    "stripe": (10, 300, 3, 3, 1000, 30000, 30, 100, 10),
    "plaid": (15, 600, 5, 4, 2000, 60000, 45, 50, 5),
    "twilio": (8, 300, 2, 3, 500, 15000, 20, 30, 3),
    "sendgrid": (10, 300, 3, 3, 1000, 30000, 25, 60, 6),
    "aws_s3": (20, 600, 5, 5, 1000, 32000, 60, 200, 20),
    "default": (10, 300, 3, 3, 1000, 30000, 30, 50, 5),
}

Broken = Callable[[str, str], list[str]]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped(), tmp_path / "rules"))


read_once = cache(strict_yaml.read_text)


def read(path: Path) -> tuple[strict_yaml.Table | None, list[strict_yaml.Problem]]:
    """As the product does it, but what it has read it knows: two of three files are the same in every test."""
    return read_once(path.read_bytes(), path.name) if path.exists() else strict_yaml.read(path)


@pytest.fixture
def broken(rules: Path, monkeypatch: pytest.MonkeyPatch) -> Broken:
    """Loads the shipped set with one file replaced; answers the problems as shown to people."""
    monkeypatch.setattr(rulefiles, "read", read)

    def load_with(file: str, text: str) -> list[str]:
        (rules / file).write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(RulebookError) as refused:
            load(rules)
        return [str(problem) for problem in refused.value.problems]

    return load_with


@pytest.mark.parametrize("name", CODES)
def test_every_code_of_the_original_is_shipped_with_its_numbers(name: str) -> None:
    severity, retry, max_retries, category, description = CODES[name]
    code = SHIPPED.codes[name]
    assert (code.values["severity"], code.category) == (severity, category)
    assert code.values["retry.enabled"] is retry
    assert code.values.get("retry.max_retries") == max_retries
    assert (code.description, code.retry_policy) == (description, None)


def test_the_readme_example_is_shipped_unchanged() -> None:
    code = SHIPPED.codes["payment_timeout"]
    assert dict(code.values) == {"severity": "high"}
    assert code.retry_policy == "exponential_backoff"
    assert code.description == "Payment gateway timeout"
    assert set(SHIPPED.codes) == {*CODES, "payment_timeout"}


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_of_the_original_is_shipped_with_its_numbers(name: str) -> None:
    assert SHIPPED.policies[name].as_policy() == POLICIES[name]
    assert set(SHIPPED.policies) == set(POLICIES)


@pytest.mark.parametrize("name", VENDORS)
def test_every_vendor_of_the_original_is_shipped_with_its_numbers(name: str) -> None:
    keys = (
        "breaker.failure_threshold",
        "breaker.timeout_seconds",
        "breaker.half_open_requests",
        "retry.max_retries",
        "retry.initial_delay_ms",
        "retry.max_delay_ms",
        "timeout_seconds",
        "rate_limit.requests_per_second",
        "rate_limit.burst_size",
    )
    expected = dict(zip(keys, VENDORS[name], strict=True)) | {"retry.backoff_multiplier": 2.0}
    assert dict(SHIPPED.vendors[name].values) == expected
    assert set(SHIPPED.vendors) == set(VENDORS)


def test_the_digest_changes_with_any_file(rules: Path) -> None:
    assert load(rules).digest == SHIPPED.digest
    with (rules / "vendor_config.yaml").open("a") as file:
        file.write("# a comment\n")
    assert load(rules).digest != SHIPPED.digest


def test_a_byte_order_mark_is_no_error(rules: Path) -> None:
    text = (rules / "error_codes.yaml").read_text()
    (rules / "error_codes.yaml").write_text("\ufeff" + text)
    assert load(rules) == SHIPPED


CODE_PROBLEMS = [
    ("severity: high\n    colour: red", "error_codes.yaml:4: boom: unknown key colour; known are"),
    ("severity: hihg", "error_codes.yaml:3: boom: severity must be one of low, medium"),
    ("retry: true", "error_codes.yaml:2: boom: severity is missing"),
    (
        "severity: high\n    retry: on",
        'error_codes.yaml:4: boom: retry must be true or false; "on"',
    ),
    (
        "severity: high\n    retry: 'true'",
        "error_codes.yaml:4: boom: retry must be written without",
    ),
    ("severity: high\n    retry: [true]", "error_codes.yaml:4: boom: retry must be one value"),
    ("severity: on", "error_codes.yaml:3: boom: severity must be text: YAML reads 'on' as bool"),
    ("severity: 2026-01-01", "error_codes.yaml:3: boom: severity must be text: YAML reads"),
    ("severity:", "error_codes.yaml:3: boom: severity must be text: YAML reads '' as null"),
    ("severity: high\n    category: oops", "error_codes.yaml:4: boom: category must be one of"),
    (
        "severity: high\n    max_retries: 1_0",
        "error_codes.yaml:4: boom: max_retries must be a whole",
    ),
    ("severity: high\n    max_retries: 0o17", "error_codes.yaml:4: boom: max_retries must be a"),
    ("severity: high\n    max_retries: 017", "error_codes.yaml:4: boom: max_retries must be a"),
    ("severity: high\n    max_retries: 3.0", "error_codes.yaml:4: boom: max_retries must be a"),
    ("severity: high\n    max_retries: '3'", "error_codes.yaml:4: boom: max_retries must be wri"),
    ("severity: high\n    max_retries: -1", "error_codes.yaml:4: boom: max_retries must be from 0"),
    ("severity: high\n    max_retries: 101", "error_codes.yaml:4: boom: max_retries must be from"),
    (
        "severity: high\n    retry_policy: nope",
        "error_codes.yaml:2: boom: no retry policy is named",
    ),
    ('severity: high\n    description: "a\\nb"', "error_codes.yaml:4: boom: description must be"),
    ("severity: high\n    severity: low", "error_codes.yaml:4: severity is already set in line 3"),
    ("severity: &a high", "error_codes.yaml:3: YAML anchors and aliases"),
    ("severity: *a", "error_codes.yaml:3: YAML anchors and aliases"),
    ("severity: !!python/object/apply:os.system [id]", "error_codes.yaml:3: YAML tags are refused"),
    ("severity: !custom high", "error_codes.yaml:3: YAML tags are refused: !custom"),
    ("severity: !!int 3", "error_codes.yaml:3: YAML tags are refused"),
    ("<<: {severity: high}", 'error_codes.yaml:3: a key must be text: write "<<" in quotes'),
    ("on: high", 'error_codes.yaml:3: a key must be text: write "on" in quotes'),
    ("[a]: high", 'error_codes.yaml:3: a key must be text: write "a list or table" in quotes'),
    ("severity: [", "is not valid YAML"),
    ("severity: high\n---\n", "error_codes.yaml:4: only one YAML document is allowed"),
    ("severity: " + "[" * 20, "is nested more than 16 levels deep"),
    ("severity: hi\x07gh", "error_codes.yaml:3: contains a control character"),
    ("severity: h\udcffgh", "error_codes.yaml:3: is not UTF-8"),
]


@pytest.mark.parametrize(("body", "message"), CODE_PROBLEMS)
def test_a_wrong_code_is_refused_with_file_and_line(
    broken: Broken, body: str, message: str
) -> None:
    problems = broken("error_codes.yaml", f"error_codes:\n  boom:\n    {body}\n")
    assert any(message in problem for problem in problems), problems


POLICY = "retry_policies:\n  transient_error:\n    enabled: true\n    "
POLICY_PROBLEMS = [
    ("backoff_multiplier: .inf", "backoff_multiplier must be a number in plain digits"),
    ("backoff_multiplier: 1e3", "backoff_multiplier must be a number in plain digits"),
    ("backoff_multiplier: 0.5", "backoff_multiplier must be from 1 to 100"),
    ("jitter: off", "jitter must be true, false or one of none, full"),
    ("jitter_factor: 1.5", "jitter_factor must be from 0 to 1"),
    ("backoff_strategy: random", "backoff_strategy must be one of fixed, linear, exponential"),
    ("initial_delay_ms: 86400001", "initial_delay_ms must be from 0 to 86400000"),
    ("initial_delay_ms: " + "9" * 5000, "initial_delay_ms must be a whole number"),
    ("initial_delay_ms: 2\n    max_delay_ms: 1", "initial_delay_ms 2 is above max_delay_ms 1"),
    ("respect_retry_after: yes", "respect_retry_after must be true or false"),
    ("retryable: true", "retry_policies.yaml:4: transient_error: unknown key retryable"),
]


@pytest.mark.parametrize(("body", "message"), POLICY_PROBLEMS)
def test_a_wrong_policy_is_refused(broken: Broken, body: str, message: str) -> None:
    problems = broken("retry_policies.yaml", f"{POLICY}{body}\n")
    assert any(message in problem for problem in problems), problems


def test_a_policy_must_say_whether_it_retries(broken: Broken) -> None:
    problems = broken("retry_policies.yaml", "retry_policies:\n  odd:\n    max_retries: 1\n")
    assert "retry_policies.yaml:2: odd: enabled is missing" in problems


VENDOR_PROBLEMS = [
    ("acme: 5", "vendor_config.yaml:2: acme: must be a table of keys and values"),
    ("acme: {circuit_breaker: 5}", "acme: circuit_breaker must be a table"),
    ("acme: {circuit_breaker: {half_open_max_calls: 5}}", "unknown key half_open_max_calls"),
    ("acme: {circuit_breaker: {failure_threshold: 0}}", "failure_threshold must be from 1"),
    ("acme: {rate_limits: {requests_per_second: 0}}", "requests_per_second must be from 0.01"),
    ("acme: {timeout_seconds: 3600}", "timeout_seconds must be from 1 to 600"),
    ("acme: {timeout_seconds: {a: 1}}", "timeout_seconds must be one value, not a list or table"),
    ("Bad Vendor: {timeout_seconds: 30}", "Bad Vendor: the name must be a name of a-z"),
    ("acme: {timeout_seconds: 30}", "vendor_config.yaml: the vendor default is missing"),
]


@pytest.mark.parametrize(("body", "message"), VENDOR_PROBLEMS)
def test_a_wrong_vendor_is_refused(broken: Broken, body: str, message: str) -> None:
    problems = broken("vendor_config.yaml", f"vendors:\n  {body}\n")
    assert any(message in problem for problem in problems), problems


FILE_PROBLEMS = [
    ("", "vendor_config.yaml:1: the file must be a table"),
    ("- a list", "vendor_config.yaml:1: the file must be a table"),
    ("vendors:", "vendor_config.yaml:1: vendors must be a table of names"),
    ("vendors: {}", "vendor_config.yaml:1: vendors must be a table of names"),
    ("vendors:\n- name: stripe", "vendor_config.yaml:2: vendors must be a table of names"),
    ("vendor: {}", "vendor_config.yaml:1: unknown key vendor; use vendors"),
    ("# " + "x" * strict_yaml.MAX_BYTES, "vendor_config.yaml: is larger than 256 KiB"),
]


@pytest.mark.parametrize(("text", "message"), FILE_PROBLEMS)
def test_a_file_of_another_shape_is_refused(broken: Broken, text: str, message: str) -> None:
    problems = broken("vendor_config.yaml", text)
    assert any(message in problem for problem in problems), problems


def test_all_problems_of_all_files_are_told_at_once(rules: Path, broken: Broken) -> None:
    (rules / "vendor_config.yaml").unlink()
    (rules / "retry_policies.yaml").write_text(POLICY + "jitter: off\n")
    text = "error_codes:\n  a: {severity: on}\n  b: {severity: low, retry_policy: gone}\n"
    problems = broken("error_codes.yaml", text)
    assert [problem.partition(": ")[0] for problem in problems[:2]] == [
        "error_codes.yaml:2",
        "error_codes.yaml:3",
    ]
    assert "vendor_config.yaml: cannot be read: No such file or directory" in problems
    # the categories are policies of the same name
    assert "retry_policies.yaml: the policy rate_limit is missing" in problems


def test_references_to_a_file_that_did_not_load_are_not_held_against_it(broken: Broken) -> None:
    assert broken("retry_policies.yaml", "retry_policies: &a") == [
        "retry_policies.yaml:1: YAML anchors and aliases (& and *) are refused"
    ]


def test_a_billion_laughs_are_refused_before_they_are_read(broken: Broken) -> None:
    laughs = "a: &a [x]\n" + "\n".join(f"b{n}: [{'*a, ' * 9}*a]" for n in range(9))
    assert broken("error_codes.yaml", laughs) == [
        "error_codes.yaml:1: YAML anchors and aliases (& and *) are refused"
    ]


@given(st.text(max_size=80))
@example("? [a]: b")
@example("%YAML 1.1\n---\na: b")
@example("\x85")
def test_no_text_makes_the_reader_fail(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    table, problems = strict_yaml.read(path)
    assert table is not None or problems
    assert all(problem.file == "any.yaml" and problem.message for problem in problems)


# --- overrides that somebody types -------------------------------------------------------------


def test_an_override_may_be_typed_as_text_or_as_values() -> None:
    typed = {
        "retry.enabled": "false",
        "retry.max_retries": " 4 ",
        "retry.jitter": True,
        "retry.backoff_multiplier": 2,
        "severity": "high",
    }
    assert validate_values("vendor", typed) == {
        "retry.enabled": False,
        "retry.max_retries": 4,
        "retry.jitter": "factor",
        "retry.backoff_multiplier": 2.0,
        "severity": "high",
    }


def test_a_flag_and_a_name_that_have_their_type_stay_as_they_are() -> None:
    assert validate_values("tenant", {"retry.enabled": False}) == {"retry.enabled": False}
    assert NAME.check("aws_s3") == "aws_s3"
    with pytest.raises(ValueError, match="must be a name of"):
        NAME.check("Bad Vendor")


def test_an_override_without_values_goes_back_to_the_files() -> None:
    assert validate_values("tenant", {}) == {}


REFUSED: list[tuple[str, str, object, str]] = [
    ("tenant", "retry.max_retries", True, "must be a whole number"),
    ("tenant", "retry.max_retries", 2.0, "must be a whole number"),
    ("tenant", "retry.max_retries", None, "must be a whole number"),
    ("tenant", "retry.max_retries", "1_0", "must be a whole number in plain digits"),
    ("tenant", "retry.max_retries", -1, "must be from 0 to 100; -1 is not"),
    ("tenant", "retry.backoff_multiplier", float("nan"), "must be from 1 to 100"),
    ("tenant", "retry.backoff_multiplier", False, "must be a number"),
    ("tenant", "retry.backoff_multiplier", [], "must be a number"),
    ("tenant", "retry.enabled", 1, "must be true or false"),
    ("tenant", "retry.enabled", "yes", "must be true or false"),
    ("tenant", "retry.jitter", 0.5, "must be true, false or one of"),
    ("tenant", "severity", 3, "must be one of low, medium, high, critical"),
    ("tenant", "max_retries", 3, "is not a value a rule can set"),
    ("tenant", "category", "rate_limit", "cannot be set for a tenant"),
    ("category", "category", "rate_limit", "cannot be set for a category"),
    ("workflow", "breaker.failure_threshold", 3, "cannot be set for a workflow"),
    ("code", "rate_limit.burst_size", 3, "cannot be set for a code"),
    ("planet", "severity", "low", "must be one of workflow, vendor, code, category, tenant"),
]


@pytest.mark.parametrize(("scope", "key", "value", "message"), REFUSED)
def test_a_wrong_override_is_refused_in_words(
    scope: str, key: str, value: object, message: str
) -> None:
    with pytest.raises(ValuesRefused) as refused:
        validate_values(scope, {key: value})
    assert message in str(refused.value)


def test_every_wrong_value_of_an_override_is_told() -> None:
    with pytest.raises(ValuesRefused) as refused:
        validate_values("tenant", {"severity": "x", "retry.enabled": "x", "timeout_seconds": 5})
    assert set(refused.value.errors) == {"severity", "retry.enabled"}
    with pytest.raises(ValuesRefused, match=r"retry\.initial_delay_ms 9 is above max_delay_ms 8"):
        validate_values("code", {"retry.initial_delay_ms": 9, "retry.max_delay_ms": 8})


@given(st.sampled_from(SCOPES), st.dictionaries(st.sampled_from(sorted(FIELDS)), st.integers()))
def test_what_is_accepted_is_accepted_again_unchanged(scope: str, values: dict[str, int]) -> None:
    try:
        accepted = validate_values(scope, values)
    except ValuesRefused:
        return
    assert validate_values(scope, accepted) == accepted
    assert all(may_tune(scope, key) for key in accepted)


# --- manage.py check ---------------------------------------------------------------------------


def test_check_is_silent_about_the_shipped_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "settings", SimpleNamespace(AWFDRS_RULES_DIR=""))
    assert checks.check_rulebook() == []


def test_check_names_file_and_line_of_every_problem(
    rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "settings", SimpleNamespace(AWFDRS_RULES_DIR=str(rules)))
    (rules / "error_codes.yaml").write_text(
        "error_codes:\n  a: {severity: x}\n  b: {colour: red}\n"
    )
    messages = [str(error.msg) for error in checks.check_rulebook(app_configs=None)]
    assert [message.partition(": ")[0] for message in messages] == [
        "error_codes.yaml:2",
        "error_codes.yaml:3",
        "error_codes.yaml:3",
    ]
    assert all(error.id == "safety.E001" for error in checks.check_rulebook())


def test_the_public_names_of_the_rulebook_exist() -> None:
    assert all(hasattr(rulefiles, name) for name in rulefiles.__all__)


# --- the start ---------------------------------------------------------------------------------


def _spoil(rules: Path) -> Path:
    (rules / "error_codes.yaml").write_text("error_codes:\n  boom:\n    severity: hihg\n")
    return rules


PLACE = "error_codes.yaml:3: boom: severity must be one of low"


def test_a_worker_does_not_start_with_rules_that_do_not_hold(
    rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {receiver() for _, receiver in worker_init.receivers}  # of weak references
    assert demand_rules in asked
    demand_rules()
    monkeypatch.setattr(checks, "settings", SimpleNamespace(AWFDRS_RULES_DIR=str(_spoil(rules))))
    with pytest.raises(SystemExit) as ended:
        demand_rules()
    assert PLACE in str(ended.value)


@pytest.mark.parametrize("server", ["asgi", "wsgi"])
def test_a_web_server_does_not_start_with_rules_that_do_not_hold(
    rules: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    monkeypatch.setattr(checks, "settings", SimpleNamespace(AWFDRS_RULES_DIR=str(_spoil(rules))))
    monkeypatch.setattr(
        "django.setup", lambda **_: None
    )  # once a process; again it would take logging away
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"awfdrs_site.{server}")
    assert PLACE in str(ended.value)  # the line it ends with: no traceback, exit code 1
