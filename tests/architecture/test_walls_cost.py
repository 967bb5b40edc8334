"""What row-level security costs the planner: every hot read uses its index behind the walls, a tenth dearer at most."""

import json
from typing import Any

import psycopg
import pytest

from tenants.models import Tenant
from tests.databases import Owner
from tests.factories import ActionFactory, IncidentFactory
from tests.support import hot_reads

MOST_PERCENT = 10.0
LARGE = {"incidents_incident", "incidents_run", "incidents_incidenthour", "actions_action"}


@pytest.mark.django_db(transaction=True)
def test_behind_the_walls_hot_reads_use_their_indexes_and_cost_a_tenth_more_at_most(
    owner: Owner, acme: Tenant
) -> None:
    ActionFactory(tenant=acme, incident=IncidentFactory(tenant=acme))
    dearer = {}
    for hot in hot_reads.of(acme):
        without = _plan(owner, hot)
        behind = _plan(owner, hot, role="awf_app", tenant=acme)
        assert _read_whole(behind) == set(), hot.name
        dearer[hot.name] = (behind["Total Cost"] / without["Total Cost"] - 1) * 100
    assert {name: more for name, more in dearer.items() if more >= MOST_PERCENT} == {}


@pytest.mark.django_db(transaction=True)
def test_a_wall_that_asks_for_every_row_is_seen(owner: Owner, acme: Tenant) -> None:
    """The control: the same measure finds a policy that would cost too much."""
    ActionFactory(tenant=acme, incident=IncidentFactory(tenant=acme))
    (hot,) = (one for one in hot_reads.of(acme) if one.name == "one incident")
    slow = "exists (select from tenants_workflow w where w.id = workflow_id)"
    with owner.connection.transaction(force_rollback=True):
        owner.connection.execute(f"alter policy app on incidents_incident using ({slow})")
        behind = _plan(owner, hot, role="awf_app", tenant=acme)
    assert behind["Total Cost"] > 1.1 * _plan(owner, hot)["Total Cost"]


def _plan(owner: Owner, hot: hot_reads.Hot, *, role: str = "", tenant: Any = None) -> Any:
    """The plan that indexes would have; tables of a few rows are read whole otherwise."""
    with owner.connection.transaction(force_rollback=True):
        owner.connection.execute("set local enable_seqscan = off")
        if role:
            owner.connection.execute(f"set local role {role}")
            said = "select set_config('awf.tenant', %s, true)"
            owner.connection.execute(said, [str(tenant.pk)])
        cursor = psycopg.ClientCursor(owner.connection)
        cursor.execute(b"explain (format json) " + hot.statement.encode(), hot.parameters)
        ((plan,),) = cursor.fetchall()
    found = json.loads(plan) if isinstance(plan, str) else plan
    return found[0]["Plan"]


def _read_whole(plan: Any) -> set[str]:
    """The large tables that are read from the first row to the last."""
    mine = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    below = [_read_whole(child) for child in plan.get("Plans", ())]
    large = {name for name in mine if name in LARGE or name.startswith("events_event_")}
    return large.union(*below)
