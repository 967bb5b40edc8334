"""The only place that decides which addresses an outgoing call may reach."""

import re
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from threading import Thread
from urllib.parse import quote

import idna

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Sequence[str]]

PORTS = frozenset({80, 443, 8080, 8443})
DEFAULT_PORT = {"http": 80, "https": 443}
MAX_URL_LENGTH = 2048
MAX_HOST_LENGTH = 253  # RFC 1035

# Our own list: ipaddress.is_private and is_global let some of these through on 3.11.
DENIED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier NAT, and a cloud's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's host agent, on an address that looks public
        "169.254.0.0/16",  # link local, most clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
DENIED_V6 = tuple(
    IPv6Network(network)
    for network in (
        # Everything outside 2000::/3: loopback, v4-compatible, local NAT64, discard,
        # unique local, link local, site local, multicast.
        "::/3",
        "4000::/2",
        "8000::/1",
        "2001::/23",  # Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: carries any IPv4 address
        "3fff::/20",  # documentation
    )
)
# Still in real use, so judged by the IPv4 address inside. The dead carriers of
# IPv4 addresses (v4-compatible, 6to4, Teredo, local NAT64) are refused whole.
EMBEDDING_V4 = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
# Names no public DNS serves: they mean a neighbour of ours, or nothing.
LOCAL_SUFFIXES = frozenset(
    {"corp", "home", "internal", "intranet", "invalid", "lan", "local"}
    | {"localdomain", "localhost", "onion", "private", "svc"}
)

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]+))(?::([0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNPRINTABLE = re.compile(r"[\s\x00-\x20\x7f-\x9f\\\ud800-\udfff]")


class Refused(Exception):
    """The call is not allowed. Nothing was sent, and trying again changes nothing."""


class NotSent(Exception):
    """The call did not get far enough to send anything. Trying again is safe."""


@dataclass(frozen=True, kw_only=True)
class Target:
    scheme: str
    host: str  # lower-case ASCII name, or an address without brackets
    port: int
    path: str  # path and query, as they go on the wire
    literal: IPAddress | None  # set when the URL names an address, not a name

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORT[self.scheme] else f"{host}:{self.port}"


def check_url(url: str, *, allow_cidrs: Sequence[IPNetwork]) -> None:
    """What can be said of a URL without asking DNS, for when a form is saved. Raises Refused.

    Not enough for sending: what a name resolves to is judged at every call.
    """
    inspect(url, allow_cidrs=allow_cidrs)


def inspect(url: str, *, allow_cidrs: Sequence[IPNetwork]) -> Target:
    target = _parse(url)
    if target.literal is not None:
        judge(target, [target.literal], allow_cidrs=allow_cidrs)
    elif not allow_cidrs:  # with an allow list, only the addresses can tell
        _refuse_local_name(target.host)
        _refuse_port(target)
    return target


def judge(
    target: Target, addresses: Sequence[IPAddress], *, allow_cidrs: Sequence[IPNetwork]
) -> None:
    """Every address must pass: one private answer among public ones refuses the target."""
    for address in addresses:
        if any(address in network for network in allow_cidrs):
            continue
        # The address itself stays out of the message: it would map our network for a tenant.
        if _is_denied(address):
            raise Refused(f"{target.host} is not a public address.")
        _refuse_port(target)


def look_up(target: Target, *, resolver: Resolver, timeout: float) -> Sequence[IPAddress]:
    """Ask once. Raises NotSent when there is no answer in time, Refused for an odd one."""
    if target.literal is not None:
        return [target.literal]
    try:
        answers = _ask(resolver, target, timeout=timeout)
    except (OSError, UnicodeError) as failure:  # TimeoutError is an OSError
        raise NotSent(f"The name {target.host} could not be resolved.") from failure
    if not answers:
        raise NotSent(f"The name {target.host} has no address.")
    try:
        return [ip_address(answer) for answer in dict.fromkeys(answers)]
    except ValueError as failure:
        raise Refused(f"{target.host} resolves to something that is not an address.") from failure


def ask_system(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in found]


def _ask(resolver: Resolver, target: Target, *, timeout: float) -> Sequence[str]:
    answer: Future[Sequence[str]] = Future()

    def work() -> None:
        try:
            answer.set_result(resolver(target.host, target.port))
        except Exception as failure:  # not swallowed: raised again by the thread that waits
            answer.set_exception(failure)

    # getaddrinfo cannot be cancelled. A thread left behind ends when the resolver
    # library gives up, and as a daemon does not hold up the end of the process.
    Thread(target=work, name="resolve", daemon=True).start()
    return answer.result(timeout)


def _parse(url: str) -> Target:
    if len(url) > MAX_URL_LENGTH:
        raise Refused(f"The URL is longer than {MAX_URL_LENGTH} characters.")
    # Before anything else: parsers disagree about these, and some silently drop them.
    if _UNPRINTABLE.search(url):
        raise Refused("The URL contains a blank, a control character or a backslash.")
    parts = _URL.fullmatch(url)
    if not parts:
        raise Refused("The URL must start with http:// or https:// and have no # part.")
    scheme, authority, path = parts[1].lower(), parts[2], parts[3]
    host, port = _split_authority(authority)
    literal = _literal(host)
    return Target(
        scheme=scheme,
        host=host if literal is None else str(literal),
        port=DEFAULT_PORT[scheme] if port is None else port,
        path=_wire_path(path),
        literal=literal,
    )


def _split_authority(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise Refused("The URL must not contain a user name or password.")
    parts = _AUTHORITY.fullmatch(authority)
    if not parts:
        raise Refused("The URL has no valid host and port.")
    host = _bracketed(parts[1]) if parts[1] else _named(parts[2])
    port = int(parts[3]) if parts[3] else None
    if port is not None and not 0 < port < 65536:
        raise Refused(f"{port} is not a port.")
    return host, port


def _bracketed(host: str) -> str:
    try:
        return str(IPv6Address(host))
    except ValueError as failure:
        raise Refused(f"[{host}] is not an IPv6 address.") from failure


def _named(host: str) -> str:
    try:
        # Strict IDNA 2008: no compatibility mapping, so a fullwidth digit is an error.
        name = host.lower() if host.isascii() else idna.encode(host.lower()).decode("ascii")
    except UnicodeError as failure:
        raise Refused("The host is not a valid name.") from failure
    name = name.removesuffix(".")
    if len(name) > MAX_HOST_LENGTH or not all(map(_LABEL.fullmatch, name.split("."))):
        raise Refused("The host is not a valid name.")
    return name


def _literal(host: str) -> IPAddress | None:
    if ":" in host:
        return IPv6Address(host)
    # The C library reads 127.1, 0x7f000001 and 0177.0.0.1 as addresses. We read only four
    # plain decimal numbers, and nothing else that ends in a number.
    if not _NUMERIC.fullmatch(host.rpartition(".")[2]):
        return None
    try:
        return IPv4Address(host)
    except ValueError as failure:
        raise Refused(f"{host} is not an address in its usual form.") from failure


def _wire_path(path: str) -> str:
    path = path if path.startswith("/") else f"/{path}"
    return quote(path, safe="%/:?[]@!$&'()*+,;=~-._")


def _refuse_local_name(host: str) -> None:
    _, dot, suffix = host.rpartition(".")
    if not dot or suffix in LOCAL_SUFFIXES or host.endswith(".home.arpa"):
        raise Refused(f"{host} is not a public name.")


def _refuse_port(target: Target) -> None:
    if target.port not in PORTS:
        raise Refused(f"Port {target.port} is not one of 80, 443, 8080 and 8443.")


def _is_denied(address: IPAddress) -> bool:
    if isinstance(address, IPv4Address):
        return any(address in network for network in DENIED_V4)
    if address.scope_id is not None:
        return True
    if any(address in network for network in EMBEDDING_V4):
        return _is_denied(IPv4Address(int(address) & 0xFFFFFFFF))
    return any(address in network for network in DENIED_V6)
