"""The only tables of what came in and what became of it, counted and never looked through."""

from typing import ClassVar

from django.db import models

from tenants.models import TenantOwned


class Counted(TenantOwned):
    """Events of one key in one hour: `received` is counted on arrival, the rest by what was answered."""

    api_key_id = models.UUIDField()
    hour = models.DateTimeField()
    received = models.PositiveBigIntegerField()
    accepted = models.PositiveBigIntegerField()
    replayed = models.PositiveBigIntegerField()
    quarantined = models.PositiveBigIntegerField()
    limited = models.PositiveBigIntegerField()
    refused = models.PositiveBigIntegerField()

    class Meta(TenantOwned.Meta):
        abstract = True


class IngestDelta(Counted):
    """What one request added: inserted beside its events, so that no request waits for a counter's row."""

    def __str__(self) -> str:
        return f"{self.received} received"


class IngestHour(Counted):
    """The deltas of an hour, added up by a sweep."""

    class Meta(Counted.Meta):
        abstract = False
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "api_key_id", "hour"], name="one_row_per_key_and_hour"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the chart: the last hours of every key
            models.Index(fields=["tenant", "hour"], name="ingest_by_hour")
        ]

    def __str__(self) -> str:
        return f"{self.received} received at {self.hour:%Y-%m-%d %H}h"
