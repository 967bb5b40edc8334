"""The pages of a tenant's admins: who belongs to it, and which systems get in by a key."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from django.urls import reverse

from tenants import auth, letters, members, passwords, scoping
from tenants.journal import Actor
from tenants.members import MemberRefused
from tenants.models import ApiKey, Invitation, Membership, Tenant
from tenants.states import Role
from tests.cast import Api, Travel, journal_of, secret_of, signed_in
from tests.factories import PASSWORD, InvitationFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db

MEMBERS = reverse("tenants:members")
KEYS = reverse("tenants:keys")
LINK = re.compile(r"https?://[^/\s]+(/join/\S+)")
TOKEN = re.compile(r"awf_[A-Za-z0-9]{12}_[A-Za-z0-9_-]{43}")
BY = Actor("user", "0", "ann")


def members_of(tenant: Tenant) -> dict[str, str]:
    with scoping.bound(tenant.pk):
        mine = Membership.objects.for_tenant(tenant).select_related("user")
        return {member.user.username: member.role for member in mine}


def member(tenant: Tenant, user: User) -> Membership:
    with scoping.bound(tenant.pk):
        found: Membership = Membership.objects.for_tenant(tenant).get(user=user)
        return found


def invited(ann: User, email: str, role: str = "operator") -> str:
    """Where the letter's link leads."""
    mail.outbox.clear()
    answer = signed_in(ann).post(MEMBERS, {"email": email, "role": role})
    assert answer.status_code == 302, answer.content.decode()
    letters.send_due()
    found = LINK.search(str(mail.outbox[-1].body))
    assert found is not None
    return found[1]


def said(client: Client, answer: Any) -> str:
    return str(client.get(answer["Location"]).content.decode())


def test_who_has_no_account_makes_one_and_is_in(ann: User, acme: Tenant) -> None:
    link = invited(ann, "Carol@Example.org", "approver")
    guest = Client()
    page = guest.get(link).content.decode()
    assert "Join Acme" in page
    typed = {"name": "Carol Ames", "password": PASSWORD, "again": PASSWORD}
    assert guest.post(link, typed)["Location"] == reverse("tenants:sign-in")
    assert members_of(acme)["carol@example.org"] == "approver"
    guest.post(reverse("tenants:sign-in"), {"username": "carol@example.org", "password": PASSWORD})
    assert guest.get("/settings/").status_code == 200
    assert Client().get(link).status_code == 404  # a link is good once
    assert [v for v in journal_of(acme) if v.startswith("member_")] == [
        "member_invited",
        "member_joined",
    ]


def test_who_has_an_account_says_yes_as_that_person_only(
    ann: User, acme: Tenant, mallory: User, bob: User
) -> None:
    link = invited(ann, "mallory@example.org", "viewer")
    # nothing before they said yes: else anybody's first tenant could be a stranger's
    assert "mallory" not in members_of(acme)
    assert Client().get(link)["Location"].startswith(reverse("tenants:sign-in"))
    assert signed_in(bob).post(link).status_code == 403
    client = signed_in(mallory)
    assert client.get(link).status_code == 200
    assert "mallory" not in members_of(acme)
    assert client.post(link)["Location"] == "/"
    assert members_of(acme)["mallory"] == "viewer"
    assert client.session["tenant_id"] == str(acme.pk)


def test_the_page_tells_nobody_who_has_an_account(ann: User, mallory: User) -> None:
    client = signed_in(ann)
    for email in ("mallory@example.org", "nobody@example.org"):
        page = said(client, client.post(MEMBERS, {"email": email, "role": "viewer"}))
        assert f"An invitation is on its way to {email}." in page
        assert page.count("mallory") == page.count("mallory@example.org")


def test_an_invitation_ends_by_itself_or_by_hand(
    ann: User, acme: Tenant, time_travel: Travel
) -> None:
    first, second = invited(ann, "one@example.org"), invited(ann, "two@example.org")
    with scoping.bound(acme.pk):
        row = Invitation.objects.for_tenant(acme).get(email="one@example.org")
    withdrawn = signed_in(ann).post(reverse("tenants:withdraw", args=[row.pk]))
    assert withdrawn.status_code == 302
    assert Client().get(first).status_code == 404
    assert Client().get(second).status_code == 200
    time_travel(days=8)
    assert Client().get(second).status_code == 404
    assert Client().get("/join/made-up:by:me/").status_code == 404


def test_asked_again_at_once_there_is_one_letter_and_one_invitation(
    ann: User, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in(ann)
    for role in ("viewer", "operator"):
        client.post(MEMBERS, {"email": "one@example.org", "role": role})
    assert letters.send_due() == 1
    with scoping.bound(acme.pk):
        assert Invitation.objects.for_tenant(acme).get().role == "operator"
    monkeypatch.setattr(members, "MOST", 1)
    refused = client.post(MEMBERS, {"email": "two@example.org", "role": "viewer"})
    assert refused.status_code == 422


def test_another_tenants_letter_keeps_nobodys_own_back(
    ann: User, alice: User, globex: Tenant
) -> None:
    boss = MembershipFactory(tenant=globex, role="admin").user
    for email in ("alice@example.org", "new@example.org"):
        invited(boss, email)
    # within the minutes in which nobody is written to twice about the same
    link = invited(ann, "new@example.org")
    assert "Join Acme" in Client().get(link).content.decode()
    mail.outbox.clear()
    for _ in range(2):
        passwords.ask("alice@example.org")
    assert letters.send_due() == 1
    assert "/password/new/" in str(mail.outbox[0].body)


def test_two_accounts_of_one_address_each_get_their_link(alice: User) -> None:
    UserFactory(username="alice.too", email=alice.email)
    passwords.ask(alice.email)
    assert letters.send_due() == 2
    assert {letter.subject.split()[-1] for letter in mail.outbox} == {"alice", "alice.too"}


def test_a_member_is_not_invited_again(ann: User, alice: User) -> None:
    typed = {"email": "ALICE@example.org", "role": "admin"}
    answer = signed_in(ann).post(MEMBERS, typed, headers={"Accept": "text/html"})
    assert answer.status_code == 422
    assert "a member already" in answer.content.decode()


def test_a_role_holds_from_the_next_request_on(ann: User, alice: User, acme: Tenant) -> None:
    operator = signed_in(alice)
    assert operator.get(KEYS).status_code == 403
    change = reverse("tenants:change-member", args=[member(acme, alice).pk])
    client = signed_in(ann)
    assert client.post(change, {"role": "admin"}).status_code == 302
    assert operator.get(KEYS).status_code == 200
    assert "no such role" in said(client, client.post(change, {"role": "emperor"}))
    assert members_of(acme)["alice"] == "admin"
    assert "member_role_changed" in journal_of(acme)


def test_who_is_removed_is_out_at_once(ann: User, alice: User, acme: Tenant) -> None:
    operator, client = signed_in(alice), signed_in(ann)
    remove = reverse("tenants:remove-member", args=[member(acme, alice).pk])
    assert "Remove alice?" in client.get(remove).content.decode()
    assert "alice" in members_of(acme)  # looking removes nobody
    assert client.post(remove).status_code == 302
    assert operator.get(MEMBERS)["Location"] == reverse("tenants:no-tenant")
    assert auth.tenant_of_session(operator.session.session_key or "") is None
    assert "member_removed" in journal_of(acme)


def test_the_last_admin_stays(ann: User, alice: User, acme: Tenant) -> None:
    client, mine = signed_in(ann), member(acme, ann)
    for name, typed in (("remove-member", {}), ("change-member", {"role": "viewer"})):
        answer = client.post(reverse(f"tenants:{name}", args=[mine.pk]), typed)
        assert "the last admin" in said(client, answer)
    assert members_of(acme)["ann"] == "admin"
    MembershipFactory(tenant=acme, role=Role.ADMIN)
    assert client.post(reverse("tenants:remove-member", args=[mine.pk])).status_code == 302
    assert "ann" not in members_of(acme)


def test_two_admins_who_remove_each_other_leave_one(ann: User, acme: Tenant) -> None:
    other = MembershipFactory(tenant=acme, role=Role.ADMIN)
    with scoping.bound(acme.pk) as now:
        members.remove(other, by=BY, now=now)
        with pytest.raises(MemberRefused):
            members.remove(member(acme, ann), by=BY, now=now)


@pytest.mark.parametrize("page", [MEMBERS, KEYS])
def test_only_a_tenants_admin_sees_these_pages(
    page: str, alice: User, bob: User, mallory: User
) -> None:
    for person in (alice, bob, mallory):
        assert signed_in(person).get(page).status_code == 403
    assert Client().get(page).status_code == 302


def test_rows_of_another_tenant_do_not_exist_here(ann: User, globex: Tenant, mallory: User) -> None:
    theirs, asked = member(globex, mallory), InvitationFactory(tenant=globex)
    with scoping.bound(globex.pk) as now:
        key = auth.issue_key(tenant_id=globex.pk, name="theirs", scopes=["read"], now=now).key
    client = signed_in(ann)
    for name, pk in (
        ("change-member", theirs.pk),
        ("remove-member", theirs.pk),
        ("withdraw", asked.pk),
        ("rotate-key", key.pk),
        ("revoke-key", key.pk),
    ):
        answer = client.post(reverse(f"tenants:{name}", args=[pk]), {"role": "viewer"})
        assert answer.status_code == 404, name
    assert members_of(globex) == {"mallory": "operator"}


# --- keys --------------------------------------------------------------------------------------------


def only_key(tenant: Tenant) -> ApiKey:
    with scoping.bound(tenant.pk):
        found: ApiKey = ApiKey.objects.for_tenant(tenant).get()
        return found


def made(client: Client, **typed: Any) -> str:
    usual = {"name": "checkout, live", "scopes": ["read"], "days": 90}
    answer = client.post(KEYS, usual | typed)
    assert answer.status_code == 201, answer.content.decode()
    return str(TOKEN.findall(answer.content.decode())[0])


def test_a_key_is_shown_once_and_works_until_it_ends(
    ann: User, acme: Tenant, time_travel: Travel
) -> None:
    client = signed_in(ann)
    token = made(client)
    assert Api(token).get("/api/v1/incidents").status_code == 200
    page = client.get(KEYS).content.decode()
    assert "checkout, live" in page
    assert token not in page
    assert secret_of(token) not in page
    assert journal_of(acme, only_key(acme).pk) == ["api_key_added"]
    time_travel(days=91)
    assert Api(token).get("/api/v1/incidents").status_code == 401


def test_while_a_key_is_rotated_both_secrets_work(
    ann: User, acme: Tenant, time_travel: Travel
) -> None:
    client = signed_in(ann)
    old = made(client, days=0)
    answer = client.post(reverse("tenants:rotate-key", args=[only_key(acme).pk]))
    new = TOKEN.findall(answer.content.decode())[0]
    assert [Api(t).get("/api/v1/incidents").status_code for t in (old, new)] == [200, 200]
    time_travel(hours=25)
    assert [Api(t).get("/api/v1/incidents").status_code for t in (old, new)] == [401, 200]


def test_a_revoked_key_is_refused_at_once_and_not_rotated(ann: User, acme: Tenant) -> None:
    client = signed_in(ann)
    token, key = made(client), only_key(acme)
    revoke = reverse("tenants:revoke-key", args=[key.pk])
    assert "Revoke checkout, live?" in client.get(revoke).content.decode()
    assert Api(token).get("/api/v1/incidents").status_code == 200
    assert client.post(revoke).status_code == 302
    assert Api(token).get("/api/v1/incidents").status_code == 401
    again = client.post(reverse("tenants:rotate-key", args=[key.pk]))
    assert "make a new one" in said(client, again)


@pytest.mark.parametrize(
    "typed", [{"name": ""}, {"name": "a\x00b"}, {"scopes": []}, {"scopes": ["all"]}, {"days": 7}]
)
def test_an_odd_key_is_not_made(typed: dict[str, Any], ann: User, acme: Tenant) -> None:
    usual = {"name": "checkout", "scopes": ["read"], "days": 90}
    assert signed_in(ann).post(KEYS, usual | typed).status_code == 422
    with scoping.bound(acme.pk):
        assert not ApiKey.objects.for_tenant(acme).exists()


# --- preferences --------------------------------------------------------------------------------------


def test_what_a_person_prefers_is_theirs_in_every_browser(alice: User) -> None:
    chosen = {"theme": "dark", "density": "compact", "time_zone": "Europe/Berlin"}
    first = signed_in(alice)
    saved = first.post("/settings/", chosen | {"single_keys": "off"})
    assert saved.status_code == 302
    other = signed_in(alice).get("/settings/").content.decode()
    assert '<html lang="en" data-theme="dark"' in other
    assert 'data-density="compact"' in other
    assert 'id="keymap"' not in other  # M51, WCAG 2.1.4: no key of a single letter does anything
    for value in ("dark", "compact", "Europe/Berlin", "off"):
        assert f'value="{value}" selected' in other
    untouched = signed_in(UserFactory()).get("/settings/").content.decode()
    assert "data-density" not in untouched


def test_what_cannot_be_preferred_is_refused(alice: User) -> None:
    odd = {"theme": "pink", "density": "x", "time_zone": "Mars/Base", "single_keys": "?"}
    assert signed_in(alice).post("/settings/", odd).status_code == 422
