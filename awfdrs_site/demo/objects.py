"""What black-box checks need: one object of each kind in two tenants, the same every time."""

import time
from dataclasses import dataclass
from ipaddress import ip_network
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client, override_settings

from actions import by_hand, execution, planning
from actions.models import Action
from actions.states import ActionType, Status
from awfdrs_site.demo import cast, kept, registration, seeding
from awfdrs_site.demo.cast import Company
from awfdrs_site.demo.workflow_side import Part, WorkflowSide
from awfdrs_site.lib import clock
from events.digests import hash_of
from events.models import EventKey
from incidents import decisions
from incidents.models import EventLink, Incident
from tenants import auth, scoping
from tenants.auth import NewKey
from tenants.models import Vendor
from tenants.states import Scope

VENDOR = "sandbox"
RETRIED = "fixture-retry"  # the workflow whose retry is accepted
RETRY_SECONDS = 30  # a worker beside us may be quicker; alone we need less than one
UNLIMITED = {"rate_per_second": 1e6, "burst": 1_000_000}
FIVE_PER_TEN_SECONDS = {"rate_per_second": 0.5, "burst": 5}
LOOPBACK = ip_network("127.0.0.1/32")

# Unlocks nothing that is leased: a worker that has it keeps it.
_LEASE = """
update actions_action set lease_token = nextval('awf_lease'),
  lease_until = awf_now() + interval '60 seconds'
where tenant_id = %s and id = %s and status = 'pending'
  and (lease_until is null or lease_until < awf_now())
returning lease_token
"""


@dataclass(frozen=True)
class Failure:
    """An event that opens an incident of its own."""

    key: str
    company: Company
    error_code: str
    message: str
    workflow_id: UUID | None = None  # else RETRIED
    vendor: str = VENDOR


IN_ACME = Failure(
    "fixture-a", cast.ACME, "card_declined", "The sandbox declined the card", cast.PAYMENTS.id
)
RETRIED_IN_ACME = Failure(
    "fixture-retry-a", cast.ACME, "timeout", "The fixture did not answer", vendor=""
)
# Two, so that a page of one has a next one.
IN_GLOBEX = (
    Failure("fixture-b1", cast.GLOBEX, "bad_request", "A form was incomplete", cast.COMPLIANCE.id),
    Failure("fixture-b2", cast.GLOBEX, "card_declined", "A card was declined", cast.COMPLIANCE.id),
)


def values() -> dict[str, str]:
    """Everything by its name in API.md; made where it is missing, keys and session always fresh."""
    incident_a, incident_b = _incident(IN_ACME), _incident(IN_GLOBEX[0])
    _incident(IN_GLOBEX[1])
    return {
        "BASE_URL": kept.base_url(),
        "TENANT_A": str(cast.ACME.id),
        "TENANT_B": str(cast.GLOBEX.id),
        "WORKFLOW_A": str(cast.PAYMENTS.id),
        "WORKFLOW_B": str(cast.COMPLIANCE.id),
        "INCIDENT_A": str(incident_a.pk),
        "INCIDENT_B": str(incident_b.pk),
        "ACTION_A": _opened_breaker(incident_a, "fixtures:action-a"),
        "ACTION_IRREVERSIBLE_A": _completed_retry(),
        "ACTION_B": _opened_breaker(incident_b, "fixtures:action-b"),
        **_keys(),
        "SESSION_OPERATOR_A": _session(cast.OPERATOR.username),
        "CURSOR_B": _cursor(cast.GLOBEX),
        "USER_OPERATOR": cast.OPERATOR.username,
        "USER_ADMIN": cast.ADMIN.username,
        "USER_VIEWER": cast.VIEWER.username,
        "USER_OUTSIDER": cast.OUTSIDER.username,
        "PASSWORD": kept.password(),
    }


def _incident(failure: Failure) -> Incident:
    """The incident that this failure opened, whatever became of it since."""
    company = failure.company
    _report(failure, "payment.failed", failure.key)
    with scoping.bound(company.id):
        hashed = hash_of({}, idempotency_key=failure.key)
        key = EventKey.objects.for_tenant(company).get(key_hash=hashed)
        link = EventLink.objects.for_tenant(company).get(pk=key.event_id)
        return Incident.objects.for_tenant(company).get(pk=str(link.incident_id))


def _report(failure: Failure, event_type: str, key: str) -> None:
    now = clock.read()
    payload = {"run_id": failure.key}
    if event_type.endswith(".failed"):
        payload |= {"error_code": failure.error_code, "error_message": failure.message}
        payload |= {"vendor": failure.vendor} if failure.vendor else {}
    workflow = (
        {"workflow_id": str(failure.workflow_id)} if failure.workflow_id else {"workflow": RETRIED}
    )
    body = {
        **workflow,
        "event_type": event_type,
        "payload": payload,
        "occurred_at": now.isoformat(),
        "idempotency_key": key,
    }
    seeding.store(failure.company.id, [body], now=now)


def _opened_breaker(incident: Incident, dedupe_key: str) -> str:
    """A person's own action, done at once; reversed meanwhile it is still the same action."""
    with scoping.bound(incident.tenant_id) as now:
        vendor = Vendor.objects.for_tenant(incident.tenant_id).get(name=VENDOR)
        action = by_hand.request(
            tenant_id=incident.tenant_id,
            action_type=ActionType.CIRCUIT_BREAKER_OPEN,
            parameters={"reason": "Fixture: an action that can be reversed."},
            by=seeding.BY,
            now=now,
            dedupe_key=dedupe_key,
            incident=incident,
            vendor_id=vendor.pk,
        )
    return str(action.pk)


def _completed_retry() -> str:
    """A retry that its workflow accepted, and the success that followed."""
    company = cast.ACME
    with WorkflowSide() as side:
        made = _retry_of(company)
        if made is None or made.status != Status.COMPLETED:
            secret = registration.set_up(
                company, slug=RETRIED, url=side.retry_url, idempotent="key"
            )
            side.play(RETRIED, Part(secret, accepts=lambda _: True, completed=lambda _: None))
            made = _retried(_incident(RETRIED_IN_ACME))
    _report(RETRIED_IN_ACME, "payment.completed", f"{RETRIED_IN_ACME.key}-success")
    return str(made.pk)


def _retried(incident: Incident) -> Action:
    decisions.decide(tenant_id=incident.tenant_id, incident_id=incident.pk)
    planning.plan(tenant_id=incident.tenant_id, incident_id=incident.pk)
    deadline = time.monotonic() + RETRY_SECONDS
    while time.monotonic() < deadline:
        action = _retry_of(cast.ACME)
        if action is not None and action.status == Status.COMPLETED:
            return action
        if action is None or not _perform(action):
            time.sleep(0.2)  # a worker has it
    raise CommandError("The fixture's retry was not completed in time.")


def _retry_of(company: Company) -> Action | None:
    with scoping.bound(company.id):
        mine = Action.objects.for_tenant(company).filter(
            action_type=ActionType.RETRY, workflow__slug=RETRIED
        )
        found: Action | None = mine.order_by("id").first()
        return found


def _perform(action: Action) -> bool:
    """Do it here, its workflow being here too; False when it is not ours to do."""
    with scoping.bound(action.tenant_id), connection.cursor() as cursor:
        cursor.execute(_LEASE, [action.tenant_id, action.pk])
        row = cursor.fetchone()
    if row is None:
        return False
    allowed = [*settings.OUTBOUND_ALLOW_CIDRS, LOOPBACK]
    with override_settings(OUTBOUND_ALLOW_CIDRS=allowed):
        execution.run(execution.Claim(action.tenant_id, action.pk, row[0]))
    return True


def _keys() -> dict[str, str]:
    ingest_a = _key(cast.ACME, "ingest", Scope.EVENTS_WRITE)
    revoked = _key(cast.ACME, "revoked", Scope.EVENTS_WRITE, Scope.READ)
    limited = _key(cast.ACME, "limited", Scope.EVENTS_WRITE, **FIVE_PER_TEN_SECONDS)
    with scoping.bound(cast.ACME.id) as now:
        revoked.key.revoked_at = now
        revoked.key.save(update_fields=["revoked_at"])
    return {
        "KEY_INGEST_A": ingest_a.token,
        "KEY_INGEST_B": _key(cast.GLOBEX, "ingest", Scope.EVENTS_WRITE).token,
        "KEY_VIEWER_A": _key(cast.ACME, "viewer", Scope.READ).token,
        "KEY_OPERATOR_A": _key(cast.ACME, "operator", Scope.READ, Scope.OPERATE).token,
        "KEY_CONFIG_A": _key(cast.ACME, "config", Scope.READ, Scope.CONFIGURE).token,
        "KEY_REVOKED_A": revoked.token,
        "KEY_LIMITED_A": limited.token,
        "KEYPREFIX_INGEST_A": f"awf_{ingest_a.key.prefix}",
    }


def _key(company: Company, name: str, *scopes: Scope, **limits: float) -> NewKey:
    with scoping.bound(company.id) as now:
        return auth.issue_key(
            tenant_id=company.id,
            name=f"fixture {name}",
            scopes=[str(scope) for scope in scopes],
            now=now,
            **(limits or UNLIMITED),
        )


def _session(username: str) -> str:
    client = Client()
    client.force_login(get_user_model().objects.get(username=username))
    return str(client.cookies[settings.SESSION_COOKIE_NAME].value)


def _cursor(company: Company) -> str:
    """Where the second page of the company's incidents begins, as its own API says."""
    token = kept.key(company, "simulation")
    with override_settings(ALLOWED_HOSTS=["testserver"]):  # what the test client calls us
        answer = Client().get(
            "/api/v1/incidents", {"page_size": "1"}, headers={"Authorization": f"Bearer {token}"}
        )
    following = answer.json().get("next") if answer.status_code == 200 else None
    if not following:
        raise CommandError(f"The list of incidents gave no cursor: {answer.status_code}.")
    return str(parse_qs(urlsplit(following).query)["cursor"][0])
