"""The only place that says how large a fault test is: small in `make test`, the promised size in `make faults`."""

import os

import pytest

_SIZE = os.environ.get("AWFDRS_FAULT_SIZE", "")
IS_FULL = _SIZE == "full"
# Whole processes that start several times: too long for `make test` at any size.
on_demand = pytest.mark.skipif(
    _SIZE not in ("small", "full"), reason="make faults, or AWFDRS_FAULT_SIZE=small"
)


def sized(*, small: int, full: int) -> int:
    """The same test, its assertions and its positive control at either size."""
    return full if IS_FULL else small
