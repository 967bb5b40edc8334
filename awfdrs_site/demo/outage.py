"""The story of `simulate vendor-outage`: a vendor fails, is let rest, and comes back."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from awfdrs_site.demo.cast import Company
from awfdrs_site.demo.client import Client
from awfdrs_site.demo.registration import register
from awfdrs_site.demo.seeding import BY
from awfdrs_site.demo.workflow_side import Part, Retry, WorkflowSide
from safety import rules
from safety.models import RuleOverride
from safety.states import RuleScope
from tenants import scoping

VENDOR: Final = "acquirer"
# A breaker that opens and closes while one watches; the first retry waits until it is open.
RULES: Final = {
    "breaker.failure_threshold": 5,
    "breaker.timeout_seconds": 10,
    "breaker.half_open_requests": 2,
    "retry.max_retries": 5,
    "retry.initial_delay_ms": 4000,
    "retry.max_delay_ms": 5000,
}
OUTAGE_SECONDS = 8  # over before the breaker tries again
ANSWER_SECONDS = 1.0  # long enough to see a half-open breaker with its probes
STORY_SECONDS = 90
POLL_SECONDS = 1.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Strand:
    """One workflow of the story: what it reports, and where its incident has to end."""

    slug: str
    n_runs: int
    event_type: str
    payload: Mapping[str, Any]
    ends: str
    pause_seconds: float = 0.3
    idempotent: str = "key"
    recovers: bool = False
    awaits_approval: bool = False


STRANDS: Final = (
    Strand(
        "checkout-capture",
        10,
        "payment.failed",
        {
            "error_code": "service_unavailable",
            "error_message": "The acquirer answered 503 Service Unavailable",
            "step": "authorise",
            "vendor": VENDOR,
        },
        ends="resolved",
        recovers=True,
    ),
    Strand(
        "statement-export",
        2,
        "export.failed",
        {
            "error_code": "timeout",
            "error_message": "The report generator did not answer within 30 s",
            "step": "render",
        },
        ends="escalated",
    ),
    Strand(
        "card-topup",
        3,
        "payment.failed",
        {
            "error_code": "card_declined",
            "error_message": "The issuer declined the card",
            "step": "charge",
        },
        ends="detected",
    ),
    Strand(
        "supplier-payout",
        1,
        "payout.failed",
        {
            "error_code": "payment_gateway_timeout",
            "error_message": "The bank's gateway timed out",
            "step": "transfer",
        },
        ends="analyzing",
        idempotent="no",
        recovers=True,  # once a person has allowed it
        awaits_approval=True,
    ),
)


@dataclass
class Outage:
    """One telling of the story."""

    client: Client
    company: Company
    side: WorkflowSide
    say: Say
    speed: float = 1.0
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _over_at: float = 0.0
    _seen: dict[str, str] = field(default_factory=dict)

    def tell(self) -> bool:
        """Everything fails, then watch; True when every strand has come to its end in time."""
        tune_vendor(self.company)
        for strand in STRANDS:
            self._enter(strand)
        self._over_at = time.monotonic() + OUTAGE_SECONDS
        self.say(f"{VENDOR} stops answering")
        for strand in STRANDS:
            self._fail(strand)
        deadline = time.monotonic() + STORY_SECONDS
        while time.monotonic() < deadline:
            if self._look():
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _enter(self, strand: Strand) -> None:
        secret = register(
            self.client,
            self.company,
            slug=strand.slug,
            url=self.side.retry_url,
            idempotent=strand.idempotent,
        )
        self.side.play(
            strand.slug,
            Part(
                secret=secret,
                accepts=lambda _: strand.recovers and time.monotonic() >= self._over_at,
                completed=lambda retry: self._complete(strand, retry),
                takes_seconds=ANSWER_SECONDS / self.speed,
            ),
        )

    def _fail(self, strand: Strand) -> None:
        for number in range(1, strand.n_runs + 1):
            run_id = f"{strand.slug}-{self.began_at:%m%d-%H%M%S}-{number}"
            self._report(strand, run_id, strand.event_type, {**strand.payload, "order": number})
            time.sleep(strand.pause_seconds / self.speed)

    def _complete(self, strand: Strand, retry: Retry) -> None:
        kept: dict[str, Any] = {
            name: value for name, value in retry.payload.items() if name in ("vendor", "order")
        }
        event_type = strand.event_type.replace(".failed", ".completed")
        self._report(strand, retry.run_id, event_type, kept)

    def _report(
        self, strand: Strand, run_id: str, event_type: str, payload: Mapping[str, Any]
    ) -> None:
        reply = self.client.post(
            "/events",
            {
                "workflow": strand.slug,
                "event_type": event_type,
                "payload": dict(payload),
                "run_id": run_id,
                "occurred_at": datetime.now(UTC).isoformat(),
                "idempotency_key": f"{run_id}.{event_type}",
            },
        )
        if not reply.is_stored:
            self.say(f"an event of {strand.slug} was refused: {reply.status} {reply.body}")

    def _look(self) -> bool:
        self._look_at_breaker()
        return all([self._look_at_incident(strand) for strand in STRANDS])

    def _look_at_incident(self, strand: Strand) -> bool:
        reply = self.client.get(f"/incidents?workflow={strand.slug}&page_size=1")
        found = reply.body.get("results", []) if reply.status == 200 else []
        # An earlier telling's incident says nothing of this one.
        if not found or datetime.fromisoformat(found[0]["last_seen_at"]) < self.began_at:
            return False
        incident = found[0]
        self._tell_change(f"{incident['number']} of {strand.slug}", incident["status"])
        return bool(incident["status"] == strand.ends)

    def _look_at_breaker(self) -> None:
        reply = self.client.get("/vendors?page_size=100")
        for vendor in reply.body.get("results", []) if reply.status == 200 else []:
            if vendor.get("name") == VENDOR:
                breaker = vendor.get("breaker") or {}
                self._tell_change(f"the breaker of {VENDOR}", str(breaker.get("state")))

    def _tell_change(self, what: str, state: str) -> None:
        if self._seen.get(what) != state:
            self._seen[what] = state
            seconds = (datetime.now(UTC) - self.began_at).total_seconds()
            self.say(f"{seconds:5.1f} s  {what} is {state}")


def tune_vendor(company: Company) -> None:
    """Give the vendor its quick rules, once; what a person has set since is set back."""
    with scoping.bound(company.id) as now:
        mine = RuleOverride.objects.for_tenant(company)
        latest = mine.filter(scope=RuleScope.VENDOR, target=VENDOR).order_by("-version").first()
        if latest is not None and latest.values == RULES:
            return
        rules.override(
            tenant_id=company.id,
            scope=RuleScope.VENDOR,
            target=VENDOR,
            values=dict(RULES),
            reason="Demo: an outage that fits into a minute.",
            by=BY,
            now=now,
        )
