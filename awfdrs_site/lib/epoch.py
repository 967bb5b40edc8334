"""The only place that notices a Redis that came back empty: it keeps a name, which it loses with everything else."""

from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from awfdrs_site.lib import metrics

KEY = "awfdrs:epoch"


@dataclass
class Epoch:
    known: bytes | None = None

    def look(self, client: Any) -> None:
        """Count a change; of all processes that ask only the one that writes the new name does."""
        fresh = token_hex(8).encode()
        kept: bytes | None = client.set(KEY, fresh, nx=True, get=True)
        if kept is None and self.known is not None:
            metrics.REDIS_EPOCHS.inc()
        self.known = kept or fresh
