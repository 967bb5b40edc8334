"""What every problem answer must be, for the tests that get one."""

import json
from typing import Any


def members(response: Any) -> dict[str, Any]:
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(response.content)
    # RFC 9457 and API.md: these are in every one of them
    assert {"type", "title", "status", "code", "detail", "instance", "correlation_id"} <= set(body)
    assert body["status"] == response.status_code
    assert body["type"] == f"/problems/{body['code']}"
    return body
