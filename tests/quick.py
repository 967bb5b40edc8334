"""The only place that spares the tests what takes time and what no test is about."""

from contextlib import suppress
from typing import Any

import pytest
from _pytest.assertion import rewrite
from _pytest.assertion.rewrite import assertstate_key
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.http import HttpRequest
from django.test import Client
from django.urls import get_resolver
from slipcover import Slipcover
from whitenoise.middleware import WhiteNoiseMiddleware

from tenants.session_store import SessionStore

WORTH_A_WALK = 6000  # lines and branches seen since the last; a probe left in costs less


def look_for_static_files_once() -> None:
    """Every test client loads the middlewares anew, and this one reads all static files each time."""
    look, found = WhiteNoiseMiddleware.add_files_from_finders, dict[str, Any]()

    def remembered(self: WhiteNoiseMiddleware) -> None:
        if not found:
            look(self)
            found.update(self.files)
        self.files.update(found)

    WhiteNoiseMiddleware.add_files_from_finders = remembered


def sign_in_at_once() -> None:
    """A session as signing in leaves one. What else happens at the door is tested there, and takes ten statements."""
    with_ceremony = Client._login  # type: ignore[attr-defined]

    def login(self: Any, user: Any, backend: str | None = None) -> None:
        if self.cookies or backend is None:
            with_ceremony(self, user, backend)
            return
        request = HttpRequest()
        request.session = session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = backend
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        self._set_login_cookies(request)

    Client._login = login  # type: ignore[attr-defined]


def load_views() -> None:
    """Before a test opens its transaction: on a busy machine the first request would outlast it."""
    _ = get_resolver().url_patterns


def compile_tests(config: pytest.Config, *, backwards: bool) -> None:
    """What importing them would compile and keep; what another worker has compiled is read."""
    for path in sorted(config.rootpath.glob("tests/**/test_*.py"), reverse=backwards):
        kept = rewrite.get_cache_dir(path) / (path.stem + rewrite.PYC_TAIL)
        if rewrite.try_makedirs(kept.parent) and rewrite._read_pyc(path, kept) is None:
            with suppress(SyntaxError):  # collecting it will tell
                seen, code = rewrite._rewrite_test(path, config)
                rewrite._write_pyc(config.stash[assertstate_key], code, seen, kept)


def take_probes_out_seldom() -> None:
    """Each time a line was met often, SlipCover walks all modules, half a second, to take seen lines' probes out."""
    take_out = getattr(Slipcover, "deinstrument_seen", None)
    if (
        take_out is None
    ):  # from Python 3.12 on it is told to look no more at a line without any walk
        return

    def when_it_pays(self: Slipcover) -> None:
        if sum(map(len, list(self.newly_seen.values()))) >= WORTH_A_WALK:
            take_out(self)

    Slipcover.deinstrument_seen = when_it_pays
