"""The only place that keeps what analysis found of an incident: asked again when there is more to look at."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings

from incidents import evidence_case
from incidents.analysis import root_cause
from incidents.analysis.hypothesis import Hypothesis
from incidents.models import Analysis, Change, EventLink, Evidence, Incident

ENGINE_VERSION = "causes-1"
SOURCE = "from rules and past incidents, no external calls"
NO_CAUSE = "no supported cause"
SMALL = 500  # reports; what is read as fast is read anew at every look
RESTS = timedelta(seconds=5)  # between two looks at an incident of more
LINKS_LAST = timedelta(hours=1)  # of a page that stayed open


@dataclass(frozen=True)
class Findings:
    """`cards` as the API writes them, best first; none: no supported cause."""

    cards: Sequence[dict[str, Any]] = ()
    n_reports: int = 0
    is_sample: bool = False
    is_switched_off: bool = False
    analysed_at: datetime | None = None
    source: str = SOURCE

    @property
    def verdict(self) -> str:
        if self.is_switched_off:
            return "root-cause analysis is switched off"
        return str(self.cards[0]["claim"]) if self.cards else NO_CAUSE


@dataclass(frozen=True)
class _Reached:
    """What there is to look at, told without looking."""

    event_count: int
    latest_link: UUID | None
    latest_change: UUID | None = field(default=None)


def of(incident: Incident, *, now: datetime) -> Findings:
    """What is known of its cause; looks again where events, changes or the engine are newer than the answer."""
    if not settings.ENABLE_AI_RCA:
        return Findings(is_switched_off=True)
    if incident.is_storm:
        return Findings()
    known = Analysis.objects.for_tenant(incident.tenant_id).filter(incident=incident).first()
    reached = _reached(incident)
    if known is None or _is_stale(known, reached, now=now):
        known = _look(incident, reached, now=now)
    return Findings(
        cards=known.cards,
        n_reports=known.n_reports,
        is_sample=known.is_sample,
        analysed_at=known.analysed_at,
    )


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
