"""The only place that seals, reads and replaces the secret which a workflow's calls are signed with."""

from datetime import datetime, timedelta

from actions import signing
from tenants import journal, secrets
from tenants.journal import Actor
from tenants.models import Workflow

OVERLAP = timedelta(hours=24)  # to bring the new secret to everything that checks our signature
NONE_YET = "The workflow has no signing secret. Make one, and give it to what answers its calls."


def of(workflow: Workflow, *, now: datetime) -> tuple[str, ...]:
    """What signs now, the newest first: two while one replaces the other. Raises SecretUnreadable."""
    sealed = [workflow.retry_secret_sealed]
    if workflow.previous_secret_until is not None and workflow.previous_secret_until > now:
        sealed.append(workflow.previous_secret_sealed)
    return tuple(_opened(workflow, each) for each in sealed if each)


def make(workflow: Workflow) -> str:
    """Give a workflow that is about to be stored its first secret, which is shown this once."""
    secret = signing.new_secret()
    workflow.retry_secret_sealed = _sealed(workflow, secret)
    return secret


def rotate(
    workflow: Workflow, *, by: Actor, now: datetime, overlap: timedelta = OVERLAP
) -> tuple[Workflow, str]:
    """A new secret at once; the one before signs beside it for a day. The one before that ends now."""
    mine = Workflow.objects.for_tenant(workflow.tenant_id)
    workflow = mine.select_for_update().get(pk=workflow.pk)
    workflow.previous_secret_sealed = workflow.retry_secret_sealed
    workflow.previous_secret_until = now + overlap if workflow.retry_secret_sealed else None
    secret = make(workflow)
    workflow.save(
        update_fields=["retry_secret_sealed", "previous_secret_sealed", "previous_secret_until"]
    )
    until = workflow.previous_secret_until
    told = {"previous_until": until.isoformat()} if until else {}
    journal.record(workflow, "secret_rotated", by=by, at=now, slug=workflow.slug, **told)
    return workflow, secret


def _sealed(workflow: Workflow, secret: str) -> str:
    return secrets.seal(secret, tenant_id=workflow.tenant_id, row_id=workflow.pk)


def _opened(workflow: Workflow, sealed: str) -> str:
    return secrets.open_sealed(sealed, tenant_id=workflow.tenant_id, row_id=workflow.pk)
