"""A rule that went too far is resumed on its page, with a reason, once."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from safety import blast_radius
from safety.blast_radius import Rule
from safety.models import RulePause
from tenants.models import Tenant
from tenants.scoping import bound
from tests.admin.pages import client_of
from tests.cast import journal_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def pause(acme: Tenant) -> RulePause:
    rule = Rule("category", "rate_limit")
    with bound(acme.pk) as now:
        made = blast_radius.pause(acme.pk, rule, reason="It set off 100 actions.", now=now)
    assert made is not None
    return made


def stored(pause: RulePause) -> RulePause:
    with bound(pause.tenant_id):
        found: RulePause = RulePause.objects.for_tenant(pause.tenant_id).get(pk=pause.pk)
        return found


def path_of(pause: RulePause) -> str:
    return reverse("admin:safety_rulepause_change", args=[pause.pk])


def test_an_admin_resumes_it_and_says_why(ann: User, acme: Tenant, pause: RulePause) -> None:
    client = client_of(ann)
    shown = client.get(path_of(pause)).content.decode()
    assert "It set off 100 actions." in shown
    assert 'value="Resume"' in shown
    assert client.post(path_of(pause), {"resume_reason": "The vendor is back."}).status_code == 302
    after = stored(pause)
    assert (after.resumed_by, after.resume_reason) == ("ann", "The vendor is back.")
    assert journal_of(acme, pause.pk) == ["rule_paused", "rule_resumed"]
    # what is over is only looked at
    assert client.post(path_of(pause), {"resume_reason": "Again."}).status_code == 403


def test_without_a_reason_it_stays_paused(ann: User, pause: RulePause) -> None:
    assert client_of(ann).post(path_of(pause), {"resume_reason": " "}).status_code == 200
    assert stored(pause).resumed_at is None


def test_a_second_trip_of_a_paused_rule_makes_no_second_pause(
    acme: Tenant, pause: RulePause
) -> None:
    rule = Rule("category", "rate_limit")
    with bound(acme.pk) as now:
        assert blast_radius.pause(acme.pk, rule, reason="Again.", now=now) is None
        assert blast_radius.paused(acme.pk) == [pause]
