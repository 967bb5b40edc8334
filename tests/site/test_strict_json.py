"""JSON from outside: what is read, what is refused, and what counts as equal content."""

import json
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awfdrs_site.lib.strict_json import (
    POINTER_MAX_BYTES,
    MalformedJson,
    TooLarge,
    canonical,
    escape_token,
    loads,
    printable,
)

MEBIBYTE = 1 << 20


def read(raw: bytes | str) -> object:
    return loads(raw.encode() if isinstance(raw, str) else raw, max_bytes=MEBIBYTE)


def refusal(raw: bytes | str) -> MalformedJson:
    with pytest.raises(MalformedJson) as caught:
        read(raw)
    return caught.value


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner
        )
    ),
    max_leaves=20,
)


@given(values, st.booleans())
def test_it_reads_whatever_json_writes(value: object, ascii_only: bool) -> None:
    assert read(json.dumps(value, ensure_ascii=ascii_only)) == value


@given(values)
def test_the_canonical_form_reads_back_as_the_same_value(value: object) -> None:
    assert read(canonical(value)) == value


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_refusal(raw: bytes) -> None:
    try:
        value = read(raw)
    except MalformedJson as refused:
        refused.detail.encode()
    else:
        assert value == json.loads(raw)


@given(st.text(alphabet='[]{}",:\\u0dD8c1 \n', max_size=60))
def test_near_json_is_never_accepted_when_the_standard_parser_refuses_it(text: str) -> None:
    try:
        json.loads(text)
    except ValueError:
        refusal(text)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"{",
        b'{"a":1,}',
        b"[1,]",
        b"{'a':1}",
        b'{"a":01}',
        b'{"a":.5}',
        b'{"a":+1}',
        b'{"a":0x1}',
        b'{"a":1}{}',
        b'{"a":1}\x00',
        b'{"a":"x\ny"}',
        b'{"a":"x\x00y"}',
        b'{"a":"\\x41"}',
        b'{"a":"\\u12"}',
        b'// note\n{"a":1}',
        b'{"a":undefined}',
        '\N{NO-BREAK SPACE}{"a":1}'.encode(),
        '{"a":\N{FULLWIDTH DIGIT ONE}}'.encode(),
    ],
)
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    refusal(raw)


def test_a_syntax_error_is_located() -> None:
    assert refusal('{"a": 1,\n "b": }').detail == "The body is not valid JSON at line 2, column 7."


@pytest.mark.parametrize(
    "raw",
    [
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        '{"a":1}'.encode("utf-32"),
        '{"a":"é"}'.encode("latin-1"),
        b'{"a":"\xc0\xaf"}',  # an overlong "/"
        b'{"a":"\xed\xa0\x80"}',  # a surrogate as bytes (CESU-8)
        b'{"a":"\xf4\x90\x80\x80"}',  # beyond U+10FFFF
        b'{"a":"\xe2\x82"}',
    ],
)
def test_only_plain_utf8_is_read(raw: bytes) -> None:
    refusal(raw)


def test_utf7_is_only_text() -> None:
    assert read(b'{"a":"+ACI-,+ACI-"}') == {"a": "+ACI-,+ACI-"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" * 9999])
def test_numbers_that_cannot_be_kept_are_refused(number: str) -> None:
    refusal(f'{{"a":{number}}}')


def test_a_long_whole_part_of_a_fraction_is_not_silently_infinite() -> None:
    refusal(f"[{'1' * 400}.0]")


@pytest.mark.parametrize("number", [9007199254740993, -(2**130), 10**999, 0])
def test_integers_stay_exact(number: int) -> None:
    assert read(str(number)) == number
    assert canonical(number) == str(number).encode()


def test_fractions_are_python_floats() -> None:
    assert read("[0.1, 1e308, -0.0, 1e-400]") == [0.1, 1e308, -0.0, 0.0]


@pytest.mark.parametrize(
    "raw", ['{"a":1,"a":1}', '{"x":[{"a":1,"b":2,"a":3}]}', '{"a":1,"\\u0061":2}']
)
def test_a_key_given_twice_is_refused_and_named(raw: str) -> None:
    assert refusal(raw).detail == 'The key "a" appears twice in one object.'


def test_the_same_key_in_two_objects_is_fine() -> None:
    assert read('[{"a":1},{"a":{"a":2}}]') == [{"a": 1}, {"a": {"a": 2}}]


def test_a_refused_key_is_shown_without_what_an_answer_could_not_carry() -> None:
    detail = refusal('{"\\ud800\\u0000":1,"\\ud800\\u0000":2}').detail
    assert "\0" not in detail
    assert detail.encode()


def test_a_huge_key_does_not_flood_the_refusal() -> None:
    key = "k" * 100_000
    assert len(refusal(f'{{"{key}":1,"{key}":2}}').detail) < 150


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (r'{"a":{"m":"a\u0000b"}}', "/a/m"),
        (r'{"a":["","x\udfff"]}', "/a/1"),
        (r'{"a":"\ud800"}', "/a"),
        (r'{"a":"\ud83dx\ude00"}', "/a"),
        (r'{"a":"\ude00\ud83d"}', "/a"),
        (r'{"a":"\ud83d\\\ude00"}', "/a"),
        (r'{"a":"\ud83d\ud83d\ude00"}', "/a"),
        (r'{"a":"\\\u0000"}', "/a"),
        (r'{"a/b~c":"\uDC00"}', "/a~1b~0c"),
        (r'"\uD800"', ""),
        (r'{"a":{"\u0000":1}}', "/a"),  # a faulty key is named by its object
        (r'{"\ud800":{"b":1}}', ""),
    ],
)
def test_nul_and_half_surrogates_are_refused_with_their_place(raw: str, pointer: str) -> None:
    refused = refusal(raw)
    assert refused.detail == "A text holds a NUL or half a surrogate pair."
    assert refused.pointer == pointer


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (r'"\ud83d\ude00"', "\N{GRINNING FACE}"),
        (r'"\uD83D\uDE00\ud83d\ude00"', "\N{GRINNING FACE}" * 2),
        (r'"\\u0000"', r"\u0000"),
        (r'"\\\\ud800"', r"\\ud800"),
        (r'"\uffff\ufffe"', "\uffff\ufffe"),
        (r'"http:\/\/x"', "http://x"),
        (r'"\u0001\u001f"', "\x01\x1f"),
    ],
)
def test_other_escapes_are_read(raw: str, value: str) -> None:
    assert read(raw) == value


def test_the_place_is_not_searched_in_a_large_body() -> None:
    assert refusal('["' + "a" * POINTER_MAX_BYTES + '", "\\u0000"]').pointer is None


def nested(levels: int, *, opening: str = "[", closing: str = "]") -> str:
    return opening * levels + closing * levels


def test_32_levels_are_read_and_33_refused() -> None:
    assert read(nested(32))
    assert read('{"a":' * 32 + "1" + "}" * 32)
    assert refusal(nested(33)).detail == "The body is nested deeper than 32 levels."
    refusal('{"a":' * 33 + "1" + "}" * 33)
    refusal("[" + '{"a":[' * 16 + "]}" * 16 + "]")


def test_breadth_is_not_depth() -> None:
    assert read("[" + ",".join([nested(31)] * 100) + "]")


def test_brackets_inside_strings_do_not_count() -> None:
    text = "[" * 50 + '\\" ' + "{" * 50
    assert read(json.dumps({text: [text, "\\", text + "\\\\"]})) == {
        text: [text, "\\", text + "\\\\"]
    }


def test_a_quote_inside_a_string_hides_no_depth() -> None:
    refusal('["\\"",' + nested(33) + "]")
    refusal('["\\\\",' + nested(33) + ',"\\\\"]')


def test_the_depth_is_the_callers_choice() -> None:
    assert loads(nested(34).encode(), max_bytes=100, max_depth=34)
    with pytest.raises(MalformedJson):
        loads(b"[[1]]", max_bytes=100, max_depth=1)


def test_mismatched_brackets_are_a_syntax_error() -> None:
    assert "line 1" in refusal("[" * 20 + "}" * 20).detail


def test_the_size_limit_counts_bytes_and_includes_it() -> None:
    assert loads('"é"'.encode(), max_bytes=4) == "é"
    with pytest.raises(TooLarge) as caught:
        loads('"é"'.encode(), max_bytes=3)
    assert caught.value.max_bytes == 3


HOSTILE = {
    "100,000 levels": b"[" * 100_000 + b"]" * 100_000,
    "a megabyte of openings": b"[" * MEBIBYTE,
    "objects never closed": b'{"a":' * (MEBIBYTE // 5),
    "a megabyte of closings": b"]" * MEBIBYTE,
    "escaped quotes never closed": b"[" * 40 + b'"' + rb"\"" * 500_000,
    "quotes": b"[" * 40 + b'"' * 1_000_000,
    "backslashes": b"[" * 40 + b"\\" * 1_000_000,
    "empty objects, one unclosed": b"[" + b"{}," * 300_000,
    "one huge integer": b"[" + b"1" * 1_000_000 + b"]",
    "one huge fraction": b"[0." + b"1" * 1_000_000,
    "half surrogates": b'["' + rb"\ud800" * 170_000 + b'"]',
    "a NUL after many texts": b"[" + b'"a",' * 250_000 + rb'"\u0000"]',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_megabyte_is_refused_quickly(name: str) -> None:
    started = time.process_time()
    refusal(HOSTILE[name])
    # About 0.1 s on a quiet core; measured under coverage too. Quadratic work takes minutes.
    assert time.process_time() - started < 2


def test_depth_costs_no_recursion() -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(200)
    try:
        refusal("[" * 5000)
        assert read(nested(32))
    finally:
        sys.setrecursionlimit(limit)


def test_equal_content_has_equal_canonical_bytes() -> None:
    one = read('{"b": [1, 2.50], "a": {"y": "é", "x": null}}')
    other = read('{"a":{"x":null,"y":"\\u00e9"},\n "b":[1,2.5]}')
    assert canonical(one) == canonical(other) == '{"a":{"x":null,"y":"é"},"b":[1,2.5]}'.encode()


def test_numbers_are_equal_when_they_are_read_equal() -> None:
    assert canonical(read("100.0")) == canonical(read("100.00")) == canonical(read("1e2"))
    assert canonical(read("100")) != canonical(read("100.0"))


def test_other_content_has_other_canonical_bytes() -> None:
    texts = ["1", '"1"', "true", "[1]", "{}", "[]", "null", '""', '{"a":1}', '{"a":"1"}']
    assert len({canonical(read(text)) for text in texts}) == len(texts)


def test_pointer_tokens_are_escaped_in_the_right_order() -> None:
    assert escape_token("a/b~1") == "a~1b~01"


def test_printable_text_is_short_and_storable() -> None:
    assert printable("plain é") == "plain é"
    assert printable("a\0\ud800b") == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"
    assert printable("x" * 81) == "x" * 79 + "…"
