"""The only place that keeps what the actions of one transaction look at in common: read once, whoever asks first."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property

from actions.counts import Counts
from actions.models import Action
from safety import rules
from safety.effective import Override
from safety.killswitch import Held, Scopes


class Ground:
    """Of actions of one tenant at one moment. `lock`: what they look at stays as it is until the transaction ends."""

    def __init__(
        self,
        actions: Sequence[Action],
        held: Mapping[Scopes, Sequence[Held]],
        *,
        now: datetime,
        lock: bool,
    ) -> None:
        self.tenant_id, self.now, self.lock = actions[0].tenant_id, now, lock
        self.held = held  # the kill switches over each
        self.counts = Counts(self.tenant_id, actions, now=now)

    @cached_property
    def known(self) -> Sequence[Override]:
        """The tenant's own rules."""
        return rules.overrides(self.tenant_id)
