"""The only place that counts how far a campaign is, as a whole and stage by stage."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count

from actions.models import Campaign, CampaignRun
from actions.states import CampaignRunState


@dataclass(frozen=True)
class Progress:
    """Runs of a stage, or of all of them (0), by what became of them."""

    number: int
    n_runs: int
    eligible: int
    called: int  # whose outcome is not known yet
    recovered: int
    failed: int
    unknown: int
    left: int

    @property
    def n_called(self) -> int:
        """Whatever became of them."""
        return self.n_runs - self.eligible - self.left


def stages(campaign: Campaign) -> tuple[Progress, ...]:
    """Every stage of the plan, in order; one query."""
    lines = CampaignRun.objects.for_tenant(campaign.tenant_id).filter(
        campaign=campaign, stage__isnull=False
    )
    counts = lines.order_by().values("stage", "state").annotate(n=Count("pk"))
    found = {(row["stage"], row["state"]): row["n"] for row in counts}
    n_stages = len(campaign.plan.get("stages", ()))
    return tuple(_of(number, found) for number in range(1, n_stages + 1))


def totals(tenant_id: UUID, campaign_ids: Sequence[UUID]) -> dict[UUID, Progress]:
    """Each of these as a whole; one query."""
    lines = CampaignRun.objects.for_tenant(tenant_id).filter(
        campaign__in=campaign_ids, stage__isnull=False
    )
    counts = lines.order_by().values("campaign_id", "state").annotate(n=Count("pk"))
    found = {(row["campaign_id"], row["state"]): row["n"] for row in counts}
    return {
        pk: _of(0, {(0, name): found.get((pk, name), 0) for name in _STATES}) for pk in campaign_ids
    }


def whole(parts: tuple[Progress, ...]) -> Progress:
    total: Counter[str] = Counter()
    for part in parts:
        total.update({name: getattr(part, name) for name in ("n_runs", *_STATES)})
    return Progress(0, total["n_runs"], **{name: total[name] for name in _STATES})


_STATES = tuple(str(state) for state in CampaignRunState if state != CampaignRunState.INELIGIBLE)


def _of(number: int, found: Mapping[tuple[Any, str], int]) -> Progress:
    counts = {name: found.get((number, name), 0) for name in _STATES}
    return Progress(number, sum(counts.values()), **counts)
