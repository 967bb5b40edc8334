"""The only place that paces what a switch held: places in a row when it is let go, one look more at each start.

Places keep the row readable: each action says when its turn is. They cannot keep the pace alone, since workers come
late and then take several at once; so each start counts the starts of the second before it.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from safety.gatefacts import Permit
from safety.killswitch import Ended
from safety.models import SwitchRelease

SECOND = timedelta(seconds=1)


def places(ended: Ended, *, tenant_id: UUID, n: int, now: datetime) -> tuple[UUID, list[datetime]]:
    """The next `n` places of the release, and its id; its row is held until the transaction ends."""
    # Lifting made the row; of one that expired nobody said how fast.
    fresh = SwitchRelease(tenant_id=tenant_id, switch_id=ended.id, next_at=now)
    SwitchRelease.objects.bulk_create([fresh], ignore_conflicts=True)
    mine = SwitchRelease.objects.for_tenant(tenant_id).select_for_update()
    release: SwitchRelease = mine.get(switch_id=ended.id)
    first, apart = max(release.next_at, now), SECOND / release.per_second
    release.next_at = first + n * apart
    release.save(update_fields=["next_at"])
    return release.pk, [first + place * apart for place in range(n)]


def turn(release_id: str, *, tenant_id: UUID, now: datetime, lock: bool) -> Permit | None:
    """Whether one more of the release may start; `lock` keeps others from asking until the transaction ends."""
    mine = SwitchRelease.objects.for_tenant(tenant_id)
    held = mine.select_for_update() if lock else mine
    release: SwitchRelease | None = held.filter(pk=release_id).first()
    if release is None:
        return None
    # One who waited for the row may ask about an earlier moment than the last start: that one counts too.
    lately = [at for at in _recent(release) if at > now - SECOND]
    rate = f"{release.per_second} a second after the kill switch"
    if len(lately) < release.per_second:
        return Permit(True, None, rate)
    return Permit(False, max(lately[0] + SECOND, now), rate)


def hold(release_ids: Collection[str], *, tenant_id: UUID) -> None:
    """Keep others from asking for turns of these until the transaction ends, in one order."""
    mine = SwitchRelease.objects.for_tenant(tenant_id).select_for_update()
    list(mine.filter(pk__in=release_ids).order_by("id").values_list("pk", flat=True))


def started(release_id: str, *, tenant_id: UUID, now: datetime) -> None:
    """One of the release has started; its row is held since `turn`."""
    mine = SwitchRelease.objects.for_tenant(tenant_id).select_for_update()
    for release in mine.filter(pk=release_id):
        times = sorted([*_recent(release), now])[-release.per_second :]
        release.recent = [at.timestamp() for at in times]
        release.save(update_fields=["recent"])


def _recent(release: SwitchRelease) -> Sequence[datetime]:
    return [datetime.fromtimestamp(at, tz=UTC) for at in release.recent]
