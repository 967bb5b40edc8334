"""`manage.py group_texts` says how the product would group texts, without a database."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

MANAGE = Path(__file__).parents[2] / "manage.py"


def group(monkeypatch: pytest.MonkeyPatch, *lines: bytes) -> list[str]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"".join(lines))))
    out = io.StringIO()
    call_command("group_texts", stdout=out)
    return out.getvalue().splitlines()


def test_each_line_gets_the_id_of_its_group_in_the_same_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = ["Invalid user bob from 10.0.0.1", "Disk full", "Invalid user eve from 10.0.0.2", ""]
    found = group(monkeypatch, *(json.dumps(text).encode() + b"\n" for text in texts))
    assert found[0] == found[2]
    assert len(set(found)) == 3
    assert len(found) == 4


def test_the_last_line_needs_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(group(monkeypatch, b'"a"\n', '"ü"'.encode())) == 2


def test_no_lines_are_no_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    assert group(monkeypatch) == []


@pytest.mark.parametrize(
    "line", [b"nope\n", b"7\n", b"\n", b'["a"]\n', b'"\xff"\n', b"[" * 100_000 + b"\n"]
)
def test_a_bad_line_is_named(monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    with pytest.raises(CommandError, match=r"Line 2 is not a JSON string\."):
        group(monkeypatch, b'"a"\n', line)


# No history, no server: the same answer twice, with a database that nobody could reach.
def test_it_needs_no_database() -> None:
    nowhere = os.environ | {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "DATABASE_OWNER_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "SECRET_KEY": "of-no-use-anywhere-but-in-this-test-0123456789-abcdefghij",
        "ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        "ALLOWED_HOSTS": "awfdrs.example.org",
    }
    first, second = (
        subprocess.run(
            [sys.executable, MANAGE, "group_texts"],
            input=b'"a failed"\n"b failed"\n"a failed"\n',
            env=nowhere,
            capture_output=True,
            check=True,
        ).stdout.split()
        for _ in range(2)
    )
    assert first == second
    assert first[0] == first[2] != first[1]
