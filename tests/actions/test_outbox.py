"""The outbox: what shall be heard is written with the change, once, and sent at least once."""

import pytest
from django.contrib.auth.models import User

from actions import outbox
from actions.models import Channel, Delivery
from actions.states import DeliveryKind
from tenants import scoping
from tenants.models import Tenant
from tests.factories import ChannelFactory

pytestmark = pytest.mark.django_db


def told(tenant: Tenant, target: Channel | User, key: str = "k", **fields: object) -> Delivery:
    with scoping.bound(tenant.pk) as now:
        said = {
            "kind": DeliveryKind.TRIGGERED,
            "subject": "INC-1 high: down",
            "text": "It is down.",
        }
        return outbox.tell(
            tenant_id=tenant.pk,
            target=target,
            dedupe_key=key,
            now=now,
            **(said | fields),  # type: ignore[arg-type]
        )


def test_the_same_thing_is_told_once(acme: Tenant) -> None:
    channel = ChannelFactory(tenant=acme)
    first, again = told(acme, channel), told(acme, channel, text="said differently")
    assert again.pk == first.pk
    assert again.text == "It is down."


def test_a_channel_waits_for_what_comes_with_it_and_a_person_does_not(
    acme: Tenant, alice: User
) -> None:
    channel = ChannelFactory(tenant=acme, group_wait_seconds=10)
    by_channel, by_mail = told(acme, channel, "a"), told(acme, alice, "b")
    assert (by_channel.due_at - by_channel.created_at).total_seconds() == 10
    assert by_mail.due_at == by_mail.created_at
    assert by_mail.user == alice
    assert by_mail.channel is None
