"""What a person escalated by hand is told like anything else: the incident's status alone tells nobody."""

from uuid import UUID

from actions import planning
from awfdrs_site.lib import sweeping
from incidents.models import Incident
from incidents.states import Status
from tenants import scoping

SWEEP = 100

# Of what a decision escalates, planning makes the action itself, in its turn. What stood there for a day
# before anybody looked is no news: an upgrade or a restored backup must not wake everybody.
_UNTOLD = """
select incident.tenant_id, incident.id
from incidents_incident incident
where incident.status = 'escalated' and incident.planned_at is not null
  and incident.escalated_at > awf_now() - interval '1 day'
  and not exists (
    select from actions_action told
    where told.tenant_id = incident.tenant_id and told.incident_id = incident.id
      and told.action_type = 'escalate' and told.created_at >= incident.opened_at)
order by incident.id limit %s
"""


def tell_of_escalated(*, limit: int = SWEEP) -> int:
    """The sweep: an escalation for each escalated incident that has none since it was opened."""
    due = scoping.found(_UNTOLD, [limit])
    return sweeping.each(due, _tell)


def _tell(tenant_id: UUID, incident_id: UUID) -> None:
    with scoping.bound(tenant_id, durable=True) as now:
        mine = Incident.objects.for_tenant(tenant_id).select_for_update()
        incident = mine.filter(pk=incident_id, status=Status.ESCALATED).first()
        if incident is not None:
            planning.escalation(incident, incident.escalated_reason, now=now)
