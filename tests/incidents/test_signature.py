"""M11: which failures are the same failure, and what an incident is called."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents.signature import VERSION, Signature, fingerprint, title


def signature(**changed: str) -> Signature:
    fields = {
        "workflow": "ci",
        "event_type": "job.failed",
        "vendor": "github-actions",
        "error_code": "",
        "template": "0123456789abcdef",
        "step": "Run Tests",
    }
    return fingerprint(**{**fields, **changed})


def test_the_components_are_named_in_order() -> None:
    found = signature(error_code="HTTP_503")
    assert found.version == VERSION == 2
    assert found.components == (
        ("workflow", "ci"),
        ("vendor", "github-actions"),
        ("code", "http_503"),
        ("template", "0123456789abcdef"),
    )


def test_event_type_and_step_speak_only_when_nothing_else_does() -> None:
    assert signature(step="a", event_type="x.failed") == signature(step="b", event_type="y.error")
    silent = {"template": "", "error_code": ""}
    assert signature(**silent, step="a") != signature(**silent, step="b")
    assert signature(**silent, event_type="x.failed") != signature(**silent, event_type="y.failed")
    assert signature(**silent).components[4:] == (
        ("event_type", "job.failed"),
        ("step", "run tests"),
    )


@pytest.mark.parametrize("field", ["workflow", "vendor", "error_code", "template"])
def test_every_component_tells_failures_apart(field: str) -> None:
    assert signature(**{field: "something else"}).hash != signature().hash


def test_components_do_not_run_into_each_other() -> None:
    assert (
        signature(vendor="ab", error_code="c").hash != signature(vendor="a", error_code="bc").hash
    )


# A changed hash splits every open incident: raise VERSION with it, on purpose.
def test_the_hash_of_version_2_is_pinned() -> None:
    assert signature().hash == "1ee0c1cf6888c58ae3142c49f570232d"


@given(st.lists(st.text(), min_size=6, max_size=6))
def test_a_signature_and_a_title_exist_for_any_text(texts: list[str]) -> None:
    workflow, event_type, vendor, error_code, message, step = texts
    named = {"event_type": event_type, "vendor": vendor, "error_code": error_code, "step": step}
    found = fingerprint(workflow=workflow, template=message, **named)
    assert found == fingerprint(workflow=workflow, template=message, **named)
    assert len(found.hash) == 32
    assert set(found.hash) <= set("0123456789abcdef")
    json.dumps(found.components)
    assert 1 <= len(title(error_message=message, **named)) <= 200


# --- the title ------------------------------------------------------------------------------


def titled(**given: str) -> str:
    fields = dict.fromkeys(("event_type", "error_code", "error_message", "vendor", "step"), "")
    return title(**{**fields, **given})


@pytest.mark.parametrize(
    ("expected", "given"),
    [
        ("Stripe capture times out", {"error_message": "Stripe capture times out"}),
        ("Read failed", {"error_message": "\n\n  Read\tfailed \nat line 3", "error_code": "x"}),
        ("Error: x", {"error_message": "\x1b[31mError\x1b[0m: x\x00"}),
        ("exe.gpj", {"error_message": "\u202eexe.gpj\ud800"}),
        ("Card declined · capture", {"error_code": "card_declined", "step": "capture"}),
        ("HTTP 503 · job.failed", {"error_code": "HTTP_503", "event_type": "job.failed"}),
        ("stripe · payment.failed", {"vendor": "stripe", "event_type": "payment.failed"}),
        ("payment.failed", {"event_type": "payment.failed"}),
        ("Access denied", {"error_code": "AccessDenied"}),
        ("Deadline exceeded", {"error_code": "DEADLINE_EXCEEDED"}),
        ("Unnamed failure", {}),
    ],
)
def test_the_title_is_the_message_else_code_and_place(expected: str, given: dict[str, str]) -> None:
    assert titled(**given) == expected


def test_a_long_title_is_shortened_visibly() -> None:
    long = titled(error_message="word " * 100)
    assert len(long) <= 200
    assert long.endswith("word…")
