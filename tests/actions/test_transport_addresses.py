import json
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

import pytest

from actions.transport import (
    NotSent,
    Refused,
    addresses,
    check_url,
    send,
    wire,
)
from tests.support.outgoing import LOOPBACK, NOBODY, StubResolver, request
from tests.support.receiver import Receiver

PUBLIC = "93.184.216.34"
URLS = Path(__file__).resolve().parents[1] / "data" / "ssrf_urls.json"


def fixture_urls(part: str) -> list[str]:
    return [
        row if isinstance(row, str) else row["url"] for row in json.loads(URLS.read_text())[part]
    ]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Where a connection was about to go. None is made."""
    asked: list[tuple[str, int]] = []

    def dial(address: IPv4Address | IPv6Address, port: int, *, timeout: float) -> socket.socket:
        asked.append((str(address), port))
        raise ConnectionRefusedError

    monkeypatch.setattr(wire, "dial", dial)
    return asked


@pytest.mark.parametrize("url", fixture_urls("static"), ids=lambda url: repr(url)[:40])
def test_it_refuses_every_listed_url_before_anything_is_sent(
    url: str, dialled: list[tuple[str, int]]
) -> None:
    # Whatever the name, the resolver leads to loopback: nothing but the guard stands between.
    resolver = StubResolver([["127.0.0.1"]])
    with pytest.raises(Refused):
        send(request(url), allow_cidrs=NOBODY, resolver=resolver)
    assert dialled == []


@pytest.mark.parametrize("url", fixture_urls("static"), ids=lambda url: repr(url)[:40])
def test_it_refuses_every_listed_url_when_it_is_saved(url: str) -> None:
    with pytest.raises(Refused):
        check_url(url, allow_cidrs=NOBODY)


@pytest.mark.parametrize("url", fixture_urls("static"), ids=lambda url: repr(url)[:40])
def test_it_never_reaches_a_listener_on_loopback(url: str, receiver: Receiver) -> None:
    # The same urls aimed at a live port, which the port list alone would not save.
    aimed = url.replace(".1/", f".1:{receiver.port}/").replace("]/", f"]:{receiver.port}/")
    with pytest.raises(Refused):
        send(request(aimed), allow_cidrs=NOBODY)
    assert receiver.requests == []


def test_the_canary_listener_can_be_hit(receiver: Receiver) -> None:
    # Positive control for the test above.
    send(request(receiver.url()), allow_cidrs=LOOPBACK)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("url", "address", "port", "resolved"),
    [
        ("https://example.com/hook", PUBLIC, 443, ["example.com"]),
        ("https://hooks.example.com:8443/a?b=c", PUBLIC, 8443, ["hooks.example.com"]),
        ("http://93.184.216.34/", PUBLIC, 80, []),
        ("https://[2606:4700:4700::1111]/", "2606:4700:4700::1111", 443, []),
        ("https://bücher.example/x", PUBLIC, 443, ["xn--bcher-kva.example"]),
    ],
)
def test_it_dials_the_address_of_an_acceptable_url(
    url: str, address: str, port: int, resolved: list[str], dialled: list[tuple[str, int]]
) -> None:
    assert url in fixture_urls("accept")
    check_url(url, allow_cidrs=NOBODY)
    resolver = StubResolver([[PUBLIC]])
    with pytest.raises(NotSent):
        send(request(url), allow_cidrs=NOBODY, resolver=resolver)
    assert dialled == [(address, port)]
    assert resolver.asked == resolved


def test_every_acceptable_url_is_in_the_table_above() -> None:
    assert len(fixture_urls("accept")) == 5


@pytest.mark.parametrize(
    "answer",
    [
        *["10.0.0.1", "127.0.0.1", "169.254.169.254", "100.64.0.1", "192.0.0.8", "224.0.0.1"],
        *["0.0.0.0", "255.255.255.255", "168.63.129.16", "172.31.0.1", "192.168.1.1"],
        *["::1", "::", "fe80::1", "fe80::1%lo", "2606:4700::1%lo", "fc00::1", "fec0::1", "ff02::1"],
        *["::ffff:127.0.0.1", "::ffff:100.64.0.1", "::169.254.169.254", "64:ff9b::a9fe:a9fe"],
        *["64:ff9b:1::808:808", "2002:7f00:1::1", "2002:808:808::1", "2001::1", "2001:db8::1"],
        *["100::1", "3fff::1", "5f00::1", "4000::1"],
    ],
)
def test_a_name_that_resolves_to_a_special_address_is_refused(
    answer: str, dialled: list[tuple[str, int]]
) -> None:
    resolver = StubResolver([[answer]])
    with pytest.raises(Refused) as refusal:
        send(request("https://example.com/"), allow_cidrs=NOBODY, resolver=resolver)
    assert dialled == []
    # The message must not map our network for a tenant.
    assert answer not in str(refusal.value)


@pytest.mark.parametrize(
    "answer", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1", "64:ff9b::808:808"]
)
def test_a_name_that_resolves_to_a_public_address_is_dialled(
    answer: str, dialled: list[tuple[str, int]]
) -> None:
    with pytest.raises(NotSent):
        send(
            request("https://example.com/"),
            allow_cidrs=NOBODY,
            resolver=StubResolver([[answer]]),
        )
    assert dialled == [(answer, 443)]


def test_one_private_answer_among_public_ones_refuses_the_target(
    dialled: list[tuple[str, int]],
) -> None:
    with pytest.raises(Refused):
        send(
            request("https://example.com/"),
            allow_cidrs=NOBODY,
            resolver=StubResolver([[PUBLIC, "10.0.0.1"]]),
        )
    assert dialled == []


def test_a_rebinding_name_is_resolved_once_and_pinned(dialled: list[tuple[str, int]]) -> None:
    resolver = StubResolver([[PUBLIC], ["127.0.0.1"]])
    with pytest.raises(NotSent):
        send(request("http://example.com/"), allow_cidrs=NOBODY, resolver=resolver)
    assert dialled == [(PUBLIC, 80)]
    assert resolver.asked == ["example.com"]


def test_a_name_that_turned_private_after_it_was_saved_is_refused_at_the_next_call(
    dialled: list[tuple[str, int]],
) -> None:
    resolver = StubResolver([[PUBLIC], ["127.0.0.1"]])
    with pytest.raises(NotSent):
        send(request("http://example.com/"), allow_cidrs=NOBODY, resolver=resolver)
    with pytest.raises(Refused):
        send(request("http://example.com/"), allow_cidrs=NOBODY, resolver=resolver)
    assert dialled == [(PUBLIC, 80)]


def test_the_library_resolver_is_not_asked_a_second_time(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **_: asked.append(given))
    resolver = StubResolver([["127.0.0.1"]])
    url = f"http://workflow.example:{receiver.port}/hook"
    assert send(request(url), allow_cidrs=LOOPBACK, resolver=resolver).status == 200
    assert asked == []


def test_a_connection_that_reached_another_address_is_dropped(receiver: Receiver) -> None:
    # Linux connects 0.0.0.0 to 127.0.0.1; an allow list that names it does not allow loopback.
    everywhere = (ip_network("0.0.0.0/32"),)
    with pytest.raises(Refused, match="another address"):
        send(request(f"http://0.0.0.0:{receiver.port}/"), allow_cidrs=everywhere)
    assert receiver.requests == []


@pytest.mark.parametrize("url", ["http+unix://%2Frun%2Fs.sock/", "unix:/run/s.sock", "http://\0s/"])
def test_unix_sockets_are_refused(url: str) -> None:
    with pytest.raises(Refused):
        check_url(url, allow_cidrs=LOOPBACK)


@pytest.mark.parametrize(
    "url",
    [
        "http://user@example.com/",
        "http://example.com/#part",
        "http://example.com:65536/",
        "http://127.0.0.2:9000/",
        "http://[::ffff:127.0.0.1]:9000/",
        "http://127.1:9000/",
        "http://exämple..com/",
        "http://example.com/\ud800",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_an_allow_list_lifts_only_the_address_and_port_rules(url: str) -> None:
    with pytest.raises(Refused):
        check_url(url, allow_cidrs=LOOPBACK)


def test_hosts_inside_the_allow_list_may_use_any_port(dialled: list[tuple[str, int]]) -> None:
    for url in ("http://127.0.0.1:9000/", "http://localhost:9000/"):
        check_url(url, allow_cidrs=LOOPBACK)
        with pytest.raises(NotSent):
            send(request(url), allow_cidrs=LOOPBACK, resolver=StubResolver([["127.0.0.1"]]))
    assert dialled == [("127.0.0.1", 9000)] * 2


def test_hosts_outside_the_allow_list_keep_the_port_rule(dialled: list[tuple[str, int]]) -> None:
    check_url("http://example.com:9000/", allow_cidrs=LOOPBACK)  # only DNS could tell
    with pytest.raises(Refused, match="Port 9000"):
        send(
            request("http://example.com:9000/"),
            allow_cidrs=LOOPBACK,
            resolver=StubResolver([[PUBLIC]]),
        )
    assert dialled == []


def test_every_refusal_reads_as_a_sentence() -> None:
    for url in (
        "ftp://x/",
        "http://a b/",
        "http://u:p@x.com/",
        "http://10.1.1.1/",
        "http://redis/",
    ):
        with pytest.raises(Refused, match=r"^[\w\[].{10,90}\.$"):
            check_url(url, allow_cidrs=NOBODY)


def test_an_answer_that_is_no_address_is_refused(dialled: list[tuple[str, int]]) -> None:
    with pytest.raises(Refused, match="not an address"):
        send(request("http://example.com/"), allow_cidrs=NOBODY, resolver=StubResolver([["?"]]))
    assert dialled == []


def test_the_system_resolver_answers_with_addresses_only() -> None:
    assert set(addresses.ask_system("127.0.0.1", 80)) == {"127.0.0.1"}
