"""What every test may ask for, and what a run begins with."""

import atexit
import gc
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from inspect import iscoroutinefunction
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

if TYPE_CHECKING:
    from pytest_django.plugin import DjangoDbBlocker

    from tests.cast import Travel
    from tests.databases import Owner

pytest_plugins = ["tests.faults.table"]
if servers.RUNS_NO_TEST:
    # While it and its workers import, the database is laid down that they would wait for.
    atexit.register(servers.in_background("tests.databases"))
else:
    pytest_plugins += ["tests.ready", "tests.cast"]
# What only computes is still there for the other workers while one drives a browser.
COMPUTES = {"events", "incidents", "safety"}
DATABASE = {"db", "transactional_db", "owner"}


def pytest_collection(session: pytest.Session) -> None:
    """Of a clean checkout, workers compile the tests from either end: each half of them, when they meet."""
    from tests import quick

    if servers.WORKER != "alone" and session.config.args_source.name == "TESTPATHS":
        quick.compile_tests(session.config, backwards=servers.WORKER[-1] in "13579")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest story first, so that nobody waits for it; browsers late.

    Playwright leaves an event loop running: no asynchronous test can start after it, and none with a database.
    """
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("longest"):
        return 0
    if item.get_closest_marker("browser"):
        return 2
    return 3 if _only_computes(item) else 1


def _only_computes(item: pytest.Item) -> bool:
    function = getattr(item, "function", None)
    return (
        item.path.parent.name in COMPUTES
        and item.get_closest_marker("django_db") is None
        and DATABASE.isdisjoint(getattr(item, "fixturenames", ()))
        and not iscoroutinefunction(function)
    )


def pytest_collection_finish() -> None:
    """What is imported stays: searching it for garbage again and again takes a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 1000)


@pytest.fixture(scope="session")
def owner(django_db_blocker: "DjangoDbBlocker") -> Iterator["Owner"]:
    """The database's owner, for what no running role may do."""
    from tests import databases, quick  # where no test runs, Django is not ready

    if servers.WORKER != "alone":
        quick.load_views()
    with django_db_blocker.unblock():
        yield databases.prepare(RUN)


@pytest.fixture(scope="session")
def django_db_setup(owner: "Owner") -> None:
    """pytest-django's, replaced: the database is made by the owner and used by the login."""


@pytest.fixture
def time_travel(owner: "Owner") -> Iterator["Travel"]:
    """`time_travel(hours=25)` moves this database's clock on; the next test is back in the present."""
    ahead = timedelta()

    def travel(**by: float) -> None:
        nonlocal ahead
        ahead += timedelta(**by)
        owner.move_clock(ahead)

    yield travel
    owner.move_clock(timedelta())
