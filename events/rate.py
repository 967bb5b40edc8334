"""The only rate limit of callers: GCRA in one Lua call on Redis' clock, or in this process while Redis is away.

GCRA (ITU-T I.371): what comes conforms when its theoretical arrival time is at most a burst ahead of now. Limits of
1000 a minute and more are leased in blocks of 1 %, so that most events ask nobody: ± a block for each process.
"""

import threading
import time
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from awfdrs_site.lib import metrics

LEASED_FROM = 1000 / 60  # a second
BLOCK_SHARE = 100
# Together below the 250 ms that a caller may lose to a Redis that hangs; then nobody asks it for a while.
CONNECT_SECONDS, ANSWER_SECONDS, APART_SECONDS = 0.1, 0.12, 2.0
KEYS_MOST = 10_000  # leases kept; beyond, all are forgotten, which costs each key less than a block
EPOCH = 1_700_000_000  # taken off the clock: Lua counts in doubles, and microseconds of today need the digits

# Takes what is wanted as far as there is room, if what is needed fits; answers taken, left, and microseconds until
# it is full again or, where nothing was taken, until what is needed fits.
_TAKE = """
local clock = redis.call('TIME')
local now = (clock[1] - ARGV[5]) * 1000000 + clock[2]
local interval, burst, needed = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local room = math.floor((now + burst * interval - arrival) / interval + 0.000001)
if room < needed then
  return {0, math.max(room, 0), math.ceil(arrival + needed * interval - now - burst * interval)}
end
local taken = math.min(room, tonumber(ARGV[4]))
arrival = arrival + taken * interval
redis.call('SET', KEYS[1], string.format('%.3f', arrival), 'PX', math.ceil((arrival - now) / 1000) + 1000)
return {taken, room - taken, math.ceil(arrival - now)}
"""


@dataclass(frozen=True)
class Limit:
    """So many a second, and so many at once."""

    rate: float
    burst: int

    @property
    def block(self) -> int:
        return max(1, self.burst // BLOCK_SHARE) if self.rate >= LEASED_FROM else 1

    @property
    def window_seconds(self) -> int:
        return max(1, ceil(self.burst / self.rate))


@dataclass(frozen=True)
class Taken:
    """Whether it may come in, and what the answer says of the limit."""

    is_allowed: bool
    limit: Limit
    left: int
    seconds: float  # until all of it is there again, or until what was refused fits

    @property
    def headers(self) -> dict[str, str]:
        quota = f'"default";q={self.limit.burst};w={self.limit.window_seconds}'
        return {
            "RateLimit-Policy": quota,
            "RateLimit": f'"default";r={self.left};t={ceil(self.seconds)}',
        }


@dataclass
class Bucket:
    """One key's limit in this process: tokens leased from Redis, and a bucket of its own for when Redis is away."""

    key: str
    limit: Limit
    lock: threading.Lock = field(default_factory=threading.Lock)
    tokens: int = 0
    left: int = 0
    full_at: float = 0.0
    arrival: float = 0.0  # of the own bucket

    def spend(self, n: int) -> Taken | None:
        """From the lease alone; None when it does not hold so much."""
        if self.tokens < n:
            return None
        self.tokens -= n
        seconds = max(0.0, self.full_at - time.monotonic())
        return Taken(True, self.limit, self.left + self.tokens, seconds)

    def lease(self, n: int) -> Taken:
        """Fetch a block and spend of it. Raises redis.RedisError."""
        lacking = n - self.tokens
        wanted = max(lacking, self.limit.block)
        taken, left, wait = _ask(self, lacking, wanted)
        if not taken:
            return Taken(False, self.limit, left + self.tokens, wait)
        self.tokens += taken - n
        self.left, self.full_at = left, time.monotonic() + wait
        return Taken(True, self.limit, left + self.tokens, wait)

    def spend_alone(self, n: int) -> Taken:
        """GCRA without Redis: every process admits the whole limit, because evidence is not turned away."""
        now, interval = time.monotonic(), 1 / self.limit.rate
        arrival = max(self.arrival, now)
        room = floor((now + self.limit.burst * interval - arrival) / interval + 1e-6)
        if room < n:
            wait = arrival + n * interval - now - self.limit.burst * interval
            return Taken(False, self.limit, max(room, 0), wait)
        self.arrival = arrival + n * interval
        return Taken(True, self.limit, room - n, self.arrival - now)


_buckets: dict[tuple[UUID, Limit], Bucket] = {}
_client: Any = None
_take: Any = None
_away_until = 0.0


def limit_of(rate_per_second: float | None, burst: int | None) -> Limit:
    """A key's own numbers, or the installation's."""
    return Limit(
        rate_per_second or settings.INGEST_RATE_PER_KEY, burst or settings.INGEST_BURST_PER_KEY
    )


def bucket_of(key_id: UUID, limit: Limit) -> Bucket:
    bucket = _buckets.get((key_id, limit))
    if bucket is None:
        if len(_buckets) >= KEYS_MOST:
            _buckets.clear()
        bucket = Bucket(f"awfdrs:rate:{key_id}:{limit.rate:g}:{limit.burst}", limit)
        bucket = _buckets.setdefault((key_id, limit), bucket)
    return bucket


def take(key_id: UUID, limit: Limit, *, n: int = 1) -> Taken:
    """Spend `n` of the key's limit, all or none; with Redis away within 250 ms all the same."""
    global _away_until
    bucket = bucket_of(key_id, limit)
    with bucket.lock:
        taken = bucket.spend(n)
        if taken is not None:
            return taken
        if time.monotonic() >= _away_until:
            if _away_until:  # one asks whether it is back, the others do not wait for the answer
                _away_until = time.monotonic() + APART_SECONDS
            try:
                taken = bucket.lease(n)
            except (redis.RedisError, OSError):
                _away_until = time.monotonic() + APART_SECONDS
            else:
                _away_until = 0.0
                return taken
        metrics.RATE_LIMITED_ALONE.inc()
        return bucket.spend_alone(n)


def spend(key_id: UUID, limit: Limit) -> Taken | None:
    """One of what this process has leased, if nobody has to be asked or waited for."""
    bucket = bucket_of(key_id, limit)
    if not bucket.lock.acquire(blocking=False):
        return None
    try:
        taken = bucket.spend(1)
        if taken is None and time.monotonic() < _away_until:
            metrics.RATE_LIMITED_ALONE.inc()
            taken = bucket.spend_alone(1)
        return taken
    finally:
        bucket.lock.release()


def give_back(key_id: UUID, limit: Limit) -> None:
    """One that was taken and not used."""
    bucket = bucket_of(key_id, limit)
    with bucket.lock:
        bucket.tokens += 1


def forget() -> None:
    """Start anew, as a new process does."""
    global _away_until, _client
    _buckets.clear()
    _away_until, _client = 0.0, None


def _ask(bucket: Bucket, needed: int, wanted: int) -> tuple[int, int, float]:
    with metrics.timed(metrics.REDIS_SECONDS):
        taken, left, wait = _script()(
            keys=[bucket.key],
            args=[1_000_000 / bucket.limit.rate, bucket.limit.burst, needed, wanted, EPOCH],
        )
    return int(taken), int(left), int(wait) / 1_000_000


def _script() -> Any:
    global _client, _take
    if _client is None:
        _client = redis.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        _take = _client.register_script(_TAKE)
    return _take
