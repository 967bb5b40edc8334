"""Channels in the admin: judged when saved, tried with one click, their secrets never read again."""

import ipaddress
import json
import re
from collections.abc import Iterator
from typing import Any

import apprise
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from actions import channel_platform
from actions.channel_platform import is_allowed
from actions.models import Channel, Delivery, PlatformChannel
from tenants import scoping, secrets
from tenants.models import JournalEntry, Tenant
from tests.cast import signed_in
from tests.factories import ChannelFactory
from tests.support.receiver import Receiver, Reply

pytestmark = pytest.mark.django_db(transaction=True)

ADD = reverse("admin:actions_channel_add")
SLACK = "https://hooks.example.org/services/T0/B0/s3cr3tpath"


@pytest.fixture
def desk(ann: User) -> Client:
    return signed_in(ann)


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.OUTBOUND_ALLOW_CIDRS = [ipaddress.ip_network("127.0.0.1/32")]
    with Receiver() as receiver:
        yield receiver


def typed(**fields: Any) -> dict[str, Any]:
    usual = {"name": "ops", "kind": "slack", "url": SLACK, "group_wait_seconds": 10}
    return {**usual, "hourly_cap": 60, "is_active": "on", **fields}


def channels_of(tenant: Tenant) -> list[Channel]:
    with scoping.bound(tenant.pk):
        return list(Channel.objects.for_tenant(tenant).order_by("id"))


def opened(channel: Channel) -> str:
    return secrets.open_sealed(
        channel.secret_sealed, tenant_id=channel.tenant_id, row_id=channel.pk
    )


def errors(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    return " ".join(re.findall(r'class="errorlist[^>]*>(.*?)</ul>', answer.content.decode(), re.S))


def test_an_admin_adds_a_channel_of_their_own_tenant(desk: Client, acme: Tenant) -> None:
    assert desk.post(ADD, typed()).status_code == 302
    [channel] = channels_of(acme)
    assert (channel.kind, channel.url, channel.tenant_id) == ("slack", SLACK, acme.pk)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"url": "http://169.254.169.254/latest"}, "not a public address"),
        ({"url": "http://localhost/hook"}, "not a public name"),
        ({"url": "file:///etc/passwd"}, "must start with http"),
        ({"url": ""}, "Where to?"),
        ({"kind": "email", "url": ""}, "Where to?"),
        ({"kind": "pagerduty", "url": ""}, "Without it nobody"),
        ({"kind": "github", "url": "", "secret": "ghp_1", "repository": "../x"}, "owner/name"),
        ({"secret": "hunter22"}, "Only PagerDuty and GitHub"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_saved(
    desk: Client, acme: Tenant, fields: dict[str, Any], said: str
) -> None:
    assert said in errors(desk.post(ADD, typed(**fields)))
    assert channels_of(acme) == []


def test_a_token_is_sealed_and_never_shown_or_journalled(desk: Client, acme: Tenant) -> None:
    token = "ghp_0123456789abcdef"
    fields = {"kind": "github", "url": "", "secret": token, "repository": "acme/shop"}
    assert desk.post(ADD, typed(**fields, labels="outage, money")).status_code == 302
    [channel] = channels_of(acme)
    assert opened(channel) == token
    assert channel.config == {"repository": "acme/shop", "labels": ["outage", "money"]}
    change = reverse("admin:actions_channel_change", args=[channel.pk])
    assert token not in desk.get(change).content.decode()
    with scoping.bound(acme.pk):
        lines = JournalEntry.objects.for_tenant(acme).values_list("detail", flat=True)
        assert token not in json.dumps(list(lines))


def test_the_address_of_a_slack_webhook_is_not_journalled(desk: Client, acme: Tenant) -> None:
    desk.post(ADD, typed())
    with scoping.bound(acme.pk):
        lines = JournalEntry.objects.for_tenant(acme).values_list("detail", flat=True)
        assert "s3cr3tpath" not in json.dumps(list(lines))


def test_a_webhooks_secret_is_made_here_and_shown_once(desk: Client, acme: Tenant) -> None:
    hook = typed(kind="webhook", url="https://hooks.example.org/x")
    saved = desk.post(ADD, hook, follow=True).content.decode()
    [channel] = channels_of(acme)
    secret = opened(channel)
    assert secret.startswith("whsec_")
    assert secret in saved
    assert secret not in desk.get(ADD).content.decode()

    change = reverse("admin:actions_channel_change", args=[channel.pk])
    renamed = desk.post(change, typed(url=hook["url"], name="renamed"), follow=True)
    assert "whsec_" not in renamed.content.decode()
    assert opened(channels_of(acme)[0]) == secret
    desk.post(change, typed(url=hook["url"], new_secret="on"))
    assert opened(channels_of(acme)[0]) != secret


def test_a_token_is_not_sent_to_a_new_address_without_being_entered_again(
    desk: Client, acme: Tenant
) -> None:
    """Else whoever may change the address could read the token at theirs."""
    desk.post(ADD, typed(kind="pagerduty", url="", secret="R0UT1NGKEY"))
    [channel] = channels_of(acme)
    change = reverse("admin:actions_channel_change", args=[channel.pk])
    assert "Enter it again" in errors(desk.post(change, typed(url="https://mine.example.org/")))
    assert channels_of(acme)[0].url == ""
    assert (
        desk.post(change, typed(url="https://eu.example.org/", secret="N3WKEY")).status_code == 302
    )


def test_the_test_shows_the_real_answer(desk: Client, acme: Tenant, receiver: Receiver) -> None:
    receiver.answer("/hook", Reply(status=418, body=b"short and stout"))
    channel = ChannelFactory(tenant=acme, url=receiver.url("/hook"), group_wait_seconds=3600)
    page = reverse("admin:actions_channel_test", args=[channel.pk])
    assert "Send a test" in desk.get(page).content.decode()
    assert receiver.requests == []  # looking sends nothing

    shown = desk.post(page).content.decode()
    for said in ("Not accepted", "418", "short and stout", " ms"):
        assert said in shown
    assert json.loads(receiver.requests[0].body)["type"] == "test"
    receiver.answer("/hook", Reply())
    assert "Accepted" in desk.post(page).content.decode()
    with scoping.bound(acme.pk):
        kinds = Delivery.objects.for_tenant(acme).values_list("kind", flat=True)
        assert set(kinds) == {"test"}


def test_nobody_else_tries_our_channels(acme: Tenant, alice: User, mallory: User) -> None:
    channel = ChannelFactory(tenant=acme)
    page = reverse("admin:actions_channel_test", args=[channel.pk])
    assert signed_in(alice).post(page).status_code == 403
    assert signed_in(mallory).post(page).status_code == 403
    assert Client().post(page).status_code == 302


# --- the platform's own, by Apprise ---


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What Apprise would have said, and under which title; no network."""
    said: list[tuple[str, str]] = []

    def notify(self: apprise.Apprise, *, title: str, body: str) -> bool:
        said.append((body, title))
        return True

    monkeypatch.setattr(apprise.Apprise, "notify", notify)
    return said


MAIL = "mailtos://user:hunter22@mail.example.org?to=ops@example.org"


@pytest.mark.parametrize(
    ("url", "is_fine"),
    [
        (MAIL, True),
        ("slack://TokenA1234/TokenB1234/TokenC1234567890123456789/#ops", True),
        ("json://10.0.0.1/hook", False),
        ("xmls://example.org/hook", False),
        ("https://example.org/hook", False),
        ("file:///etc/passwd", False),
        ("SLACK://a/b/c json://10.0.0.1", False),
        ("slack://a/b/c,json://10.0.0.1", False),
        ("", False),
    ],
)
def test_apprise_speaks_the_schemes_on_the_list_alone(url: str, is_fine: bool) -> None:
    assert is_allowed(url) is is_fine


def test_staff_add_and_try_a_platform_channel(
    staff: User, ann: User, spoken: list[tuple[str, str]]
) -> None:
    add = reverse("admin:actions_platformchannel_add")
    assert signed_in(ann).get(add).status_code == 403
    desk = signed_in(staff)
    refused = desk.post(add, {"name": "us", "is_active": "on", "secret_url": "json://10.0.0.1"})
    assert "are spoken here" in errors(refused)
    assert desk.post(add, {"name": "us", "is_active": "on", "secret_url": MAIL}).status_code == 302
    with scoping.platform():
        channel = PlatformChannel.objects.get()
    assert "hunter22" not in channel.url_sealed
    change = reverse("admin:actions_platformchannel_change", args=[channel.pk])
    assert "hunter22" not in desk.get(change).content.decode()
    page = reverse("admin:actions_platformchannel_test", args=[channel.pk])
    assert "Accepted" in desk.post(page).content.decode()
    assert [title for _, title in spoken] == ["Test from AWFDRS"]


def test_the_platform_is_told_a_thing_once(staff: User, spoken: list[tuple[str, str]]) -> None:
    desk, add = signed_in(staff), reverse("admin:actions_platformchannel_add")
    desk.post(add, {"name": "us", "is_active": "on", "secret_url": MAIL})
    for _ in range(2):
        channel_platform.tell_platform(subject="Late", text="text", dedupe_key="late:1")
    assert [title for _, title in spoken] == ["Late"]
