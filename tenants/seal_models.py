"""The only tables that prove the journal: what waits for the sealer, and the chain of what it sealed."""

from typing import Any, ClassVar

from django.db import models

from tenants.querysets import TenantQuerySet


class UnsealedEntry(models.Model):
    """A committed journal line that the sealer has not taken yet; a trigger writes it with the line.

    A row of its own, because lines commit in another order than their ids: nothing is left behind.
    """

    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()

    objects: ClassVar[Any] = TenantQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.id} waits for its seal"


class Seal(models.Model):
    """One link: it stands on the link before it, and on what the line said when it was sealed."""

    seq = models.BigIntegerField()
    entry_id = models.UUIDField()
    payload_hash = models.BinaryField(max_length=32)
    link = models.BinaryField(max_length=32)
    key_id = models.CharField(max_length=8)
    sealed_at = models.DateTimeField()

    class Meta:
        abstract = True


class JournalSeal(Seal):
    """The chain of one tenant, in the order in which the sealer found the lines committed."""

    pk = models.CompositePrimaryKey("tenant_id", "seq")
    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False
    )

    objects: ClassVar[Any] = TenantQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tenant", "entry_id"], name="sealed_once")
        ]

    def __str__(self) -> str:
        return f"seal {self.seq} of {self.entry_id}"


class UnsealedPlatformEntry(models.Model):
    id = models.UUIDField(primary_key=True)

    def __str__(self) -> str:
        return f"{self.id} waits for its seal"


class PlatformJournalSeal(Seal):
    """The chain of what belongs to no tenant."""

    seq = models.BigIntegerField(primary_key=True)
    entry_id = models.UUIDField(unique=True)

    def __str__(self) -> str:
        return f"seal {self.seq} of {self.entry_id}"
