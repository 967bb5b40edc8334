"""Who they are and what they own: tenants, people's memberships, API keys, workflows, vendors, the journal."""

from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from awfdrs_site.lib.ids import uuid7
from tenants.person_models import Letter as Letter
from tenants.person_models import Person as Person
from tenants.person_models import PersonSession as PersonSession
from tenants.querysets import TenantQuerySet
from tenants.seal_models import JournalSeal as JournalSeal
from tenants.seal_models import PlatformJournalSeal as PlatformJournalSeal
from tenants.seal_models import UnsealedEntry as UnsealedEntry
from tenants.seal_models import UnsealedPlatformEntry as UnsealedPlatformEntry
from tenants.states import Idempotent, Role, Scope

if TYPE_CHECKING:
    from uuid import UUID


class Tenant(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=100, unique=True)
    is_active = models.BooleanField(default=True)
    registers_workflows = models.BooleanField(
        default=True, help_text="An event of an unknown workflow slug registers the workflow."
    )
    storm_runs = models.PositiveIntegerField(
        default=200, help_text="Above this many unrecovered runs no further retry is planned alone."
    )
    max_in_flight = models.PositiveIntegerField(
        default=100, help_text="Calls under way at once, of all workflows together."
    )
    approvals_needed = models.PositiveSmallIntegerField(
        default=1, help_text="People who must approve what waits for approval."
    )
    approval_hours = models.PositiveSmallIntegerField(
        default=24, help_text="After this long a request for approval expires and is escalated."
    )
    incident_counter = models.PositiveBigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = models.Manager()

    def __str__(self) -> str:
        return self.name


class TenantOwned(models.Model):
    """A row of one tenant. `UNIQUE (tenant_id, id)` is what composite foreign keys point to."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", editable=False)

    objects: ClassVar[Any] = TenantQuerySet.as_manager()

    class Meta:
        abstract = True
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["tenant", "id"], name="%(app_label)s_%(class)s_of_tenant"
            )
        ]

    if TYPE_CHECKING:
        tenant_id: UUID


class TenantKey(models.ForeignKey[Any, Any]):
    """A reference to a row of the same tenant: the constraint is the composite one of the migration."""

    def __init__(self, to: Any, on_delete: Any = models.PROTECT, **kwargs: Any) -> None:
        kwargs["db_constraint"] = False
        super().__init__(to, on_delete, **kwargs)


class Membership(TenantOwned):
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=20, choices=Role.choices)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(fields=["tenant", "user"], name="one_membership_per_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.role}"


class Invitation(TenantOwned):
    """Somebody who may become a member; until they say yes nobody learns whether they have an account."""

    email = models.CharField(max_length=254)  # lower case
    role = models.CharField(max_length=20, choices=Role.choices)
    invited_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(fields=["tenant", "email"], name="one_invitation_per_address"),
        ]

    def __str__(self) -> str:
        return f"{self.email} as {self.role}"


class ApiKey(TenantOwned):
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    secret_hash = models.BinaryField(editable=False)
    previous_secret_hash = models.BinaryField(null=True, editable=False)
    # the person who was shown its secret last: what the key decides, that person decides
    made_by = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)
    previous_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope.choices))
    rate_per_second = models.FloatField(null=True, blank=True)
    burst = models.PositiveIntegerField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantOwned.Meta):
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} (awf_{self.prefix}_…)"


class Vendor(TenantOwned):
    name = models.CharField(max_length=100)
    max_in_flight = models.PositiveIntegerField(
        default=10, help_text="Calls under way at once: one slow vendor cannot take every worker."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(fields=["tenant", "name"], name="one_vendor_per_name"),
        ]

    def __str__(self) -> str:
        return self.name


class Workflow(TenantOwned):
    slug = models.CharField(max_length=100)
    name = models.CharField(max_length=200, blank=True)
    retry_url = models.URLField(max_length=2000, blank=True)
    status_url = models.URLField(max_length=2000, blank=True)
    compensate_url = models.URLField(max_length=2000, blank=True)
    idempotent = models.CharField(
        max_length=3,
        choices=Idempotent.choices,
        default=Idempotent.NO,
        help_text="Only `yes` and `key` are retried without a person.",
    )
    retry_secret_sealed = models.TextField(blank=True, editable=False)
    # While a secret is replaced both sign, until this moment.
    previous_secret_sealed = models.TextField(blank=True, editable=False)
    previous_secret_until = models.DateTimeField(null=True, editable=False)
    max_in_flight = models.PositiveIntegerField(
        default=20, help_text="Retries of this workflow under way at once."
    )
    quiet_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        default=60,
        help_text="After this long without a failure an incident resolves itself; empty: never.",
    )
    vendor = TenantKey(Vendor, null=True, blank=True, related_name="workflows")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(fields=["tenant", "slug"], name="one_workflow_per_slug"),
            models.CheckConstraint(
                condition=models.Q(idempotent__in=Idempotent.values),
                name="workflow_idempotent_known",
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class Happening(models.Model):
    """What one journal line says; append-only by grants."""

    verb = models.CharField(max_length=60)
    subject_type = models.CharField(max_length=40)
    subject_id = models.CharField(max_length=64)
    actor_kind = models.CharField(max_length=10)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_label = models.CharField(max_length=200)
    at = models.DateTimeField()
    correlation_id = models.CharField(max_length=128, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        abstract = True


class JournalEntry(TenantOwned, Happening):
    """The tenant's audit log, every incident's timeline and the live feed, in one table."""

    class Meta(TenantOwned.Meta):
        verbose_name_plural = "journal entries"
        indexes: ClassVar[list[models.Index]] = [
            # a subject's timeline, newest first
            models.Index(
                fields=["tenant", "subject_type", "subject_id", "-id"], name="journal_of_subject"
            ),
            # the tenant's audit log
            models.Index(fields=["tenant", "-at", "-id"], name="journal_by_time"),
            # its filters: one verb, and what one person or key did (most lines are the product's own)
            models.Index(fields=["tenant", "verb", "-at", "-id"], name="journal_by_verb"),
            models.Index(
                fields=["tenant", "actor_label", "-at", "-id"],
                condition=~models.Q(actor_kind="system"),
                name="journal_by_person",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject_type} {self.verb}"


class PlatformJournalEntry(Happening):
    """What platform staff changed that belongs to no tenant."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)

    class Meta:
        verbose_name_plural = "platform journal entries"

    def __str__(self) -> str:
        return f"{self.subject_type} {self.verb}"

    if TYPE_CHECKING:
        objects: ClassVar[models.Manager[Self]]
