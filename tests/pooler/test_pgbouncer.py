"""Behind pgbouncer in transaction mode, configured as docs/plain-postgres.md says. Needs Debian's package pgbouncer.

And that `pytest --pooler` is what it says: everything went through, and a session that is not there is missed.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import Database, Templates, assert_books_add_up, assert_nothing_stays, pgbouncer
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool
from test_docs import PLAIN
from test_readme import blocks
from test_testing import CONFTEST, PROJECT

from credits_db import Client, migrations


@pytest.fixture
def pooled(templates: Templates) -> Iterator[tuple[Database, str]]:
    """An empty database, and the URL of pgbouncer before it for any user; two connections serve everybody."""
    with templates.clone("plain", pushed=False) as clone, socket.socket() as probe:
        database = clone.direct or clone
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        folder = Path(database.host, database.name)
        folder.mkdir()
        (ini,) = blocks("ini", PLAIN)
        for documented, here in {
            "shop = host=/var/run/postgresql dbname=shop": f"shop = host={database.host} dbname={database.name}",
            "6432": str(port),
            "/etc/pgbouncer/userlist.txt": str(folder / "userlist.txt"),
        }.items():
            assert documented in ini
            ini = ini.replace(documented, here)
        (folder / "userlist.txt").write_text('"postgres" "change me"\n"app" "change me"\n')
        probe.close()
        with pgbouncer(folder, f"{ini}default_pool_size = 2\nunix_socket_dir =\n", Path(database.host).stat().st_uid):
            yield database, f"postgresql://USER:change%20me@127.0.0.1:{port}/shop"


def test_push_and_the_clients_work_through_it_as_written(
    pooled: tuple[Database, str],
) -> None:
    database, url = pooled
    with migrations.connect(url.replace("USER", "postgres")) as connection:
        assert len(migrations.push(connection)) == len(migrations.shipped())
        assert migrations.verify(connection) == []
    users = [database.sign_up() for _ in range(20)]
    with database.connect() as owner:
        role = blocks("sql", PLAIN)[1]
        owner.execute(role.replace("database shop", f"database {database.name}").encode())
    documented = "postgresql://app@127.0.0.1:6432/shop"
    opening = blocks("python", PLAIN)[1]
    assert documented in opening
    names: dict[str, Any] = {"ConnectionPool": ConnectionPool}
    exec(opening.replace(documented, url.replace("USER", "app")), names)
    with names["pool"] as pool, ThreadPoolExecutor(8) as threads:
        client = Client(pool)

        def spend(turn: int) -> None:
            user = client.as_user(users[turn % 20])
            assert user.consume_credit(1, idempotency_key=f"turn {turn}").user_id == users[turn % 20]
            assert user.get_user_credits().user_id == users[turn % 20]

        list(threads.map(spend, range(60)))
        assert [client.get_user_credits_for(user).credits_remaining for user in users] == [0] * 20
    with database.connect() as owner:
        assert_books_add_up(owner)


def test_two_pushes_through_it_apply_each_migration_once(pooled: tuple[Database, str]) -> None:
    def push(_: int) -> int:
        with migrations.connect(pooled[1].replace("USER", "postgres")) as connection:
            return len(migrations.push(connection))

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(push, range(2))) == len(migrations.shipped())


def test_a_wrong_password_is_refused(pooled: tuple[Database, str]) -> None:
    with pytest.raises(psycopg.OperationalError, match="SASL authentication failed"):
        psycopg.connect(pooled[1].replace("USER:change%20me", "app:guess"))


@pytest.fixture
def suite(templates: Templates) -> Iterator[Database]:
    """What the tests of `pytest --pooler` get."""
    assert templates.poolers, "run with --pooler"
    with templates.clone("supabase") as database:
        yield database


def test_what_a_test_of_the_suite_does_goes_through_two_connections_in_turn(suite: Database) -> None:
    backend = "select pg_backend_pid()"
    with suite.connect() as connection:
        served = [connection.execute(backend).fetchone() for _ in range(8)]
        assert connection.info.backend_pid not in {pid for row in served if row for pid in row}
        assert served[:2] * 4 == served
        assert len(set(served)) == 2
    with suite.watch() as watch:
        assert watch.execute(backend).fetchone() == (watch.info.backend_pid,)
    console = psycopg.connect(f"{suite.dsn('postgres')}&dbname=pgbouncer", autocommit=True)
    with console, psycopg.ClientCursor(console, row_factory=dict_row) as pooler:
        (stats,) = (row for row in pooler.execute("show stats").fetchall() if row["database"] == suite.name)
        assert stats["total_xact_count"] > 8
        pools = [row for row in pooler.execute("show pools").fetchall() if row["database"] == suite.name]
        assert {(row["user"], row["pool_mode"]) for row in pools} >= {(suite.owner, "transaction")}


@pytest.mark.parametrize(
    "left",
    [
        "set role service_role",
        "select set_config('request.jwt.claims', '{}', false)",
        "select pg_advisory_lock(4711)",
        "prepare mine as select 1",
    ],
)
def test_what_is_left_on_a_connection_is_noticed(suite: Database, left: str) -> None:
    with suite.connect() as connection:
        connection.execute(left.encode())
    with pytest.raises(AssertionError):
        assert_nothing_stays(suite)
    with suite.watch() as watch:  # the connections themselves go
        query = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s and pid <> %s"
        watch.execute(query, [suite.name, watch.info.backend_pid])


def test_the_fixtures_of_the_package_work_on_a_server_behind_it(suite: Database, tmp_path: Path) -> None:
    server = f"{suite.dsn('postgres')}&dbname=postgres"
    fixture = f"import pytest\n\n@pytest.fixture(scope='session')\ndef credits_server():\n    return {server!r}\n"
    (tmp_path / "conftest.py").write_text(CONFTEST + fixture)
    (tmp_path / "test_project.py").write_text(PROJECT)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
