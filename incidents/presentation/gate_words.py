"""The only names of gates for people; what the API calls them stands in safety.gate."""

from typing import Final

GATES: Final = {
    "still_needed": "Still needed",
    "retry_rule": "Allowed by a rule",
    "retry_url": "Somebody to call",
    "kill_switch": "Kill switches",
    "campaign": "Campaign",
    "auto_retry": "Retries without a person",
    "idempotent": "Safe to call twice",
    "confidence": "Confidence",
    "track_record": "Retries like it before",
    "approval": "As it was approved",
    "storm": "Runs retried without a person",
    "attempts_left": "Attempts left",
    "backoff": "Wait between attempts",
    "run_retry_limit": "Attempts of the run",
    "vendor_retry_limit": "Attempts at the vendor",
    "retry_budget": "Retry budget of the vendor",
    "in_flight_tenant": "Calls under way, of all workflows",
    "in_flight_workflow": "Calls under way, of the workflow",
    "in_flight_vendor": "Calls under way, at the vendor",
    "circuit_breaker": "Circuit breaker",
    "vendor_rate": "Rate of the vendor",
}


def named(gate: str) -> str:
    """A decision may be older than a gate's name."""
    return GATES.get(gate) or gate.replace("_", " ").capitalize()
