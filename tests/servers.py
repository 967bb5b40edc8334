"""The only place where tests get servers: one Postgres for all workers, a Valkey for each, nobody else's.

Settings read the environment when they are imported, so `claim` runs before that, in every process.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from awfdrs_site import embedded
from awfdrs_site.wheels import machine, valkey

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
# What measures coverage starts workers, and leaves every test to them.
RUNS_NO_TEST = WORKER == "alone" and "SLIPCOVER_ENABLED" in os.environ
_PREFIX = "awfdrs-tests-"
_OWNER = "AWFDRS_TESTS_OWNER"  # the run's first process; its workers inherit the name
# Whatever a developer's shell points at is left alone, and decides nothing.
_FOREIGN = """
    DATABASE_URL DATABASE_OWNER_URL REDIS_URL SECRET_KEY ENCRYPTION_KEY METRICS_TOKEN ALLOWED_HOSTS CORS_ORIGINS
    ENCRYPTION_KEYS_OLD AUDIT_KEY AUDIT_KEYS_OLD
    PUBLIC_URL DEBUG PORT HOST WEB_WORKERS AWFDRS_DEMO OUTBOUND_ALLOW_CIDRS AWFDRS_RULES_DIR AWF_FAILPOINTS BEHIND_PROXY
    MAX_RETRIES_PER_WORKFLOW MAX_RETRIES_PER_VENDOR CIRCUIT_BREAKER_THRESHOLD CIRCUIT_BREAKER_TIMEOUT_SECONDS
    AI_MODE AI_CONFIDENCE_THRESHOLD ENABLE_AI_DETECTION ENABLE_AI_RCA ENABLE_AUTO_RETRY ENABLE_METRICS
    EVENT_RETENTION_DAYS INGEST_RATE_PER_KEY INGEST_BURST_PER_KEY INGEST_LANE BACKLOG_BATCH_LIMIT EMAIL_BACKEND
    METRICS_TENANT_LABELS WORKER_PORT HEARTBEAT_URL PLAIN_HTTP STATIC_ROOT PYTHONDONTWRITEBYTECODE
"""


def claim() -> Path:
    """The run's directory, made by its first process; from now on the environment points there."""
    if WORKER == "alone":
        for name in _FOREIGN.split():
            os.environ.pop(name, None)
        _remove_orphans()
        # A given AWFDRS_DATA says where: beside a stack that may run there, never in it.
        made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=os.environ.get("AWFDRS_DATA")))
        made.chmod(0o755)  # as root, Postgres runs as somebody else
        (
            made / "static"
        ).mkdir()  # as after collectstatic, or every client warns that there is none
        (made / "owner").write_text(str(os.getpid()))
        os.environ |= {"AWFDRS_DATA": str(made), _OWNER: str(os.getpid())}
    return Path(os.environ["AWFDRS_DATA"])


def start_valkey(run: Path) -> str:
    """This worker's own, whose FLUSHALL is nobody else's; returns its URL."""
    home, password = run / WORKER, embedded.secrets(run)["REDIS_PASSWORD"]
    home.mkdir(exist_ok=True)
    valkey.start(home, password=password)
    return f"redis://:{password}@{machine.LOOPBACK}:{valkey.port(home)}/0"


def in_background(module: str) -> Callable[[], None]:
    """Runs it beside us in this run's directory; what is returned ends it, if it has not ended by itself."""
    process = subprocess.Popen([sys.executable, "-m", module])

    def end() -> None:
        process.terminate()
        process.wait()

    return end


def remove(run: Path) -> None:
    """Everything the run started and kept. Only its first process does it, not what forks from it."""
    if os.environ.get(_OWNER) == str(os.getpid()) and run.exists():
        _remove(run)


def _remove(run: Path) -> None:
    password = embedded.secrets(run)["REDIS_PASSWORD"]
    for state in run.glob("*/servers.json"):
        valkey.stop(state.parent, password=password)
    embedded.remove(run)


def _remove_orphans() -> None:
    """What a killed run left behind: its servers would go on for ever."""
    if not Path("/proc/self").exists():
        return
    for orphan in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/owner"):
        if not Path("/proc", orphan.read_text()).exists():
            _remove(orphan.parent)
