"""The only place that knows which signature counts as which: merges stick, across every later incident."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from incidents.models import SignatureAlias
from incidents.reading import Reading


def follow(tenant_id: UUID, readings: Sequence[Reading]) -> list[Reading]:
    """The readings with the signature that counts them."""
    hashes = {reading.counted_as for reading in readings if reading.counted_as}
    mine = SignatureAlias.objects.for_tenant(tenant_id).filter(signature__in=hashes)
    leads = dict(mine.values_list("signature", "counts_as")) if hashes else {}
    if not leads:
        return list(readings)
    return [
        replace(reading, counted_as=leads.get(reading.counted_as, reading.counted_as))
        for reading in readings
    ]
