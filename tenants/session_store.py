"""The only session engine: sessions in Postgres that know whose they are and end by Postgres' clock."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, Self

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import DatabaseError
from django.db.models import DateTimeField, Func, Q

from awfdrs_site.lib import clock
from awfdrs_site.lib.ids import uuid7
from tenants.models import Person, PersonSession

AGENT_CHARACTERS = 200
NOTED_EVERY = timedelta(minutes=1)  # else every request would write
# `alive`, what the person prefers and where they work: every request of a browser asks, so it is one statement.
_READ = """
select session.*, session.seen_at < awf_now() - %(noted)s as is_stale,
       person.theme, person.density, person.time_zone, person.single_keys,
       (select coalesce(json_agg(mine order by tenant_name, tenant_id), '[]')
          from awf_memberships(session.user_id) mine) as memberships
from tenants_personsession session left join tenants_person person on person.user_id = session.user_id
where session.session_key = any(%(keys)s)
  and session.seen_at > awf_now() - %(idle)s and session.started_at > awf_now() - %(lifetime)s
"""
_PREFERRED = ("theme", "density", "time_zone", "single_keys")


class Now(Func):
    """`awf_now()`: a session's end is nobody's own clock."""

    function = "awf_now"
    output_field = DateTimeField()


def alive() -> Any:
    """Sessions that were used lately enough and began lately enough."""
    return PersonSession.objects.filter(
        seen_at__gt=Now() - _idle(), started_at__gt=Now() - _lifetime()
    )


def over() -> Any:
    """All others: nobody gets in with them again."""
    return PersonSession.objects.filter(
        Q(seen_at__lte=Now() - _idle()) | Q(started_at__lte=Now() - _lifetime())
    )


def _idle() -> timedelta:
    return timedelta(minutes=settings.SESSION_IDLE_MINUTES)


def _lifetime() -> timedelta:
    return timedelta(days=settings.SESSION_DAYS)


class SessionStore(DatabaseStore):
    """Django's, with the columns of `PersonSession` kept up as the session is used."""

    _row: PersonSession | None = None
    _person: Person | None = None
    _address: str | None = None
    _agent = ""

    @classmethod
    def get_model_class(cls) -> Any:
        return PersonSession

    @classmethod
    def several(cls, keys: Iterable[str]) -> list[Self]:
        """Those of them that are alive, in one statement."""
        stores = []
        for row in _read(keys):
            store = cls(row.session_key)
            store._take(row)
            store._session_cache = store.decode(row.session_data)  # type: ignore[attr-defined]
            stores.append(store)
        return stores

    @property
    def public_id(self) -> Any:
        """What a page may call this session; None before it is stored."""
        self._get_session()  # type: ignore[attr-defined]
        return self._row.id if self._row else None

    @property
    def person(self) -> Person | None:
        """What the person prefers; None when they never said, or nobody asked for the session yet.

        It asks nobody by itself: error pages read it too, and the database may be what broke.
        """
        return self._person

    def memberships_of(self, user_id: int) -> list[dict[str, str]] | None:
        """Rows of `awf_memberships`, read with the session; None where nobody knows, as after signing in."""
        row = self._row
        return getattr(row, "memberships", None) if row and row.user_id == user_id else None

    def comes_from(self, *, address: str, agent: str) -> None:
        """Where the browser is and what it calls itself, for the list of sessions."""
        with suppress(ValueError):
            self._address = str(ip_address(address))
        self._agent = "".join(filter(str.isprintable, agent))[:AGENT_CHARACTERS]

    def note_visit(self) -> None:
        """Keep a session that is used from idling out; writes once a minute."""
        if self._row is None or not getattr(self._row, "is_stale", False):
            return
        mine = PersonSession.objects.filter(pk=self._row.pk, seen_at__lt=Now() - NOTED_EVERY)
        # A visit that could not be noted is noted by the next one.
        with suppress(DatabaseError):
            mine.update(seen_at=Now(), address=self._address, agent=self._agent)

    def create(self) -> None:
        self._row = None
        super().create()

    def flush(self) -> None:
        super().flush()
        self._row = self._person = None

    def create_model_instance(self, data: Any) -> Any:
        row: Any = super().create_model_instance(data)
        now, before = clock.read(), self._row
        row.id = before.id if before else uuid7()
        row.user_id = data.get(SESSION_KEY)
        row.started_at = before.started_at if before else now
        row.seen_at = now
        row.address, row.agent = self._address, self._agent
        row.expire_date = row.started_at + _lifetime()
        self._row = row
        return row

    def _get_session_from_db(self) -> Any:
        row = next(_read([self.session_key or ""]), None)
        if row is None:
            self._session_key = None
        self._take(row)
        return row

    def _take(self, row: PersonSession | None) -> None:
        self._row, self._person = row, _prefers(row)


def _read(keys: Iterable[str]) -> Iterator[PersonSession]:
    asked = {"keys": list(keys), "noted": NOTED_EVERY, "idle": _idle(), "lifetime": _lifetime()}
    return iter(PersonSession.objects.raw(_READ, asked))


def _prefers(row: Any) -> Person | None:
    """Of the session's person; None when they never said."""
    if row is None or row.theme is None:
        return None
    return Person(user_id=row.user_id, **{name: getattr(row, name) for name in _PREFERRED})
