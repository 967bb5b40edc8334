"""The only place that reads a tenant's own rules about what an event reports."""

from uuid import UUID

from incidents.analysis.outcome import Matcher
from incidents.models import OutcomeRule
from incidents.states import Outcome

_CONDITIONS = ("event_type", "status", "error_code", "payload_path", "payload_value")


def matchers(tenant_id: UUID) -> list[Matcher]:
    """The rules in force, in the order in which they are asked."""
    mine = OutcomeRule.objects.for_tenant(tenant_id).filter(is_enabled=True)
    return [
        Matcher(Outcome(rule["outcome"]), **{name: rule[name] for name in _CONDITIONS})
        for rule in mine.order_by("position", "id").values("outcome", *_CONDITIONS)
    ]
