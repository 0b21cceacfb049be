"""Test what time does to your credits: `freeze` the clock of a database, `sign_up` a user, and move on.

    def test_a_gift_ends_with_its_month(credits_connection, credits_client, credits_user):
        with freeze(credits_connection, datetime(2026, 1, 1, tzinfo=UTC)) as clock:
            credits_client.add_credits_for(credits_user, 10, expires_at=clock.now + timedelta(days=30))
            clock.advance(timedelta(days=30))
            assert credits_client.get_user_credits_for(credits_user).credits_available == 3

The fixtures come with `pytest_plugins = ["credits_db.testing"]` in your conftest.py (credits_db/_fixtures.py shows
them). `freeze` and `sign_up` need no pytest, and work on any database of yours that is there for tests.

PYTEST_DONT_REWRITE: so that your conftest.py may also import from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

pytest_plugins = ["credits_db._fixtures"]

_FROZEN = sql.SQL(
    """
    create or replace function credits_private.now()
      returns timestamptz
      language plpgsql
      volatile
      set search_path = ''
    as $$ begin return {}; end; $$
    """
)


class Clock:
    """The clock of a database that stands still until it is moved. Made by `freeze`."""

    def __init__(self, connection: psycopg.Connection[Any], at: datetime) -> None:
        self._connection = connection
        self.move_to(at)

    @property
    def now(self) -> datetime:
        """What credits_private.now() answers, in UTC."""
        return self._now

    def move_to(self, at: datetime) -> None:
        """Let it be another instant; going back is allowed, and no promise of credits-db."""
        if at.utcoffset() is None:
            raise ValueError("An instant has a time zone: datetime(2026, 1, 1, tzinfo=UTC).")
        self._connection.execute(_FROZEN.format(sql.Literal(at)))
        self._now = at.astimezone(UTC)

    def advance(self, by: timedelta) -> None:
        """Let so much time pass."""
        self.move_to(self._now + by)


@contextmanager
def freeze(connection: psycopg.Connection[Any], at: datetime) -> Iterator[Clock]:
    """Let the clock of credits-db stand at an instant inside a `with` block, for every connection to this database.

    The connection is the owner's, who pushed. In a transaction of yours the clock is part of it: nobody else sees it,
    and a rollback undoes it. Only for databases of tests: there is one clock, and `credits-db verify` reports it.
    """
    begun_here = connection.info.transaction_status == TransactionStatus.IDLE
    row = connection.execute("select pg_get_functiondef('credits_private.now()'::regprocedure)").fetchone()
    assert row  # noqa: S101
    frozen_in = None
    try:
        clock = Clock(connection, at)
        frozen_in = _transaction(connection)
        yield clock
    except BaseException as error:
        try:
            if begun_here:  # also what the block left open or failed
                connection.rollback()
                connection.execute(row[0])
                connection.commit()
            elif connection.info.transaction_status != TransactionStatus.INERROR:
                connection.execute(row[0])
        except psycopg.OperationalError as lost:
            error.add_note(f"The clock of this database still stands: {lost}")
        raise
    committed = _transaction(connection) != frozen_in
    connection.execute(row[0])
    if committed:  # by the block, and so is its end
        connection.commit()


def _transaction(connection: psycopg.Connection[Any]) -> object:
    """Which transaction of the caller's this is; None without one."""
    if connection.info.transaction_status == TransactionStatus.IDLE and connection.autocommit:
        return None
    return connection.execute("select pg_current_xact_id()::text").fetchone()


def sign_up(connection: psycopg.Connection[Any], email: str | None = None, **columns: object) -> UUID:
    """A new user in auth.users, inserted as Supabase does; the trigger opens the account with its signup bonus."""
    values = {"id": uuid4(), "email": email, **columns}
    query = sql.SQL("insert into auth.users ({}) values ({}) returning id").format(
        sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(sql.Placeholder, values))
    )
    row = connection.execute(query, values).fetchone()
    assert row  # noqa: S101
    return UUID(str(row[0]))
