"""The only place that says how large a fault test is: small in `make test`, the promised size in `make faults`."""

import os

IS_FULL = os.environ.get("AWFDRS_FAULT_SIZE") == "full"


def sized(*, small: int, full: int) -> int:
    """The same test, its assertions and its positive control at either size."""
    return full if IS_FULL else small
