"""What the client's tests talk to: the product's ASGI application in a thread, on this test's database."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from awfdrs_site.client import Client
from tenants.models import Tenant
from tests.cast import key_of

STARTING_SECONDS = 15


@pytest.fixture(scope="session")
def api_origin(django_db_setup: None) -> Iterator[str]:
    config = uvicorn.Config(
        "awfdrs_site.asgi:application", host="127.0.0.1", port=0, lifespan="off", log_level="error"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="api", daemon=True)
    thread.start()
    give_up_at = time.monotonic() + STARTING_SECONDS
    while not server.started:
        assert thread.is_alive(), "the API stopped while starting"
        assert time.monotonic() < give_up_at, "the API did not start"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(STARTING_SECONDS)


@pytest.fixture
def key(transactional_db: None, acme: Tenant) -> str:
    return key_of(acme)


@pytest.fixture
def client(api_origin: str, key: str, tmp_path: Path) -> Client:
    return Client(api_origin, key, workflow="checkout", spool=tmp_path / "spool", background=False)
