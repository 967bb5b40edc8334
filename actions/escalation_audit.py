"""The only place that notices what people should have been told and were not: said once each, never silently.

It looks at rows alone, so that it sees what a dead worker, a full queue or a bug of ours left behind.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from django.db import connection

from actions import channel_platform
from tenants import journal, scoping
from tenants.journal import SYSTEM

logger = logging.getLogger(__name__)

SWEEP = 100

# What is overdue, and what was given up within the last days. `since` names the lateness: a step that is late
# later on is another one.
_OVERDUE = """
with late as (
  select 'escalation' as kind, tenant_id, id, next_at::text as since,
         'The next step of an escalation is overdue' as what
  from actions_escalation
  where ended_at is null and next_at < awf_now() - interval '2 minutes'
  union all
  select 'action', tenant_id, id, run_at::text, 'An escalation has not begun'
  from actions_action
  where action_type = 'escalate' and status = 'pending' and run_at < awf_now() - interval '2 minutes'
  union all
  select 'delivery', tenant_id, id, due_at::text, 'A message is overdue'
  from actions_delivery
  where status = 'pending' and sent_with_id is null and due_at < awf_now() - interval '10 minutes'
  union all
  select 'delivery', tenant_id, id, 'failed', 'A message was given up'
  from actions_delivery
  where status = 'failed' and kind <> 'test' and created_at > awf_now() - interval '3 days'
    and not exists (
      select from actions_action taken_back
      where taken_back.tenant_id = actions_delivery.tenant_id
        and taken_back.id = actions_delivery.action_id and taken_back.status = 'reversed')
)
select kind, tenant_id, id, since, what from late
where not exists (
  select from tenants_platformjournalentry line
  where line.verb = 'people_not_told' and line.subject_type = late.kind
    and line.subject_id = late.id::text and line.detail ->> 'since' = late.since)
order by id limit %s
"""


@dataclass(frozen=True)
class Alarm:
    """One thing that somebody should have heard and has not."""

    kind: str
    tenant_id: UUID
    id: UUID
    since: str
    what: str

    def __str__(self) -> str:
        return f"{self.what}: {self.kind} {self.id} of tenant {self.tenant_id}, since {self.since}"


def audit(*, limit: int = SWEEP) -> int:
    """The sweep: say each once, in the log and to the platform's staff; returns how many were new.

    What no channel of the staff took is said again by the next one.
    """
    with scoping.platform(durable=True):
        alarms = _new(limit)
    if not alarms:
        return 0
    for alarm in alarms:
        logger.error("%s", alarm)
    heard = channel_platform.tell_platform(
        subject=f"AWFDRS: people were not told ({len(alarms)})",
        text="\n".join(map(str, alarms)),
        dedupe_key=_key(alarms),
    )
    if heard and not any(one.is_taken for one in heard):
        logger.error("no channel of the platform took %s alarms", len(alarms))
        return 0
    with scoping.platform(durable=True) as now:
        for alarm in alarms:
            _note(alarm, now=now)
    return len(alarms)


def _new(limit: int) -> list[Alarm]:
    with connection.cursor() as cursor:
        cursor.execute(_OVERDUE, [limit])
        return [Alarm(*row) for row in cursor.fetchall()]


def _key(alarms: Iterable[Alarm]) -> str:
    """Two auditors that find the same say it once."""
    return sha256("\n".join(map(str, alarms)).encode()).hexdigest()[:64]


def _note(alarm: Alarm, *, now: datetime) -> None:
    journal.record_platform(
        subject_type=alarm.kind,
        subject_id=alarm.id,
        verb="people_not_told",
        by=SYSTEM,
        at=now,
        tenant=str(alarm.tenant_id),
        since=alarm.since,
        what=alarm.what,
    )
