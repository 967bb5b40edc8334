"""Sessions: whose they are, when they end by themselves, and how people end them."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tenants import auth, scoping, sessions
from tenants.models import PersonSession, PlatformJournalEntry, Tenant
from tests.cast import Travel, acting, signed_in
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HOME = "/settings/sessions/"


def entered(user: User, **headers: str) -> Client:
    """Signed in by the front door, as a browser is."""
    client = Client(headers={"Accept": "text/html", **headers})
    typed = {"username": user.username, "password": PASSWORD}
    assert client.post(reverse("tenants:sign-in"), typed).status_code == 302
    return client


def row_of(client: Client) -> PersonSession:
    return PersonSession.objects.get(session_key=client.session.session_key)


def is_in(client: Client) -> bool:
    return client.get(HOME).status_code == 200


def test_signing_in_changes_the_session_and_tells_whose_it_is(alice: User) -> None:
    client = Client(headers={"User-Agent": FIREFOX})
    session = client.session
    session["before"] = "kept"
    session.save()
    before = session.session_key
    client.post(reverse("tenants:sign-in"), {"username": "alice", "password": PASSWORD})
    # V7: whoever knew the key before signing in knows nothing after it
    assert client.session.session_key != before
    assert not PersonSession.objects.filter(session_key=before).exists()
    row = row_of(client)
    assert (row.user, row.agent, row.address) == (alice, FIREFOX, "127.0.0.1")


def test_a_session_that_nobody_uses_ends(alice: User, time_travel: Travel) -> None:
    client = entered(alice)
    time_travel(hours=11)
    assert is_in(client)  # which counts as use
    time_travel(hours=11)
    assert is_in(client)
    time_travel(hours=13)
    assert not is_in(client)


def test_a_session_ends_after_a_week_however_much_it_is_used(
    alice: User, time_travel: Travel
) -> None:
    client = entered(alice)
    for _ in range(16):
        time_travel(hours=10)
        assert is_in(client)
    time_travel(hours=10)
    assert not is_in(client)


def test_a_used_session_writes_once_a_minute(alice: User, time_travel: Travel) -> None:
    client = entered(alice)
    first = row_of(client).seen_at
    client.get(HOME)
    assert row_of(client).seen_at == first
    time_travel(minutes=2)
    client.get(HOME)
    assert row_of(client).seen_at > first


def test_one_session_is_ended_from_another(alice: User, acme: Tenant) -> None:
    here, there = entered(alice), entered(alice, **{"User-Agent": FIREFOX})
    page = here.get(HOME).content.decode()
    assert "Firefox on Linux" in page
    assert "This one" in page
    assert str(there.session.session_key) not in page  # the key itself is nobody's to read
    assert auth.tenant_of_session(there.session.session_key or "") == acme.pk
    key = there.session.session_key or ""

    ended = here.post(reverse("tenants:end-session", args=[row_of(there).id]))
    assert ended.status_code == 302
    assert is_in(here)
    assert not is_in(there)
    assert auth.tenant_of_session(key) is None  # what the live feed asks every 4 s
    with scoping.platform():
        line = PlatformJournalEntry.objects.get(verb="sessions_ended")
    assert (line.actor_label, line.subject_id) == ("alice", str(alice.pk))


def test_nobody_ends_somebody_elses_session(alice: User, mallory: User) -> None:
    theirs = entered(alice)
    outsider = signed_in(mallory)
    outsider.post(reverse("tenants:end-session", args=[row_of(theirs).id]))
    assert is_in(theirs)


def test_signing_out_everywhere_else_leaves_this_one(alice: User) -> None:
    here, there, elsewhere = (entered(alice) for _ in range(3))
    here.post(reverse("tenants:end-sessions"))
    assert [is_in(each) for each in (here, there, elsewhere)] == [True, False, False]


def test_a_new_password_signs_out_everywhere_else(alice: User) -> None:
    here, there = entered(alice), entered(alice)
    new = "another long pass phrase"
    page = reverse("tenants:password")
    wrong = here.post(page, {"old": "not this", "password": new, "again": new})
    assert "This is not your password." in wrong.content.decode()
    typed = {"old": PASSWORD, "password": new, "again": new}
    assert here.post(page, typed).status_code == 302
    assert [is_in(here), is_in(there)] == [True, False]
    alice.refresh_from_db()
    assert alice.check_password(new)


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [
        ("short", "short", "too short"),
        ("password1234", "password1234", "too common"),
        ("long enough to take", "long enough to miss", "not the same"),
    ],
)
def test_a_weak_or_mistyped_password_is_not_taken(
    alice: User, password: str, again: str, said: str
) -> None:
    typed = {"old": PASSWORD, "password": password, "again": again}
    answer = entered(alice).post(reverse("tenants:password"), typed)
    assert answer.status_code == 422
    assert said in answer.content.decode()


def test_rows_of_sessions_that_are_over_are_forgotten(alice: User, time_travel: Travel) -> None:
    entered(alice)
    assert sessions.forget_old() == 0
    time_travel(days=8)
    assert sessions.forget_old() == 1


@pytest.mark.parametrize(
    ("agent", "named"),
    [
        (FIREFOX, "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/1 Safari/1 Edg/1",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1", "Safari on iPhone"),
        ("", "Unknown browser"),
    ],
)
def test_a_browser_is_named_as_people_know_it(agent: str, named: str) -> None:
    assert sessions.browser_of(agent) == named


def test_many_sessions_are_asked_for_in_two_statements(
    alice: User, ann: User, mallory: User, acme: Tenant, globex: Tenant
) -> None:
    clients = [entered(who) for who in (alice, ann, mallory)]
    keys = [client.session.session_key or "" for client in clients]
    with CaptureQueriesContext(connection) as asked:
        found = auth.tenants_of_sessions([*keys, "nobody's", ""])
    assert found == {keys[0]: acme.pk, keys[1]: acme.pk, keys[2]: globex.pk}
    assert len(asked) == 2
    sessions.end(alice.pk, row_of(clients[0]).id, by=acting(ann))
    ann.set_password("another one")
    ann.save()
    assert auth.tenants_of_sessions(keys) == {keys[2]: globex.pk}
