"""How a simulated workflow makes itself known: through the API, or anew when its slug is taken."""

from django.core.management.base import CommandError

from actions import signing
from awfdrs_site.demo.cast import Company
from awfdrs_site.demo.client import Client
from tenants import scoping, secrets
from tenants.models import Workflow


def register(client: Client, company: Company, *, slug: str, url: str, idempotent: str) -> str:
    """The workflow's webhook secret; from now on its retries come to `url`."""
    name = slug.replace("-", " ").replace("_", " ").capitalize()
    wanted = {"slug": slug, "name": name, "retry_url": url, "idempotent": idempotent}
    reply = client.post("/workflows", wanted)
    if reply.status == 201:
        return str(reply.body["retry_secret"])
    if reply.status != 409:
        raise CommandError(f"Workflow {slug} is not taken: {reply.status} {reply.body}")
    return set_up(company, slug=slug, url=url, idempotent=idempotent)


def set_up(company: Company, *, slug: str, url: str, idempotent: str) -> str:
    """The same without the API: a secret is shown once, and an earlier simulation's port is gone.

    The API has no verb that gives a registered workflow another secret; this is that one thing.
    """
    secret = signing.new_secret()
    with scoping.bound(company.id):
        mine = Workflow.objects.for_tenant(company).select_for_update()
        workflow, _ = mine.get_or_create(slug=slug, defaults={"tenant_id": company.id})
        workflow.retry_url, workflow.idempotent = url, idempotent
        workflow.retry_secret_sealed = secrets.seal(
            secret, tenant_id=company.id, row_id=workflow.pk
        )
        workflow.save(update_fields=["retry_url", "idempotent", "retry_secret_sealed"])
    return secret
