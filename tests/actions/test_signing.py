import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from actions import signing

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret of some length").decode()
BODY = b'{"test": 2432232314}'


def signed(*secrets: str, at: datetime = NOW, body: bytes = BODY) -> dict[str, str]:
    return signing.headers(message_id="msg_1", at=at, body=body, secrets=secrets or (SECRET,))


def test_it_signs_as_in_the_published_example() -> None:
    headers = signing.headers(
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at=datetime.fromtimestamp(1614265330, tz=UTC),
        body=BODY,
        secrets=[SECRET],
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_reference_library_accepts_what_we_sign() -> None:
    now = datetime.now(UTC)  # the library reads the clock itself
    Webhook(SECRET).verify(BODY, signed(at=now))
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, signed(at=now))


def test_we_accept_what_the_reference_library_signs() -> None:
    headers = signed() | {"webhook-signature": Webhook(SECRET).sign("msg_1", NOW, BODY.decode())}
    signing.verify(headers=headers, body=BODY, secret=SECRET, now=NOW)


def test_the_moment_counts_whatever_time_zone_it_is_written_in() -> None:
    assert signed(at=NOW.astimezone(timezone(timedelta(hours=5)))) == signed()


def test_header_names_are_read_in_any_case() -> None:
    titled = {name.title(): value for name, value in signed().items()}
    signing.verify(headers=titled, body=BODY, secret=SECRET, now=NOW)


def test_both_secrets_are_accepted_while_one_replaces_the_other() -> None:
    headers = signed(OTHER, SECRET)
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, OTHER):
        signing.verify(headers=headers, body=BODY, secret=secret, now=NOW)


def test_a_retired_secret_is_no_longer_accepted() -> None:
    with pytest.raises(signing.SignatureInvalid, match="No signature matches"):
        signing.verify(headers=signed(OTHER), body=BODY, secret=SECRET, now=NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(int(NOW.timestamp()) + 1)},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1a,AAAA é"},
        {"webhook-signature": ""},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "9" * 30},
    ],
)
def test_an_altered_header_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(signing.SignatureInvalid):
        signing.verify(headers=signed() | changed, body=BODY, secret=SECRET, now=NOW)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_refused(missing: str) -> None:
    headers = {name: value for name, value in signed().items() if name != missing}
    with pytest.raises(signing.SignatureInvalid, match="missing"):
        signing.verify(headers=headers, body=BODY, secret=SECRET, now=NOW)


@pytest.mark.parametrize("body", [BODY + b" ", BODY[:-1], BODY.replace(b"2", b"3"), b"\xff", b""])
def test_an_altered_body_is_refused(body: bytes) -> None:
    with pytest.raises(signing.SignatureInvalid):
        signing.verify(headers=signed(), body=body, secret=SECRET, now=NOW)


def test_a_version_we_do_not_know_is_not_accepted_under_another_name() -> None:
    headers = signed()
    headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v2,")
    with pytest.raises(signing.SignatureInvalid):
        signing.verify(headers=headers, body=BODY, secret=SECRET, now=NOW)


@pytest.mark.parametrize("skew", [timedelta(minutes=5), -timedelta(minutes=5)])
def test_a_signature_counts_for_five_minutes_either_way(skew: timedelta) -> None:
    signing.verify(headers=signed(), body=BODY, secret=SECRET, now=NOW + skew)
    further = skew + (skew / abs(skew)) * timedelta(seconds=1)
    with pytest.raises(signing.SignatureInvalid, match="too old or from the future"):
        signing.verify(headers=signed(), body=BODY, secret=SECRET, now=NOW + further)


def test_signing_without_a_secret_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no secret"):
        signing.headers(message_id="msg_1", at=NOW, body=BODY, secrets=[])


def test_new_secrets_are_long_and_differ() -> None:
    first, second = signing.new_secret(), signing.new_secret()
    assert first != second
    assert first.startswith("whsec_")
    assert len(base64.b64decode(first.removeprefix("whsec_"), validate=True)) == 32
    signing.verify(headers=signed(first), body=BODY, secret=first, now=NOW)
