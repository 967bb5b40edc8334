"""A wrong setting stops the start with one clear line, and nothing dangerous starts by accident."""

import os
import runpy
import subprocess
import sys

import pytest
from django.core.checks import WARNING, CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

PRODUCTION = {
    "DATABASE_URL": "postgresql://awf_login:none@127.0.0.1:1/awfdrs",
    "SECRET_KEY": "of-no-use-anywhere-but-in-this-test-0123456789-abcdefghij",
    "ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "ALLOWED_HOSTS": "awfdrs.example.org",
    "PUBLIC_URL": "https://awfdrs.example.org",
}


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
def test_a_wrong_value_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    for known, right in (PRODUCTION | {name: value}).items():
        monkeypatch.setenv(known, right)
    with pytest.raises(ImproperlyConfigured, match=says):
        runpy.run_path("awfdrs_site/settings.py")


def test_what_is_refused_stops_the_start_with_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env=os.environ | PRODUCTION | {"LOG_LEVEL": "LOUD"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "LOG_LEVEL must be" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


# That a production environment passes `check --deploy` is held by `make check`, which makes that check.
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PUBLIC_URL", "", "links in e-mails"),
        ("OUTBOUND_ALLOW_CIDRS", ["10.0.0.0/8"], "10.0.0.0/8"),
    ],
)
def test_links_from_nowhere_and_open_private_networks_are_deploy_warnings(
    settings: Settings, name: str, value: object, says: str
) -> None:
    settings.PUBLIC_URL, settings.OUTBOUND_ALLOW_CIDRS = PRODUCTION["PUBLIC_URL"], []
    assert not warned()
    setattr(settings, name, value)
    [warning] = warned()
    assert says in warning.msg
    assert warning.level >= WARNING  # what `--fail-level WARNING` ends the check with


def warned() -> list[CheckMessage]:
    """What `check --deploy` says of the site's own settings."""
    said = run_checks(tags=["security"], include_deployment_checks=True)
    return [one for one in said if str(one.id).startswith("site.")]
