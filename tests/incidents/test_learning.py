"""What grouping has learned is kept in rows: the same texts meet in one incident, batch after batch."""

import pytest

from incidents.models import Incident, Template
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import digest_all, event, submit, submit_all

pytestmark = pytest.mark.django_db

BOB = "Invalid user bob from 10.0.0.1"
EVE = "Invalid user eve from ssh.example.com"


def fail(tenant: Tenant, *texts: str, workflow: str = "login") -> None:
    submit_all(
        tenant,
        [
            event(workflow=workflow, payload={"error_message": text}, event_type="login.failed")
            for text in texts
        ],
    )
    digest_all()


def templates_of(tenant: Tenant) -> list[Template]:
    with bound(tenant.pk):
        return list(Template.objects.for_tenant(tenant).select_related("workflow").order_by("id"))


def incidents_of(tenant: Tenant) -> list[Incident]:
    with bound(tenant.pk):
        return list(Incident.objects.for_tenant(tenant).order_by("number"))


def test_texts_of_one_template_are_one_incident_in_one_batch_or_in_two(
    acme: Tenant, globex: Tenant
) -> None:
    fail(acme, BOB)
    fail(acme, EVE)
    fail(globex, BOB, EVE)
    for tenant in (acme, globex):
        (incident,) = incidents_of(tenant)
        assert incident.event_count == 2


def test_a_template_generalises_in_its_row_and_keeps_its_key(acme: Tenant) -> None:
    fail(acme, BOB)
    (founded,) = templates_of(acme)
    assert founded.tokens == ["invalid", "user", "bob", "from", "<ip>"]
    fail(acme, EVE)
    (wider,) = templates_of(acme)
    assert (wider.pk, wider.key) == (founded.pk, founded.key)
    assert wider.tokens == ["invalid", "user", "<*>", "from", "<value>"]


def test_the_signature_holds_the_templates_key_and_never_its_text(acme: Tenant) -> None:
    # DESIGN.md rule 17
    fail(acme, BOB)
    (incident,) = incidents_of(acme)
    (template,) = templates_of(acme)
    assert dict(incident.signature_components)["template"] == template.key


def test_a_known_text_writes_nothing(acme: Tenant) -> None:
    fail(acme, BOB, EVE)
    before = [(row.pk, row.tokens) for row in templates_of(acme)]
    fail(acme, BOB, EVE, BOB)
    assert [(row.pk, row.tokens) for row in templates_of(acme)] == before


def test_each_workflow_learns_for_itself(acme: Tenant) -> None:
    fail(acme, BOB)
    fail(acme, BOB, workflow="signup")
    assert [row.workflow.slug for row in templates_of(acme)] == ["login", "signup"]
    assert len(incidents_of(acme)) == 2


def test_what_says_nothing_learns_nothing(acme: Tenant) -> None:
    submit(acme, payload={"error_code": "card_declined"})
    submit(acme, event_type="login.completed", payload={"error_message": BOB})
    digest_all()
    assert templates_of(acme) == []
    (incident,) = incidents_of(acme)
    assert dict(incident.signature_components)["template"] == ""
