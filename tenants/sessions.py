"""The only place that lists and ends people's sessions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tenants import journal, scoping
from tenants.journal import Actor
from tenants.models import PersonSession
from tenants.session_store import alive, over

# The first that fits: others call themselves Chrome and Safari too.
_BROWSERS = ("Edg", "OPR", "Firefox", "Chrome", "Safari", "curl")
_NAMES = {"Edg": "Edge", "OPR": "Opera"}
_SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux")


@dataclass(frozen=True)
class SessionLine:
    """One place where a person is signed in, as they see it."""

    id: UUID
    started_at: datetime
    seen_at: datetime
    address: str
    browser: str
    is_this: bool


def of(user_id: int, *, this: UUID | None) -> list[SessionLine]:
    """Where the person is signed in: this session first, then the latest used."""
    mine = alive().filter(user_id=user_id).order_by("-seen_at", "session_key")
    lines = [
        SessionLine(
            row.id,
            row.started_at,
            row.seen_at,
            row.address or "",
            browser_of(row.agent),
            row.id == this,
        )
        for row in mine
    ]
    return sorted(lines, key=lambda line: not line.is_this)


def end(user_id: int, session_id: UUID, *, by: Actor) -> bool:
    """Sign one browser out: its next request is nobody's, its live feed closes within 5 s."""
    return _end(PersonSession.objects.filter(user_id=user_id, id=session_id), user_id, by) > 0


def end_others(user_id: int, *, but: UUID | None, by: Actor) -> int:
    """Sign out everywhere else; with `but=None` here too."""
    mine = PersonSession.objects.filter(user_id=user_id)
    return _end(mine if but is None else mine.exclude(id=but), user_id, by)


def forget_old() -> int:
    """Rows of sessions that are over: nobody can use them, so nobody needs them."""
    with scoping.pipeline():
        n_gone: int = over().delete()[0]
    return n_gone


def browser_of(agent: str) -> str:
    """Such as "Firefox on Linux", from what the browser calls itself."""
    browser = next((name for name in _BROWSERS if name in agent), "")
    system = next((name for name in _SYSTEMS if name in agent), "")
    named = _NAMES.get(browser, browser) or "Unknown browser"
    return f"{named} on {system}" if system else named


def _end(sessions: Any, user_id: int, by: Actor) -> int:
    with scoping.platform() as now:
        n_ended: int = sessions.delete()[0]
        if n_ended:
            journal.record_platform(
                subject_type="user",
                subject_id=str(user_id),
                verb="sessions_ended",
                by=by,
                at=now,
                sessions=n_ended,
            )
    return n_ended
