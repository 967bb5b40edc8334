"""The only place that keeps what the actions of one transaction look at in common: read once, whoever asks first."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property

from actions.counts import Counts
from actions.models import Action
from incidents import decisions
from incidents.models import Incident
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
        self._modes: dict[tuple[str, ...], str] = {}

    @cached_property
    def known(self) -> Sequence[Override]:
        """The tenant's own rules."""
        return rules.overrides(self.tenant_id)

    def mode(self, incident: Incident) -> str:
        """How far a retry for it goes by itself now, whatever was in force when it was planned."""
        vendor = incident.vendor.name if incident.vendor else ""
        about = (incident.workflow.slug, vendor, incident.error_code, incident.category)
        if about not in self._modes:
            self._modes[about] = decisions.rules_for(incident, known=self.known).mode
        return self._modes[about]
