"""The clients: a psycopg connection or pool that the caller owns, and the RPCs as methods.

    client = Client(pool)                       # as whoever is logged in: a service
    client.consume_credit_for(user_id, 10)
    client.as_user(user_id).get_user_credits()  # as that user: role authenticated, claims of the user

On a pool, or on a connection that is idle, a call is a transaction of its own: one message to the server, sent
again with the same key when it failed for a passing reason. Inside a transaction (or pipeline) of the caller's it
is a savepoint of it: nothing is sent again, a refusal leaves the transaction usable, role and claims are put back.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests
from tenacity import AsyncRetrying, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from credits_db._call import Call
from credits_db.errors import translate
from credits_db.procedures import ServiceProcedures, UserProcedures

T = TypeVar("T")
Source: TypeAlias = psycopg.Connection[Any] | ConnectionPool[Any]
AsyncSource: TypeAlias = psycopg.AsyncConnection[Any] | AsyncConnectionPool[Any]
Identity: TypeAlias = list[str] | None  # values of _SETTINGS

# who is asking, in the words of PostgREST; the singular ones are older, and win where somebody sets them
_SETTINGS = ["role", "request.jwt.claims", *("request.jwt.claim" + end for end in ("", ".sub", ".role", ".email"))]
_SET = b"select set_config(t.n, t.v, true) from unnest(%(_settings)s::text[], %(_values)s::text[]) as t (n, v); "
_GET = b"select array(select coalesce(current_setting(t.n, true), '') from unnest(%(_settings)s::text[]) as t (n)) as v"

_RETRY: dict[str, Any] = {
    "wait": wait_random_exponential(multiplier=0.02, max=1),
    "stop": stop_after_attempt(10),
    "reraise": True,
}


def _identity(user_id: UUID, claims: Mapping[str, object] | None) -> Identity:
    return ["authenticated", json.dumps({**(claims or {}), "sub": str(user_id), "role": "authenticated"}), *[""] * 4]


def is_transient(error: BaseException) -> bool:
    """Whether the same call, with the same key, may succeed when it is sent again."""
    if not isinstance(error, psycopg.Error) or isinstance(error, PoolClosed | PoolTimeout | TooManyRequests):
        return False
    state = error.sqlstate
    if state is None:  # the connection was lost: no answer at all
        return isinstance(error, psycopg.OperationalError)
    passing = state in {"40001", "40P01", "55P03", "57014"} or state[:2] == "08" or state[:4] == "57P0"
    return passing or (state == "XX000" and "server closed" in str(error))


def _policy(source: Source | AsyncSource) -> dict[str, Any]:
    def again(error: BaseException) -> bool:
        lost = isinstance(source, psycopg.Connection | psycopg.AsyncConnection) and source.closed
        return is_transient(error) and not lost  # only a pool has another connection

    return {"retry": retry_if_exception(again), **_RETRY}


def _is_callers(source: Source | AsyncSource) -> bool:
    """Whether the caller has a transaction or a pipeline open on this connection."""
    if not isinstance(source, psycopg.Connection | psycopg.AsyncConnection) or source.closed:
        return False
    own = source.info.transaction_status in (TransactionStatus.IDLE, TransactionStatus.ACTIVE)
    return not own or source.info.pipeline_status != PipelineStatus.OFF


def _lender(source: Source) -> Callable[[], AbstractContextManager[psycopg.Connection[Any]]]:
    if isinstance(source, ConnectionPool):
        return source.connection
    lock = threading.Lock()  # threads that share a connection take turns

    @contextmanager
    def lend() -> Iterator[psycopg.Connection[Any]]:
        with lock:
            yield source

    return lend


def _async_lender(source: AsyncSource) -> Callable[[], AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]]:
    if isinstance(source, AsyncConnectionPool):
        return source.connection
    lock = asyncio.Lock()

    @asynccontextmanager
    async def lend() -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        async with lock:
            yield source

    return lend


class _SyncRunner:
    def __init__(self, source: Source, identity: Identity = None, lend: Any = None) -> None:
        self._source = source
        self._identity = identity
        self._lend = lend or _lender(source)

    def run(self, call: Call[T]) -> T:
        """Execute a call; see the module for transactions and retries."""
        try:
            if isinstance(self._source, psycopg.Connection) and _is_callers(self._source):
                return call.read(self._nested(self._source, call))
            return Retrying(**_policy(self._source))(lambda: call.read(self._alone(call)))
        except psycopg.Error as error:
            if refusal := translate(error):
                raise refusal from error
            raise

    def _alone(self, call: Call[T]) -> list[dict[str, Any]]:
        with self._lend() as connection:
            if manual := not connection.autocommit:
                connection.autocommit = True
            try:
                if self._identity is None:
                    return connection.cursor(row_factory=dict_row).execute(call.statement, call.arguments).fetchall()
                cursor = psycopg.ClientCursor(connection, row_factory=dict_row)
                who = {"_settings": _SETTINGS, "_values": self._identity}
                cursor.execute(_SET + call.statement, {**call.arguments, **who})
                cursor.nextset()
                return cursor.fetchall()
            finally:
                if manual and not connection.closed:
                    connection.autocommit = False

    def _nested(self, connection: psycopg.Connection[Any], call: Call[T]) -> list[dict[str, Any]]:
        with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            if self._identity is None:
                return cursor.execute(call.statement, call.arguments).fetchall()
            before = (cursor.execute(_GET, {"_settings": _SETTINGS}).fetchone() or {})["v"]
            cursor.execute(_SET, {"_settings": _SETTINGS, "_values": self._identity})
            rows = cursor.execute(call.statement, call.arguments).fetchall()
            cursor.execute(_SET, {"_settings": _SETTINGS, "_values": before})
            return rows


class _AsyncRunner:
    def __init__(self, source: AsyncSource, identity: Identity = None, lend: Any = None) -> None:
        self._source = source
        self._identity = identity
        self._lend = lend or _async_lender(source)

    async def run(self, call: Call[T]) -> T:
        """Execute a call; see the module for transactions and retries."""
        try:
            if isinstance(self._source, psycopg.AsyncConnection) and _is_callers(self._source):
                return call.read(await self._nested(self._source, call))
            return call.read(await AsyncRetrying(**_policy(self._source))(self._alone, call))
        except psycopg.Error as error:
            if refusal := translate(error):
                raise refusal from error
            raise

    async def _alone(self, call: Call[T]) -> list[dict[str, Any]]:
        async with self._lend() as connection:
            if manual := not connection.autocommit:
                await connection.set_autocommit(True)
            try:
                if self._identity is None:
                    plain = connection.cursor(row_factory=dict_row)
                    return await (await plain.execute(call.statement, call.arguments)).fetchall()
                cursor = psycopg.AsyncClientCursor(connection, row_factory=dict_row)
                who = {"_settings": _SETTINGS, "_values": self._identity}
                await cursor.execute(_SET + call.statement, {**call.arguments, **who})
                cursor.nextset()
                return await cursor.fetchall()
            finally:
                if manual and not connection.closed:
                    await connection.set_autocommit(False)

    async def _nested(self, connection: psycopg.AsyncConnection[Any], call: Call[T]) -> list[dict[str, Any]]:
        async with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            if self._identity is None:
                return await (await cursor.execute(call.statement, call.arguments)).fetchall()
            before = (await (await cursor.execute(_GET, {"_settings": _SETTINGS})).fetchone() or {})["v"]
            await cursor.execute(_SET, {"_settings": _SETTINGS, "_values": self._identity})
            rows = await (await cursor.execute(call.statement, call.arguments)).fetchall()
            await cursor.execute(_SET, {"_settings": _SETTINGS, "_values": before})
            return rows


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
        return UserClient(self._source, _identity(user_id, claims), self._lend)


class AsyncClient(_AsyncRunner, ServiceProcedures):
    """The service RPCs over an async psycopg connection or pool, with the rights of whoever is logged in."""

    def __init__(self, source: AsyncSource) -> None:
        super().__init__(source)

    def as_user(self, user_id: UUID, claims: Mapping[str, object] | None = None) -> AsyncUserClient:
        """The same connection as this user: role authenticated and their claims, for each call alone."""
        return AsyncUserClient(self._source, _identity(user_id, claims), self._lend)
