"""Who and what the demo has, as data: the original's ids, and the people of its two companies."""

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from tenants.states import Role, Scope


@dataclass(frozen=True)
class Company:
    id: UUID
    name: str
    slug: str
    is_active: bool = True


@dataclass(frozen=True)
class Person:
    username: str
    full_name: str
    works_at: Company | None = None
    role: Role | None = None  # without one: platform staff

    @property
    def email(self) -> str:
        domain = self.works_at.slug if self.works_at else "awfdrs"
        return f"{self.username}@{domain}.example"


@dataclass(frozen=True)
class DemoWorkflow:
    id: UUID
    company: Company
    slug: str
    is_killed: bool = False
    runbook: str = ""


@dataclass(frozen=True)
class DemoVendor:
    company: Company
    name: str
    is_down: bool = False


@dataclass(frozen=True)
class DemoEvent:
    key: str
    workflow: DemoWorkflow
    event_type: str
    minutes_ago: int
    payload: dict[str, Any] = field(default_factory=dict)


def _tenant(number: int) -> UUID:
    return UUID(int=number)


def _workflow(number: int) -> UUID:
    return UUID(f"10000000-0000-0000-0000-{number:012d}")


ACME: Final = Company(_tenant(1), "Acme Corp", "acme")
GLOBEX: Final = Company(_tenant(2), "Globex", "globex")
DISABLED: Final = Company(_tenant(3), "Disabled Co", "disabled", is_active=False)
COMPANIES: Final = (ACME, GLOBEX, DISABLED)

OPERATOR: Final = Person("alice", "Alice Moreau", ACME, Role.OPERATOR)
ADMIN: Final = Person("ann", "Ann Lindqvist", ACME, Role.ADMIN)
VIEWER: Final = Person("bob", "Bob Okafor", ACME, Role.VIEWER)
OUTSIDER: Final = Person("mallory", "Mallory Reyes", GLOBEX, Role.OPERATOR)
STAFF: Final = Person("admin", "Platform staff")
PEOPLE: Final = (OPERATOR, ADMIN, VIEWER, OUTSIDER, STAFF)

PAYMENTS_RUNBOOK: Final = """\
Money moves here: ask **finance** before anything is sent twice.

- [ ] Look at the vendor's status page
- [ ] Compare the open captures with the ledger: `captures --open`
- [ ] Tell the shop when customers have to wait
"""
PAYMENTS: Final = DemoWorkflow(_workflow(1), ACME, "payment_processing", runbook=PAYMENTS_RUNBOOK)
ONBOARDING: Final = DemoWorkflow(_workflow(2), ACME, "user_onboarding")
COMPLIANCE: Final = DemoWorkflow(_workflow(3), GLOBEX, "compliance_check")
KILLED: Final = DemoWorkflow(_workflow(4), ACME, "killed_workflow", is_killed=True)
WORKFLOWS: Final = (PAYMENTS, ONBOARDING, COMPLIANCE, KILLED)

VENDORS: Final = (
    DemoVendor(ACME, "stripe"),
    DemoVendor(ACME, "plaid"),
    DemoVendor(ACME, "twilio", is_down=True),
)

EVENTS: Final = (
    DemoEvent(
        "demo-payment-1",
        PAYMENTS,
        "payment.completed",
        50,
        {"amount": 100.0, "currency": "USD", "vendor": "stripe", "run_id": "pay-1001"},
    ),
    DemoEvent(
        "demo-payment-2",
        PAYMENTS,
        "payment.completed",
        40,
        {"amount": 250.5, "currency": "USD", "vendor": "stripe", "run_id": "pay-1002"},
    ),
    DemoEvent(
        "demo-payment-3",
        PAYMENTS,
        "payment.failed",
        30,
        {
            "amount": 75.0,
            "error_code": "insufficient_funds",
            "error_message": "The account holds less than 75.00 USD",
            "vendor": "stripe",
            "run_id": "pay-1003",
        },
    ),
    DemoEvent(
        "demo-payment-4",
        PAYMENTS,
        "payment.failed",
        20,
        {
            "amount": 500.0,
            "error_code": "card_declined",
            "error_message": "The issuer declined the card",
            "vendor": "stripe",
            "run_id": "pay-1004",
        },
    ),
    DemoEvent(
        "demo-onboarding-1",
        ONBOARDING,
        "user.onboarding.started",
        10,
        {"user": "u-501", "run_id": "onboard-501"},
    ),
)

# The key of the printed curl may send events and nothing else.
KEYS: Final[dict[str, tuple[Scope, ...]]] = {
    "demo": (Scope.EVENTS_WRITE,),
    "simulation": (Scope.EVENTS_WRITE, Scope.READ, Scope.CONFIGURE),
}
