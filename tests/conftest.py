"""One server of each kind a run, one template a worker, and a database for each test that needs its own.

plain: Postgres as it comes, pushed by its superuser. supabase: what tests/supabase.sql makes of it, pushed by
the non-superuser that a hosted project has; supabase_closed is the same without auto-exposed objects. A test
takes `db` (a connection whose work is rolled back) or `database` (a clone of its own, for commits and threads),
and runs on plain and on supabase. After either, the books must add up.

With --pooler everything but the making and dropping of databases goes through pgbouncer in transaction mode, whose
two connections to each database serve everybody in turn. What needs a session of its own is marked so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from pytest_postgresql.janitor import DatabaseJanitor

from credits_db import cli, local, migrations
from credits_db.testing import sign_up as sign_up

HERE = Path(__file__).parent
ROOT = HERE.parent
FLAVOURS = ("plain", "supabase", "supabase_closed")
OPTIONS = {"autovacuum": "off", "max_connections": "300", "max_prepared_transactions": "0"}
POOLED: dict[str, Any] = {}  # what psycopg is told beside an address: behind a pooler, to prepare nothing
Address: TypeAlias = tuple[str, str]  # host and port


@dataclass(frozen=True, slots=True)
class Database:
    """A database of a test: who owns it, and how to connect as whom."""

    name: str
    host: str
    port: str
    owner: str
    direct: Database | None = None  # where host and port are those of a pooler: the same, past it

    def dsn(self, user: str | None = None) -> str:
        return f"postgresql://{user or self.owner}@/{self.name}?host={self.host}&port={self.port}"

    def connect(self, user: str | None = None, **kwargs: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn(user), **{"autocommit": True, **POOLED, **kwargs})

    def watch(self) -> psycopg.Connection[Any]:
        """The superuser's connection, past a pooler: to see what the others wait for, and to end them."""
        return (self.direct or self).connect("postgres")

    def sign_up(self, email: str | None = None, **columns: object) -> UUID:
        """A new user, inserted as GoTrue does."""
        with self.connect() as connection:
            return sign_up(connection, email, **columns)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="Write the generated files instead of comparing them.")
    parser.addoption("--image", help="Start the servers in containers of this image.")
    parser.addoption("--pooler", action="store_true", help="Connect through pgbouncer, two connections a database.")


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers in the process that controls the run; workers are told where they are."""
    if config.getoption("pooler"):
        POOLED["prepare_threshold"] = None
    if hasattr(config, "workerinput"):
        config.stash[SERVERS], config.stash[POOLERS] = config.workerinput["servers"], config.workerinput["poolers"]
        return
    stack = config.stash[RUNNING] = ExitStack()
    image = config.getoption("image")
    shm = Path("/dev/shm")
    roomy = shm.is_dir() and shutil.disk_usage(shm).free > 2**30
    home = tempfile.mkdtemp(prefix="credits", dir=shm if roomy else None)
    os.chmod(home, 0o755)  # the server of root runs as somebody else
    stack.callback(shutil.rmtree, home, ignore_errors=True)
    servers = {}
    for kind in ("plain", "supabase"):
        if image:
            servers[kind] = stack.enter_context(contained(image))
        else:
            server = stack.enter_context(local.running(Path(home) / kind, durable=False, options=OPTIONS))
            servers[kind] = server.dsn()
    config.stash[SERVERS], config.stash[POOLERS] = servers, {}
    if config.getoption("pooler"):
        for kind, dsn in servers.items():
            where = stack.enter_context(pooled(Path(home) / f"{kind}-pooler", conninfo_to_dict(dsn)))
            config.stash[POOLERS][kind] = where


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Behind a pooler, skip what needs a session; the reasons are counted in the summary."""
    for item in items if config.getoption("pooler") else ():
        if marker := item.get_closest_marker("session"):
            item.add_marker(pytest.mark.skip(reason=f"needs a session: {marker.args[0]}"))


# used in turn, so that whoever leaves something on a connection, or counts on it, meets somebody else's
PGBOUNCER = """
[databases]
* = host={host} port={port} auth_user=postgres
[pgbouncer]
listen_port = 6432
unix_socket_dir = {folder}
auth_type = trust
auth_file = users.txt
auth_query = select r.rolname::text, '' from pg_catalog.pg_roles as r where r.rolname = $1
admin_users = postgres
pool_mode = transaction
default_pool_size = 2
server_round_robin = 1
max_client_conn = 1000
query_wait_timeout = 10
idle_transaction_timeout = 20
ignore_startup_parameters = options
"""


@contextmanager
def pooled(folder: Path, server: Mapping[str, Any]) -> Iterator[Address]:
    """The address of pgbouncer before a server."""
    folder.mkdir()
    (folder / "users.txt").write_text('"postgres" ""\n')
    with pgbouncer(folder, PGBOUNCER.format(folder=folder, **server), Path(server["host"]).stat().st_uid):
        yield str(folder), "6432"


@contextmanager
def pgbouncer(folder: Path, ini: str, account: int) -> Iterator[None]:
    """Debian's pgbouncer with this configuration, running; it refuses root, and the server's socket may be private."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin") or pytest.fail("apt-get install pgbouncer")
    (folder / "pgbouncer.ini").write_text(ini)
    shutil.chown(folder, account)
    with open(folder / "pgbouncer.log", "w") as log:
        process = subprocess.Popen(
            [program, "pgbouncer.ini"], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=account
        )
        try:
            deadline = time.monotonic() + 30
            while "process up" not in (told := (folder / "pgbouncer.log").read_text()):
                assert process.poll() is None, told
                assert time.monotonic() < deadline, told
                time.sleep(0.02)
            yield
        finally:
            process.terminate()
            process.wait()


@contextmanager
def contained(image: str) -> Iterator[str]:
    """The superuser's DSN of a server in a container."""
    from testcontainers.community.postgres import PostgresContainer  # `make test` does without

    server = PostgresContainer(image, username="postgres", dbname="postgres", driver=None)
    server.with_command([f"--{name}={value}" for name, value in {**local.UNSAFE, **OPTIONS}.items()])
    server.with_envs(POSTGRES_HOST_AUTH_METHOD="trust", PGDATA="/data").with_tmpfs_mount("/data")
    with server:
        yield server.get_connection_url()


def pytest_unconfigure(config: pytest.Config) -> None:
    if RUNNING in config.stash:
        config.stash[RUNNING].close()


def pytest_configure_node(node: Any) -> None:
    """Called by xdist for each worker."""
    node.workerinput["servers"], node.workerinput["poolers"] = node.config.stash[SERVERS], node.config.stash[POOLERS]


SERVERS = pytest.StashKey[dict[str, str]]()
POOLERS = pytest.StashKey[dict[str, Address]]()
RUNNING = pytest.StashKey[ExitStack]()


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> dict[str, str]:
    """The superuser's DSN of each server: plain and supabase."""
    return pytestconfig.stash[SERVERS]


Pushed: TypeAlias = bool | Literal["app"]


class Templates:
    """Empty databases and pushed ones, also with the track app, to clone; made once a worker and flavour."""

    def __init__(self, servers: dict[str, str], worker: str, poolers: dict[str, Address]) -> None:
        self.servers, self.worker, self.made = servers, worker, dict[tuple[str, Pushed], Database]()
        self.poolers = poolers

    def get(self, flavour: str, *, pushed: Pushed) -> Database:
        if (flavour, pushed) not in self.made:
            self.made[flavour, pushed] = self.make(flavour, pushed=pushed)
        return self.made[flavour, pushed]

    def make(self, flavour: str, *, pushed: Pushed) -> Database:
        server = self.servers[flavour.partition("_")[0]]
        where = conninfo_to_dict(server)
        name = f"{flavour}_{pushed if pushed == 'app' else 'pushed' if pushed else 'empty'}_{self.worker}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"create database {name}".encode())
        database = Database(name, str(where["host"]), str(where["port"]), "postgres")
        if flavour != "plain":
            expose = "off" if flavour == "supabase_closed" else "on"
            with database.connect(options=f"-c supabase_like.auto_expose={expose}") as connection:
                connection.execute((HERE / "supabase.sql").read_bytes())
                row = connection.execute("show supabase_like.admin_role").fetchone()
            assert row
            database = Database(name, database.host, database.port, row[0])
        if pushed:
            with migrations.connect(database.dsn()) as connection:
                migrations.push(connection, more=["app"] if pushed == "app" else [])
        return database

    @contextmanager
    def clone(self, flavour: str, *, pushed: Pushed = True) -> Iterator[Database]:
        template = self.get(flavour, pushed=pushed)
        name = f"t{uuid4().hex[:12]}"
        janitor = DatabaseJanitor(
            user="postgres",  # who may end everybody's connections
            host=template.host,
            port=template.port,
            dbname=name,
            template_dbname=template.name,
        )
        with janitor:
            with janitor.cursor() as cursor:
                cursor.execute(f"alter database {name} owner to {template.owner}".encode())
            database = Database(name, template.host, template.port, template.owner)
            if pooler := self.poolers.get(flavour.partition("_")[0]):
                database = Database(name, *pooler, template.owner, direct=database)
                assert_nothing_stays(database)  # and both connections are there
                yield database
                assert_nothing_stays(database)
            else:
                yield database


@pytest.fixture(scope="session")
def templates(servers: dict[str, str], worker_id: str, pytestconfig: pytest.Config) -> Templates:
    return Templates(servers, worker_id, pytestconfig.stash[POOLERS])


@pytest.fixture(scope="session", params=("plain", "supabase"))
def flavour(request: pytest.FixtureRequest) -> str:
    """Which kind of database; every test that asks for one runs on both."""
    return str(request.param)


@pytest.fixture(scope="session")
def shared(templates: Templates, flavour: str) -> Iterator[Database]:
    with templates.clone(flavour) as database:
        yield database


@pytest.fixture
def db(shared: Database) -> Iterator[psycopg.Connection[Any]]:
    """The owner's connection, in a transaction that is rolled back after the test."""
    with shared.connect() as connection, connection.transaction(force_rollback=True):
        yield connection
        assert_books_add_up(connection)


@pytest.fixture
def database(templates: Templates, flavour: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A pushed database of the test's own. Mark the test `corrupts` when it breaks the books on purpose."""
    with templates.clone(flavour) as database:
        yield database
        if request.node.get_closest_marker("corrupts") is None:
            with database.connect() as connection:
                assert_books_add_up(connection)


@pytest.fixture(scope="session")
def shared_app(templates: Templates, flavour: str) -> Iterator[Database]:
    with templates.clone(flavour, pushed="app") as database:
        yield database


@pytest.fixture
def app_db(shared_app: Database) -> Iterator[psycopg.Connection[Any]]:
    """As db, on a database with both tracks."""
    with shared_app.connect() as connection, connection.transaction(force_rollback=True):
        yield connection
        assert_books_add_up(connection)
        assert_exports_are_paid(connection)


@pytest.fixture
def app(templates: Templates, flavour: str) -> Iterator[Database]:
    """As database, with both tracks."""
    with templates.clone(flavour, pushed="app") as database:
        yield database
        with database.connect() as connection:
            assert_books_add_up(connection)
            assert_exports_are_paid(connection)


@pytest.fixture
def empty(templates: Templates, flavour: str) -> Iterator[Database]:
    """A database of the test's own that nobody has pushed to."""
    with templates.clone(flavour, pushed=False) as database:
        yield database


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of sql/ and migrations/ that a test may edit, and that push believes to be what ships."""
    for name in ("sql", "migrations"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.setattr(migrations, "folder", lambda name: tmp_path / name)
    return tmp_path


class Outcome:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Run = Callable[..., Outcome]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """credits-db with these arguments, in this process; the message of sys.exit goes to err, with code 1."""
    monkeypatch.delenv("DATABASE_URL", raising=False)

    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["credits-db", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            cli.main()
        captured = capsys.readouterr()
        if isinstance(exit.value.code, str):
            return Outcome(1, captured.out, captured.err + exit.value.code)
        return Outcome(exit.value.code or 0, captured.out, captured.err)

    return call


def create_plpgsql_check(database: Database) -> None:
    """The extension, by the superuser, who makes it on Supabase too. Only Debian's servers have it."""
    with database.connect("postgres") as superuser:
        found = superuser.execute("select 1 from pg_available_extensions where name = 'plpgsql_check'").fetchone()
        if not found:
            pytest.skip(
                "this server has no plpgsql_check: run CREDITS_DB_PG_BIN=/usr/lib/postgresql/15/bin with Debian's"
            )
        superuser.execute("create extension plpgsql_check")


def assert_books_add_up(connection: psycopg.Connection[Any]) -> None:
    """The invariants of the ledger, by the package's own proof and by a sum that shares no line with it."""
    assert connection.execute("select * from credits_private.verify_ledger(null)").fetchall() == []
    wrong = connection.execute(
        """
        select a.user_id, a.credits_remaining, a.last_seq
        from public.user_credits as a
        where a.credits_remaining <> (
            select coalesce(sum(t.amount), 0) from public.credit_transactions as t where t.user_id = a.user_id
          )
          or a.last_seq <> (select count(*) from public.credit_transactions as t where t.user_id = a.user_id)
          or a.credits_held < 0
        """
    ).fetchall()
    assert wrong == []


def assert_nothing_stays(database: Database) -> None:
    """Neither of the pooler's two connections as the owner keeps what a client left on it: it is the next one's."""
    with database.connect() as one, database.connect() as other, one.transaction(), other.transaction():
        for connection in (one, other):
            row = connection.execute(
                """
                select current_setting('role'), coalesce(current_setting('request.jwt.claims', true), ''),
                  array(select s.name from pg_prepared_statements as s),
                  array(
                    select l.objid from pg_locks as l where l.pid = pg_backend_pid() and l.locktype = 'advisory'
                  )
                """
            ).fetchone()
            assert row == ("none", "", [], [])


def assert_exports_are_paid(connection: psycopg.Connection[Any]) -> None:
    """Each export that was paid for with a credit has one ledger row, each such row paid for one export."""
    wrong = connection.execute(
        """
        with entries as (
          select t.*, (t.metadata ->> 'export_id')::uuid as export_id
          from public.credit_transactions as t
          where t.type = 'consumption' and t.metadata ? 'export_id'
        )
        select 'an export without its row', e.id
        from public.exports as e
        where (e.paid_by = 'credits') is distinct from (e.seq is not null)
          and e.paid_by is not null
          or e.seq is not null and not exists (
            select
            from entries as t
            where (t.user_id, t.seq, t.amount, t.export_id) = (e.user_id, e.seq, -1, e.id)
              and t.idempotency_key is not distinct from e.idempotency_key
          )
        union all
        select 'a row for several exports', t.export_id from entries as t group by t.export_id having count(*) > 1
        union all
        select 'a row whose export has other payment', t.export_id
        from entries as t
        join public.exports as e on e.id = t.export_id
        where e.seq is distinct from t.seq
        """
    ).fetchall()
    assert wrong == []
