"""The only maker of ids: UUIDv7 (RFC 9562), whose leading 48 bits are Unix milliseconds."""

import itertools
import secrets
import time
from datetime import UTC, date, datetime
from uuid import UUID

_COUNTER_BITS = 22  # four million ids of one millisecond before their order could be lost
_RANDOM_BITS = 52

# Ids of one process sort as they were made, within a millisecond too: batches and journals keep their order.
_made = itertools.count(secrets.randbits(_COUNTER_BITS - 1))


def uuid7(at: datetime | None = None) -> UUID:
    """A new id stamped with `at` (default: this machine's clock)."""
    milliseconds = time.time_ns() // 1_000_000 if at is None else int(at.timestamp() * 1000)
    counter = next(_made) % (1 << _COUNTER_BITS)
    tail = counter << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return UUID(
        int=milliseconds << 80 | 7 << 76 | (tail >> 62) << 64 | 2 << 62 | tail & (1 << 62) - 1
    )


def day_bound(day: date) -> UUID:
    """The smallest id of that UTC day: the lower bound of its partition."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return first_of(start)


def made_at(identifier: UUID) -> datetime:
    """When a UUIDv7 was made, to the millisecond."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, tz=UTC)


def first_of(moment: datetime) -> UUID:
    """The smallest id that could have been made then, to the millisecond."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def last_of(moment: datetime) -> UUID:
    """The largest id that could have been made by then, to the millisecond."""
    return UUID(int=(int(moment.timestamp() * 1000) + 1 << 80) - 1)
