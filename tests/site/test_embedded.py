"""The embedded servers, for real: what the run's own promise, and how some of their own start, stop and die."""

import base64
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from psycopg.conninfo import make_conninfo

from awfdrs_site import embedded
from awfdrs_site.wheels import machine, postgres

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "awfdrs_site.embedded"]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as another user")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Open to every account, which pytest's own temporary directories are not."""
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        yield Path(parent) / "data"
        embedded.remove(Path(parent) / "data")


@pytest.fixture
def shared_dir() -> Path:
    """Where the servers of the whole run are."""
    return Path(os.environ["AWFDRS_DATA"])


@pytest.fixture
def running(shared_dir: Path) -> embedded.Servers:
    """Servers that the tests only look at: the run's, which nobody stops or kills."""
    return embedded.start(shared_dir)


def value(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def answers(redis_url: str) -> bool:
    with redis.Redis.from_url(redis_url) as client:
        return bool(client.ping())


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("setting", "promised"),
    [
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("shared_buffers", "128MB"),
        ("max_connections", "200"),
        ("TimeZone", "UTC"),
        ("server_encoding", "UTF8"),
        ("password_encryption", "scram-sha-256"),
    ],
)
def test_postgres_runs_with_the_settings_it_promises(
    running: embedded.Servers, setting: str, promised: str
) -> None:
    assert value(running.database_owner_url, f"show {setting}") == promised


def test_the_application_logs_in_to_its_database_owning_and_inheriting_nothing(
    running: embedded.Servers,
) -> None:
    assert value(running.database_url, "select current_database() || current_user") == (
        "awfdrsawf_login"
    )
    rights = "select rolinherit or rolsuper or rolcreatedb or rolcreaterole or rolbypassrls"
    assert value(running.database_url, f"{rights} from pg_roles where rolname = current_user") is (
        False
    )


def test_the_owner_is_the_superuser(running: embedded.Servers) -> None:
    assert value(running.database_owner_url, "select current_user") == "postgres"
    assert value(running.database_owner_url, "show is_superuser") == "on"


def test_case_folds_in_every_script_whatever_the_machines_locale(
    running: embedded.Servers,
) -> None:
    assert value(running.database_url, "select lower('ÉTÉ ЖУК')") == "été жук"


@pytest.mark.parametrize("password", ["", "guessed"])
def test_postgres_refuses_a_wrong_password(running: embedded.Servers, password: str) -> None:
    guess = make_conninfo(running.database_owner_url, password=password)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(guess)


def test_valkey_refuses_whoever_has_no_password(running: embedded.Servers) -> None:
    address = running.redis_url.rpartition("@")[2]
    with pytest.raises(redis.AuthenticationError), redis.Redis.from_url(f"redis://{address}") as it:
        it.ping()


def test_valkey_keeps_nothing_on_disk(running: embedded.Servers, shared_dir: Path) -> None:
    with redis.Redis.from_url(running.redis_url) as client:
        assert [str(text) for text in client.config_get("save").values()] == [""]
        assert [str(text) for text in client.config_get("appendonly").values()] == ["no"]
        client.set("key", "value")
    assert not list(shared_dir.glob("*.rdb"))


def test_no_command_line_shows_a_password(running: embedded.Servers, shared_dir: Path) -> None:
    listing = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True).stdout
    assert "postgres" in listing
    assert not [secret for secret in embedded.secrets(shared_dir).values() if secret in listing]


def test_starting_again_attaches_to_the_same_servers(
    running: embedded.Servers, shared_dir: Path
) -> None:
    assert embedded.start(shared_dir) == running
    assert embedded.attached(shared_dir) == running


def test_a_stranger_on_the_recorded_port_is_not_taken_for_our_valkey(
    running: embedded.Servers, data_dir: Path
) -> None:
    port = running.redis_url.rpartition(":")[2].removesuffix("/0")
    data_dir.mkdir()
    machine.write_private(data_dir / "servers.json", json.dumps({"valkey_port": int(port)}))
    assert embedded.attached(data_dir) is None


@pytest.mark.faults
def test_two_starters_at_once_end_with_one_pair_of_servers(data_dir: Path) -> None:
    starters = [
        subprocess.Popen([*COMMAND, "start", data_dir], cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    first, second = (starter.communicate()[0] for starter in starters)
    assert [starter.returncode for starter in starters] == [0, 0]
    assert json.loads(first) == json.loads(second)


@pytest.mark.faults
def test_what_was_committed_survives_kill_9_of_both_servers(data_dir: Path) -> None:
    before = embedded.start(data_dir)
    execute(before.database_owner_url, "create table kept as select 42 as answer")
    kill(before.postgres_pid, before.valkey_pid)

    after = embedded.start(data_dir)

    assert value(after.database_owner_url, "select answer from kept") == 42
    assert answers(after.redis_url)
    assert {after.postgres_pid, after.valkey_pid}.isdisjoint(
        {before.postgres_pid, before.valkey_pid}
    )


@pytest.mark.faults
@pytest.mark.parametrize("dead", ["postgres_pid", "valkey_pid"])
def test_only_the_dead_server_is_started_again(data_dir: Path, dead: str) -> None:
    before = embedded.start(data_dir)
    kill(getattr(before, dead))
    assert embedded.attached(data_dir) is None

    after = embedded.start(data_dir)

    changed = {
        name
        for name in ("postgres_pid", "valkey_pid")
        if getattr(before, name) != getattr(after, name)
    }
    assert changed == {dead}


@pytest.mark.faults
def test_a_postgres_whose_starter_was_killed_is_adopted(data_dir: Path) -> None:
    embedded.start(data_dir)
    embedded.stop(data_dir)
    keys = embedded.secrets(data_dir)
    owner, login = keys["DATABASE_OWNER_PASSWORD"], keys["DATABASE_PASSWORD"]
    cluster = postgres.place(data_dir, owner_password=owner, login_password=login)
    postgres.start(cluster)  # and the starter died here, before Valkey
    orphan = postgres.answering(cluster)

    assert orphan
    assert embedded.start(data_dir).postgres_pid == orphan.pid


@pytest.mark.faults
def test_an_initdb_cut_short_is_begun_anew(data_dir: Path) -> None:
    (data_dir / "postgres.unfinished").mkdir(parents=True)
    (data_dir / "postgres.unfinished" / "PG_VERSION").write_text("18\n")
    assert value(embedded.start(data_dir).database_url, "select 1") == 1


@pytest.mark.faults
def test_stopping_is_clean_and_starting_resumes_the_data(data_dir: Path) -> None:
    before = embedded.start(data_dir)
    execute(before.database_owner_url, "create table kept as select 42 as answer")
    embedded.stop(data_dir)

    assert embedded.attached(data_dir) is None
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(before.database_url)
    with pytest.raises(redis.ConnectionError):
        answers(before.redis_url)
    assert "database system is shut down" in (data_dir / "postgres" / "server.log").read_text()

    after = embedded.start(data_dir)
    assert value(after.database_owner_url, "select answer from kept") == 42
    assert "not properly shut down" not in (data_dir / "postgres" / "server.log").read_text()


@pytest.mark.faults
def test_stopping_twice_and_stopping_nothing_are_fine(data_dir: Path) -> None:
    embedded.stop(data_dir)
    embedded.start(data_dir)
    embedded.stop(data_dir)
    embedded.stop(data_dir)
    assert embedded.attached(data_dir) is None


def test_asking_whether_they_run_starts_and_makes_nothing(data_dir: Path) -> None:
    assert embedded.attached(data_dir) is None
    assert not data_dir.exists()


def test_secrets_are_made_once_and_for_their_owner_alone(data_dir: Path) -> None:
    made = embedded.secrets(data_dir)
    assert embedded.secrets(data_dir) == made
    assert stat.S_IMODE((data_dir / "secrets.json").stat().st_mode) == 0o600
    assert len(made["SECRET_KEY"]) >= 64
    assert len(base64.urlsafe_b64decode(made["ENCRYPTION_KEY"])) == 32
    assert len(set(made.values())) == len(made) == 7


def test_a_secret_of_a_later_release_is_added_and_the_others_stay(data_dir: Path) -> None:
    made = embedded.secrets(data_dir)
    older = {name: secret for name, secret in made.items() if name != "METRICS_TOKEN"}
    (data_dir / "secrets.json").write_text(json.dumps(older))
    assert embedded.secrets(data_dir).items() > older.items()


def test_status_tells_scripts_by_its_exit_code(running: embedded.Servers, shared_dir: Path) -> None:
    status = [*COMMAND, "status"]
    there = subprocess.run([*status, shared_dir], cwd=ROOT, capture_output=True, text=True)
    nowhere = subprocess.run([*status, shared_dir / "no"], cwd=ROOT, capture_output=True, text=True)
    assert (there.returncode, json.loads(there.stdout)["postgres_pid"]) == (0, running.postgres_pid)
    assert (nowhere.returncode, nowhere.stdout) == (embedded.NOT_RUNNING, "")


def test_without_the_wheels_it_says_what_to_install() -> None:
    with pytest.raises(embedded.EmbeddedError, match="requirements-dev"):
        machine.wheel("a_wheel_that_nobody_made")


@as_root
def test_root_starts_postgres_as_an_account_without_rights(running: embedded.Servers) -> None:
    assert Path(f"/proc/{running.postgres_pid}").stat().st_uid != 0


@as_root
@pytest.mark.faults
def test_root_in_a_closed_home_gets_data_and_binaries_where_that_account_can_go(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = data_dir.parent / "home"
    installed = machine.wheel(postgres.WHEEL).parent
    for part in (f"{postgres.WHEEL}/{postgres.RELEASE}", f"{postgres.WHEEL}.libs"):
        shutil.copytree(installed / part, home / part)
    shutil.copy(installed / postgres.WHEEL / "__init__.py", home / postgres.WHEEL)
    for path in home.rglob("*"):  # as pip leaves them under umask 077
        path.chmod(0o700)
    home.chmod(0o700)
    monkeypatch.syspath_prepend(home)
    closed = home / "var"

    try:
        servers = embedded.start(closed)
        sheltered = (closed / "postgres").resolve()
        program = Path(f"/proc/{servers.postgres_pid}/exe").resolve()
        assert value(servers.database_url, "select 1") == 1
        assert sheltered.is_relative_to(postgres.SHELTER)
        assert program.is_relative_to(sheltered.parent)
        embedded.stop(closed)
        assert embedded.start(closed).postgres_pid != servers.postgres_pid
        assert (closed / "postgres").resolve() == sheltered
    finally:
        embedded.remove(closed)
    assert not sheltered.parent.exists()
