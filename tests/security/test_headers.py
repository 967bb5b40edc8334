"""What every kind of answer tells a browser, whose hosts and origins are served, and what the database gives up on."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from tests.cast import signed_in
from tests.factories import PASSWORD

ROOT = Path(__file__).parents[2]
OWN_POLICY = ("default-src 'self'", "script-src 'self'", "style-src 'self'", "object-src 'none'")
ANSWERS = [
    # (path, status): one of every kind of answer
    ("/sign-in/", 302),
    ("/incidents/", 200),
    ("/nowhere/", 404),
    ("/incidents/deadbeef-0000-4000-8000-000000000003/", 404),
    ("/settings/members/", 403),
    ("/admin/", 403),
    ("/api/v1/incidents", 200),
    ("/api/v1/nowhere", 404),
    ("/api/v1/incidents?nonsense=1", 422),
    ("/api/schema", 200),
    ("/metrics", 200),
    ("/static/css/app.css", 404),
]


@pytest.fixture
def desk(alice: User) -> Client:
    return signed_in(alice)


def test_every_kind_of_answer_carries_its_headers(desk: Client) -> None:
    for path, status in ANSWERS:
        answer = desk.get(path)
        assert answer.status_code == status, path
        assert answer["X-Content-Type-Options"] == "nosniff", path
        assert answer["X-Frame-Options"] == "DENY", path
        assert answer["Referrer-Policy"] == "same-origin", path
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin", path
        policy = answer["Content-Security-Policy"]
        for directive in (*OWN_POLICY, "frame-ancestors 'none'", "base-uri 'none'"):
            assert directive in policy, (path, directive)
        assert "unsafe" not in policy, path
        assert "Access-Control-Allow-Origin" not in answer, path


def test_another_hosts_name_is_refused(desk: Client) -> None:
    for host in ("evil.example", "localhost.evil.example", "localhost@evil.example"):
        for path in ("/sign-in/", "/incidents/", "/api/v1/incidents"):
            answer = desk.get(path, headers={"host": host})
            assert answer.status_code == 400, (host, path)
            assert "evil" not in answer.content.decode()


@pytest.mark.parametrize("path", ["/theme/", "/tenant/", "/kill-switches/activate/", "/sign-in/"])
def test_a_form_without_its_token_is_refused(alice: User, path: str) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(alice)
    assert client.post(path, {"reason": "x"}).status_code == 403


def test_a_form_of_another_origin_is_refused_even_with_the_token(alice: User) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(alice)
    client.get("/incidents/")
    token = client.cookies["csrftoken"].value
    sent = {"csrfmiddlewaretoken": token, "theme": "dark"}
    own = client.post("/theme/", sent, headers={"origin": "http://testserver"})
    foreign = client.post("/theme/", sent, headers={"origin": "https://evil.example"})
    # the control: the token is right, only where it comes from is not
    assert own.status_code != 403
    assert foreign.status_code == 403


def test_the_sessions_cookie_is_out_of_every_scripts_reach(alice: User) -> None:
    client = Client()
    client.get("/sign-in/")
    client.post("/sign-in/", {"username": "alice", "password": PASSWORD})
    cookies = client.cookies
    assert cookies["sessionid"]["httponly"]
    for name in ("sessionid", "csrftoken"):
        assert cookies[name]["samesite"] == "Lax", name


def test_in_production_cookies_and_pages_go_over_tls_only() -> None:
    shown = "import json; from awfdrs_site import settings as s; print(json.dumps({n: getattr(s, n) for n in %r}))"
    names = [
        *("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT"),
        *("SECURE_HSTS_SECONDS", "SECURE_HSTS_INCLUDE_SUBDOMAINS", "DEBUG", "CORS_ORIGINS"),
        "STAFF_NEEDS_SECOND_STEP",
    ]
    ran = subprocess.run(
        [sys.executable, "-c", shown % names],
        env={**os.environ, **_production()},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ran.stdout) == {
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SECURE_SSL_REDIRECT": True,
        "SECURE_HSTS_SECONDS": 31_536_000,
        "SECURE_HSTS_INCLUDE_SUBDOMAINS": True,
        "DEBUG": False,
        "CORS_ORIGINS": [],
        "STAFF_NEEDS_SECOND_STEP": True,
    }


def _production() -> dict[str, str]:
    return {
        "SECRET_KEY": "of-no-use-anywhere-but-in-this-test-0123456789-abcdefghijkl",
        "ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        "DATABASE_URL": "postgresql://awf_login:none@127.0.0.1:1/awfdrs",
        "DATABASE_OWNER_URL": "postgresql://postgres:none@127.0.0.1:1/awfdrs",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "ALLOWED_HOSTS": "awfdrs.example.org",
        "PUBLIC_URL": "https://awfdrs.example.org",
    }


def test_a_statement_a_lock_and_an_idle_transaction_end_by_themselves(db: None) -> None:
    # of the role and not of the connection's options, so that they hold behind PgBouncer too
    found: dict[str, Any] = {}
    with connection.cursor() as cursor:
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            cursor.execute("select setting::int, source from pg_settings where name = %s", [name])
            found[name] = cursor.fetchone()
    assert found == {
        "statement_timeout": (15_000, "user"),
        "lock_timeout": (5_000, "user"),
        "idle_in_transaction_session_timeout": (15_000, "user"),
    }
