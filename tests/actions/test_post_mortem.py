"""An incident told from beginning to end: to print, and as Markdown that quotes what people and programs wrote."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from incidents import lifecycle, notes
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import acting, decide_all, digest_all, failure, only_incident, signed_in, submit
from tests.factories import AttemptFactory

pytestmark = pytest.mark.django_db


def test_the_page_and_the_markdown_tell_what_happened_what_was_decided_and_done(
    acme: Tenant, alice: User
) -> None:
    payload = failure(error_message="<b>*card* declined</b>", error_code="declined")
    submit(acme, run_id="run-1", payload=payload)
    digest_all()
    decide_all()
    incident = only_incident(acme)
    with bound(acme.pk) as now:
        AttemptFactory(tenant=acme, action__incident=incident)
        said: dict[str, Any] = {"by": acting(alice), "now": now}
        notes.comment(incident, note="Their **status page** says so", **said)
        lifecycle.escalate(incident, reason="nobody answers", **said)
    path = f"/incidents/{incident.pk}/post-mortem/"
    page = signed_in(alice).get(path).content.decode()
    answer = signed_in(alice).get(f"{path}?as=markdown")
    text = answer.content.decode()
    assert answer["Content-Type"] == "text/markdown; charset=utf-8"
    for part in ("Incident opened", "Escalated", "nobody answers", "alice"):
        assert part in page
        assert part in text
    assert text.index("Incident opened") < text.index("nobody answers")
    assert "  > Their **status page** says so" in text
    assert "<b>" not in text.replace("\\<", "")  # what a program wrote is quoted, never markup
    assert "## Decisions" in text
    assert ", 1 call" in text


def test_another_tenants_incident_is_nowhere(acme: Tenant, mallory: User) -> None:
    submit(acme)
    digest_all()
    path = f"/incidents/{only_incident(acme).pk}/post-mortem/?as=markdown"
    assert signed_in(mallory).get(path).status_code == 404
