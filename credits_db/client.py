"""The clients: a psycopg connection or pool that the caller owns, and the RPCs as methods.

    client = Client(pool)                       # as whoever is logged in: a service
    client.consume_credit_for(user_id, 10)
    client.as_user(user_id).get_user_credits()  # as that user: role authenticated, claims of the user

On a pool, or on a connection that is idle, a call is a transaction of its own, sent in one round trip and
retried when it failed for a passing reason. Inside a transaction of the caller's it is a savepoint of it:
nothing is retried, a refusal leaves the transaction usable, and the role and claims are put back.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from tenacity import AsyncRetrying, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from credits_db._call import Call
from credits_db.errors import translate
from credits_db.procedures import ServiceProcedures, UserProcedures

T = TypeVar("T")
Source: TypeAlias = psycopg.Connection[Any] | ConnectionPool[Any]
AsyncSource: TypeAlias = psycopg.AsyncConnection[Any] | AsyncConnectionPool[Any]

_BECOME = "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)"
_WHO = "select current_setting('role') as role, coalesce(current_setting('request.jwt.claims', true), '') as claims"


def is_transient(error: BaseException) -> bool:
    """Whether the same call, with the same key, may succeed when it is sent again."""
    if not isinstance(error, psycopg.Error) or translate(error):
        return False
    state = error.sqlstate
    if state is None:  # the connection was lost: no answer at all
        return isinstance(error, psycopg.OperationalError)
    return state in {"40001", "40P01", "55P03", "57014"} or state[:2] == "08" or state[:4] == "57P0"


_RETRY: dict[str, Any] = {
    "retry": retry_if_exception(is_transient),
    "wait": wait_random_exponential(multiplier=0.02, max=1),
    "stop": stop_after_attempt(10),
    "reraise": True,
}


class _Identity:
    """The role and the claims under which a user's calls run."""

    def __init__(self, user_id: UUID, claims: Mapping[str, object] | None = None) -> None:
        self.values = ("authenticated", json.dumps({**(claims or {}), "sub": str(user_id), "role": "authenticated"}))


class _SyncRunner:
    def __init__(self, source: Source, identity: _Identity | None = None) -> None:
        self._source = source
        self._identity = identity

    def run(self, call: Call[T]) -> T:
        """Execute a call; see the module for transactions and retries."""
        try:
            if isinstance(self._source, psycopg.Connection) and not _idle(self._source):
                return call.read(self._nested(self._source, call))
            return Retrying(**_RETRY)(lambda: call.read(self._alone(call)))
        except psycopg.Error as error:
            refusal = translate(error)
            if refusal is None:
                raise
            raise refusal from error

    def _alone(self, call: Call[T]) -> list[dict[str, Any]]:
        with self._connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            if connection.autocommit and self._identity is None:
                return cursor.execute(call.statement, call.arguments).fetchall()
            try:
                with connection.pipeline(), connection.transaction():
                    if self._identity:
                        connection.execute(_BECOME, self._identity.values)
                    cursor.execute(call.statement, call.arguments)
            except psycopg.Error:
                if not connection.closed:
                    connection.rollback()
                raise
            return cursor.fetchall()

    def _nested(self, connection: psycopg.Connection[Any], call: Call[T]) -> list[dict[str, Any]]:
        with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            if self._identity is None:
                return cursor.execute(call.statement, call.arguments).fetchall()
            before = cursor.execute(_WHO).fetchone() or {}
            cursor.execute(_BECOME, self._identity.values)
            rows = cursor.execute(call.statement, call.arguments).fetchall()
            cursor.execute(_BECOME, tuple(before.values()))
            return rows

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        if isinstance(self._source, psycopg.Connection):
            yield self._source
        else:
            with self._source.connection() as connection:
                yield connection


class _AsyncRunner:
    def __init__(self, source: AsyncSource, identity: _Identity | None = None) -> None:
        self._source = source
        self._identity = identity

    async def run(self, call: Call[T]) -> T:
        """Execute a call; see the module for transactions and retries."""
        try:
            if isinstance(self._source, psycopg.AsyncConnection) and not _idle(self._source):
                return call.read(await self._nested(self._source, call))
            return call.read(await AsyncRetrying(**_RETRY)(self._alone, call))
        except psycopg.Error as error:
            refusal = translate(error)
            if refusal is None:
                raise
            raise refusal from error

    async def _alone(self, call: Call[T]) -> list[dict[str, Any]]:
        async with self._connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            if connection.autocommit and self._identity is None:
                await cursor.execute(call.statement, call.arguments)
                return await cursor.fetchall()
            try:
                async with connection.pipeline(), connection.transaction():
                    if self._identity:
                        await connection.execute(_BECOME, self._identity.values)
                    await cursor.execute(call.statement, call.arguments)
            except psycopg.Error:
                if not connection.closed:
                    await connection.rollback()
                raise
            return await cursor.fetchall()

    async def _nested(self, connection: psycopg.AsyncConnection[Any], call: Call[T]) -> list[dict[str, Any]]:
        async with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            if self._identity is None:
                await cursor.execute(call.statement, call.arguments)
                return await cursor.fetchall()
            before = await (await cursor.execute(_WHO)).fetchone() or {}
            await cursor.execute(_BECOME, self._identity.values)
            rows = await (await cursor.execute(call.statement, call.arguments)).fetchall()
            await cursor.execute(_BECOME, tuple(before.values()))
            return rows

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        if isinstance(self._source, psycopg.AsyncConnection):
            yield self._source
        else:
            async with self._source.connection() as connection:
                yield connection


def _idle(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    return connection.info.transaction_status in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN)


class UserClient(_SyncRunner, UserProcedures):
    """The RPCs of one user, over a sync connection or pool. Made by `Client.as_user`."""


class AsyncUserClient(_AsyncRunner, UserProcedures):
    """The RPCs of one user, over an async connection or pool. Made by `AsyncClient.as_user`."""


class Client(_SyncRunner, ServiceProcedures):
    """The service RPCs over a psycopg connection or pool, with the rights of whoever is logged in."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)

    def as_user(self, user_id: UUID, claims: Mapping[str, object] | None = None) -> UserClient:
        """The same connection as this user: role authenticated and their claims, for each call alone."""
        return UserClient(self._source, _Identity(user_id, claims))


class AsyncClient(_AsyncRunner, ServiceProcedures):
    """The service RPCs over an async psycopg connection or pool, with the rights of whoever is logged in."""

    def __init__(self, source: AsyncSource) -> None:
        super().__init__(source)

    def as_user(self, user_id: UUID, claims: Mapping[str, object] | None = None) -> AsyncUserClient:
        """The same connection as this user: role authenticated and their claims, for each call alone."""
        return AsyncUserClient(self._source, _Identity(user_id, claims))
