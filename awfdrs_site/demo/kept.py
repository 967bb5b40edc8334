"""The only place where the demo keeps what it must say again: its password, keys and address."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from secrets import token_urlsafe

from django.conf import settings
from django.core.management.base import CommandError

from awfdrs_site import embedded
from awfdrs_site.demo.cast import KEYS, Company
from awfdrs_site.lib.problems import Problem
from awfdrs_site.wheels.machine import locked, read_values, write_private
from tenants import auth, scoping

PASSWORD_BYTES = 12
PASSWORD_LEAST_CHARACTERS = 12  # what the product asks of every password


def refuse_in_production() -> None:
    """Known people with one password belong on a machine of one's own."""
    if not (settings.EMBEDDED or settings.DEBUG):
        raise CommandError(
            "Demo data is for the embedded servers or DEBUG=true, not for DATABASE_URL alone."
        )


def refuse_without_servers() -> None:
    """One clear line instead of a connection refused."""
    if settings.EMBEDDED and embedded.attached(settings.AWFDRS_DATA) is None:
        raise CommandError(f"Nothing runs in {settings.AWFDRS_DATA}: start it with make run.")


def password() -> str:
    """DEMO_PASSWORD, else the one that was made at the first seeding."""
    given = os.environ.get("DEMO_PASSWORD", "")
    if given and len(given) < PASSWORD_LEAST_CHARACTERS:
        raise CommandError(f"DEMO_PASSWORD needs {PASSWORD_LEAST_CHARACTERS} characters.")
    return given or keep("password", lambda old: old or token_urlsafe(PASSWORD_BYTES))


def key(company: Company, name: str) -> str:
    """The API key of that name, issued anew when the one kept is no longer taken."""
    return keep(f"{company.slug}.{name}", lambda old: _valid_key(company, name, old))


def base_url() -> str:
    """Where the stack of this data directory answers, or would."""
    return read_values(_path("address.json")).get("base_url") or url_of(
        settings.HOST, settings.PORT
    )


def url_of(host: str, port: int) -> str:
    """Where to reach a server bound to `host` from this machine."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    name = f"[{reachable}]" if ":" in reachable else reachable
    return f"http://{name}:{port}"


def announce(url: str) -> None:
    """Remember where the stack answers, for the commands that run beside it."""
    settings.AWFDRS_DATA.mkdir(parents=True, exist_ok=True)
    write_private(_path("address.json"), json.dumps({"base_url": url}))


def withdraw() -> None:
    _path("address.json").unlink(missing_ok=True)


def keep(name: str, make: Callable[[str], str]) -> str:
    """The value kept under `name`; `make` gets it ("" at first) and says what it is from now on."""
    data: Path = settings.AWFDRS_DATA
    data.mkdir(parents=True, exist_ok=True)
    with locked(data, "demo"):
        values = read_values(_path("demo.json"))
        kept = values.get(name, "")
        value = make(kept)
        if value != kept:
            write_private(_path("demo.json"), json.dumps(values | {name: value}, indent=1))
        return value


def known(name: str) -> str:
    """What is kept under `name`, without asking the database; "" when nothing is."""
    return read_values(_path("demo.json")).get(name, "")


def _path(name: str) -> Path:
    data: Path = settings.AWFDRS_DATA
    return data / name


def _valid_key(company: Company, name: str, kept: str) -> str:
    if kept and _is_taken(kept):
        return kept
    with scoping.bound(company.id) as now:
        scopes = [str(scope) for scope in KEYS[name]]
        return auth.issue_key(tenant_id=company.id, name=name, scopes=scopes, now=now).token


def _is_taken(token: str) -> bool:
    try:
        auth.caller_of_key(f"Bearer {token}")
    except Problem as refused:
        return refused.code == "tenant_inactive"  # the key itself is good
    return True
