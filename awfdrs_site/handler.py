"""The only way from ASGI into Django: one step into a thread for all that a request is, and threads that stay."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.signals import request_started
from django.http import HttpResponse
from django.urls import get_resolver, set_script_prefix

from awfdrs_site.lib import memory

Message = Mapping[str, Any]

# More than could ever wait for a database that hangs: probes and the answers of the deadline need one too.
THREADS_MOST = 1000

_threads = ThreadPoolExecutor(THREADS_MOST, thread_name_prefix="request")


class Handler(ASGIHandler):
    """Nothing of ours is asynchronous: Django starts a thread for each request, and changes sides five times."""

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        answered = asyncio.get_running_loop().run_in_executor(
            _threads, copy_context().run, self._answer, scope, body
        )
        await self.send_response(await answered, send)

    def _answer(self, scope: dict[str, Any], body: Any) -> HttpResponse:
        """Closed, and its connection given back, whether or not anybody waits for it still."""
        set_script_prefix(get_script_prefix(scope))
        request_started.send(sender=type(self), scope=scope)
        with body:
            request, refusal = self.create_request(scope, body)
            response: Any = refusal if request is None else self.get_response(request)
            response._handler_class = type(self)
            try:
                return _whole(response)
            finally:
                response.close()


def _whole(response: Any) -> HttpResponse:
    """Files of ours are small, and read here: the loop reads none."""
    if not response.streaming:
        return response  # type: ignore[no-any-return]
    whole = HttpResponse(b"".join(response), status=response.status_code, headers=response.headers)
    whole.cookies = response.cookies
    return whole


def settle() -> None:
    """Load every view before the first request asks for it."""
    _ = get_resolver().url_patterns
    memory.settle()
