"""M11: which failures are the same failure, and what an incident is called."""

import json
import string
import sys
from collections import defaultdict
from pathlib import Path
from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incidents import spelling, wording
from incidents.signature import VERSION, Signature, fingerprint, normalise, title

SHARED = Path(__file__).parents[3] / "shared" / "data"
HOSTILE_SIZE = 64 * 1024


def signature(**changed: str) -> Signature:
    fields = {
        "workflow": "ci",
        "event_type": "job.failed",
        "vendor": "github-actions",
        "error_code": "",
        "error_message": "Unit test failure",
        "step": "Run Tests",
    }
    return fingerprint(**{**fields, **changed})


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not beside this clone")
    return path


# --- the normaliser -------------------------------------------------------------------------

MASKED = [
    ("GET https://api.x.com/v1/ch_1?x=2 failed", "get <url> failed"),
    ("dsn=postgresql://app@db:5432/x refused", "dsn=<url> refused"),
    ("mail to Bob.Smith+x@example.co.uk bounced", "mail to <email> bounced"),
    ("dial 10.0.0.1:5432 refused", "dial <ip> refused"),
    ("dial [::1]:8080 refused", "dial [<ip>]:<num> refused"),
    ("from fe80::1ff:fe23:4567:890a", "from <ip>"),
    ("order 123e4567-e89b-12d3-a456-426614174000", "order <uuid>"),
    ("order-123e4567-e89b-12d3-a456-426614174000", "order-<uuid>"),
    ("commit a1b2c3d and deadbeefcafe1234 at 0xDEADBEEF", "commit <id> at <id>"),
    ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_DEF-1", "token <id>"),
    ("body aGVsbG8gd29ybGQ0NTY3ODkwMTIzNDU2Nzg5MGFiY2RlZg==", "body <id>"),
    ("at 2026-01-19T12:00:00.123Z", "at <time>"),
    ("at 2026-01-19 12:00:00,123 +0000", "at <time>"),
    ("at Mon, 19 Jan 2026 12:00:00 GMT", "at <time>"),
    ("at Jan 19 12:00:01", "at <time>"),
    ("at 19/Jan/2026:12:00:00 +0000", "at <time>"),
    ("after 30s", "after <duration>"),
    ("after 1500 ms", "after <duration>"),
    ("after 1m30s", "after <duration>"),
    ("after 2 hours", "after <duration>"),
    ("used 512Mi", "used <size>"),
    ("used 1.5 GB", "used <size>"),
    ("95 % full", "<num> full"),
    ("attempt 3 of 5", "attempt <num> of <num>"),
    ("1,234,567 rows", "<num> rows"),
    ("ids 1, 2, 3 and 4", "ids <num>"),
    ("block blk_-6952295868487656571", "block blk_<num>"),
    ("node12 lost", "node<num> lost"),
    ("pod web-7f8d9c6b5-x2x4q evicted", "pod web-<id>-<id> evicted"),
    ("read /etc/app/conf.d/x.yaml: denied", "read <path>: denied"),
    (r"read C:\Users\x\y.txt", "read <path>"),
    ("src/Main.java:12:5: error", "<path>: error"),
]


@pytest.mark.parametrize(("text", "expected"), MASKED)
def test_what_changes_is_masked(text: str, expected: str) -> None:
    assert normalise(text) == expected


KEPT = [
    (
        "java.net.ConnectException: Connection refused",
        "java.net.connectexception: connection refused",
    ),
    ("s3 k8s utf8 x509 sha256 5xx", "s3 k8s utf8 x509 sha256 5xx"),
    ("tcp/udp", "tcp/udp"),
    ("user=alice denied", "user=alice denied"),
    ("column 'vat_id' missing", "column 'vat_id' missing"),
    ("connection reused", "connection reused"),
    ("失敗しました", "失敗しました"),
]


@pytest.mark.parametrize(("text", "expected"), KEPT)
def test_what_names_the_problem_survives(text: str, expected: str) -> None:
    assert normalise(text) == expected


# Different statuses are different problems; a count that looks like one is a count.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HTTP 503", "http 503"),
        ("HTTP/1.1 503 Service Unavailable", "http/<num> 503 service unavailable"),
        ("429 Too Many Requests", "429 too many requests"),
        ("error: 404", "error: 404"),
        ("issue(404 error in retrieval)", "issue (404 error in retrieval)"),
        ("upstream said (502)", "upstream said (502)"),
        ("charge: 500", "charge: 500"),
        ("504", "504"),
        ("status=422", "status=422"),
        ("exit code 137", "exit code 137"),
        ("SQLSTATE 23505", "sqlstate 23505"),
        ("processed 500 of 700 rows", "processed <num> of <num> rows"),
        ("error 612", "error <num>"),
        ("order code 1234567", "order code <num>"),
    ],
)
def test_numbers_that_are_codes_survive(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    "variant",
    [
        "dependency issue (MISSING package)",
        "Dependency Issue(Missing package）",
        "  Dependency\tIssue ( Missing\n package ).",
        "Ｄｅｐｅｎｄｅｎｃｙ Issue(Missing package)!",
        "Dependancy Issue(Mising package)",
        "\x1b[31mDependency\x1b[0m Issue(Missing\u200b package)",
    ],
)
def test_width_case_spacing_and_slips_make_no_difference(variant: str) -> None:
    assert normalise(variant) == "dependency issue (missing package)"


def test_accents_and_quotes_have_one_spelling() -> None:
    assert normalise("“café” can’t") == normalise('"cafe\u0301" can\'t') == '"cafe" can\'t'


# --- slips of the finger --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("faiure", "failure"),
        ("confict", "conflict"),
        ("intergation", "integration"),
        ("connecttion", "connection"),
        ("dependancy", "dependency"),
        ("permisson", "permission"),
    ],
)
def test_one_slip_is_forgiven(typed: str, meant: str) -> None:
    assert spelling.respelled(typed) == meant


@pytest.mark.parametrize(
    "word", ["failures", "connections", "interval", "reused", "valid", "conversion", "mission"]
)
def test_a_word_of_its_own_is_left_alone(word: str) -> None:
    assert spelling.respelled(word) == word


def test_the_vocabulary_reads_as_itself() -> None:
    for word in spelling.VOCABULARY:
        assert spelling.respelled(word) == word
        assert spelling.respelled(word[1:]) in {word, word[1:]}


# --- laws -----------------------------------------------------------------------------------

FRAGMENTS = st.sampled_from(
    [
        *"<>()[]/\\:;-_.,=@%+ 1as½ßİ가ᅡK١ \u0301\u200b\ud800\0",
        *("<num>", "<id", "404", "503", "http ", "status ", "error ", "(code ", "bad", " and "),
        *("2026-01-19", "T12:00", "jan 1 ", "1.1", " ms", "kb", "0x", "deadbeef1", "\x1b[3"),
        *("://", "x.io", "faiure", "ﬁ", "Å"),
    ]
)
ANY_TEXT = st.text() | st.text(alphabet=string.printable) | st.lists(FRAGMENTS).map("".join)
SURROGATES = st.text(alphabet=st.characters(min_codepoint=0xD000, max_codepoint=0xE100))


@settings(max_examples=400, deadline=None)
@given(ANY_TEXT | SURROGATES)
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert len(once) <= wording.TEMPLATE_LIMIT
    # What Postgres refuses never comes out: no NUL, no surrogate, no control character.
    once.encode("utf-8")
    assert not any(character < " " for character in once)


@settings(max_examples=100, deadline=None)
@given(ANY_TEXT, st.integers(0, 30))
def test_it_is_total_and_stable_on_long_texts(text: str, times: int) -> None:
    once = normalise(text * times * 50)
    assert normalise(once) == once


@settings(max_examples=200, deadline=None)
@given(st.lists(ANY_TEXT, min_size=6, max_size=6))
def test_a_signature_and_a_title_exist_for_any_text(texts: list[str]) -> None:
    names = ("workflow", "event_type", "vendor", "error_code", "error_message", "step")
    fields = dict(zip(names, texts, strict=True))
    found = fingerprint(**fields)
    assert found == fingerprint(**fields)
    assert len(found.hash) == 32
    assert set(found.hash) <= set("0123456789abcdef")
    json.dumps(found.components)
    fields.pop("workflow")
    assert 1 <= len(title(**fields)) <= 200


def test_a_text_that_never_settles_is_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wording, "template", lambda text: text + "!")
    assert normalise("only in this test") == wording.NOISE


def test_noise_is_settled() -> None:
    assert normalise(wording.NOISE) == wording.NOISE


HOSTILE_PIECES = (
    *("1", "a.", "1.", "1:", "1s", "1,", "a@b.", "a-", "a ", "/", "/a", "<", "(", "f", "ff:", " "),
    *("<num> ", "2026-01-1", "jan 1 ", "mon, ", "http:", "ey", "eyaaaaaaaaaa.", "12:34:5", "1 h "),
    *("status 500 ", "a=", "\x1b[1;", "\ud800", "\0", "conection ", "(?i:é)*$"),
)


# M11 and RELIABILITY.md M9: the seed's normaliser took 4 s for 40k of the first of these.
@pytest.mark.parametrize(
    "text",
    [
        "x" + "1" * HOSTILE_SIZE,
        "a" + "\u0301\u0316" * HOSTILE_SIZE,
        "\ufdfa" * HOSTILE_SIZE,
        "".join(map(chr, range(0x4E00, 0x9FFF))) * 4,
        *(piece * (HOSTILE_SIZE // len(piece)) for piece in HOSTILE_PIECES),
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_hostile_texts_cost_less_than_five_milliseconds(text: str) -> None:
    assert fastest(text[:HOSTILE_SIZE]) < 0.005


def test_hostile_patterns_cost_less_than_five_milliseconds() -> None:
    for pattern in json.loads(shared("redos_patterns.json").read_text("utf-8")):
        times = HOSTILE_SIZE // len(pattern) + 1
        assert fastest((pattern * times)[:HOSTILE_SIZE]) < 0.005, pattern[:40]


def fastest(text: str) -> float:
    """Processor seconds, the best of five: what the text costs, not what else went on."""
    spent, tracer = [], sys.gettrace()
    sys.settrace(None)  # coverage's own work is not ours
    try:
        for turn in range(5):
            fresh = chr(0x61 + turn) + text  # not the remembered answer of the turn before
            start = thread_time()
            normalise(fresh)
            spent.append(thread_time() - start)
    finally:
        sys.settrace(tracer)
    return min(spent)


# --- the signature --------------------------------------------------------------------------


def test_the_components_are_named_in_order() -> None:
    found = signature(error_code="HTTP_503", error_message="Failed after 30s")
    assert found.version == VERSION == 1
    assert found.components == (
        ("workflow", "ci"),
        ("vendor", "github-actions"),
        ("code", "http_503"),
        ("message", "failed after <duration>"),
    )


def test_event_type_and_step_speak_only_when_nothing_else_does() -> None:
    assert signature(step="a", event_type="x.failed") == signature(step="b", event_type="y.error")
    silent = {"error_message": "", "error_code": ""}
    assert signature(**silent, step="a") != signature(**silent, step="b")
    assert signature(**silent, event_type="x.failed") != signature(**silent, event_type="y.failed")
    assert signature(**silent).components[4:] == (
        ("event_type", "job.failed"),
        ("step", "run tests"),
    )


@pytest.mark.parametrize("field", ["workflow", "vendor", "error_code", "error_message"])
def test_every_component_tells_failures_apart(field: str) -> None:
    assert signature(**{field: "something else"}).hash != signature().hash


def test_a_value_that_changes_does_not() -> None:
    assert signature(error_message="timed out after 30 s") == signature(
        error_message="Timed out after 1500 ms."
    )


def test_components_do_not_run_into_each_other() -> None:
    assert (
        signature(vendor="ab", error_code="c").hash != signature(vendor="a", error_code="bc").hash
    )


# A changed hash splits every open incident: raise VERSION with it, on purpose.
def test_the_hash_of_version_1_is_pinned() -> None:
    assert signature().hash == "435f51ed27aff8f7549ee714d617e524"


# Step 1: 192 real failures of one workflow, one incident per distinct text, near-same together.
def test_real_failures_group_by_distinct_text() -> None:
    texts = defaultdict(set)
    with shared("real_failures.ndjson").open(encoding="utf-8") as lines:
        events = [json.loads(line) for line in lines]
    for event in events:
        payload = event["payload"]
        found = fingerprint(
            workflow="ci",
            event_type=event["event_type"],
            vendor=payload["vendor"],
            error_code="",
            error_message=payload["error_message"],
            step=payload["step"],
        )
        texts[found.hash].add(payload["error_message"])
    assert len(events) == 192
    assert len(texts) == 101
    assert sorted(sorted(group) for group in texts.values() if len(group) > 1) == [
        [
            "Maven build failure due to Dependency Issue(Missing package)",
            "Maven build failure due to Dependency Issue(missing package)",
        ],
        [
            "Maven build failure due to Dependency Issue(Version confict)",
            "Maven build faiure due to Dependency Issue(Version confict)",
        ],
    ]


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
