"""Beside a similar incident stands what was done about it, and whether it worked."""

import pytest

from incidents import remedies
from incidents.models import Incident
from incidents.states import RunState, Status
from tenants import scoping
from tenants.models import Tenant
from tests.factories import AffectedRunFactory, IncidentFactory, RunFactory

pytestmark = pytest.mark.django_db


def hurt(tenant: Tenant, *states: RunState, **fields: object) -> Incident:
    incident = IncidentFactory(tenant=tenant, **fields)
    for state in states:
        run = RunFactory(tenant=tenant, state=state)
        AffectedRunFactory(tenant=tenant, incident=incident, run=run)
    return incident


def test_it_says_what_was_done_and_whether_that_helped(acme: Tenant) -> None:
    again, lost = RunState.RECOVERED_BY_ACTION, RunState.WAIVED
    told = [
        (hurt(acme, again, again, status=Status.RESOLVED), True),
        (hurt(acme, again, lost, status=Status.RESOLVED), False),
        (hurt(acme, again, RunState.FAILED), None),
        (hurt(acme, RunState.RECOVERED_AUTO, status=Status.RESOLVED), True),
        (hurt(acme, RunState.FAILED, status=Status.IGNORED), None),
    ]
    with scoping.bound(acme.pk):
        found = remedies.of(acme.pk, [incident for incident, _ in told])
    assert [found[incident.pk].worked for incident, _ in told] == [worked for _, worked in told]
    assert found[told[0][0].pk].detail == "2 of 2 runs recovered by a retry"
    assert found[told[4][0].pk].done == "It was ignored"
