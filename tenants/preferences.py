"""What people prefer, kept per person: theme, density, time zone, keys of a single letter."""

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tenants.models import Person
from tenants.states import Density, Theme


@dataclass(frozen=True)
class Preferences:
    theme: str = Theme.SYSTEM
    density: str = Density.COMFORTABLE
    time_zone: str = "UTC"
    single_keys: bool = True


DEFAULT = Preferences()


def of(request: Any) -> Preferences:
    """Of who is signed in, as read with their session: no query of its own."""
    person: Person | None = getattr(getattr(request, "session", None), "person", None)
    if person is None:
        return DEFAULT
    return Preferences(person.theme, person.density, person.time_zone, person.single_keys)


def zone_of(request: Any) -> ZoneInfo:
    """Where the person's clock stands; UTC when their zone is known no longer."""
    try:
        return ZoneInfo(of(request).time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def keep(user_id: int, preferred: Preferences) -> None:
    Person.objects.update_or_create(
        user_id=user_id,
        defaults={
            "theme": preferred.theme,
            "density": preferred.density,
            "time_zone": preferred.time_zone,
            "single_keys": preferred.single_keys,
        },
    )
