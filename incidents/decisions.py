"""Decides what to do about an incident: analysis is pure, the Decision row keeps what it was decided from."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from awfdrs_site.lib import correlation, sweeping
from incidents import lifecycle
from incidents.analysis.port import ENGINE_VERSION
from incidents.models import Decision, Incident
from incidents.signals import decision_recorded
from incidents.states import OPEN, Choice, DecisionKind, Severity
from safety import gate, rules
from safety.effective import Effective, Override
from tenants import journal, scoping
from tenants.journal import SYSTEM

SWEEP = 200
STORM = "Its incidents are decided one by one; people are told once, for all of them."

_UNDECIDED = """
select tenant_id, id from incidents_incident
where decided_at is null and status in ('detected', 'analyzing', 'escalated')
order by opened_at limit %s
"""


@dataclass(frozen=True)
class Chosen:
    """What is done and why, in words for people."""

    choice: Choice
    reasons: tuple[str, ...]


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
        decision = _record(incident, now=now)
        transaction.on_commit(
            lambda: decision_recorded.send(None, tenant_id=tenant_id, incident_id=incident_id)
        )
    return decision


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


def choose(
    *, in_force: Effective, severity: str, has_retry_url: bool, classification: dict[str, Any]
) -> Chosen:
    """The choice from plain values: retry where a rule allows it, people where it matters, else watch."""
    why = f"{_known_by(classification)}: {in_force.category.replace('_', ' ')}, severity {severity}"
    retry_rule = in_force.values["retry.enabled"]
    can_help = in_force.retry.enabled and classification.get("retryable_hint", True)
    if can_help and in_force.mode != "off" and has_retry_url:
        return _retry(in_force, why)
    if can_help and in_force.mode != "off":
        return Chosen(
            Choice.ESCALATE, (why, "a retry could help, but the workflow has no retry URL")
        )
    no_retry = f"no retry ({retry_rule.source})"
    if in_force.retry.enabled:
        no_retry = "no retry: the failure will not pass by itself"
    if can_help:
        no_retry = f"no retry: the mode is off ({in_force.values['mode'].source})"
    if severity in (Severity.HIGH, Severity.CRITICAL):
        return Chosen(Choice.ESCALATE, (why, no_retry, f"severity {severity} needs people"))
    return Chosen(Choice.OBSERVE, (why, no_retry, f"severity {severity} can wait for a person"))


def is_shadowed(
    *, in_force: Effective, has_retry_url: bool, classification: dict[str, Any]
) -> bool:
    """Whether a retry would be planned, were the rules not only to be watched."""
    can_help = in_force.retry.enabled and classification.get("retryable_hint", True)
    return bool(can_help and has_retry_url and in_force.mode == "shadow")


def _retry(in_force: Effective, why: str) -> Chosen:
    """As far as the rules' mode lets it go; for what is only watched people are needed as for anything unhandled."""
    policy, mode = in_force.values["retry.max_retries"], in_force.values["mode"]
    tries = f"up to {policy.value} retries per run ({policy.source})"
    if mode.value == "shadow":
        return Chosen(
            Choice.ESCALATE, (why, f"{tries} on paper: the mode is shadow ({mode.source})")
        )
    if mode.value == "approve":
        asks = f"a person approves each: the mode is approve ({mode.source})"
        return Chosen(Choice.RETRY, (why, tries, asks))
    return Chosen(Choice.RETRY, (why, tries))


def _known_by(classification: dict[str, Any]) -> str:
    """Where the category comes from, in words."""
    how, _, name = str(classification.get("rule", "")).partition(":")
    plain = name.replace("_", " ")
    known = {
        "code": f"error code {name}",
        "text": f"the message reads as {plain}",
        "labels": f"people called failures like it {plain}",
    }
    return known.get(how, "nothing known matches")


def _record(incident: Incident, *, now: datetime) -> Decision:
    vendor = incident.vendor.name if incident.vendor else ""
    in_force = rules_for(incident)
    chosen = _choice_for(incident, in_force)
    inputs = _inputs(incident, vendor)
    decision: Decision = Decision.objects.create(
        tenant_id=incident.tenant_id,
        incident=incident,
        kind=DecisionKind.RULE_BASED,
        choice=chosen.choice,
        category=in_force.category,
        confidence=float(incident.classification.get("confidence", 0)),
        reasons=list(chosen.reasons),
        inputs=inputs,
        rules=in_force.as_json(),
        gates=_gates(incident, in_force) if chosen.choice == Choice.RETRY else [],
        engine_version=ENGINE_VERSION,
        input_hash=hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest(),
        correlation_id=correlation.current(),
        created_at=now,
    )
    Incident.objects.for_tenant(incident.tenant_id).filter(pk=incident.pk).update(decided_at=now)
    journal.record(
        incident,
        "decided",
        by=SYSTEM,
        at=now,
        choice=str(chosen.choice),
        reasons=list(chosen.reasons),
        decision=str(decision.pk),
    )
    _move(incident, chosen, now=now)
    return decision


def _choice_for(incident: Incident, in_force: Effective) -> Chosen:
    """A storm has nothing of its own to retry: it is the one message about its incidents."""
    if incident.is_storm:
        return Chosen(Choice.ESCALATE, (incident.title, STORM))
    return choose(
        in_force=in_force,
        severity=incident.severity,
        has_retry_url=bool(incident.workflow.retry_url),
        classification=incident.classification,
    )


def _move(incident: Incident, chosen: Chosen, *, now: datetime) -> None:
    if incident.status != "detected":
        return  # a person moved it first; the decision does not overrule them
    if chosen.choice == Choice.RETRY:
        lifecycle.analyze(incident, by=SYSTEM, now=now)
    elif chosen.choice == Choice.ESCALATE:
        lifecycle.escalate(incident, by=SYSTEM, now=now, reason=chosen.reasons[-1])


def _inputs(incident: Incident, vendor: str) -> dict[str, Any]:
    return {
        "signature": incident.signature,
        "signature_version": incident.signature_version,
        "components": incident.signature_components,
        "classification": incident.classification,
        "severity": incident.severity,
        "workflow": incident.workflow.slug,
        "has_retry_url": bool(incident.workflow.retry_url),
        "idempotent": incident.workflow.idempotent,
        "vendor": vendor,
        "error_code": incident.error_code,
        "last_event": str(incident.last_event_id),
        "auto_retry_enabled": settings.ENABLE_AUTO_RETRY,
        "confidence_threshold": settings.AI_CONFIDENCE_THRESHOLD,
    }


def _gates(incident: Incident, in_force: Effective) -> list[dict[str, Any]]:
    permission = facts_of_permission(incident, mode=in_force.mode)
    facts = replace(permission, storm=storm_of(incident))
    return gate.check(facts).as_json()


def storm_of(incident: Incident) -> gate.Storm:
    """How many runs are hurt, against the tenant's limit for retries without a person."""
    return gate.Storm(incident.unrecovered_runs, incident.tenant.storm_runs)


def facts_of_permission(incident: Incident, *, mode: str = "auto") -> gate.Facts:
    """What a person may have to allow, as the gate's facts; the same at planning and at start."""
    return gate.Facts(
        action_type="retry",
        mode=mode,
        auto_retry_enabled=settings.ENABLE_AUTO_RETRY,
        idempotent=incident.workflow.idempotent,
        confidence=float(incident.classification.get("confidence", 0)),
        is_certain=bool(incident.classification.get("is_certain", False)),
        confidence_threshold=settings.AI_CONFIDENCE_THRESHOLD,
    )
