"""The only place that keeps what analysis found of an incident: pages read it, a worker looks when there is more."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings

from awfdrs_site.lib import sweeping, wake
from incidents import evidence_case
from incidents.analysis import root_cause
from incidents.analysis.hypothesis import Hypothesis
from incidents.models import Analysis, Change, EventLink, Evidence, Incident
from tenants import journal, scoping

ENGINE_VERSION = "causes-1"
SOURCE = "from rules and past incidents, no external calls"
NO_CAUSE = "no supported cause"
NOT_YET = "not looked at yet"
SMALL = 500  # reports; what is read as fast is read anew at every look
RESTS = timedelta(seconds=5)  # between two looks at an incident of more
LINKS_LAST = timedelta(hours=1)  # of a page that stayed open
SWEEP = 50
# The young, whether or not somebody looks: a page that is opened asks for its own.
_DUE = """
select tenant_id, id from incidents_incident
where status in ('detected', 'analyzing', 'escalated') and not is_storm
  and opened_at > awf_now() - interval '10 minutes'
order by opened_at desc limit %s
"""


@dataclass(frozen=True)
class Findings:
    """`cards` as the API writes them, best first; none: no supported cause."""

    cards: Sequence[dict[str, Any]] = ()
    n_reports: int = 0
    is_sample: bool = False
    is_switched_off: bool = False
    is_stale: bool = False  # there is more to look at
    analysed_at: datetime | None = None
    source: str = SOURCE

    @property
    def verdict(self) -> str:
        if self.is_switched_off:
            return "root-cause analysis is switched off"
        if self.is_stale and self.analysed_at is None:
            return NOT_YET
        return str(self.cards[0]["claim"]) if self.cards else NO_CAUSE


@dataclass(frozen=True)
class _Reached:
    """What there is to look at, told without looking."""

    event_count: int
    latest_link: UUID | None
    latest_change: UUID | None = field(default=None)


def of(incident: Incident, *, now: datetime) -> Findings:
    """What a worker found of its cause. Reads only."""
    if not settings.ENABLE_AI_RCA:
        return Findings(is_switched_off=True)
    if incident.is_storm:
        return Findings()
    known = _known(incident)
    if known is None:
        return Findings(is_stale=True)
    return Findings(
        cards=known.cards,
        n_reports=known.n_reports,
        is_sample=known.is_sample,
        is_stale=_is_stale(known, _reached(incident), now=now),
        analysed_at=known.analysed_at,
    )


def shown(incident: Incident, *, now: datetime) -> Findings:
    """The same for somebody who looks: where there is more to look at, a worker is asked to."""
    found = of(incident, now=now)
    if found.is_stale:
        about = {"tenant_id": str(incident.tenant_id), "incident_id": str(incident.pk)}
        wake.wake("incidents.tasks.analyse_incident", queue="digest", **about)
    return found


def look_due(*, limit: int = SWEEP) -> int:
    """The sweep: open incidents that are new; returns how many."""
    if not settings.ENABLE_AI_RCA:
        return 0
    due = scoping.found(_DUE, [limit])
    return sweeping.each(due, lambda tenant_id, pk: look(tenant_id=tenant_id, incident_id=pk))


def look(*, tenant_id: UUID, incident_id: UUID) -> None:
    """Look for its cause unless what is known still holds; open pages hear of what is new. Idempotent."""
    with scoping.bound(tenant_id, durable=True) as now:
        incident = Incident.objects.for_tenant(tenant_id).filter(pk=incident_id).first()
        if incident is None or not of(incident, now=now).is_stale:
            return
        known = _known(incident)
        latest = _look(incident, _reached(incident), now=now)
        if known is None or _said(known) != _said(latest):
            journal.announce(incident)


def _known(incident: Incident) -> Analysis | None:
    return Analysis.objects.for_tenant(incident.tenant_id).filter(incident=incident).first()


def _said(analysis: Analysis) -> list[tuple[str, str]]:
    return [(card["claim"], card["statistic"]) for card in analysis.cards]


def _reached(incident: Incident) -> _Reached:
    links = EventLink.objects.for_tenant(incident.tenant_id)
    changes = Change.objects.for_tenant(incident.tenant_id)
    return _Reached(
        event_count=incident.event_count,
        latest_link=links.order_by("-id").values_list("pk", flat=True).first(),
        latest_change=changes.order_by("-id").values_list("pk", flat=True).first(),
    )


def _is_stale(known: Analysis, reached: _Reached, *, now: datetime) -> bool:
    if known.engine_version != ENGINE_VERSION:
        return True
    is_same = known.event_count == reached.event_count and (
        known.latest_change == reached.latest_change
    )
    if is_same and (known.is_settled or known.latest_link == reached.latest_link):
        return False
    return known.n_reports < SMALL or now - known.analysed_at >= RESTS


def _look(incident: Incident, reached: _Reached, *, now: datetime) -> Analysis:
    read = evidence_case.read(incident, now=now)
    cards = root_cause.explain(read.case) if read else []
    row = Analysis(
        tenant_id=incident.tenant_id,
        incident=incident,
        **asdict(reached),
        is_settled=bool(read and read.is_settled),
        analysed_at=now,
        engine_version=ENGINE_VERSION,
        n_reports=len(read.case.reports) if read else 0,
        is_sample=bool(read and read.is_sample),
        cards=_kept(incident, cards, now=now),
    )
    kept = [f.name for f in Analysis._meta.fields if f.name not in ("id", "tenant", "incident")]
    Analysis.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["tenant", "incident"], update_fields=kept
    )
    return row


def _kept(
    incident: Incident, cards: Sequence[Hypothesis], *, now: datetime
) -> list[dict[str, Any]]:
    """The cards as they are written, each with the events it counted under an id of their own."""
    mine = Evidence.objects.for_tenant(incident.tenant_id)
    mine.filter(incident=incident, created_at__lt=now - LINKS_LAST).delete()
    kept = [
        Evidence(
            tenant_id=incident.tenant_id,
            incident=incident,
            claim=card.claim[:1000],
            event_ids=sorted(card.event_ids),
            created_at=now,
        )
        for card in cards
    ]
    Evidence.objects.bulk_create(kept)
    return [_written(card, row) for card, row in zip(cards, kept, strict=True)]


def _written(card: Hypothesis, row: Evidence) -> dict[str, Any]:
    low, high = card.interval
    return {
        "kind": card.kind,
        "subject": card.subject,
        "claim": card.claim,
        "statistic": card.statistic,
        "q_value": card.q_value,
        "interval": {"low": low, "high": high, "of": card.share_of},
        "n": card.n,
        "compared": card.compared,
        "lift": card.lift,
        "support": card.support,
        "score": round(card.score, 2),
        "evidence": str(row.pk),
    }
