"""Who may use which route: one row for each method of each route. A route without a row fails the walker."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

OPEN = "open"  # nobody is asked who they are
# Bodies name these of Acme's things: the world makes them with these names.
MERGEABLE = UUID("01950000-0000-7000-8000-000000000001")
MERGED_SIGNATURE = "5eed" * 8
SIGNED_IN = "signed in"  # any person, whatever their tenant
NOBODY_ELSE = "the platform's own"  # loopback or a token


@dataclass(frozen=True)
class Row:
    """`verb` as the view declares it; `of` names the thing in the path; `body` is a valid one."""

    verb: str
    of: str = ""
    body: Mapping[str, Any] | None = None
    query: str = ""


API: dict[tuple[str, str], Row] = {
    ("GET", "health"): Row(OPEN),
    ("GET", "health/ready"): Row(OPEN),
    ("GET", "health/pipeline"): Row(OPEN),
    ("GET", "events"): Row("view"),
    ("POST", "events"): Row(
        "ingest",
        body={
            "workflow": "checkout",
            "event_type": "payment.failed",
            "payload": {},
            "occurred_at": "2026-01-19T10:00:00Z",
        },
    ),
    ("POST", "events/batch"): Row(
        "ingest",
        body={
            "events": [
                {
                    "workflow": "checkout",
                    "event_type": "payment.failed",
                    "payload": {},
                    "occurred_at": "2026-01-19T10:00:00Z",
                }
            ]
        },
    ),
    ("GET", "events/<id:pk>"): Row("view", of="event"),
    ("GET", "quarantine"): Row("view"),
    ("GET", "quarantine/<id:pk>"): Row("view", of="quarantined"),
    ("POST", "quarantine/<id:pk>/replay"): Row(
        "act", of="quarantined", body={"patch": {"event_type": "payment.failed"}}
    ),
    ("GET", "incidents"): Row("view"),
    ("GET", "incidents/<id:pk>"): Row("view", of="incident"),
    ("GET", "incidents/<id:pk>/events"): Row("view", of="incident"),
    ("GET", "incidents/<id:pk>/decisions"): Row("view", of="incident"),
    ("GET", "incidents/<id:pk>/timeline"): Row("view", of="incident"),
    ("GET", "incidents/<id:pk>/runs"): Row("view", of="incident"),
    ("GET", "incidents/<id:pk>/actions"): Row("view", of="incident"),
    ("POST", "incidents/<id:pk>/actions"): Row(
        "act", of="incident", body={"action_type": "escalate", "parameters": {"reason": "look"}}
    ),
    ("GET", "incidents/<id:pk>/escalations"): Row("view", of="incident"),
    ("GET", "incidents/<id:pk>/similar"): Row("view", of="incident"),
    ("PATCH", "incidents/<id:pk>/status"): Row(
        "resolve", of="incident", body={"status": "escalated", "note": "too loud"}
    ),
    ("POST", "incidents/<id:pk>/ignore"): Row("ignore", of="incident", body={"reason": "known"}),
    ("POST", "incidents/<id:pk>/acknowledge"): Row("acknowledge", of="incident"),
    ("POST", "incidents/bulk"): Row("bulk", body={"verb": "acknowledge", "query": "is:open"}),
    ("GET", "bulk/<id:pk>"): Row("view", of="bulk_job"),
    ("POST", "bulk/<id:pk>/undo"): Row("undo", of="bulk_job"),
    ("POST", "incidents/<id:pk>/assign"): Row("assign", of="incident", body={"assignee": None}),
    ("POST", "incidents/<id:pk>/snooze"): Row("snooze", of="incident", body={"count": 10}),
    ("POST", "incidents/<id:pk>/wake"): Row("snooze", of="incident"),
    ("POST", "incidents/<id:pk>/comment"): Row("comment", of="incident", body={"note": "on it"}),
    ("POST", "incidents/<id:pk>/undo"): Row("undo", of="stepped_incident"),
    ("POST", "incidents/<id:pk>/escalate"): Row("escalate", of="incident"),
    ("POST", "incidents/<id:pk>/reopen"): Row("reopen", of="closed_incident"),
    ("POST", "incidents/<id:pk>/merge"): Row(
        "merge", of="incident", body={"incidents": [str(MERGEABLE)]}
    ),
    ("POST", "incidents/<id:pk>/split"): Row(
        "split", of="incident", body={"signatures": [MERGED_SIGNATURE]}
    ),
    ("POST", "incidents/<id:pk>/category"): Row(
        "acknowledge", of="incident", body={"category": "vendor_error"}
    ),
    ("POST", "incidents/<id:pk>/fixed"): Row("acknowledge", of="incident", body={"worked": True}),
    ("GET", "incidents/<id:pk>/recommendation"): Row("view", of="incident"),
    ("GET", "reliability"): Row("view"),
    ("GET", "decisions/<id:pk>"): Row("view", of="decision"),
    ("GET", "runs"): Row("view"),
    ("GET", "runs/<id:pk>"): Row("view", of="run"),
    ("GET", "runs/<id:pk>/explain"): Row("view", of="run"),
    ("POST", "runs/<id:pk>/waive"): Row("waive", of="run", body={"reason": "refunded"}),
    ("GET", "actions"): Row("view"),
    ("GET", "actions/<id:pk>"): Row("view", of="pending_action"),
    ("POST", "actions/<id:pk>/approve"): Row("approve", of="awaiting_action"),
    ("POST", "actions/<id:pk>/reject"): Row("approve", of="awaiting_action"),
    ("POST", "actions/<id:pk>/skip"): Row("act", of="pending_action"),
    ("POST", "actions/<id:pk>/run"): Row("act", of="pending_action"),
    ("POST", "actions/<id:pk>/reverse"): Row("act", of="reversible_action"),
    ("GET", "approvals"): Row("view"),
    ("GET", "approvals/<id:pk>"): Row("view", of="approval"),
    ("POST", "approvals/<id:pk>/approve"): Row("approve", of="approval"),
    ("POST", "approvals/<id:pk>/reject"): Row(
        "approve", of="approval", body={"reason": "paid by hand"}
    ),
    ("GET", "campaigns"): Row("view"),
    ("POST", "campaigns"): Row("act", body={"query": {"state": "failed"}}),
    ("GET", "campaigns/<id:pk>"): Row("view", of="planned_campaign"),
    ("GET", "campaigns/<id:pk>/runs"): Row("view", of="planned_campaign"),
    ("POST", "campaigns/<id:pk>/start"): Row("act", of="planned_campaign"),
    ("POST", "campaigns/<id:pk>/pause"): Row("act", of="running_campaign"),
    ("POST", "campaigns/<id:pk>/resume"): Row("act", of="paused_campaign"),
    ("POST", "campaigns/<id:pk>/abort"): Row("act", of="planned_campaign"),
    ("POST", "actions/<id:pk>/compensate"): Row("act", of="sent_action"),
    ("POST", "actions/<id:pk>/canary"): Row("stop", of="parked_action", body={"reason": "try one"}),
    ("GET", "deliveries"): Row("view"),
    ("POST", "deliveries/<id:pk>/resend"): Row("act", of="failed_delivery"),
    ("GET", "audit"): Row("audit"),
    ("GET", "workflows"): Row("view"),
    ("POST", "workflows"): Row("configure", body={"slug": "refunds"}),
    ("POST", "workflows/<id:pk>/rotate-secret"): Row("configure", of="workflow"),
    ("POST", "workflows/<id:pk>/test"): Row("configure", of="workflow"),
    ("GET", "vendors"): Row("view"),
    ("POST", "vendors/<id:pk>/breaker"): Row(
        "configure", of="vendor", body={"state": "forced_open", "reason": "they asked"}
    ),
    ("GET", "kill-switches"): Row("view"),
    ("POST", "kill-switches"): Row(
        "stop", body={"scope": "action_type", "target": "retry", "reason": "look first"}
    ),
    ("POST", "kill-switches/<id:pk>/lift"): Row(
        "stop", of="kill_switch", body={"reason": "looked"}
    ),
    ("GET", "changes"): Row("view"),
    ("POST", "changes"): Row(
        "configure",
        body={
            "kind": "deploy",
            "summary": "checkout 4.2",
            "occurred_at": "2026-01-19T10:00:00Z",
        },
    ),
    ("GET", "outcome-rules"): Row("view"),
    ("GET", "rules/effective"): Row("view", query="vendor=stripe"),
    ("GET", "rules/export"): Row("view"),
    ("POST", "rules/import"): Row(
        "configure", body={"document": "overrides: {tenant: {severity: low}}"}
    ),
    ("POST", "rules/simulate"): Row(
        "configure", body={"scope": "tenant", "values": {"severity": "low"}}
    ),
    ("GET", "rules/simulations/<id:pk>"): Row("view", of="simulation"),
}

# Pages and files beside the API: what each view says of itself is compared, its own tests use it.
PAGES: dict[str, str] = {
    "api/schema": OPEN,
    "docs": OPEN,
    "redoc": OPEN,
    "redoc/bundle.js": OPEN,
    "metrics": NOBODY_ELSE,
    "": SIGNED_IN,
    "overview": "view",
    "analytics": "view",
    "analytics/sheet": "view",
    "sign-in": OPEN,
    "sign-out": OPEN,
    "sign-in/code": OPEN,
    "sign-in/off": OPEN,
    "password/forgotten": OPEN,
    "password/new/<str:uid>/<str:token>": OPEN,  # the link is the key
    "join/<str:token>": OPEN,
    "confirm": SIGNED_IN,
    "confirm/code": SIGNED_IN,
    "settings": SIGNED_IN,
    "settings/password": SIGNED_IN,
    "settings/second-step": SIGNED_IN,
    "settings/second-step/app": SIGNED_IN,
    "settings/second-step/app/off": SIGNED_IN,
    "settings/second-step/codes": SIGNED_IN,
    "settings/second-step/codes/new": SIGNED_IN,
    "settings/second-step/codes/file": SIGNED_IN,
    "settings/sessions": SIGNED_IN,
    "settings/sessions/end": SIGNED_IN,
    "settings/sessions/<uuid:pk>/end": SIGNED_IN,
    "settings/members": "administer",
    "settings/members/<uuid:pk>/role": "administer",
    "settings/members/<uuid:pk>/remove": "administer",
    "settings/invitations/<uuid:pk>/withdraw": "administer",
    "settings/keys": "administer",
    "settings/keys/<uuid:pk>/rotate": "administer",
    "settings/keys/<uuid:pk>/revoke": "administer",
    "tenant": SIGNED_IN,
    "theme": OPEN,
    "no-tenant": SIGNED_IN,
    "static/bundle/<slug:digest>/<str:name>": OPEN,
    "audit": "audit",
    "audit/export": "export",
    "styleguide": NOBODY_ELSE,  # staff
    "incidents": "view",
    "incidents/rows": "view",
    "incidents/facets": "view",
    "incidents/volume": "view",
    "incidents/complete": "view",
    "incidents/views": "view",
    "incidents/views/save": "view",
    "incidents/views/<uuid:pk>/change": "view",
    "incidents/views/<uuid:pk>/move": "view",
    "incidents/views/<uuid:pk>/delete": "view",
    "incidents/<uuid:pk>": "view",
    "incidents/evidence/<uuid:pk>": "view",
    "incidents/decisions/<uuid:pk>": "view",
    "incidents/reliability": "view",
    "safety/promote": "configure",
    "incidents/<uuid:pk>/step": "comment",
    "incidents/<uuid:pk>/category": "acknowledge",
    "incidents/<uuid:pk>/fixed": "acknowledge",
    "incidents/<uuid:pk>/acknowledge": "acknowledge",
    "incidents/<uuid:pk>/resolve": "resolve",
    "incidents/<uuid:pk>/ignore": "ignore",
    "incidents/<uuid:pk>/escalate": "escalate",
    "incidents/<uuid:pk>/reopen": "reopen",
    "incidents/first": "view",
    "incidents/first/key": "administer",
    "incidents/undo/steps": "undo",
    "incidents/undo": "undo",
    "incidents/undo/<uuid:pk>": "undo",
    "incidents/bulk": "bulk",
    "incidents/bulk/<uuid:pk>": "view",
    "incidents/bulk/<uuid:pk>/undo": "undo",
    "incidents/<uuid:pk>/events": "view",
    "incidents/<uuid:pk>/assign": "assign",
    "incidents/<uuid:pk>/snooze": "snooze",
    "incidents/<uuid:pk>/wake": "snooze",
    "incidents/<uuid:pk>/comment": "comment",
    "incidents/<uuid:pk>/merge": "merge",
    "incidents/<uuid:pk>/split": "split",
    "incidents/<uuid:pk>/actions": "view",
    "incidents/<uuid:pk>/post-mortem": "view",
    "runs": "view",
    "runs/<uuid:pk>": "view",
    "runs/<uuid:pk>/waive": "waive",
    "events": "view",
    "events/<uuid:pk>": "view",
    "quarantine": "view",
    "quarantine/received": "view",
    "quarantine/<uuid:pk>": "view",
    "quarantine/<uuid:pk>/replay": "act",
    "runs/<uuid:pk>/actions": "view",
    "actions": "view",
    "approvals": "view",
    "approvals/count": "view",
    "approvals/<uuid:pk>": "view",
    "approvals/<uuid:pk>/approve": "approve",
    "approvals/<uuid:pk>/reject": "approve",
    "actions/<uuid:pk>": "view",
    "actions/<uuid:pk>/approve": "approve",
    "actions/<uuid:pk>/reject": "approve",
    "actions/<uuid:pk>/run": "act",
    "actions/<uuid:pk>/compensate": "act",
    "actions/<uuid:pk>/reverse": "act",
    "actions/<uuid:pk>/canary": "stop",
    "campaigns": "view",
    "campaigns/plan": "act",
    "campaigns/<uuid:pk>": "view",
    "campaigns/<uuid:pk>/start": "act",
    "campaigns/<uuid:pk>/pause": "act",
    "campaigns/<uuid:pk>/resume": "act",
    "campaigns/<uuid:pk>/abort": "act",
    "inbox": "view",
    "inbox/read": "view",
    "inbox/<uuid:pk>/read": "view",
    "deliveries": "view",
    "deliveries/<uuid:pk>/resend": "act",
    "workflows": "view",
    "workflows/<uuid:pk>": "view",
    "workflows/<uuid:pk>/runbook": "configure",
    "safety": "view",
    "vendors": "view",
    "vendors/<uuid:pk>": "view",
    "vendors/<uuid:pk>/force": "configure",
    "help": "view",
    "help/<slug:slug>": "view",
    "problems/<slug:code>": OPEN,
    "rules": "view",
    "rules/tenant": "view",
    "rules/<slug:scope>/<path:target>": "view",
    "rules/change": "configure",
    "rules/simulate": "configure",
    "rules/simulations/<uuid:pk>": "view",
    "rules/<uuid:pk>/revert": "configure",
    "kill-switches": "view",
    "kill-switches/stop": "stop",
    "kill-switches/preview": "stop",
    "kill-switches/activate": "stop",
    "kill-switches/bar": "view",
    "kill-switches/<uuid:pk>/lift": "stop",
}
