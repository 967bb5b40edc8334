"""Who wins each value: workflow > vendor > code > category > tenant > default; no always wins."""

import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.effective import Effective, Override, resolve
from safety.rulefields import CATEGORIES, SCOPES
from safety.rulefiles import load, shipped
from safety.ruletypes import CodeRule, PolicyRule, RetryPolicy, Rulebook

RULES = load(shipped())
TARGETS = {
    "workflow": "payment_processing",
    "vendor": "stripe",
    "code": "timeout",
    "category": "transient_error",
    "tenant": "",
}


def override(scope: str, target: str | None = None, version: int = 1, **values: object) -> Override:
    """`retry__max_retries=3` stands for the dotted name."""
    dotted = {key.replace("__", "."): value for key, value in values.items()}
    where = TARGETS[scope] if target is None else target
    return Override(scope, where, dotted, version, f"{scope}-{version}")


def effective(*overrides: Override, rules: Rulebook = RULES, **about: object) -> Effective:
    names = {
        "workflow": "payment_processing",
        "vendor": "stripe",
        "error_code": "timeout",
        "category": "unknown",
    }
    return resolve(rulebook=rules, overrides=overrides, **(names | about))  # type: ignore[arg-type]


def with_code(name: str, policy: str | None = None, **values: object) -> Rulebook:
    dotted = {key.replace("__", "."): value for key, value in values.items()}
    code = CodeRule(name, 1, {"severity": "low", **dotted}, policy, "")
    return replace(RULES, codes=MappingProxyType({**RULES.codes, name: code}))


def source(found: Effective, key: str) -> str:
    return found.values[key].source


# Each row: the levels that speak, strongest first; the first is expected to win.
STEPS = [
    ("workflow", "vendor"),
    ("vendor", "code"),
    ("code", "category"),
    ("category", "tenant"),
]


@pytest.mark.parametrize(("stronger", "weaker"), STEPS)
def test_the_stronger_level_wins_and_is_named(stronger: str, weaker: str) -> None:
    # jitter_factor: no vendor and no code of the files says it
    both = (
        override(weaker, retry__jitter_factor=0.9),
        override(stronger, version=4, retry__jitter_factor=0.5),
    )
    found = effective(*both)
    assert found.retry.jitter_factor == 0.5
    assert source(found, "retry.jitter_factor").startswith("override v4 for")
    assert TARGETS[stronger] in source(found, "retry.jitter_factor")


FILE_STEPS = [
    # override of, key, value, vendor, code, what wins
    ("workflow", "retry.max_retries", 9, "stripe", "timeout", 9),
    ("vendor", "retry.max_retries", 9, "stripe", "timeout", 9),
    ("code", "retry.max_retries", 9, "stripe", "timeout", 3),  # vendor stripe in the file
    ("code", "retry.max_retries", 9, "nobody", "timeout", 9),
    ("category", "retry.max_retries", 9, "nobody", "timeout", 3),  # code timeout in the file
    ("category", "retry.max_retries", 9, "nobody", "novel", 9),
    ("tenant", "retry.max_retries", 9, "nobody", "novel", 3),  # category transient_error
    ("tenant", "breaker.failure_threshold", 9, "stripe", "timeout", 10),
    ("tenant", "breaker.failure_threshold", 9, "nobody", "timeout", 9),  # above vendors.default
]


@pytest.mark.parametrize(("scope", "key", "value", "vendor", "code", "expected"), FILE_STEPS)
def test_an_override_ranks_by_its_level_among_the_files(
    scope: str, key: str, value: object, vendor: str, code: str, expected: object
) -> None:
    asked = Override(scope, TARGETS[scope], {key: value}, 1, "o")
    found = effective(asked, vendor=vendor, error_code=code, category="transient_error")
    assert found.values[key].value == expected


def test_within_a_level_the_override_stands_above_the_file() -> None:
    found = effective(
        override("vendor", version=3, retry__max_retries=1, breaker__timeout_seconds=7)
    )
    assert found.retry.max_retries == 1
    assert source(found, "retry.max_retries") == "override v3 for vendor stripe"
    assert found.breaker.timeout_seconds == 7
    # what it does not say stays with the file
    assert source(found, "retry.max_delay_ms") == "vendor stripe in vendor_config.yaml"


def test_a_vendor_of_the_file_outranks_the_code_of_the_file() -> None:
    found = effective(vendor="plaid")
    assert (found.retry.max_retries, found.retry.initial_delay_ms) == (4, 2000)
    assert source(found, "retry.max_retries") == "vendor plaid in vendor_config.yaml"


def test_the_code_outranks_its_category() -> None:
    found = effective(vendor="nobody", error_code="deadlock")
    assert found.retry.max_retries == 2  # transient_error says 3
    assert source(found, "retry.max_retries") == "code deadlock in error_codes.yaml"
    assert source(found, "retry.jitter") == "category transient_error in retry_policies.yaml"


def test_a_named_policy_gives_the_numbers_of_its_code() -> None:
    found = effective(vendor="nobody", error_code="payment_timeout", category="vendor_error")
    assert found.retry == RetryPolicy(True, 5, "exponential", 1000, 300_000, 2.0, "factor", 0.2)
    said = source(found, "retry.max_retries")
    assert said == "policy exponential_backoff in retry_policies.yaml"
    assert found.severity == "high"


def test_vendors_default_ranks_as_default() -> None:
    found = effective(vendor="nobody", error_code="novel", category="rate_limit")
    assert found.retry.max_retries == 5  # the category, not vendors.default's 3
    assert source(found, "breaker.failure_threshold") == "default in vendor_config.yaml"
    assert source(found, "rate_limit.burst_size") == "default in vendor_config.yaml"
    assert (found.rate_limit.requests_per_second, found.rate_limit.burst_size) == (50, 5)
    assert found.timeout_seconds == 30


def test_the_vendor_named_default_is_nobody_special() -> None:
    found = effective(vendor="default", error_code="novel", category="rate_limit")
    assert found.retry.max_retries == 5


def test_the_default_policy_fills_what_is_unsaid() -> None:
    found = effective(vendor="nobody", error_code="novel", category="user_error")
    assert source(found, "retry.jitter") == "default in retry_policies.yaml"
    assert source(found, "severity") == "built-in default"
    assert found.severity == "medium"


def test_an_empty_rulebook_falls_back_to_the_built_in_and_does_not_retry() -> None:
    found = effective(rules=Rulebook({}, {}, {}), category="transient_error")
    assert found.retry == RetryPolicy()
    assert (found.breaker.failure_threshold, found.rate_limit.burst_size) == (10, 5)
    assert "no rule says" in source(found, "retry.enabled")


# --- which override is in force ----------------------------------------------------------------


def test_the_highest_version_counts_alone() -> None:
    old = override("vendor", version=1, retry__max_retries=1, retry__max_delay_ms=5)
    new = override("vendor", version=2, retry__max_retries=2)
    for order in ((old, new), (new, old)):
        found = effective(*order)
        assert found.retry.max_retries == 2
        assert found.retry.max_delay_ms == 30_000  # the old version's difference is gone


def test_an_override_about_something_else_says_nothing() -> None:
    others = [
        override(scope, target="else", severity="low") for scope in SCOPES if scope != "tenant"
    ]
    assert effective(*others) == effective()


def test_an_empty_name_matches_no_override() -> None:
    nameless = override("vendor", target="", severity="low")
    assert effective(nameless, vendor="").severity == "high"


def test_what_a_scope_may_not_tune_is_not_merged() -> None:
    found = effective(override("workflow", breaker__failure_threshold=1, planet="mars"))
    assert found.breaker.failure_threshold == 10
    assert "planet" not in found.values


# --- the category ------------------------------------------------------------------------------


def test_the_category_of_a_known_code_outranks_the_classifier() -> None:
    found = effective(category="user_error")
    assert found.category == "transient_error"
    assert source(found, "category") == "code timeout in error_codes.yaml"


def test_the_classifier_speaks_for_a_code_without_a_category() -> None:
    for code in ("payment_timeout", "novel"):
        found = effective(error_code=code, category="vendor_error")
        assert (found.category, source(found, "category")) == ("vendor_error", "classification")


@pytest.mark.parametrize("scope", ["workflow", "vendor", "code"])
def test_an_override_of_the_category_brings_its_policy_and_its_overrides(scope: str) -> None:
    mine = override(scope, target="novel" if scope == "code" else None, category="rate_limit")
    theirs = override("category", target="rate_limit", severity="critical")
    found = effective(mine, theirs, vendor="stripe", error_code="novel")
    assert (found.category, found.severity) == ("rate_limit", "critical")
    assert found.retry.enabled
    assert source(found, "retry.enabled") == "category rate_limit in retry_policies.yaml"


# --- may it be retried at all ------------------------------------------------------------------

SAYS_NO = ["insufficient_funds", "card_declined", "bad_request", "unauthorized", "forbidden"]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("code", SAYS_NO)
def test_no_override_of_any_level_turns_a_no_of_the_code_into_a_yes(code: str, scope: str) -> None:
    target = {**TARGETS, "code": code, "category": str(RULES.codes[code].category)}[scope]
    yes = override(scope, target=target, retry__enabled=True, retry__max_retries=9)
    found = effective(yes, error_code=code)
    assert not found.retry.enabled
    assert found.retry.max_retries == 0  # also for those who forget to look at `enabled`
    assert source(found, "retry.enabled") == f"code {code} in error_codes.yaml"


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("code", ["timeout", "payment_timeout", "novel"])
def test_a_no_of_any_override_wins_over_every_other_level(code: str, scope: str) -> None:
    targets = {**TARGETS, "code": code}
    no = override(scope, target=targets[scope], version=2, retry__enabled=False)
    yes = [
        override(other, target=targets[other], retry__enabled=True)
        for other in SCOPES
        if other != scope
    ]
    found = effective(no, *yes, error_code=code, category="transient_error")
    assert not found.retry.enabled
    assert source(found, "retry.enabled").startswith("override v2 for")


def test_a_disabled_policy_of_a_code_wins() -> None:
    rules = with_code("odd", "no_retry", retry__enabled=True, category="transient_error")
    found = effective(
        override("code", target="odd", retry__enabled=True), rules=rules, error_code="odd"
    )
    assert not found.retry.enabled
    assert source(found, "retry.enabled") == "policy no_retry in retry_policies.yaml"


def test_a_disabled_category_wins_over_a_yes_of_the_code() -> None:
    rules = with_code("odd", retry__enabled=True, category="user_error")
    found = effective(rules=rules, error_code="odd")
    assert not found.retry.enabled
    assert source(found, "retry.enabled") == "category user_error in retry_policies.yaml"


def test_a_named_policy_stands_in_for_a_disabled_category() -> None:
    rules = with_code("odd", "exponential_backoff", category="user_error")
    assert effective(rules=rules, error_code="odd").retry.enabled


def test_a_disabled_vendor_wins() -> None:
    vendor = RULES.vendors["stripe"]
    off = replace(vendor, values={**vendor.values, "retry.enabled": False})
    rules = replace(RULES, vendors=MappingProxyType({**RULES.vendors, "stripe": off}))
    found = effective(rules=rules)
    assert not found.retry.enabled
    assert source(found, "retry.enabled") == "vendor stripe in vendor_config.yaml"


def test_a_disabled_default_forbids_nothing_that_a_level_above_allows() -> None:
    off = PolicyRule("default", 1, {"retry.enabled": False})
    rules = replace(RULES, policies=MappingProxyType({**RULES.policies, "default": off}))
    assert effective(rules=rules).retry.enabled


@pytest.mark.parametrize("category", CATEGORIES)
def test_an_unknown_code_is_retried_if_the_policy_of_its_category_is(category: str) -> None:
    found = effective(error_code="novel", category=category)
    policy = RULES.policies.get(category)
    assert found.retry.enabled is (policy is not None and policy.as_policy().enabled)


def test_an_unknown_category_is_not_retried() -> None:
    found = effective(error_code="novel")
    assert not found.retry.enabled
    assert "category unknown" in source(found, "retry.enabled")


def test_also_not_when_the_file_calls_it_unknown_or_has_a_policy_of_that_name() -> None:
    policy = PolicyRule("unknown", 1, {"retry.enabled": True})
    rules = replace(
        with_code("odd", category="unknown"),
        policies=MappingProxyType({**RULES.policies, "unknown": policy}),
    )
    assert not effective(rules=rules, error_code="odd").retry.enabled


@pytest.mark.parametrize(
    ("policy", "values"), [("exponential_backoff", {}), (None, {"retry__enabled": True})]
)
def test_a_rule_about_the_code_holds_where_the_classifier_knows_nothing(
    policy: str | None, values: Mapping[str, object]
) -> None:
    found = effective(rules=with_code("odd", policy, **values), error_code="odd")
    assert found.category == "unknown"
    assert found.retry.enabled


def test_an_override_of_a_code_is_a_rule_about_it() -> None:
    found = effective(
        override("code", target="novel", retry__enabled=True), error_code="novel", vendor="nobody"
    )
    assert found.retry.enabled
    assert source(found, "retry.enabled") == "override v1 for code novel"
    # a yes for the whole workflow is not one for failures nobody can name
    assert not effective(
        override("workflow", retry__enabled=True), error_code="novel"
    ).retry.enabled


# --- environment, breaker, snapshot ------------------------------------------------------------

ENVIRONMENT = {
    "MAX_RETRIES_PER_WORKFLOW": 5,
    "CIRCUIT_BREAKER_THRESHOLD": 7,
    "CIRCUIT_BREAKER_TIMEOUT_SECONDS": 70,
    "LOG_LEVEL": "INFO",
}


def test_the_environment_is_the_default_breaker_of_vendors_the_file_does_not_know() -> None:
    found = effective(vendor="nobody", environment=ENVIRONMENT)
    assert (found.breaker.failure_threshold, found.breaker.timeout_seconds) == (7, 70)
    said = source(found, "breaker.failure_threshold")
    assert said == "CIRCUIT_BREAKER_THRESHOLD in the environment"
    known = effective(vendor="stripe", environment=ENVIRONMENT)
    assert (known.breaker.failure_threshold, known.breaker.timeout_seconds) == (10, 300)


def test_a_tenants_override_outranks_the_environment() -> None:
    mine = override("tenant", breaker__failure_threshold=2)
    found = effective(mine, vendor="nobody", environment=ENVIRONMENT)
    assert found.breaker.failure_threshold == 2
    assert source(found, "breaker.failure_threshold") == "override v1 for the tenant"


def test_the_limits_of_the_environment_are_part_of_the_snapshot() -> None:
    limit = effective(environment=ENVIRONMENT).values["limits.max_retries_per_workflow"]
    assert (limit.value, limit.source) == (5, "MAX_RETRIES_PER_WORKFLOW in the environment")


def test_a_probe_keeps_its_lease_beyond_its_deadline() -> None:
    found = effective(override("vendor", timeout_seconds=600))
    assert found.breaker.probe_lease_seconds > found.timeout_seconds


def test_the_snapshot_is_plain_data_that_names_every_source() -> None:
    shown = effective(override("vendor", version=3, retry__max_retries=1)).as_json()
    assert json.loads(json.dumps(shown)) == shown
    assert shown["retry.max_retries"] == {
        "value": 1,
        "source": "override v3 for vendor stripe",
        "override_id": "vendor-3",
    }
    assert shown["severity"] == {"value": "high", "source": "code timeout in error_codes.yaml"}
    assert all(each["source"] for each in shown.values())


@given(
    st.lists(
        st.builds(
            lambda scope, retries, enabled, version: override(
                scope, version=version, retry__max_retries=retries, retry__enabled=enabled
            ),
            st.sampled_from(SCOPES),
            st.integers(0, 100),
            st.booleans(),
            st.integers(1, 3),
        )
    ),
    st.sampled_from([*RULES.codes, "novel"]),
    st.sampled_from(CATEGORIES),
    st.randoms(use_true_random=False),
)
def test_no_wins_and_order_does_not_matter(
    overrides: list[Override], code: str, category: str, random: object
) -> None:
    by_version = {(each.scope, each.version): each for each in overrides}
    unique = list(by_version.values())
    found = effective(*unique, error_code=code, category=category)
    shuffled = unique[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert effective(*shuffled, error_code=code, category=category) == found
    known = RULES.codes.get(code)
    if known is not None and known.values.get("retry.enabled") is False:
        assert not found.retry.enabled
    if not found.retry.enabled:
        assert found.retry.max_retries == 0
