"""What every test may ask for. The first lines come before Django: settings read the environment once."""

import atexit
import gc
import os
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests import servers

if "awfdrs_site.settings" in sys.modules:
    raise pytest.UsageError(
        "Unset DJANGO_SETTINGS_MODULE and --ds: tests make servers of their own."
    )
sys.dont_write_bytecode = False  # or every worker and every server of a test compiles everything
RUN = servers.claim()
atexit.register(servers.remove, RUN)
if servers.WORKER == "alone":
    # A stopped run cleans up like a finished one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
# Only while settings load: what a test starts gets an environment without them.
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "awfdrs_site.settings",
    "REDIS_URL": servers.start_valkey(RUN),
}

import django  # noqa: E402
from hypothesis import settings as hypothesis_settings  # noqa: E402

django.setup()
del os.environ["DJANGO_SETTINGS_MODULE"], os.environ["REDIS_URL"]

from django.conf import settings  # noqa: E402

from tests import databases, quick  # noqa: E402
from tests.faults.sizes import sized  # noqa: E402

# The product's is slow on purpose.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

quick.look_for_static_files_once()
quick.take_probes_out_seldom()
quick.sign_in_at_once()

# On a busy machine a slow example is no failure.
hypothesis_settings.register_profile(
    "suite", deadline=None, max_examples=sized(small=25, full=500), print_blob=True
)
hypothesis_settings.load_profile("suite")

if TYPE_CHECKING:
    from pytest_django.plugin import DjangoDbBlocker

    from tests.cast import Travel

pytest_plugins = ["tests.cast", "tests.faults.table"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest story first, so that nobody waits for it; browsers last.

    Playwright leaves an event loop running, and no asynchronous test can start after it.
    """
    items.sort(key=lambda item: ("browser" in item.path.parts, "longest" not in item.keywords))


def pytest_collection_finish() -> None:
    """What is imported stays: searching it for garbage again and again takes a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 1000)


@pytest.fixture(scope="session")
def owner(django_db_blocker: "DjangoDbBlocker") -> Iterator[databases.Owner]:
    """The database's owner, for what no running role may do."""
    if servers.WORKER != "alone":
        quick.load_views()
    with django_db_blocker.unblock():
        yield databases.prepare(RUN)


@pytest.fixture(scope="session")
def django_db_setup(owner: databases.Owner) -> None:
    """pytest-django's, replaced: the database is made by the owner and used by the login."""


@pytest.fixture
def time_travel(owner: databases.Owner) -> Iterator["Travel"]:
    """`time_travel(hours=25)` moves this database's clock on; the next test is back in the present."""
    ahead = timedelta()

    def travel(**by: float) -> None:
        nonlocal ahead
        ahead += timedelta(**by)
        owner.move_clock(ahead)

    yield travel
    owner.move_clock(timedelta())
