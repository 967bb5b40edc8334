"""The views of the incident list that people keep by name."""

from typing import ClassVar

from django.conf import settings
from django.db import models

from tenants.models import TenantOwned


class SavedView(TenantOwned):
    """A query with its tab and order: one person's, or shown to everybody in the tenant."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=60)
    tab = models.CharField(max_length=20, blank=True)
    query = models.CharField(max_length=1000, blank=True)
    ordering = models.CharField(max_length=30, blank=True)
    is_shared = models.BooleanField(default=False)
    position = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "owner", "name"], name="one_saved_view_per_name"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # those that everybody sees, beside the owner's own
            models.Index(
                fields=["tenant", "position", "id"],
                condition=models.Q(is_shared=True),
                name="saved_view_shared",
            ),
        ]

    def __str__(self) -> str:
        return self.name
