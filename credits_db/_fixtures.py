"""The fixtures of pytest that `credits_db.testing` brings: a server of the run's own, a pushed database a test.

Define one of them anew in your conftest.py where you need another: `credits_server` to name a server that is there
already, `credits_template` to give each test your own tables too.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from credits_db import Client, local, migrations
from credits_db.testing import sign_up


@contextmanager
def _created(server: str, template: str) -> Iterator[str]:
    """The address of a new database, a copy of another one, for one `with` block."""
    name = f"credits_test_{uuid4().hex[:12]}"
    with migrations.connect(server) as connection:
        create, drop = sql.SQL("create database {} template {}"), sql.SQL("drop database {} with (force)")
        # a database is copied only while nobody is connected, and a pooler keeps connections for later
        query = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s and usename = user"
        connection.execute(query, [template])
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield make_conninfo(server, dbname=name)
        finally:
            connection.execute(drop.format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def credits_server() -> Iterator[str]:
    """The address of an embedded Postgres that lives as long as the run, without durability."""
    folder = Path(tempfile.mkdtemp(prefix="credits"))
    folder.chmod(0o755)  # the server of root runs as somebody else
    try:
        with local.running(folder / "server", durable=False) as server:
            yield server.dsn()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def credits_template(credits_server: str) -> Iterator[str]:
    """The address of the pushed database that each test gets a copy of. Nobody may stay connected to it."""
    with _created(credits_server, "template1") as dsn:
        with migrations.connect(dsn) as connection:
            migrations.push(connection)
        yield dsn


@pytest.fixture
def credits_database(credits_server: str, credits_template: str) -> Iterator[str]:
    """The address of a pushed database of the test's own."""
    with _created(credits_server, str(conninfo_to_dict(credits_template)["dbname"])) as dsn:
        yield dsn


@pytest.fixture
def credits_connection(credits_database: str) -> Iterator[psycopg.Connection[Any]]:
    """The owner's connection to the database of the test, in autocommit mode."""
    with migrations.connect(credits_database) as connection:
        yield connection


@pytest.fixture
def credits_client(credits_connection: psycopg.Connection[Any]) -> Client:
    """The service's client, on the connection of the test."""
    return Client(credits_connection)


@pytest.fixture
def credits_user(credits_connection: psycopg.Connection[Any]) -> UUID:
    """A user who has just signed up. For more of them: `credits_db.testing.sign_up(credits_connection)`."""
    return sign_up(credits_connection)
