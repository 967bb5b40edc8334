"""What a start looks at, kept in memory: the counts, the rules' pauses and the switches of a moment that is past."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from actions import blasts, canary
from actions.blasts import Begun
from actions.counts import HOUR, Counts, Tried
from actions.ground import Ground
from actions.models import Action
from actions.simulation.kept import Stop
from actions.simulation.story import Story
from incidents.models import Incident
from safety import budget
from safety.blast_radius import Rule, Standing
from safety.budget import Moment
from safety.effective import Override
from safety.killswitch import Held
from tenants.models import Vendor


@dataclass(frozen=True)
class Made:
    """One attempt that a pass made."""

    at: datetime
    run_id: UUID
    vendor_id: UUID | None
    is_unattended: bool


@dataclass
class Book:
    """What was attempted and heard so far."""

    of_runs: dict[UUID, list[Made]] = field(default_factory=lambda: defaultdict(list))
    of_vendors: dict[UUID, list[Made]] = field(default_factory=lambda: defaultdict(list))
    originals: dict[UUID, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    of_rules: dict[str, list[tuple[datetime, UUID]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    paused: dict[str, str] = field(default_factory=dict)

    def add(self, made: Made) -> None:
        self.of_runs[made.run_id].append(made)
        if made.vendor_id is not None:
            self.of_vendors[made.vendor_id].append(made)


class VirtualCounts(Counts):
    """A simulated call is over at once, so none is ever under way."""

    def __init__(self, tenant_id: UUID, actions: Sequence[Action], *, now: datetime, book: Book):
        super().__init__(tenant_id, actions, now=now)
        self._moment, self._book = now, book

    @property
    def calling(self) -> Counter[tuple[UUID | None, UUID | None]]:
        return Counter()

    @property
    def of_runs(self) -> dict[UUID, Tried]:
        return _Lazily(lambda pk: self._tried_of(self._book.of_runs.get(pk, ())))

    @property
    def of_vendors(self) -> dict[UUID, Tried]:
        return _Lazily(lambda pk: self._tried_of(self._book.of_vendors.get(pk, ())))

    def heard(self, vendor: Vendor) -> list[Moment]:
        since = self._moment - budget.WINDOW
        return [(at, 1) for at in _since(self._book.originals.get(vendor.pk, []), since)]

    def retried_at(self, vendor: Vendor) -> list[datetime]:
        since = self._moment - budget.WINDOW
        return _since([one.at for one in self._book.of_vendors.get(vendor.pk, ())], since)

    def _tried_of(self, made: Sequence[Made]) -> Tried:
        within: list[Made] = []
        for one in reversed(made):
            if one.at <= self._moment - HOUR:
                break
            within.append(one)
        alone = [one.at for one in within if one.is_unattended]
        recent = sum(one.at > self._moment - budget.WINDOW for one in within)
        return Tried(len(alone), min(alone, default=None), recent)


class _Lazily(dict[UUID, Tried]):
    def __init__(self, count: Callable[[UUID], Tried]) -> None:
        super().__init__()
        self._count = count

    def __missing__(self, key: UUID) -> Tried:
        return self._count(key)


class VirtualGround(Ground):
    """`known`: the rules that a pass holds to be in force."""

    def __init__(
        self,
        action: Action,
        held: Sequence[Held],
        *,
        known: list[Override],
        now: datetime,
        book: Book,
    ) -> None:
        super().__init__([action], {canary.scopes_of(action): held}, now=now, lock=False)
        self.__dict__["known"] = known
        self.counts = VirtualCounts(action.tenant_id, [action], now=now, book=book)


class VirtualRadii(blasts.Radii):
    def __init__(self, ground: Ground, action: Action, book: Book, story: Story) -> None:
        super().__init__(ground, [action])
        self._now, self._book, self._story = ground.now, book, story

    def standing(self, rule: Rule) -> Standing:
        return Standing(self._book.paused.get(str(rule), ""), self._now - timedelta(hours=1))

    def pause(self, rule: Rule, incident: Incident, why: str) -> None:
        self._book.paused[str(rule)] = why
        self._story.pauses[str(rule)] += 1

    def begun(self, rule: Rule) -> Begun:
        since = self._now - timedelta(hours=1)
        begun = [pk for at, pk in self._book.of_rules.get(str(rule), ()) if at > since]
        return Begun(len(begun), len(set(begun)), set(begun))


def held_at(stops: Sequence[Stop], action: Action, moment: datetime) -> list[Held]:
    pairs = {("", ""), *canary.scopes_of(action).pairs()}
    return [
        Held(
            action.tenant_id,
            one.scope or "global",
            one.target,
            one.reason,
            "",
            one.since,
            one.until,
        )
        for one in stops
        if (one.scope, one.target) in pairs
        and one.since <= moment
        and (one.until is None or moment < one.until)
    ]


def ends_at(held: Sequence[Held]) -> datetime | None:
    """When the last of them lets go; None when one of them never does."""
    ends = [one.until for one in held]
    return None if None in ends else max(end for end in ends if end)


def _since(moments: Sequence[datetime], since: datetime) -> list[datetime]:
    """Of moments in their order those after `since`."""
    found: list[datetime] = []
    for at in reversed(moments):
        if at <= since:
            break
        found.append(at)
    return found[::-1]
