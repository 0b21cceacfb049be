"""What the package gives to the tests of its users: a clock that is moved, and fixtures of pytest."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import Database

from credits_db import Client, migrations
from credits_db.testing import freeze

HOUR = timedelta(hours=1)
NOON = datetime(2030, 2, 28, 12, tzinfo=UTC)
CLOCK = "select credits_private.now()"


def reads(connection: psycopg.Connection[Any]) -> datetime:
    """What the clock of a database says."""
    row = connection.execute(CLOCK).fetchone()
    assert row
    at: datetime = row[0]
    return at.astimezone(UTC)


def runs(connection: psycopg.Connection[Any]) -> bool:
    return abs(reads(connection) - datetime.now(UTC)) < HOUR and reads(connection) < reads(connection)


def test_a_frozen_clock_stands_for_every_connection_until_it_is_moved(database: Database) -> None:
    with database.connect() as connection, database.connect() as other:
        client = Client(other)
        user = database.sign_up()
        client.consume_credit_for(user)  # its plans were made under the real clock
        with freeze(connection, NOON.astimezone(timezone(9 * HOUR))) as clock:
            assert (clock.now, clock.now.tzinfo, reads(connection), reads(other)) == (NOON, UTC, NOON, NOON)
            assert client.consume_credit_for(user).created_at == NOON
            clock.advance(12 * HOUR)
            assert reads(other) == clock.now == NOON + 12 * HOUR
            clock.move_to(NOON + timedelta(days=400, microseconds=1))
            assert client.consume_credit_for(user).created_at == clock.now == NOON + timedelta(days=400, microseconds=1)
        assert runs(other)
        assert migrations.verify(connection) == []


def test_a_clock_inside_another_one_puts_that_one_back(database: Database) -> None:
    with database.connect() as connection:
        with freeze(connection, NOON) as outer:
            with freeze(connection, NOON - 100 * HOUR):
                pass
            assert reads(connection) == outer.now
        assert runs(connection)


def fail(connection: psycopg.Connection[Any]) -> None:
    raise KeyError("the test's own")


def leave_a_failed_transaction(connection: psycopg.Connection[Any]) -> None:
    connection.execute("begin")
    connection.execute("select 1 / 0")


def commit_and_fail(connection: psycopg.Connection[Any]) -> None:
    connection.commit()
    connection.execute("create table public.mine ()")
    raise KeyError("the test's own")


@pytest.mark.parametrize("autocommit", [True, False])
@pytest.mark.parametrize("end", [fail, leave_a_failed_transaction, commit_and_fail])
def test_the_clock_runs_again_after_an_exception_which_is_not_hidden(
    database: Database, autocommit: bool, end: Callable[[psycopg.Connection[Any]], None]
) -> None:
    with suppress(KeyError, psycopg.errors.DivisionByZero):
        with database.connect(autocommit=autocommit) as connection, freeze(connection, NOON):
            end(connection)
        pytest.fail("the exception was hidden")
    with database.connect() as connection:
        assert runs(connection)
        assert migrations.verify(connection) == []
        kept = connection.execute("select to_regclass('public.mine') is not null").fetchone()
        assert kept == (autocommit and end is commit_and_fail,), "what the block did not commit is not committed for it"


def test_the_clock_runs_again_after_a_block_that_committed_on_a_connection_without_autocommit(
    database: Database,
) -> None:
    with database.connect(autocommit=False) as connection:
        with freeze(connection, NOON):
            connection.commit()
        connection.rollback()  # what the end of a test does
    with database.connect() as connection:
        assert runs(connection)


@pytest.mark.parametrize("error", [None, KeyError, psycopg.errors.DivisionByZero])
def test_in_the_callers_transaction_the_clock_is_nobody_elses_and_is_rolled_back_with_it(
    database: Database, error: type[Exception] | None
) -> None:
    with database.connect() as connection, database.connect() as other:
        with pytest.raises(error) if error else nullcontext(), connection.transaction():
            with freeze(connection, NOON):
                assert reads(connection) == NOON
                assert runs(other)
                if error is KeyError:
                    fail(connection)
                elif error:
                    connection.execute("select 1 / 0")
            assert runs(connection)
        assert runs(connection)
        with connection.transaction(force_rollback=True):
            with suppress(KeyError), freeze(connection, NOON):
                fail(connection)
            assert runs(connection), "the transaction goes on after the block"


def test_an_instant_without_a_zone_is_refused_and_the_clock_runs_on(database: Database) -> None:
    with database.connect() as connection:
        with pytest.raises(ValueError, match="An instant has a time zone"), freeze(connection, datetime(2030, 1, 1)):
            pass
        with freeze(connection, NOON) as clock:
            with pytest.raises(ValueError, match="An instant has a time zone"):
                clock.move_to(datetime(2030, 1, 1))
            assert clock.now == reads(connection) == NOON
        assert runs(connection)


CONFTEST = """
from credits_db.testing import sign_up

pytest_plugins = ["credits_db.testing"]
"""

PROJECT = """
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from conftest import sign_up

from credits_db import InsufficientCredits
from credits_db.testing import freeze


@pytest.fixture(scope="session")
def credits_template(credits_template):
    with psycopg.connect(credits_template, autocommit=True) as connection:
        connection.execute("create table jobs (user_id uuid)")
    return credits_template


def test_credits_expire(credits_connection, credits_client, credits_user):
    with freeze(credits_connection, datetime(2030, 1, 1, tzinfo=UTC)) as clock:
        credits_client.add_credits_for(credits_user, 10, expires_at=clock.now + timedelta(days=30))
        clock.advance(timedelta(days=30) - timedelta(microseconds=1))
        assert credits_client.get_user_credits_for(credits_user).credits_available == 13
        clock.advance(timedelta(microseconds=1))
        assert credits_client.get_user_credits_for(credits_user).credits_available == 3
        with pytest.raises(InsufficientCredits):
            credits_client.consume_credit_for(credits_user, 4)


def test_each_test_has_a_database_of_its_own(credits_database, credits_connection, credits_client):
    ada = sign_up(credits_connection, "ada@example.com")
    assert credits_client.get_user_credits_for(ada).credits_available == 3
    with psycopg.connect(credits_database) as connection:
        assert connection.execute("select count(*) from auth.users").fetchone() == (1,)
        assert connection.execute("select count(*) from jobs").fetchone() == (0,)
"""


def test_a_project_with_the_plugin_moves_time_and_sees_its_credits_expire(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_project.py").write_text(PROJECT)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_a_program_does_not_import_pytest_neither_for_the_clients_nor_for_the_clock() -> None:
    program = "import sys, credits_db.client, credits_db.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
