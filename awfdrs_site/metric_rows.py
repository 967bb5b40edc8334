"""The only place that says which metrics rows tell, and how they are asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily


@dataclass(frozen=True)
class Read:
    """One metric that rows tell: labels come first in each row of the answer, the value last."""

    name: str
    kind: type[CounterMetricFamily | GaugeMetricFamily]
    text: str
    labels: Sequence[str]
    sql: str


@dataclass(frozen=True)
class Spread:
    """One distribution that rows tell: `value` over `source`, without labels."""

    name: str
    text: str
    buckets: Sequence[float]
    value: str
    source: str


READS = (
    Read(
        "incidents_detected",
        CounterMetricFamily,
        "Incidents opened.",
        ("tenant_id", "workflow_id", "severity"),
        """
        select tenant_id, workflow_id, severity, count(*) from incidents_incident
        where not is_storm group by 1, 2, 3
        """,
    ),
    Read(
        "incidents_by_severity",
        GaugeMetricFamily,
        "Open incidents.",
        ("tenant_id", "severity"),
        """
        select tenant_id, severity, count(*) from incidents_incident
        where status in ('detected', 'analyzing', 'escalated') and not is_storm group by 1, 2
        """,
    ),
    Read(
        "actions_executed",
        CounterMetricFamily,
        "Actions that ended.",
        ("tenant", "action_type", "status"),
        """
        select tenant_id, action_type, status, count(*) from actions_action
        where settled_at is not null group by 1, 2, 3
        """,
    ),
    Read(
        "action_success_rate",
        GaugeMetricFamily,
        "Share of the last hour's ended actions that completed.",
        (),
        """
        select coalesce(avg((status = 'completed')::int), 0)::float8 from actions_action
        where settled_at > awf_now() - interval '1 hour'
        """,
    ),
    Read(
        "circuit_breaker_state",
        GaugeMetricFamily,
        "0 closed, 1 open, 2 half open.",
        ("tenant_id", "vendor", "state"),
        """
        select breaker.tenant_id, vendor.name, breaker.state,
               array_position(array['closed', 'open', 'half_open'], breaker.state::text) - 1
        from safety_circuitbreaker breaker join tenants_vendor vendor
          on vendor.tenant_id = breaker.tenant_id and vendor.id = breaker.vendor_id
        """,
    ),
    Read(
        "parked_actions",
        GaugeMetricFamily,
        "Actions that kill switches or paused campaigns hold.",
        ("tenant_id", "action_type"),
        """
        select tenant_id, action_type, count(*) from actions_action
        where status = 'parked' group by 1, 2
        """,
    ),
    Read(
        # every move of a breaker starts a new epoch
        "circuit_breaker_transitions",
        CounterMetricFamily,
        "Moves of breakers.",
        ("tenant_id", "vendor"),
        """
        select breaker.tenant_id, vendor.name, breaker.epoch
        from safety_circuitbreaker breaker join tenants_vendor vendor
          on vendor.tenant_id = breaker.tenant_id and vendor.id = breaker.vendor_id
        """,
    ),
    Read(
        "retry_attempts",
        CounterMetricFamily,
        "Attempts of retries.",
        ("tenant_id", "attempt_number", "result"),
        """
        select attempt.tenant_id, attempt.number::text, attempt.status, count(*)
        from actions_attempt attempt join actions_action action
          on action.tenant_id = attempt.tenant_id and action.id = attempt.action_id
        where action.action_type = 'retry' group by 1, 2, 3
        """,
    ),
    Read(
        "retry_amplification",
        GaugeMetricFamily,
        "Calls of the last hour for each that a workflow made by itself: 1 is no retry; campaigns are apart.",
        ("tenant_id", "vendor"),
        """
        select counted.tenant_id, vendor.name,
               1 + sum(counted.retries)::float8 / greatest(sum(counted.originals), 1)
        from safety_vendorminute counted join tenants_vendor vendor
          on vendor.tenant_id = counted.tenant_id and vendor.id = counted.vendor_id
        where counted.at > date_trunc('minute', awf_now()) - interval '1 hour' group by 1, 2
        """,
    ),
    Read(
        "escalations",
        CounterMetricFamily,
        "Escalations planned.",
        ("tenant_id",),
        """
        select tenant_id, count(*) from actions_action where action_type = 'escalate' group by 1
        """,
    ),
    Read(
        "escalations_overdue",
        GaugeMetricFamily,
        "Escalations whose next step is more than two minutes late.",
        (),
        """
        select count(*) from actions_escalation
        where ended_at is null and next_at < awf_now() - interval '2 minutes'
        """,
    ),
    Read(
        "deliveries_overdue",
        GaugeMetricFamily,
        "Messages that should have gone out more than ten minutes ago.",
        (),
        """
        select count(*) from actions_delivery
        where status = 'pending' and due_at < awf_now() - interval '10 minutes'
        """,
    ),
    Read(
        "ai_decisions",
        CounterMetricFamily,
        "Decisions made.",
        ("tenant_id", "kind", "choice"),
        "select tenant_id, kind, choice, count(*) from incidents_decision group by 1, 2, 3",
    ),
    *(
        Read(
            name,
            GaugeMetricFamily,
            "Age of the oldest event that waits to be digested.",
            (),
            """
            select coalesce(extract(epoch from awf_now() - min(received_at)), 0)::float8
            from events_pendingevent where poisoned_at is null
            """,
        )
        for name in ("event_backlog_seconds", "oldest_undigested_event_seconds")
    ),
    Read(
        "journal_head",
        GaugeMetricFamily,
        "Newest seal of each tenant's journal, with its hash: kept elsewhere, it proves the chain.",
        ("tenant_id", "hash"),
        """
        select tenant.id, encode(head.link, 'hex'), head.seq from tenants_tenant tenant, lateral (
          select seq, link from tenants_journalseal where tenant_id = tenant.id order by seq desc limit 1
        ) head
        """,
    ),
    Read(
        "journal_unsealed",
        GaugeMetricFamily,
        "Lines of the journal that wait for their seal.",
        ("tenant_id",),
        "select tenant_id, count(*) from tenants_unsealedentry group by 1",
    ),
    Read(
        "unknown_actions",
        GaugeMetricFamily,
        "Actions whose call went out and whose answer nobody saw.",
        ("tenant_id",),
        "select tenant_id, count(*) from actions_action where status = 'unknown' group by 1",
    ),
)
SPREADS = (
    Spread(
        "incident_event_count_distribution",
        "Events per incident.",
        (1, 2, 5, 10, 50, 100, 1000, 10_000),
        "event_count",
        "incidents_incident where not is_storm",  # a storm groups and does not count
    ),
    Spread(
        "retry_attempts_distribution",
        "Attempts per ended retry.",
        (0, 1, 2, 3, 5, 10),
        "attempts_made",
        "actions_action where action_type = 'retry' and settled_at is not null",
    ),
    Spread(
        "ai_confidence_distribution",
        "Confidence of decisions.",
        (0.1, 0.3, 0.5, 0.7, 0.9, 1),
        "confidence",
        "incidents_decision",
    ),
    Spread(
        # a signature's first event and its incident's opening, by the clock of the database
        "incident_detection_latency_seconds",
        "From an incident's first event until it was opened, within the last hour.",
        (0.1, 0.5, 1, 2, 5, 10, 30),
        "extract(epoch from incident.opened_at - event.received_at)",
        """
        incidents_incident incident join events_event event
          on event.tenant_id = incident.tenant_id and event.id = incident.last_event_id
        where incident.event_count = 1 and incident.opened_at > awf_now() - interval '1 hour'
        """,
    ),
)
