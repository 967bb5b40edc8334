"""A wrong setting stops the start with one clear line, and nothing dangerous starts by accident."""

import os
import subprocess
import sys

import pytest

PRODUCTION = {
    "DATABASE_URL": "postgresql://awf_login:none@127.0.0.1:1/awfdrs",
    "SECRET_KEY": "of-no-use-anywhere-but-in-this-test-0123456789-abcdefghij",
    "ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "ALLOWED_HOSTS": "awfdrs.example.org",
    "PUBLIC_URL": "https://awfdrs.example.org",
}


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env=os.environ | PRODUCTION | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("AI_MODE", "openai", "AI_MODE=openai is not available"),
        (
            "AI_CONFIDENCE_THRESHOLD",
            "7",
            "AI_CONFIDENCE_THRESHOLD must be a number between 0 and 1",
        ),
        ("MAX_RETRIES_PER_WORKFLOW", "many", "MAX_RETRIES_PER_WORKFLOW must be a whole number"),
        ("ENABLE_AUTO_RETRY", "maybe", "ENABLE_AUTO_RETRY must be true or false"),
        ("OUTBOUND_ALLOW_CIDRS", "everywhere", "OUTBOUND_ALLOW_CIDRS must list networks"),
        ("SECRET_KEY", "short", "SECRET_KEY must be set to at least 50"),
        ("ENCRYPTION_KEY", "c2hvcnQ=", "ENCRYPTION_KEY must be 32 random bytes"),
        ("AUDIT_KEY", "no base64!", "AUDIT_KEY must be 32 random bytes"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL must be"),
        ("PUBLIC_URL", "awfdrs.example.org", "PUBLIC_URL must be an address"),
        ("AWF_FAILPOINTS", "ingest.before_commit=raise", "not in production"),
        ("ENABLE_TRACING", "true", "ENABLE_TRACING needs OTEL_EXPORTER_OTLP_ENDPOINT"),
    ],
)
def test_a_wrong_value_stops_the_start_with_one_line(name: str, value: str, says: str) -> None:
    ended = manage("check", **{name: value})
    assert ended.returncode == 1
    assert says in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_a_production_environment_passes_the_deploy_checks() -> None:
    ended = manage("check", "--deploy", "--fail-level", "WARNING")
    assert ended.returncode == 0, ended.stderr


def test_links_that_open_from_nowhere_are_a_deploy_warning() -> None:
    ended = manage("check", "--deploy", "--fail-level", "WARNING", PUBLIC_URL="")
    assert ended.returncode == 1
    assert "links in e-mails" in ended.stderr


def test_open_private_networks_are_a_deploy_warning() -> None:
    ended = manage(
        "check", "--deploy", "--fail-level", "WARNING", OUTBOUND_ALLOW_CIDRS="10.0.0.0/8"
    )
    assert ended.returncode == 1
    assert "10.0.0.0/8" in ended.stderr
