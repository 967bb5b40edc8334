"""Escalation: begins the incident's way through its policy; the outbox does the telling, from its rows."""

from django.db import DatabaseError

from actions import escalations
from actions.executors.base import Call, Result
from actions.models import Action
from tenants import scoping


def perform(call: Call) -> Result:
    """Begin it in a transaction of its own. A second attempt finds it begun, and tells nobody twice."""
    try:
        with scoping.bound(call.tenant_id, durable=True) as now:
            action = Action.objects.for_tenant(call.tenant_id).get(pk=call.action_id)
            escalation = escalations.begin(action, now=now)
            return Result("succeeded", excerpt=escalations.said(escalation))
    except DatabaseError as failure:
        return Result("retryable", error=f"It could not begin: {type(failure).__name__}.")
