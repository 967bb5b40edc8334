"""Decides what to do about an incident: analysis is pure, the Decision row keeps what it was decided from."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from awfdrs_site.lib import correlation, sweeping, tracing
from events.models import Event
from incidents import concluding, lifecycle, track_record
from incidents.analysis.port import ENGINE_VERSION
from incidents.concluding import Conclusion
from incidents.concluding import choose as choose
from incidents.concluding import is_shadowed as is_shadowed
from incidents.models import Decision, Incident
from incidents.signals import decision_recorded
from incidents.states import OPEN, Choice, DecisionKind
from safety import gate, rules
from safety.effective import Effective, Override
from tenants import journal, scoping
from tenants.journal import SYSTEM

SWEEP = 200

_UNDECIDED = """
select tenant_id, id from incidents_incident
where decided_at is null and status in ('detected', 'analyzing', 'escalated')
order by opened_at limit %s
"""


def decide_due(*, limit: int = SWEEP) -> int:
    """The sweep: decide every incident nobody has decided yet; returns how many."""
    due = scoping.found(_UNDECIDED, [limit])
    return sweeping.each(
        due,
        lambda tenant_id, incident_id: decide(tenant_id=tenant_id, incident_id=incident_id),
    )


def decide(*, tenant_id: UUID, incident_id: UUID) -> Decision | None:
    """Decide once per opening; None when it is decided or closed meanwhile."""
    with scoping.bound(tenant_id, durable=True) as now:
        mine = Incident.objects.for_tenant(tenant_id).select_related("tenant", "workflow", "vendor")
        incident = mine.select_for_update(of=("self",)).get(pk=incident_id)
        if incident.decided_at is not None or incident.status not in OPEN:
            return None
        with correlation.correlated(_correlation_of(incident)):
            decision = _record(incident, now=now)
        transaction.on_commit(
            lambda: decision_recorded.send(None, tenant_id=tenant_id, incident_id=incident_id)
        )
    tracing.note(
        "decision",
        correlation_id=decision.correlation_id,
        about=decision.pk,
        after=incident.last_event_id,
        tenant=str(tenant_id),
        incident=str(incident_id),
        choice=str(decision.choice),
    )
    return decision


def _correlation_of(incident: Incident) -> str:
    """Its last event's: what is decided of it, and done, is found by what its sender called it."""
    if incident.last_event_id is None:
        return correlation.current()
    mine = Event.objects.for_tenant(incident.tenant_id).filter(pk=incident.last_event_id)
    known = mine.values_list("correlation_id", flat=True).first()
    return known or correlation.current()


def rules_for(incident: Incident, *, known: Sequence[Override] | None = None) -> Effective:
    """What is in force now for its failure. `known` spares the query where several are asked about."""
    return rules.effective_for(
        tenant_id=incident.tenant_id,
        workflow=incident.workflow.slug,
        vendor=incident.vendor.name if incident.vendor else "",
        error_code=incident.error_code,
        category=incident.category,
        known=known,
    )


def _record(incident: Incident, *, now: datetime) -> Decision:
    known = rules.overrides(incident.tenant_id)
    in_force = rules_for(incident, known=known)
    record = _record_of_retries(incident) if in_force.retry.enabled else None
    inputs = inputs_of(incident, in_force, known, record=record)
    snapshot = in_force.as_json()
    concluded = concluding.conclude(inputs, in_force)
    decision: Decision = Decision.objects.create(
        tenant_id=incident.tenant_id,
        incident=incident,
        kind=DecisionKind.RULE_BASED,
        **concluded.as_json(),
        inputs=inputs,
        rules=snapshot,
        engine_version=ENGINE_VERSION,
        input_hash=concluding.fingerprint(inputs, snapshot),
        correlation_id=correlation.current(),
        created_at=now,
    )
    Incident.objects.for_tenant(incident.tenant_id).filter(pk=incident.pk).update(decided_at=now)
    journal.record(
        incident,
        "decided",
        by=SYSTEM,
        at=now,
        choice=str(concluded.choice),
        reasons=list(concluded.reasons),
        decision=str(decision.pk),
    )
    _move(incident, concluded, now=now)
    return decision


def _move(incident: Incident, chosen: Conclusion, *, now: datetime) -> None:
    if incident.status != "detected":
        return  # a person moved it first; the decision does not overrule them
    if chosen.choice == Choice.RETRY:
        lifecycle.analyze(incident, by=SYSTEM, now=now)
    elif chosen.choice == Choice.ESCALATE:
        lifecycle.escalate(incident, by=SYSTEM, now=now, reason=chosen.reasons[-1])


def _record_of_retries(incident: Incident) -> dict[str, Any] | None:
    """How often retries for failures like it worked; None where too few outcomes are known to say."""
    for one in () if incident.is_storm else track_record.of(incident).actions:
        if one.choice == Choice.RETRY and one.lower is not None:
            return {"worked": one.worked, "n": one.n, "lower": one.lower}
    return None


def inputs_of(
    incident: Incident,
    in_force: Effective,
    known: Sequence[Override],
    *,
    record: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything it is decided from but the rules' values; for people also where it comes from."""
    return {
        "signature": incident.signature,
        "signature_version": incident.signature_version,
        "components": incident.signature_components,
        "classification": incident.classification,
        "severity": incident.severity,
        "title": incident.title,
        "is_storm": incident.is_storm,
        "unrecovered_runs": incident.unrecovered_runs,
        "storm_runs": incident.tenant.storm_runs,
        "workflow": incident.workflow.slug,
        "has_retry_url": bool(incident.workflow.retry_url),
        "idempotent": incident.workflow.idempotent,
        "vendor": incident.vendor.name if incident.vendor else "",
        "error_code": incident.error_code,
        "last_event": str(incident.last_event_id),
        "auto_retry_enabled": settings.ENABLE_AUTO_RETRY,
        "confidence_threshold": settings.AI_CONFIDENCE_THRESHOLD,
        "rulebook": rules.rulebook().digest,
        "rule_versions": _versions(in_force, known),
        **({"track_record": dict(record)} if record else {}),
    }


def _versions(in_force: Effective, known: Sequence[Override]) -> list[dict[str, Any]]:
    """The versions of the tenant's rules that had a say, each with a digest of what it said."""
    had_a_say = {value.override_id for value in in_force.values.values()}
    return [
        {
            "id": one.id,
            "scope": one.scope,
            "target": one.target,
            "version": one.version,
            "digest": concluding.version_digest(one.scope, one.target, one.version, one.values),
        }
        for one in sorted(known, key=lambda each: each.id)
        if one.id in had_a_say
    ]


def storm_of(incident: Incident) -> gate.Storm:
    """How many runs are hurt, against the tenant's limit for retries without a person."""
    return gate.Storm(incident.unrecovered_runs, incident.tenant.storm_runs)


def facts_of_permission(
    incident: Incident, *, mode: str = "auto", record: Mapping[str, Any] | None = None
) -> gate.Facts:
    """What a person may have to allow, as the gate's facts; the same at planning and at start.

    `record` is the decision's: what it was decided from, not what is known by now.
    """
    return gate.Facts(
        action_type="retry",
        mode=mode,
        auto_retry_enabled=settings.ENABLE_AUTO_RETRY,
        idempotent=incident.workflow.idempotent,
        confidence=float(incident.classification.get("confidence", 0)),
        is_certain=bool(incident.classification.get("is_certain", False)),
        confidence_threshold=settings.AI_CONFIDENCE_THRESHOLD,
        record=concluding.record_of(record),
    )
