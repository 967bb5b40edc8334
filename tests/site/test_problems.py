"""The problem document and the codes of the contract."""

import pytest

from awfdrs_site.lib.problems import GENERIC_CODES, KINDS, FieldError, Problem, as_dict, for_status


def test_every_code_of_the_contract_has_its_status() -> None:
    assert {code: status for code, (status, _) in KINDS.items()} == {
        "bad_request": 400,
        "malformed_json": 400,
        "unauthenticated": 401,
        "forbidden": 403,
        "missing_scope": 403,
        "tenant_inactive": 403,
        "tenant_mismatch": 403,
        "own_request": 403,
        "plan_changed": 409,
        "not_found": 404,
        "method_not_allowed": 405,
        "not_acceptable": 406,
        "conflict": 409,
        "transition_refused": 409,
        "unrecovered_runs": 409,
        "stale_version": 412,
        "too_large": 413,
        "unsupported_media_type": 415,
        "idempotency_key_reused": 422,
        "validation_failed": 422,
        "batch_refused": 422,
        "rate_limited": 429,
        "internal_error": 500,
        "backlog": 503,
        "unavailable": 503,
    }


def test_a_generic_code_has_the_status_it_stands_for() -> None:
    assert all(KINDS[code][0] == status for status, code in GENERIC_CODES.items())


def test_a_problem_is_a_document_with_errors_and_extra_members() -> None:
    problem = Problem(
        "validation_failed",
        "Two fields are wrong.",
        errors=[FieldError("/a", "type", "This must be a string.")],
        quarantine_id="q-1",
    )
    assert as_dict(problem, instance="/api/v1/events", correlation_id="c-1") == {
        "type": "/problems/validation_failed",
        "title": "The content is not valid",
        "status": 422,
        "code": "validation_failed",
        "detail": "Two fields are wrong.",
        "instance": "/api/v1/events",
        "correlation_id": "c-1",
        "errors": [{"pointer": "/a", "code": "type", "detail": "This must be a string."}],
        "quarantine_id": "q-1",
    }


def test_a_problem_without_errors_has_no_such_member() -> None:
    assert "errors" not in as_dict(Problem("not_found"), instance="/", correlation_id="")


def test_an_extra_member_replaces_none_of_ours() -> None:
    problem = Problem("conflict", status=200, title="fine", allowed=["resolved"])
    body = as_dict(problem, instance="/", correlation_id="")
    assert body["status"] == 409
    assert body["title"] == "The state does not allow this"
    assert body["allowed"] == ["resolved"]


def test_an_unknown_code_is_a_mistake_of_the_programmer() -> None:
    with pytest.raises(KeyError):
        Problem("no_such_code")


@pytest.mark.parametrize(
    ("status", "code"), [(404, "not_found"), (418, "bad_request"), (502, "internal_error")]
)
def test_a_bare_status_has_a_code(status: int, code: str) -> None:
    assert for_status(status).code == code


@pytest.mark.parametrize("status", [410, 418, 501, 504])
def test_a_bare_status_of_no_code_keeps_its_number(status: int) -> None:
    assert for_status(status).status == status
