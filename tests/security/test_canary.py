"""A word planted in every text of Globex is read by nobody at Acme: pages, API, exports, administration, logs.

tests/security/test_feed_of_two.py listens to the feed.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from awfdrs_site.lib import logs
from tenants import exporting
from tenants.journal import SYSTEM
from tenants.models import Tenant
from tenants.states import Role
from tests.admin.pages import pages as admin_pages
from tests.admin.pages import rows_of, unknown_id
from tests.api.access_table import API, NOBODY_ELSE, PAGES
from tests.api.world import Things, one_of_everything
from tests.cast import Api, digest_all, key_of
from tests.databases import Owner
from tests.factories import UserFactory
from tests.faults.sizes import sized
from tests.security.canary import WORD, ids_of, plant, used
from tests.security.test_walls_over_http import client_of, filled, thing_of

UUIDS = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SEARCHES = ("incidents/?q=", "runs/?q=", "events/?q=", "audit/?q=", "deliveries/?q=", "inbox/?q=")
EVERY = sized(small=6, full=1)  # of 300 addresses
# What only takes certain words, or none of that length.
CLOSED = re.compile(r"\.(action_type|kind|outcome|role|scope|severity|signature|state|status)$")


@dataclass(frozen=True)
class Reader:
    """Somebody who may read everything of one tenant, in a browser and with a key."""

    client: Client
    api: Api
    things: Things
    in_admin: dict[Any, Any]

    def addresses(self) -> Iterator[tuple[str, Client | Api, str]]:
        """Name, who asks, and where."""
        guest = UserFactory()
        for path, verb in PAGES.items():
            if verb != NOBODY_ELSE:
                address = filled(path, self.things.ids.get(thing_of(path), guest.pk))
                yield path, self.client, address
        for search in SEARCHES:
            yield search, self.client, f"/{search}{WORD[:-1]}"  # the page repeats what was asked
        for (method, route), row in API.items():
            if method == "GET":
                filled_in = route.replace("<id:pk>", str(self.things.ids.get(row.of)))
                yield route, self.api, f"/api/v1/{filled_in}?{row.query}"
        for page in admin_pages():
            pk = self.in_admin[page.model].pk if page.model in self.in_admin else None
            unknown = unknown_id(page.model) if page.model else None
            yield page.name, self.client, page.path(pk or unknown)
        yield "metrics", self.client, "/metrics"

    def read(self) -> Iterator[tuple[str, str]]:
        # from outside: only who runs the platform reads what names tenants
        self.client.defaults["REMOTE_ADDR"] = "203.0.113.7"
        for number, (name, asking, address) in enumerate(self.addresses()):
            if number % EVERY == 0:
                yield name, _text(asking.get(address))


def _text(answer: Any) -> str:
    whole = b"".join(answer.streaming_content) if answer.streaming else answer.content
    found: str = whole.decode(errors="replace")
    return found


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Every line, as it is written."""
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Kept()
    handler.setFormatter(logs.json_formatter())
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


def reader(tenant: Tenant, owner: Owner) -> Reader:
    things = one_of_everything(tenant, f"{tenant.slug}-word")
    in_admin = rows_of(tenant, f"{tenant.slug}-too")
    used(tenant, owner)
    digest_all()
    return Reader(client_of(tenant, Role.ADMIN), Api(key_of(tenant)), things, in_admin)


def _exported(tenant: Tenant, to: Path) -> dict[str, str]:
    exporting.export(tenant.pk, to=to, by=SYSTEM, texts={})
    return {one.name: one.read_text(errors="replace") for one in to.iterdir()}


@pytest.mark.faults
@pytest.mark.django_db(transaction=True)
def test_a_word_in_every_text_of_one_tenant_is_read_by_nobody_of_another(
    acme: Tenant,
    globex: Tenant,
    owner: Owner,
    tmp_path: Path,
    logged: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    ann, mallory = reader(acme, owner), reader(globex, owner)
    planted = plant(owner, globex.pk)
    assert planted.empty == []
    assert [name for name in planted.refused if not CLOSED.search(name)] == []
    theirs = ids_of(owner, globex.pk)

    read = dict(ann.read())
    files = _exported(acme, tmp_path / "own")
    leaks = [
        name
        for name, text in (read | files).items()
        if WORD in text or theirs & set(UUIDS.findall(text))
    ]
    assert leaks + [line for line in logged if WORD in line] == []

    # the control: it was there to be read, by those whose it is
    seen = [name for name, text in mallory.read() if WORD in text]
    exported = [
        name for name, text in _exported(globex, tmp_path / "theirs").items() if WORD in text
    ]
    with capsys.disabled():
        print(
            f"\nplanted in {len(planted.taken)} columns ({len(planted.refused)} take certain words only);"
            f" {len(read)} answers and {len(files)} files read: 0 hits;"
            f" control: {len(seen)} answers and {len(exported)} files"
        )
    assert len(seen) > 40 // EVERY
    assert len(exported) > 20
