import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from threading import Event
from time import monotonic

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from actions.transport import (
    Answer,
    NotSent,
    send,
    sending,
)
from tests.support.outgoing import LOOPBACK, StubResolver, raw_server, read_request, request
from tests.support.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@dataclass(frozen=True)
class Authority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def trust(self) -> ssl.SSLContext:
        pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=pem)

    def serve(self, names: list[x509.GeneralName], directory: Path, *, days: int) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(self.key, key, names=names, days=days, is_authority=False)
        path = directory / "server.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _certificate(
    issuer: ec.EllipticCurvePrivateKey,
    subject: ec.EllipticCurvePrivateKey,
    *,
    names: list[x509.GeneralName],
    days: int,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    server = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test server")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(named if is_authority else server)
        .issuer_name(named)
        .public_key(subject.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False
        )
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(subject.public_key()), critical=False
        )
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer, hashes.SHA256())


def new_authority() -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    return Authority(key, _certificate(key, key, names=[], days=30, is_authority=True))


@pytest.fixture
def authority() -> Authority:
    return new_authority()


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "trust_store", authority.trust)


def over_tls(context: ssl.SSLContext, heard: list[bytes]) -> Callable[[socket.socket, Event], None]:
    def talk(connection: socket.socket, over: Event) -> None:
        asked: list[str | None] = []
        context.sni_callback = lambda _socket, name, _context: asked.append(name)
        with context.wrap_socket(connection, server_side=True) as secured:
            heard.append("".join(filter(None, asked)).encode())
            heard.append(read_request(secured))
            secured.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    return talk


def call_over_tls(context: ssl.SSLContext, host: str, heard: list[bytes]) -> Answer:
    with raw_server(over_tls(context, heard)) as port:
        return send(
            request(f"https://{host}:{port}/"),
            allow_cidrs=LOOPBACK,
            resolver=StubResolver([["127.0.0.1"]]),
        )


@pytest.mark.usefixtures("trusted")
def test_tls_is_checked_against_the_name_while_the_address_is_pinned(
    authority: Authority, tmp_path: Path
) -> None:
    context = authority.serve([x509.DNSName("hooks.example.com")], tmp_path, days=30)
    heard: list[bytes] = []
    assert call_over_tls(context, "hooks.example.com", heard).status == 204
    assert heard[0] == b"hooks.example.com"
    assert heard[1].startswith(b"POST / HTTP/1.1\r\nHost: hooks.example.com:")


@pytest.mark.usefixtures("trusted")
def test_tls_to_a_literal_address_is_checked_against_the_address(
    authority: Authority, tmp_path: Path
) -> None:
    context = authority.serve([x509.IPAddress(ip_address("127.0.0.1"))], tmp_path, days=30)
    assert call_over_tls(context, "127.0.0.1", []).status == 204


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("names", "days", "reason"),
    [
        ([x509.DNSName("other.example.com")], 30, "Hostname mismatch"),
        ([x509.IPAddress(ip_address("127.0.0.1"))], 30, "Hostname mismatch"),
        ([x509.DNSName("hooks.example.com")], -1, "expired"),
    ],
    ids=["other name", "only the address", "expired"],
)
def test_nothing_is_sent_when_the_certificate_is_wrong(
    names: list[x509.GeneralName], days: int, reason: str, authority: Authority, tmp_path: Path
) -> None:
    heard: list[bytes] = []
    with pytest.raises(NotSent, match=reason):
        call_over_tls(authority.serve(names, tmp_path, days=days), "hooks.example.com", heard)
    assert b"POST" not in b"".join(heard)


def test_nothing_is_sent_when_nobody_we_trust_signed_the_certificate(
    authority: Authority, tmp_path: Path
) -> None:
    context = authority.serve([x509.DNSName("hooks.example.com")], tmp_path, days=30)
    heard: list[bytes] = []
    with pytest.raises(NotSent, match="unable to get local issuer"):
        call_over_tls(context, "hooks.example.com", heard)
    assert b"POST" not in b"".join(heard)


def test_nothing_is_sent_to_a_server_that_does_not_speak_tls(receiver: Receiver) -> None:
    with pytest.raises(NotSent, match="TLS handshake failed"):
        send(request(f"https://127.0.0.1:{receiver.port}/"), allow_cidrs=LOOPBACK)
    assert receiver.requests == []


def test_a_silent_handshake_ends_with_the_deadline_and_nothing_was_sent() -> None:
    def silent(connection: socket.socket, over: Event) -> None:
        over.wait(5)

    started = monotonic()
    with raw_server(silent) as port, pytest.raises(NotSent, match="in time"):
        send(request(f"https://127.0.0.1:{port}/", deadline_seconds=0.3), allow_cidrs=LOOPBACK)
    assert monotonic() - started < 1


def test_the_trust_store_checks_names_and_certificates() -> None:
    context = sending.trust_store()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
