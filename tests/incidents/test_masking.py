"""M11: what a text says and what merely changes in it, on any text and in little time."""

import json
import string
from pathlib import Path
from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incidents import masking
from incidents.signature import normalise
from tests.faults.sizes import sized

PATTERNS = Path(__file__).parents[1] / "data" / "redos_patterns.json"
HOSTILE_SIZE = 64 * 1024


MASKED = [
    ("GET https://api.x.com/v1/ch_1?x=2 failed", "get <url> failed"),
    ("dsn=postgresql://app@db:5432/x refused", "dsn=<url> refused"),
    ("mail to Bob.Smith+x@example.co.uk bounced", "mail to <email> bounced"),
    ("dial 10.0.0.1:5432 refused", "dial <ip> refused"),
    ("dial [::1]:8080 refused", "dial [<ip>]:<num> refused"),
    ("from /10.0.0.1:5432 to en0:2607:f140:6000:8:c6b3:1ff:fecd:467f", "from <ip> to en<num>:<ip>"),
    ("lost f8:4f:57:3b:ea:b2", "lost <mac>"),
    ("dial db1.eu.example.com:5432 refused", "dial <host> refused"),
    ("rhost=adsl-63-197.dsl.example.net user=root", "rhost=<host> user=root"),
    ("from fe80::1ff:fe23:4567:890a", "from <ip>"),
    ("order 123e4567-e89b-12d3-a456-426614174000", "order <uuid>"),
    ("order-123e4567-e89b-12d3-a456-426614174000", "order-<uuid>"),
    ("order 123e4567-483d-12d3-a456-426614174000", "order <uuid>"),  # 483d are no days
    ("commit a1b2c3d and deadbeefcafe1234 at 0xDEADBEEF", "commit <id> at <id>"),
    ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_DEF-1", "token <id>"),
    ("body aGVsbG8gd29ybGQ0NTY3ODkwMTIzNDU2Nzg5MGFiY2RlZg==", "body <id>"),
    ("at 2026-01-19T12:00:00.123Z", "at <time>"),
    ("at 2026-01-19 12:00:00,123 +0000", "at <time>"),
    ("at Mon, 19 Jan 2026 12:00:00 GMT", "at <time>"),
    ("at Jan 19 12:00:01", "at <time>"),
    ("at 19/Jan/2026:12:00:00 +0000", "at <time>"),
    ("log [2026-01-19_12,00,05.17]-03.txt", "log [<time>]<num>.txt"),
    ("log 20260119T120000Z done", "log <time> done"),
    ("after 30s", "after <duration>"),
    ("after 1500 ms", "after <duration>"),
    ("after 1m30s", "after <duration>"),
    ("after PT1M30S", "after <duration>"),
    ("after 2 hours", "after <duration>"),
    ("used 512Mi", "used <size>"),
    ("used 1.5 GB", "used <size>"),
    ("sent 1165 bytes (1.13 KB)", "sent <size>"),
    ("clock off by -0.33 s", "clock off by <duration>"),
    ("agent v1.2.3 and v10.0", "agent <version>"),
    ("95 % full", "<num> full"),
    ("attempt 3 of 5", "attempt <num> of <num>"),
    ("1,234,567 rows", "<num> rows"),
    ("ids 1, 2, 3 and 4", "ids <num>"),
    ("block blk_-6952295868487656571", "block blk_<num>"),
    ("delete blk_123 blk_-45 blk_6", "delete blk_<num>"),
    ("request req_ab12cd lost", "request req_<id> lost"),
    ("role arn:aws:iam::123456789012:role/x", "role <id>"),
    ("step 3/5 of job 1-2-3", "step <num> of job <num>"),
    ("request_id=abcdefgh failed", "request_id=<id> failed"),
    ("node12 lost", "node<num> lost"),
    ("limit ........ 12, trailing off...", "limit ... <num>, trailing off"),
    ("too hot (41C), error 5xx", "too hot (<id>), error 5xx"),
    ("pod web-7f8d9c6b5-x2x4q evicted", "pod web-<id> evicted"),
    ("column 'vat_id' missing", "column '<name>' missing"),
    ('tag="View Lock" held', "tag=<name> held"),
    ("no product 'Blue Shirt XL' left", "no product '<name>' left"),
    ('{"code":"card_declined","user":"bob"}', '{"code":"card_declined","user":"<name>"}'),
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
    ("s3 k8s i18n log4j utf8 x509 5xx", "s3 k8s i18n log4j utf8 x509 5xx"),
    ("tcp/udp", "tcp/udp"),
    ("user=alice denied", "user=alice denied"),
    ("can't load 'TypeError'", "can't load 'typeerror'"),
    ('failed: "no route to host"', 'failed: "no route to host"'),
    ('said "permission denied" twice', 'said "permission denied" twice'),
    ('both "a/b" and "c/d e"', 'both "a/b" and "c/d e"'),
    ("reason 'quota' and type=\"a b\"", "reason 'quota' and type=\"a b\""),
    ("unexpected token '{'", "unexpected token '{'"),
    ("com.acme.jobs.Nightly refused", "com.acme.jobs.nightly refused"),
    ("main.rs and lib.io", "main.rs and lib.io"),
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
        ("status: 200 len: 1893", "status: <num> len: <num>"),
        ("exit status 200", "exit status 200"),
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


def test_a_value_that_changes_makes_no_difference() -> None:
    assert normalise("timed out after 30 s") == normalise("Timed out after 1500 ms.")


def test_accents_and_quotes_have_one_spelling() -> None:
    text = normalise("“café: noir” can’t")
    assert text == normalise('"cafe\u0301: noir" can\'t') == '"cafe: noir" can\'t'


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


@settings(max_examples=sized(small=100, full=2000))
@given(ANY_TEXT | SURROGATES)
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert len(once) <= masking.TEXT_LIMIT
    # What Postgres refuses never comes out: no NUL, no surrogate, no control character.
    once.encode("utf-8")
    assert not any(character < " " for character in once)


@given(ANY_TEXT, st.integers(0, 30))
def test_it_is_total_and_stable_on_long_texts(text: str, times: int) -> None:
    once = normalise(text * times * 50)
    assert normalise(once) == once


def test_a_text_that_never_settles_is_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "masked", lambda text: text + "!")
    assert normalise("only in this test") == masking.NOISE


def test_noise_is_settled() -> None:
    assert normalise(masking.NOISE) == masking.NOISE


HOSTILE_PIECES = (
    *("1", "a.", "1.", "1:", "1s", "1,", "a@b.", "a-", "a ", "/", "/a", "<", "(", "f", "ff:", " "),
    *("<num> ", "2026-01-1", "jan 1 ", "mon, ", "http:", "ey", "eyaaaaaaaaaa.", "12:34:5", "1 h "),
    *(
        "'a'",
        '"a" ',
        '="a"',
        '="a b',
        "a.com ",
        "ff:ff:",
        "...",
        "<num>-",
        "<num> (",
        "-1 ",
        "k=a ",
    ),
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
def test_no_hostile_text_costs_more_than_its_length(text: str) -> None:
    assert is_cheap(text[:HOSTILE_SIZE])


def test_no_hostile_pattern_costs_more_than_its_length() -> None:
    for pattern in json.loads(PATTERNS.read_text("utf-8")):
        times = HOSTILE_SIZE // len(pattern) + 1
        assert is_cheap((pattern * times)[:HOSTILE_SIZE]), pattern[:40]


def is_cheap(text: str) -> bool:
    """Whether one of many turns takes less processor time than any text whose cost grows faster than
    its length, which takes seconds, every turn. The bound of 5 ms is reported by `make bench-grouping`.
    """
    return any(_seconds(chr(0x61 + turn) + text) < 0.05 for turn in range(26))


def _seconds(fresh: str) -> float:
    """`fresh` differs from turn to turn, or the second would be a remembered answer."""
    start = thread_time()
    normalise(fresh)
    return thread_time() - start
