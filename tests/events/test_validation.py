"""Which bodies are events, what their fields mean, and when two of them are the same."""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awfdrs_site.lib import rfc3339, strict_json
from events.validation import (
    FieldError,
    IncomingEvent,
    InvalidEvent,
    TenantMismatch,
    differing_fields,
    parse_event,
    vendor_name,
)

ACME = UUID("00000000-0000-0000-0000-000000000001")
GLOBEX = UUID("00000000-0000-0000-0000-000000000002")
WORKFLOW = UUID("1000000a-0000-0000-0000-00000000000b")
NOW = datetime(2026, 1, 19, 12, tzinfo=UTC)
ABSENT = object()


def body(**changes: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "tenant_id": str(ACME),
        "workflow_id": str(WORKFLOW),
        "event_type": "payment.failed",
        "payload": {"amount": 100.0, "error_code": "payment_timeout", "vendor": "stripe"},
        "idempotency_key": "payment-1",
        "occurred_at": "2026-01-19T10:00:00Z",
        "schema_version": "1.0.0",
    }
    fields |= changes
    return {name: value for name, value in fields.items() if value is not ABSENT}


def parse(value: object) -> IncomingEvent:
    return parse_event(value, tenant_id=ACME, now=NOW, retention_days=90)


def errors_of(value: object) -> tuple[FieldError, ...]:
    with pytest.raises(InvalidEvent) as caught:
        parse(value)
    return caught.value.errors


def only_error(**changes: object) -> tuple[str, str]:
    (error,) = errors_of(body(**changes))
    assert error.detail
    return error.pointer, error.code


def test_the_original_body_is_an_event() -> None:
    event = parse(body())
    assert event.workflow_id == WORKFLOW
    assert event.workflow_slug is None
    assert event.event_type == "payment.failed"
    assert event.payload == {"amount": 100.0, "error_code": "payment_timeout", "vendor": "stripe"}
    assert event.occurred_at == datetime(2026, 1, 19, 10, tzinfo=UTC)
    assert event.idempotency_key == "payment-1"
    assert event.schema_version == "1.0.0"
    assert event.run_id is None
    assert event.extra == {}
    assert event.warnings == ()


def test_the_least_event_is_enough() -> None:
    event = parse(
        {"workflow": "a", "event_type": "abc", "payload": {}, "occurred_at": "1970-01-01T00:00:00Z"}
    )
    assert event.workflow_slug == "a"
    assert event.workflow_id is None
    assert event.idempotency_key is None
    assert event.schema_version == "1.0.0"


@pytest.mark.parametrize("value", [[], None, "x", 1, True, [body()]])
def test_what_is_no_object_is_no_event(value: object) -> None:
    assert errors_of(value) == (FieldError("", "type", "An event is a JSON object."),)


def test_all_errors_are_named_at_once() -> None:
    # API.md: errors: [{pointer, code, detail}]
    wrong = body(event_type=5, payload="x", occurred_at=ABSENT, schema_version="2.0")
    assert [(error.pointer, error.code) for error in errors_of(wrong)] == [
        ("/event_type", "type"),
        ("/payload", "type"),
        ("/occurred_at", "required"),
        ("/schema_version", "unsupported"),
    ]


def test_an_error_repeats_nothing_of_the_body() -> None:
    secret = "hunter2 \ud800"
    wrong = {name: secret for name in body()} | {"workflow": secret}
    assert "hunter2" not in repr(errors_of(wrong))


@pytest.mark.parametrize("name", ["workflow_id", "event_type", "payload", "occurred_at"])
def test_a_required_field_must_be_there(name: str) -> None:
    assert only_error(**{name: ABSENT}) == (f"/{name}", "required")


@pytest.mark.parametrize(
    "name",
    [
        "workflow_id",
        "event_type",
        "payload",
        "occurred_at",
        "idempotency_key",
        "schema_version",
        "run_id",
    ],
)
def test_null_is_not_absent(name: str) -> None:
    assert only_error(**{name: None}) == (f"/{name}", "null")


def test_a_null_workflow_is_not_absent() -> None:
    assert only_error(workflow_id=ABSENT, workflow=None) == ("/workflow", "null")


@pytest.mark.parametrize("tenant", [ABSENT, None, str(ACME)])
def test_the_tenant_may_be_left_out(tenant: object) -> None:
    assert parse(body(tenant_id=tenant)).event_type == "payment.failed"


def test_another_tenant_is_refused_before_anything_else_is_looked_at() -> None:
    with pytest.raises(TenantMismatch):
        parse(body(tenant_id=str(GLOBEX), event_type=5, payload=None))


@pytest.mark.parametrize(
    "tenant",
    [
        10,
        True,
        2**130,
        1.0,
        [str(ACME)],
        {"$ne": None},
        "",
        f"{ACME}\n",
        f" {ACME}",
        f"{{{ACME}}}",
        f"urn:uuid:{ACME}",
        ACME.hex,
        str(ACME).replace("0", "\N{FULLWIDTH DIGIT ZERO}", 1),
        str(ACME).replace("-", "\N{HYPHEN}"),
    ],
)
def test_only_the_plain_spelling_is_a_uuid(tenant: object) -> None:
    assert only_error(tenant_id=tenant)[0] == "/tenant_id"
    assert only_error(workflow_id=tenant)[0] == "/workflow_id"


def test_upper_case_is_the_same_workflow_and_the_same_content() -> None:
    lower, upper = parse(body()), parse(body(workflow_id=str(WORKFLOW).upper()))
    assert upper.workflow_id == lower.workflow_id
    assert differing_fields(lower.field_digests, upper.field_digests) == ()


def test_a_workflow_is_named_once() -> None:
    assert only_error(workflow="billing") == ("/workflow", "ambiguous")
    assert only_error(workflow=None) == ("/workflow", "ambiguous")


@pytest.mark.parametrize("slug", ["a", "0", "billing.daily_run-2", "a" * 100])
def test_a_workflow_may_be_named_by_its_slug(slug: str) -> None:
    event = parse(body(workflow_id=ABSENT, workflow=slug))
    assert (event.workflow_id, event.workflow_slug) == (None, slug)


@pytest.mark.parametrize("slug", ["", "-a", ".a", "A", "a b", "é", "a\n", "a" * 101, 5, ["a"]])
def test_a_slug_keeps_to_its_alphabet(slug: object) -> None:
    assert only_error(workflow_id=ABSENT, workflow=slug)[0] == "/workflow"


@pytest.mark.parametrize("event_type", ["abc", "0.x", "payment.failed", "a-b_c.d", "a" * 255])
def test_an_event_type_is_kept_as_it_is(event_type: str) -> None:
    assert parse(body(event_type=event_type)).event_type == event_type


@pytest.mark.parametrize(
    "event_type",
    [
        "",
        "ab",
        "   ",
        "Payment.failed",
        ".abc",
        "a%25b",
        "a b",
        "../../etc/passwd",
        "a.b\r\nX-Evil: 1",
        "abc\n",
        "payment\u200b.failed",
        "\uff50ayment.failed",
        "a" * 256,
        5,
        ["a.b"],
        {"a": 1},
        True,
    ],
)
def test_an_event_type_keeps_to_its_alphabet(event_type: object) -> None:
    assert only_error(event_type=event_type)[0] == "/event_type"


@pytest.mark.parametrize("payload", ["x", [], [{}], 1, True, 0.5])
def test_a_payload_is_an_object(payload: object) -> None:
    assert only_error(payload=payload) == ("/payload", "type")


def test_a_payload_may_hold_anything() -> None:
    payload: dict[str, object] = {
        "__class__": "x",
        "a": None,
        "": {},
        "$ref": ["<script>", "💥", 2**70],
    }
    assert parse(body(payload=payload)).payload == payload


@pytest.mark.parametrize("key", ["k", "~!@#/:", "k" * 255, "IDEM", "idem"])
def test_an_idempotency_key_is_kept_as_it_is(key: str) -> None:
    assert parse(body(idempotency_key=key)).idempotency_key == key


@pytest.mark.parametrize("key", ["", " k ", "a b", "k\n", "é", "k\x7f", "k" * 256, 7, ["k"], True])
def test_an_idempotency_key_is_visible_ascii(key: object) -> None:
    assert only_error(idempotency_key=key)[0] == "/idempotency_key"


@pytest.mark.parametrize("occurred_at", ["yesterday", "2026-01-19T10:00:00", "", 1700000000.0, []])
def test_a_time_is_rfc3339_with_an_offset(occurred_at: object) -> None:
    assert only_error(occurred_at=occurred_at)[0] == "/occurred_at"


def test_a_time_is_kept_in_utc_to_the_microsecond() -> None:
    event = parse(body(occurred_at="2026-01-19T10:00:00.123456789+05:30"))
    assert event.occurred_at == datetime(2026, 1, 19, 4, 30, 0, 123456, tzinfo=UTC)
    assert event.occurred_at.tzinfo is UTC


@pytest.mark.parametrize("early", ["1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00+00:01"])
def test_nothing_happened_before_1970(early: str) -> None:
    assert only_error(occurred_at=early) == ("/occurred_at", "too_early")


def at(offset: timedelta) -> dict[str, object]:
    return body(occurred_at=rfc3339.format(NOW + offset))


def test_the_future_ends_after_a_day() -> None:
    assert parse(at(timedelta(hours=24))).warnings == ("occurred_at is in the future",)
    (error,) = errors_of(at(timedelta(hours=24, microseconds=1)))
    assert (error.pointer, error.code) == ("/occurred_at", "too_late")


def test_a_little_clock_drift_is_not_worth_a_warning() -> None:
    assert parse(at(timedelta(minutes=5))).warnings == ()
    assert parse(at(timedelta(minutes=5, seconds=1))).warnings == ("occurred_at is in the future",)


def test_an_event_older_than_retention_is_taken_with_a_warning() -> None:
    assert parse(at(timedelta(days=-90))).warnings == ()
    (warning,) = parse(at(timedelta(days=-90, seconds=-1))).warnings
    assert warning == "occurred_at is older than the 90 days events are kept"


@pytest.mark.parametrize("version", ["1.0", "1.0.0", "1.7", "1.12.345"])
def test_every_minor_version_of_1_is_read(version: str) -> None:
    assert parse(body(schema_version=version)).schema_version == version


@pytest.mark.parametrize("version", ["0.9.0", "2.0.0", "10.0.0", "11.0"])
def test_another_major_version_is_not_read(version: str) -> None:
    assert only_error(schema_version=version) == ("/schema_version", "unsupported")


@pytest.mark.parametrize(
    "version", ["", "1", "1.", "v1.0.0", "1.0.0\n", "1.0.0.0", "1.x", "\uff11.0"]
)
def test_what_is_no_version_is_refused(version: str) -> None:
    assert only_error(schema_version=version) == ("/schema_version", "format")


def test_a_version_is_a_string() -> None:
    assert only_error(schema_version=1.0) == ("/schema_version", "type")


@pytest.mark.parametrize("run_id", ["r", "run 7/é", "r" * 200])
def test_an_event_names_its_run(run_id: str) -> None:
    assert parse(body(run_id=run_id, payload={"run_id": "other"})).run_id == run_id


@pytest.mark.parametrize("run_id", ["", "r" * 201, 7, True, ["r"], {}])
def test_a_run_id_is_a_short_string(run_id: object) -> None:
    assert only_error(run_id=run_id)[0] == "/run_id"


@pytest.mark.parametrize(
    ("named", "run_id"), [("run-7", "run-7"), (7, "7"), ("r" * 200, "r" * 200)]
)
def test_the_run_may_be_named_in_the_payload(named: object, run_id: str) -> None:
    assert parse(body(payload={"run_id": named})).run_id == run_id


@pytest.mark.parametrize("named", [None, True, 1.5, "", "r" * 201, 10**200, ["r"], {"id": 1}])
def test_a_payload_that_names_no_run_is_no_error(named: object) -> None:
    assert parse(body(payload={"run_id": named})).run_id is None


def test_unknown_fields_are_kept_and_named() -> None:
    event = parse(body(received_at="2000-01-01T00:00:00Z", is_admin=True, id=None))
    assert event.extra == {"received_at": "2000-01-01T00:00:00Z", "is_admin": True, "id": None}
    assert event.warnings == ("unknown fields were kept in extra: id, is_admin, received_at",)


def test_many_unknown_fields_flood_neither_the_answer_nor_the_key() -> None:
    flood: dict[str, object] = {f"field_{n:05}": n for n in range(30_000)}
    flood["k" * 9000] = 1
    event = parse(body(**flood))
    (warning,) = event.warnings
    assert warning.endswith("and 29981 more")
    assert len(warning) < 2500
    assert len(json.dumps(event.field_digests)) < 10_000
    assert len(event.extra) == 30_001


def test_a_difference_in_a_flooded_field_is_still_a_difference() -> None:
    flood: dict[str, object] = {f"field_{n:05}": n for n in range(100)}
    one, other = parse(body(**flood)), parse(body(**flood | {"field_00099": "x"}))
    assert differing_fields(one.field_digests, other.field_digests) == ("*",)


def test_a_field_named_like_the_shared_digest_replaces_nothing() -> None:
    one, other = parse(body(**{"*": 1, "k" * 101: 1})), parse(body(**{"*": 1, "k" * 101: 2}))
    assert differing_fields(one.field_digests, other.field_digests) == ("*",)


def test_key_order_and_white_space_do_not_matter() -> None:
    one = parse(strict_json.loads(json.dumps(body()).encode(), max_bytes=9999))
    reordered = dict(reversed(body().items()))
    other = parse(strict_json.loads(json.dumps(reordered, indent=2).encode(), max_bytes=9999))
    assert one == other


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"payload": {"amount": 999999}}, ("payload",)),
        (
            {"event_type": "payment.error", "schema_version": "1.1"},
            ("event_type", "schema_version"),
        ),
        ({"schema_version": ABSENT}, ("schema_version",)),
        ({"run_id": "r", "note": 1}, ("note", "run_id")),
        ({"workflow_id": ABSENT, "workflow": "billing"}, ("workflow", "workflow_id")),
        ({"tenant_id": ABSENT}, ()),
        ({"idempotency_key": "other"}, ()),
    ],
)
def test_the_differing_fields_of_a_reused_key_are_named(
    changes: dict[str, object], fields: tuple[str, ...]
) -> None:
    first, second = parse(body()), parse(body(**changes))
    assert differing_fields(first.field_digests, second.field_digests) == fields


def test_digests_are_16_hex_characters_of_the_canonical_value() -> None:
    event = parse(body())
    assert set(event.field_digests) == set(body()) - {"tenant_id", "idempotency_key"}
    assert (
        event.field_digests["event_type"] == (hashlib.sha256(b'"payment.failed"').hexdigest()[:16])
    )
    assert all(re.fullmatch(r"[0-9a-f]{16}", digest) for digest in event.field_digests.values())


def test_a_given_key_alone_decides_the_hash() -> None:
    first, second = parse(body()), parse(body(payload={}))
    assert first.key_hash == second.key_hash == hashlib.sha256(b"k:payment-1").digest()
    assert parse(body(idempotency_key="PAYMENT-1")).key_hash != first.key_hash


def test_without_a_key_the_canonical_body_decides_the_hash() -> None:
    keyless = body(idempotency_key=ABSENT)
    expected = hashlib.sha256(b"b:" + strict_json.canonical(keyless)).digest()
    assert parse(keyless).key_hash == expected
    assert parse(dict(reversed(keyless.items()))).key_hash == expected
    assert parse(keyless | {"payload": {}}).key_hash != expected


@pytest.mark.parametrize(
    ("vendor", "name"),
    [
        ("stripe", "stripe"),
        ("  Stripe\t", "Stripe"),
        ("😀", "😀"),
        ("v" * 101, "v" * 100),
        ("v" * 99 + " x", "v" * 99),
        ("", ""),
        ("   ", ""),
        (None, ""),
        (7, ""),
        (["stripe"], ""),
    ],
)
def test_the_vendor_is_read_from_the_payload(vendor: object, name: str) -> None:
    assert vendor_name({"vendor": vendor}) == name


def test_a_payload_without_a_vendor_has_none() -> None:
    assert vendor_name({}) == ""


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*body(), "workflow", "run_id", "x"]), json_values))
def test_no_value_raises_anything_but_a_refusal(changes: dict[str, object]) -> None:
    try:
        body_bytes = json.dumps(body() | changes, allow_nan=False).encode()
        parse(strict_json.loads(body_bytes, max_bytes=99_999))
    except (InvalidEvent, TenantMismatch, strict_json.MalformedJson):
        return
