"""Behind pgbouncer in transaction mode, configured as docs/plain-postgres.md says. Needs Debian's package pgbouncer."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import Database, Templates, assert_books_add_up
from psycopg_pool import ConnectionPool
from test_docs import PLAIN
from test_readme import blocks

from credits_db import Client, migrations


@pytest.fixture
def pooled(templates: Templates) -> Iterator[tuple[Database, str]]:
    """An empty database, and the URL of pgbouncer before it for any user; two connections serve everybody."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin") or pytest.fail("apt-get install pgbouncer")
    with templates.clone("plain", pushed=False) as database, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        account = Path(database.host).stat().st_uid  # pgbouncer refuses root, and the socket is the account's alone
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
        (folder / "pgbouncer.ini").write_text(f"{ini}default_pool_size = 2\nunix_socket_dir =\n")
        (folder / "userlist.txt").write_text('"postgres" "change me"\n"app" "change me"\n')
        probe.close()
        with open(folder / "pgbouncer.log", "w+") as log:
            process = subprocess.Popen(
                [program, "pgbouncer.ini"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=account,
            )
            try:
                deadline = time.monotonic() + 30
                while "process up" not in (told := (folder / "pgbouncer.log").read_text()):
                    assert process.poll() is None, told
                    assert time.monotonic() < deadline, told
                    time.sleep(0.02)
                yield database, f"postgresql://USER:change%20me@127.0.0.1:{port}/shop"
            finally:
                process.terminate()
                process.wait()


def test_push_and_the_clients_work_through_it_as_written(
    pooled: tuple[Database, str],
) -> None:
    database, url = pooled
    with migrations.connect(url.replace("USER", "postgres")) as connection:
        assert len(migrations.push(connection)) == len(migrations.shipped())
        assert migrations.verify(connection) == []
    users = [database.sign_up() for _ in range(20)]
    with database.connect() as owner:
        _, role = blocks("sql", PLAIN)
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
