"""The only place that says why a person's word on a plan does not count."""

from typing import Any


class VoteRefused(Exception):
    """Nobody's word counts here; the message says why."""


class ApprovalRefused(VoteRefused):
    """It was decided already, or it expired."""

    def __init__(self, current: str) -> None:
        self.current = current
        super().__init__(f"This approval is {current}; nothing more can be decided about it.")


class OfCampaign(VoteRefused):
    """Its plan is the campaign's, and so are the votes on it."""

    def __init__(self) -> None:
        super().__init__("This belongs to a campaign: start the campaign to approve it.")


class OwnRequest(VoteRefused):
    """Whoever asks for something does not allow it."""

    def __init__(self) -> None:
        super().__init__("You asked for this yourself, so somebody else has to approve it.")


class PlanChanged(VoteRefused):
    """The plan is not the one the person saw: `changed` is {field: [then, now]}, `n_actions` how many it has."""

    def __init__(self, n_actions: int, changed: dict[str, list[Any]]) -> None:
        self.n_actions, self.changed = n_actions, changed
        what = ", ".join(sorted(changed)) or "its actions"
        super().__init__(f"The plan has changed since you saw it ({what}). Look at it again.")
