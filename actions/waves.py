"""The only place where the jobs of a sweep meet: whichever comes first starts all of a tenant's in one transaction."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from threading import Lock
from uuid import UUID

from actions import starting
from actions.claiming import Claim
from actions.executors.base import Call

logger = logging.getLogger(__name__)


class Wave:
    """Claims of one tenant that start together; each of them has a job of its own."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        self.claims = claims
        self._lock = Lock()
        self._begun: Mapping[UUID, Call | None] | None = None

    def start(self, claim: Claim) -> Call | None:
        """The claim's call, once the wave has started; None when it may not go."""
        if len(self.claims) == 1:
            return start_alone(claim)
        with self._lock:
            if self._begun is None:
                self._begun = self._start_all()
        if claim.action_id in self._begun:
            return self._begun[claim.action_id]
        return start_alone(claim)

    def _start_all(self) -> Mapping[UUID, Call | None]:
        try:
            return starting.start_many(tenant_id=self.claims[0].tenant_id, claims=self.claims)
        except Exception:
            # One that breaks stops no other: now each goes by itself.
            logger.exception("a wave of %s actions did not start together", len(self.claims))
            return {}


def of(claims: Sequence[Claim], *, at_most: int) -> Iterator[Wave]:
    """By tenant, in waves of so many."""
    by_tenant: dict[UUID, list[Claim]] = defaultdict(list)
    for claim in claims:
        by_tenant[claim.tenant_id].append(claim)
    for theirs in by_tenant.values():
        rest = iter(theirs)
        while wave := tuple(islice(rest, at_most)):
            yield Wave(wave)


def start_alone(claim: Claim) -> Call | None:
    return starting.start(tenant_id=claim.tenant_id, action_id=claim.action_id, token=claim.token)
