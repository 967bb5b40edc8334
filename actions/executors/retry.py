"""The retry webhook: asks the workflow to run again, with one idempotency key for all attempts."""

from actions.executors import webhook
from actions.executors.base import Call, Result


def perform(call: Call) -> Result:
    """Ask once for one run."""
    return webhook.post(call)
