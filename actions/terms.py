"""The only place that says what exactly is asked of people, and hashes it: what would be called, how, how often."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from actions import retry
from actions.models import Action
from actions.states import ActionType
from safety.ruletypes import RetryPolicy

Terms = Mapping[str, Any]  # plain data: field -> what is shown

DELAYS_SHOWN = 5
LABELS = {
    "action_type": "What",
    "workflow": "Workflow",
    "call": "Calls",
    "idempotent": "A second call is harmless",
    "vendor": "Vendor",
    "error_code": "Error code",
    "attempts": "Attempts per run, at most",
    "policy": "Back-off",
    "delays_seconds": "First waits, in seconds",
    "requested_by": "Asked by",
}
_POLICY_FIELDS = frozenset(RetryPolicy.__dataclass_fields__)


def policy_of(action: Action) -> RetryPolicy:
    """The retry policy as it was resolved when the action was planned."""
    return RetryPolicy(**{k: v for k, v in action.policy.items() if k in _POLICY_FIELDS})


def terms_of(action: Action) -> Terms:
    """What a person allows, as it is now; never a secret. Whatever shares it is allowed together."""
    workflow, vendor, incident = action.workflow, action.vendor, action.incident
    policy = policy_of(action)
    return {
        "action_type": str(action.action_type),
        "workflow": workflow.slug if workflow else "",
        "call": _call(action),
        "idempotent": str(workflow.idempotent) if workflow else "",
        "vendor": vendor.name if vendor else "",
        "error_code": incident.error_code if incident else "",
        "attempts": action.policy.get("max_retries", action.attempts_max),
        "policy": policy.backoff_strategy,
        "delays_seconds": list(retry.schedule(policy)[:DELAYS_SHOWN]),
        "requested_by": action.requested_by,
    }


def terms_hash(terms: Terms, *, requested_by_id: str) -> str:
    """Two people who ask for the same thing ask apart: neither may approve their own."""
    return _digest({**terms, "requested_by_id": requested_by_id}).hexdigest()


def plan_hashes(terms_hash: str, action_ids: Iterable[UUID]) -> Iterable[tuple[UUID, str]]:
    """The plan's hash up to and with each of the ids, which come sorted: a longer plan is another one."""
    digest = hashlib.sha256(terms_hash.encode())
    for action_id in action_ids:
        digest.update(action_id.bytes)
        yield action_id, digest.hexdigest()


def changes(approved: Terms, now: Terms) -> dict[str, list[Any]]:
    """{field: [approved, now]} of what was shown then and reads otherwise now."""
    return {
        field: [value, now[field]]
        for field, value in approved.items()
        if field in now and now[field] != value
    }


def _call(action: Action) -> str:
    if action.workflow is None:
        return ""
    is_undoing = action.action_type == ActionType.ROLLBACK
    return str(action.workflow.compensate_url if is_undoing else action.workflow.retry_url)


def _digest(plain: Mapping[str, Any]) -> "hashlib._Hash":
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode())
