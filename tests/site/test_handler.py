"""A request is one step into a thread: files come whole, and the thread's connection goes back with the answer."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.signals import request_finished

from awfdrs_site.asgi import application

STYLES = "css/layout.css"


async def ask(method: str, path: str) -> tuple[dict[str, Any], bytes]:
    """The beginning of the answer, and all of its body."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "scheme": "http",
        "http_version": "1.1",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    return sent[0], b"".join(message["body"] for message in sent[1:])


async def test_a_file_comes_whole_and_a_question_about_it_without_it() -> None:
    written = Path(settings.BASE_DIR, "static", STYLES).read_bytes()
    for method, expected in (("GET", written), ("HEAD", b"")):
        began, body = await ask(method, f"/static/{STYLES}")
        assert (began["status"], body) == (200, expected)
        assert dict(began["headers"])[b"Content-Length"] == str(len(written)).encode()


async def test_every_answer_ends_its_request_once() -> None:
    """Then Django gives the connection back to the pool."""
    ended: list[object] = []

    def hear(sender: object, **_: object) -> None:
        ended.append(sender)

    request_finished.connect(hear)
    try:
        await ask("GET", f"/static/{STYLES}")
        await ask("GET", "/static/nowhere.css")
    finally:
        request_finished.disconnect(hear)
    assert len(ended) == 2
