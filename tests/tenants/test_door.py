"""The door: passwords that are guessed, the second step, a forgotten password, and who runs the platform."""

import re
import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from axes.models import AccessAttempt
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from tenants import letters
from tenants.models import Letter, PersonSession
from tests.cast import Travel, signed_in
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db

DOOR = reverse("tenants:sign-in")
CODE = reverse("mfa_authenticate")
APP = reverse("mfa_activate_totp")
ADMIN = reverse("admin:index")
LINK = re.compile(r"https?://[^/\s]+(/\S+)")


def browser(**extra: Any) -> Client:
    return Client(headers={"Accept": "text/html"}, **extra)


def knock(client: Client, name: str = "alice", password: str = PASSWORD, to: str = "") -> Any:
    return client.post(DOOR, {"username": name, "password": password, "next": to})


def is_in(client: Client) -> bool:
    return client.get(reverse("tenants:sessions")).status_code == 200


def code_of(secret: str, *, steps: int = 0) -> str:
    counter = int(time.time()) // 30 + steps
    return str(totp.format_hotp_value(totp.hotp_value(secret, counter)))


def set_up(client: Client) -> str:
    """Go through the pages that turn the second step on; returns the app's secret."""
    assert client.get(APP).status_code == 302  # asks for the password again
    confirm = f"{reverse('account_reauthenticate')}?next={APP}"
    assert client.post(confirm, {"password": PASSWORD})["Location"] == APP
    page = client.get(APP).content.decode()
    found = re.search(r'<code class="secret">([A-Z2-7]+)</code>', page)
    assert found is not None
    assert '<svg class="qr"' in page
    assert "style=" not in page  # M51: the picture passes our own policy
    on = client.post(APP, {"code": code_of(found[1])})
    assert on.status_code == 302
    return found[1]


def test_a_person_signs_in_by_name_or_by_address(alice: User) -> None:
    for name in ("alice", "alice@example.org", "ALICE@example.org"):
        client = browser()
        assert knock(client, name, to="/runs/")["Location"] == "/runs/", name
        assert is_in(client)


def test_an_old_hash_is_replaced_by_the_one_in_use(alice: User, settings: Settings) -> None:
    argon, scrypt = (
        f"django.contrib.auth.hashers.{name}PasswordHasher" for name in ("Argon2", "Scrypt")
    )
    settings.PASSWORD_HASHERS = [argon, scrypt]
    User.objects.filter(pk=alice.pk).update(password=make_password(PASSWORD, hasher="scrypt"))
    knock(browser())
    alice.refresh_from_db()
    assert alice.password.startswith("argon2$argon2id$")


def test_whoever_guesses_is_locked_out_and_nobody_else_is(alice: User, bob: User) -> None:
    guesser = browser(REMOTE_ADDR="203.0.113.9")
    answers = [knock(guesser, name, "guess").status_code for name in ["alice", "ALICE"] * 6]
    assert answers[:9] == [422] * 9  # G: the same page for each wrong one
    assert answers[9:] == [429] * 3
    locked = knock(guesser)  # the right one now helps no more
    assert locked.status_code == 429
    assert "Try again in 15 minutes" in locked.content.decode()
    assert int(locked["Retry-After"]) == 900
    assert knock(guesser, "bob").status_code == 302  # another account from there
    assert knock(browser(REMOTE_ADDR="203.0.113.10")).status_code == 302  # alice from elsewhere


def test_a_forwarded_address_helps_no_guesser(alice: User) -> None:
    for n in range(10):
        knock(browser(HTTP_X_FORWARDED_FOR=f"198.51.100.{n}"), password="guess")
    assert knock(browser()).status_code == 429


def test_staff_unlock_who_is_locked_out(alice: User, staff: User) -> None:
    guesser = browser()
    for _ in range(10):
        knock(guesser, password="guess")
    assert PASSWORD not in str(list(AccessAttempt.objects.values()))
    assert "guess" not in str(list(AccessAttempt.objects.values()))
    attempt = AccessAttempt.objects.get()
    office = signed_in(staff)
    listed = office.get(reverse("admin:axes_accessattempt_changelist")).content.decode()
    assert "alice" in listed
    gone = reverse("admin:axes_accessattempt_delete", args=[attempt.pk])
    assert office.post(gone, {"post": "yes"}).status_code == 302
    assert knock(guesser).status_code == 302


def test_a_machine_is_told_in_its_own_words(alice: User) -> None:
    client = Client()
    for _ in range(10):
        answer = knock(client, password="guess")
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "rate_limited"


# --- the second step --------------------------------------------------------------------------------


def test_with_an_app_the_password_alone_opens_nothing(alice: User) -> None:
    client = browser()
    knock(client)
    secret = set_up(client)
    stored = Authenticator.objects.get(user=alice, type="totp")
    assert secret not in str(stored.data)  # sealed, with a key outside the database

    other = browser()
    assert knock(other, to="/runs/")["Location"] == CODE
    assert not is_in(other)
    assert "does not fit" in other.post(CODE, {"code": "000000"}).content.decode()
    code = code_of(secret, steps=1)
    assert other.post(CODE, {"code": f"{code[:3]} {code[3:]}"})["Location"] == "/runs/"
    assert is_in(other)


def test_a_code_opens_the_door_once(alice: User) -> None:
    client = browser()
    knock(client)
    code = code_of(set_up(client))
    first, second = browser(), browser()
    for each in (first, second):
        knock(each)
        each.post(CODE, {"code": code})
    assert [is_in(first), is_in(second)] == [True, False]


def test_a_recovery_code_opens_it_once_too(alice: User) -> None:
    client = browser()
    knock(client)
    set_up(client)
    page = client.get(reverse("mfa_view_recovery_codes")).content.decode()
    codes = re.findall(r"<li><code>(\d{8})</code></li>", page)
    assert len(codes) == 10
    first, second = browser(), browser()
    for each in (first, second):
        knock(each)
        each.post(CODE, {"code": codes[0]})
    assert [is_in(first), is_in(second)] == [True, False]


def test_codes_are_not_guessed_from_many_addresses(alice: User) -> None:
    client = browser()
    knock(client)
    secret = set_up(client)
    for n in range(10):
        guesser = browser(REMOTE_ADDR=f"203.0.113.{n}")
        knock(guesser)
        last = guesser.post(CODE, {"code": "000000"})
    assert last.status_code == 429
    late = browser()
    knock(late)
    assert late.post(CODE, {"code": code_of(secret, steps=1)}).status_code == 429


def test_the_second_step_is_turned_off_only_after_the_password_again(alice: User) -> None:
    client = browser()
    knock(client)
    set_up(client)
    off = reverse("mfa_deactivate_totp")
    assert client.post(off).status_code == 302
    assert not Authenticator.objects.filter(user=alice).exists()
    other = browser()
    knock(other)
    assert is_in(other)


# --- who runs the platform ---------------------------------------------------------------------------


def test_staff_enter_the_administration_only_with_the_second_step(
    staff: User, ann: User, settings: Settings
) -> None:
    settings.STAFF_NEEDS_SECOND_STEP = True
    client = browser()
    knock(client, "staff")
    # without one they can only set it up
    for path in (ADMIN, "/admin/tenants/tenant/", "/admin/auth/user/add/"):
        assert client.get(path)["Location"].startswith(reverse("mfa_index")), path
        assert client.post(path)["Location"].startswith(reverse("mfa_index")), path
    secret = set_up(client)
    asked = client.get(ADMIN)["Location"]
    assert asked.startswith(reverse("mfa_reauthenticate"))
    assert client.post(asked, {"code": code_of(secret, steps=1)})["Location"] == ADMIN
    assert client.get(ADMIN).status_code == 200
    # a session that never gave a code stays out, and a tenant's admin needs none
    assert signed_in(staff).get(ADMIN).status_code == 302
    assert signed_in(ann).get(ADMIN).status_code == 200


# --- a forgotten password -----------------------------------------------------------------------------


def test_whoever_asks_for_a_new_password_learns_nothing(alice: User) -> None:
    page = reverse("tenants:forgotten")
    known = browser().post(page, {"email": "alice@example.org"})
    unknown = browser().post(page, {"email": "nobody@example.org"})
    assert known.status_code == unknown.status_code == 200
    assert _plain(known) == _plain(unknown)
    assert [letter.email for letter in Letter.objects.all()] == ["alice@example.org"]
    browser().post(page, {"email": "Alice@Example.org"})  # again at once: one letter
    assert Letter.objects.count() == 1


def test_the_link_of_the_letter_gives_a_new_password_once(alice: User) -> None:
    inside = browser()
    knock(inside)
    browser().post(reverse("tenants:forgotten"), {"email": "alice@example.org"})
    assert "/password/new/" not in str(Letter.objects.values().get())  # sealed until sent
    assert letters.send_due() == 1
    assert letters.send_due() == 0
    [letter] = mail.outbox
    assert letter.to == ["alice@example.org"]
    link = _link(str(letter.body))
    client, new = browser(), "another long pass phrase"
    shown = client.get(link)
    assert link not in shown["Location"]  # the token stays out of what other pages are told
    page = shown["Location"]
    assert client.post(page, {"password": new, "again": new})["Location"] == DOOR
    assert not is_in(inside)
    assert knock(browser(), password=new).status_code == 302
    assert browser().get(link).status_code == 404


def test_a_link_ends_and_a_made_up_one_opens_nothing(alice: User) -> None:
    for odd in ("/password/new/MQ/choose/", "/password/new/x/y/", "/password/new/LTE/a-b/"):
        assert browser().get(odd).status_code == 404, odd


def test_a_letter_that_cannot_be_sent_is_tried_again(
    alice: User, settings: Settings, time_travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser().post(reverse("tenants:forgotten"), {"email": "alice@example.org"})
    with monkeypatch.context() as broken:
        broken.setattr(letters, "send_mail", _refuse)
        assert letters.send_due() == 1
    assert letters.send_due() == 0  # not before its time
    time_travel(minutes=5)
    assert letters.send_due() == 1
    assert len(mail.outbox) == 1
    time_travel(days=2)
    assert letters.forget_old() == 1


def test_somebody_switched_off_gets_no_letter_and_stays_out(db: None) -> None:
    UserFactory(username="gone", is_active=False)
    browser().post(reverse("tenants:forgotten"), {"email": "gone@example.org"})
    assert not Letter.objects.exists()
    client = browser()
    knock(client, "gone")
    assert not is_in(client)
    assert not PersonSession.objects.exclude(user=None).exists()


def _refuse(*_: Any, **__: Any) -> None:
    raise ConnectionRefusedError


def _link(text: str) -> str:
    found = LINK.search(text)
    assert found is not None
    return found[1]


def _plain(answer: Any) -> str:
    """Without what differs between any two answers."""
    return re.sub(r"\d{4}-\d\d-\d\dT[^\"]*", "", answer.content.decode())
