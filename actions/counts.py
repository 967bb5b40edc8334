"""The only place that counts calls and attempts against limits for all that start together, and counts each start on.

Read when first asked for: within the locks that make a count exact, since a statement after a lock sees every start
that had it before.
"""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db import connection

from actions.models import Action
from actions.states import ActionType
from safety import budget
from safety.budget import Moment
from tenants.models import Vendor

HOUR = timedelta(hours=1)

CALLING = """
select workflow_id, vendor_id, count(*) from actions_action
where tenant_id = %(tenant)s and status = 'in_progress' and action_type in ('retry', 'rollback') group by 1, 2
"""
# Attempts of retries that no campaign made: campaigns have stages instead.
_TRIED = """
select attempt.{of}, count(*) filter (where is_unattended),
  min(attempt.started_at) filter (where is_unattended),
  count(*) filter (where attempt.started_at > %(window)s)
from actions_attempt attempt join actions_action action
  on action.tenant_id = attempt.tenant_id and action.id = attempt.action_id
where attempt.tenant_id = %(tenant)s and attempt.{of} = any(%(ids)s) and attempt.started_at > %(since)s
  and action.action_type = 'retry' and action.campaign_id is null
group by 1
"""
TRIED_OF_RUNS = _TRIED.format(of="run_id")
TRIED_OF_VENDORS = _TRIED.format(of="vendor_id")
RETRIED_AT = """
select attempt.started_at from actions_attempt attempt join actions_action action
  on action.tenant_id = attempt.tenant_id and action.id = attempt.action_id
where attempt.tenant_id = %(tenant)s and attempt.vendor_id = %(vendor)s and attempt.started_at > %(window)s
  and action.action_type = 'retry' and action.campaign_id is null
"""


@dataclass
class Tried:
    """Attempts of one run or vendor within the hour."""

    by_themselves: int = 0
    oldest_at: datetime | None = None
    in_window: int = 0  # of the budget, whoever allowed them


class Counts:
    """What a tenant has under way and has tried of late, as these actions' limits see it."""

    def __init__(self, tenant_id: UUID, actions: Collection[Action], *, now: datetime) -> None:
        self._now = now
        self._run_ids = [action.run_id for action in actions if action.run_id]
        self._vendor_ids = list({action.vendor_id for action in actions if action.vendor_id})
        self._about: dict[str, Any] = {
            "tenant": tenant_id,
            "since": now - HOUR,
            "window": now - budget.WINDOW,
        }
        self._heard: dict[UUID, list[Moment]] = {}
        self._retried_at: dict[UUID, list[datetime]] = {}

    @cached_property
    def calling(self) -> Counter[tuple[UUID | None, UUID | None]]:
        """Calls of workflows under way, by workflow and vendor."""
        rows = self._rows(CALLING)
        return Counter({(workflow_id, vendor_id): n for workflow_id, vendor_id, n in rows})

    @cached_property
    def of_runs(self) -> dict[UUID, Tried]:
        return self._tried(TRIED_OF_RUNS, self._run_ids)

    @cached_property
    def of_vendors(self) -> dict[UUID, Tried]:
        return self._tried(TRIED_OF_VENDORS, self._vendor_ids)

    def heard(self, vendor: Vendor) -> list[Moment]:
        """The vendor's original calls of the last minute."""
        if vendor.pk not in self._heard:
            self._heard[vendor.pk] = budget.heard(vendor, now=self._now)
        return self._heard[vendor.pk]

    def retried_at(self, vendor: Vendor) -> list[datetime]:
        """When each retry of the vendor's within the window was; only asked for where there is no room for more."""
        if vendor.pk not in self._retried_at:
            rows = self._rows(RETRIED_AT, vendor=vendor.pk)
            unwritten = self.of_vendors[vendor.pk].in_window - len(rows)
            self._retried_at[vendor.pk] = [at for (at,) in rows] + [self._now] * unwritten
        return self._retried_at[vendor.pk]

    def add(self, action: Action) -> None:
        """One more call is let go; its attempt is not written yet."""
        self.calling[action.workflow_id, action.vendor_id] += 1
        if action.campaign_id is not None or action.action_type != ActionType.RETRY:
            return
        is_attended = bool(action.parameters.get("approved_by"))
        for counted, key in ((self.of_runs, action.run_id), (self.of_vendors, action.vendor_id)):
            if key is not None:
                _add(counted[key], is_attended=is_attended, now=self._now)
        if action.vendor_id in self._retried_at:
            self._retried_at[action.vendor_id].append(self._now)

    def _tried(self, statement: str, ids: Collection[UUID]) -> dict[UUID, Tried]:
        found: dict[UUID, Tried] = defaultdict(Tried)
        for key, *counted in self._rows(statement, ids=list(ids)) if ids else ():
            found[key] = Tried(*counted)
        return found

    def _rows(self, statement: str, **about: Any) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement, {**self._about, **about})
            return list(cursor.fetchall())


def _add(tried: Tried, *, is_attended: bool, now: datetime) -> None:
    tried.in_window += 1
    if not is_attended:
        tried.by_themselves += 1
        tried.oldest_at = tried.oldest_at or now
