"""Secrets are compared in constant time: how long an answer takes tells nothing of how much of it was right."""

import hmac
from typing import Any

import pytest
from django.test import Client, override_settings

from actions import signing
from tenants import auth
from tenants.models import Tenant
from tests.cast import Api, key_of, secret_of


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """What was compared in constant time."""
    pairs: list[tuple[Any, Any]] = []
    really = hmac.compare_digest

    def noting(one: Any, other: Any) -> bool:
        pairs.append((one, other))
        return really(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noting)
    return pairs


def test_a_keys_secret_is_compared_in_constant_time(
    acme: Tenant, compared: list[tuple[Any, Any]]
) -> None:
    token = key_of(acme)
    assert Api(token).get("/api/v1/workflows").status_code == 200
    good = auth.hash_secret(secret_of(token))
    # the one in use and the one that it replaces, both every time
    assert [pair[0] for pair in compared if pair[0] == good] == [good, good]
    assert (good, good) in compared


@override_settings(METRICS_TOKEN="the-token")
def test_the_metrics_token_is_compared_in_constant_time(
    db: None, client: Client, compared: list[tuple[Any, Any]]
) -> None:
    client.get("/metrics", REMOTE_ADDR="203.0.113.7", HTTP_AUTHORIZATION="Bearer other")
    assert (b"Bearer other", b"Bearer the-token") in compared


def test_signatures_are_compared_in_constant_time(compared: list[tuple[Any, Any]]) -> None:
    assert not signing._is_same("v1,one", "v1,other")
    assert compared == [(b"v1,one", b"v1,other")]
