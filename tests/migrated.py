"""The only place that keeps what `migrate` made, so that the next run of the same migrations need not make it again."""

import hashlib
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from awfdrs_site.wheels import machine, postgres
from tenants import roles

_HOME = Path(__file__).resolve().parent.parent
_KEPT = _HOME / ".pytest_cache" / "awfdrs"
_KEPT_MOST = 4
# What migrations are made of, and what Django writes after them: content types, permissions, grants.
_SOURCES = ("*/migrations/*.py", "*/models.py", "*/models/*.py", "*/*_models.py", "tenants/*.py")
_ALSO = ("requirements.txt", "awfdrs_site/settings.py", "tests/migrated.py")


def lay_down() -> None:
    """An empty database, migrated. A clean checkout migrates; after that the dump of that is read back."""
    dump = _dump()
    if dump.exists():
        roles.ensure(owner_url=settings.DATABASE_OWNER_URL, login=settings.DATABASE_LOGIN)
        _client(
            "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-1", "-o", os.devnull, "-f", str(dump)
        )
        return
    call_command("migrate", verbosity=0, interactive=False, skip_checks=True)
    connections.close_all()  # a database is only copied while nobody is in it
    _keep(dump)


def keep() -> None:
    """`make check` has migrated an empty database just now, and the tests after it need not."""
    _keep(_dump())


def _dump() -> Path:
    return _KEPT / f"{_fingerprint()}.sql"


def _keep(dump: Path) -> None:
    _KEPT.mkdir(parents=True, exist_ok=True)
    for older in sorted(_KEPT.iterdir(), key=lambda path: path.stat().st_mtime)[:-_KEPT_MOST]:
        older.unlink(missing_ok=True)
    partial = dump.with_suffix(f".{os.getpid()}")
    _client("pg_dump", "--file", str(partial))
    partial.rename(dump)


def _fingerprint() -> str:
    files = sorted({path for pattern in _SOURCES for path in _HOME.glob(pattern)})
    seen = hashlib.sha256(f"{datetime.now(UTC):%Y%m%d}".encode())  # the days that have a partition
    for path in [*files, *(_HOME / name for name in _ALSO)]:
        seen.update(str(path.relative_to(_HOME)).encode() + b"\0" + path.read_bytes() + b"\0")
    return seen.hexdigest()[:32]


def _client(program: str, *arguments: str) -> None:
    path = machine.wheel(postgres.WHEEL) / postgres.RELEASE / "bin" / program
    command = [str(path), *arguments, "--dbname", settings.DATABASE_OWNER_URL]
    subprocess.run(command, check=True, capture_output=True, text=True)


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "awfdrs_site.settings"
    keep()
