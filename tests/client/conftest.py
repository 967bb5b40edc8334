"""What the client's tests talk to: the product's ASGI application in a thread, on this test's database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from awfdrs_site.client import Client
from tenants.models import Tenant
from tests.cast import key_of
from tests.support import threaded


@pytest.fixture(scope="session")
def api_origin(django_db_setup: None) -> Iterator[str]:
    with threaded.running("API") as address:
        yield address


@pytest.fixture
def key(transactional_db: None, acme: Tenant) -> str:
    return key_of(acme)


@pytest.fixture
def client(api_origin: str, key: str, tmp_path: Path) -> Client:
    return Client(api_origin, key, workflow="checkout", spool=tmp_path / "spool", background=False)
