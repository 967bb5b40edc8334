"""Every address that a tenant's URL must not reach, tried for real: where all the world is one machine that listens."""

import json
import os
import subprocess
import sys
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from actions.executors import webhook
from actions.executors.base import Call
from awfdrs_site.lib.ids import uuid7
from tests.support.private_network import PUBLIC

ROOT = Path(__file__).resolve().parents[2]
CASES = json.loads((ROOT / "tests" / "data" / "ssrf_urls.json").read_text())
REFUSED = [case["url"] for case in CASES["static"]]
ACCEPTED = CASES["accept"]
# What cannot be said by a URL alone, and the test that says it.
DYNAMIC = {
    "rebind": "test_a_rebinding_name_is_resolved_once_and_pinned",
    "mixed_answer": "test_one_private_answer_among_public_ones_refuses_the_target",
    "redirect_to_private": "test_redirects_are_answers_and_are_not_followed",
    "redirect_leaks_secret": "test_redirects_are_answers_and_are_not_followed",
    "proxy_env": "test_proxies_and_netrc_of_the_environment_are_ignored",
    "netrc": "test_proxies_and_netrc_of_the_environment_are_ignored",
    "slow_headers": "test_a_dripping_answer_ends_with_the_deadline",
    "slow_body": "test_a_dripping_answer_ends_with_the_deadline",
    "endless_body": "test_an_endless_answer_is_read_up_to_the_limit",
    "gzip_bomb_response": "test_a_compressed_answer_is_never_unpacked",
    "huge_headers": "test_no_more_than_the_limit_is_taken_off_the_wire",
    "tls_bad_cert": "test_nothing_is_sent_when_the_certificate_is_wrong",
    "response_secret_echo": "test_our_own_secrets_are_redacted_when_the_answer_echoes_them",
    "retry_after_huge": "test_a_retry_after_header_is_read_or_ignored",
    "keepalive_reuse": "test_every_call_has_a_connection_of_its_own",
    "unix_socket": "test_unix_sockets_are_refused",
    "edit_after_validate": "test_a_name_that_turned_private_after_it_was_saved_is_refused_at_the_next_call",
}


def _can_make_a_network() -> bool:
    if os.geteuid() != 0:
        return False
    try:
        made = subprocess.run(
            ["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True
        )
    except FileNotFoundError:
        return False
    return made.returncode == 0


with_a_network_of_its_own = pytest.mark.skipif(
    not _can_make_a_network(), reason="needs root, unshare and ip, to make a network namespace"
)


@cache
def tried() -> list[dict[str, Any]]:
    """How every call ended, and what the canary noticed: the refused ones first, then the accepted."""
    cases = [{"url": url, "resolves_to": "127.0.0.1"} for url in REFUSED]
    cases += [{"url": url, "resolves_to": PUBLIC} for url in ACCEPTED]
    made = subprocess.run(
        ["unshare", "-n", sys.executable, "-m", "tests.support.private_network"],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert made.returncode == 0, made.stderr
    found: list[dict[str, Any]] = json.loads(made.stdout)
    return found


@with_a_network_of_its_own
def test_every_listed_url_is_refused_and_the_canary_is_never_hit() -> None:
    refused = tried()[: len(REFUSED)]
    assert len(refused) == len(REFUSED) == 106
    assert [case["url"] for case in refused if case["ended"] != "Refused"] == []
    assert [case["hits"] for case in refused if case["hits"]] == []


@with_a_network_of_its_own
def test_the_accepted_five_reach_the_address_they_mean() -> None:
    # The positive control as well: the same canary, under the same addresses, is hit by what may pass.
    accepted = tried()[len(REFUSED) :]
    assert [case["url"] for case in accepted] == ACCEPTED
    assert [case["ended"] for case in accepted] == ["200"] * 5
    reached = [case["hits"] for case in accepted]
    assert [len(hits) for hits in reached] == [1] * 5
    assert [_address(hits[0]) for hits in reached] == [
        (PUBLIC, "443"),
        (PUBLIC, "8443"),
        (PUBLIC, "80"),
        ("2606:4700:4700::1111", "443"),
        (PUBLIC, "443"),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("url", REFUSED, ids=lambda url: repr(url)[:40])
def test_a_retry_to_such_a_url_fails_for_good_and_says_why(url: str, settings: Settings) -> None:
    settings.OUTBOUND_ALLOW_CIDRS = []
    result = webhook.post(
        Call(
            tenant_id=uuid7(),
            action_id=uuid7(),
            action_type="retry",
            attempt=1,
            correlation_id="c",
            idempotency_key="act_1",
            deadline_seconds=1,
            url=url,
            secrets=("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",),
        )
    )
    # final, not retryable: nothing was sent, and trying again changes nothing
    assert (result.ending, result.response_status) == ("final", None)
    assert result.error.endswith(".")


def test_every_case_that_is_no_url_has_a_test_of_its_own() -> None:
    assert set(DYNAMIC) == {case["case"] for case in CASES["dynamic"]}
    written = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for case, test in DYNAMIC.items():
        assert f"def {test}(" in written, case


def _address(hit: str) -> tuple[str, str]:
    host, _, port = hit.partition(" ")
    address = ip_address(host)
    return str(getattr(address, "ipv4_mapped", None) or address), port
