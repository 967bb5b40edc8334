"""The only table of what was refused: the bytes as they came, and why, until somebody cures and replays them."""

from typing import ClassVar

from django.db import models

from tenants.models import TenantOwned


class QuarantinedEvent(TenantOwned):
    """One refused body. `event_id` is set once, by the replay that was accepted."""

    api_key_id = models.UUIDField(null=True)
    received_at = models.DateTimeField()
    code = models.CharField(max_length=40)  # of the problem that was answered
    reason = models.CharField(max_length=200)  # what refused bodies are grouped by
    detail = models.CharField(max_length=1000)
    errors = models.JSONField(default=list)
    body = models.BinaryField()
    n_bytes = models.PositiveIntegerField()  # as received; `body` holds less when it was cut
    correlation_id = models.CharField(max_length=128)
    event_id = models.UUIDField(null=True)
    answer = models.JSONField(null=True)  # what the accepted replay answered, for the next one
    replayed_at = models.DateTimeField(null=True)
    replayed_by = models.CharField(max_length=200, blank=True)

    class Meta(TenantOwned.Meta):
        indexes: ClassVar[list[models.Index]] = [
            # the newest of all, and what falls out of the bound
            models.Index(fields=["tenant", "-id"], name="quarantine_by_id", include=["n_bytes"]),
            # the groups of the page, and one of them; only what waits
            models.Index(
                fields=["tenant", "reason", "-id"],
                condition=models.Q(event_id=None),
                name="quarantine_by_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reason} {self.id}"
