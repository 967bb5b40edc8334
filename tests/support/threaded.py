"""The only place where tests run the product's ASGI application in a thread of theirs, on their database."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

STARTING_SECONDS = 60


@contextmanager
def running(name: str) -> Iterator[str]:
    """Where it answers; `name` is the thread's, and what a failure to start names."""
    config = uvicorn.Config(
        "awfdrs_site.asgi:application", host="127.0.0.1", port=0, lifespan="off", log_level="error"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name=name, daemon=True)
    thread.start()
    give_up_at = time.monotonic() + STARTING_SECONDS
    while not server.started:
        assert thread.is_alive(), f"the {name} stopped while starting"
        assert time.monotonic() < give_up_at, f"the {name} did not start"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(STARTING_SECONDS)
