"""The only place that counts what was done about failures like an incident, and how often it worked."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.db import connection

from incidents.analysis import recommend
from incidents.analysis.recommend import Recommendation, Tally
from incidents.models import Incident

INCIDENTS = 200  # the latest of the category
RUNS = 50  # of each

# A retry is judged by the runs it was tried on; what people and time did, by the runs they were left with. What a
# person said of an incident counts as one outcome more.
_COUNTED = """
with alike as (
  select id, vendor_id from incidents_incident
  where tenant_id = %(tenant)s and category = %(category)s and id <> %(incident)s and not is_storm
  order by last_seen_at desc, id desc limit %(incidents)s
), decided as (
  select alike.id, alike.vendor_id, latest.choice from alike cross join lateral (
    select choice from incidents_decision
    where tenant_id = %(tenant)s and incident_id = alike.id order by id desc limit 1
  ) as latest
), outcomes as (
  select choice, vendor_id, state in ('recovered_auto', 'recovered_by_action', 'succeeded') as worked
  from decided cross join lateral (
    select state, attempted_at from incidents_run
    where tenant_id = %(tenant)s and incident_id = decided.id
      and state in ('recovered_auto', 'recovered_by_action', 'succeeded', 'failed', 'waived')
    limit %(runs)s
  ) as run
  where choice <> 'retry' and state <> 'failed' or choice = 'retry' and attempted_at is not null
  union all
  select mark.choice, decided.vendor_id, mark.worked from decided cross join lateral (
    select choice, worked from incidents_fixmark
    where tenant_id = %(tenant)s and incident_id = decided.id order by id desc limit 1
  ) as mark
)
select choice, vendor_id is not distinct from %(vendor)s, count(*) filter (where worked), count(*)
from outcomes group by 1, 2
"""


@dataclass(frozen=True)
class Record:
    """What worked, the surest first. `category` and `vendor` say for what."""

    category: str
    vendor: str
    actions: tuple[Recommendation, ...]

    @property
    def best(self) -> Recommendation | None:
        return next((one for one in self.actions if one.lower is not None), None)


def of(incident: Incident) -> Record:
    """One question, however much happened."""
    here: defaultdict[str, Tally] = defaultdict(Tally)
    elsewhere: defaultdict[str, Tally] = defaultdict(Tally)
    for choice, is_here, worked, n in _counted(incident):
        (here if is_here else elsewhere)[choice] += Tally(worked, n)
    return Record(
        category=incident.category,
        vendor=incident.vendor.name if incident.vendor else "",
        actions=recommend.recommend(here, elsewhere),
    )


def _counted(incident: Incident) -> list[Any]:
    asked: dict[str, Any] = {
        "tenant": incident.tenant_id,
        "category": incident.category,
        "incident": incident.pk,
        "vendor": incident.vendor_id,
        "incidents": INCIDENTS,
        "runs": RUNS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED, asked)
        return list(cursor.fetchall())
