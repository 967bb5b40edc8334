"""The compensation webhook: asks the workflow to undo what an accepted retry did, with a key of its own."""

from actions.executors import webhook
from actions.executors.base import Call, Result


def perform(call: Call) -> Result:
    """Ask once for one retry to be undone."""
    return webhook.post(call)
