"""The clients: a psycopg connection or pool that the caller owns, and the RPCs as methods.

    client = Client(pool)                       # as whoever is logged in: a service
    client.consume_credit_for(user_id, 10)
    client.as_user(user_id).get_user_credits()  # as that user: role authenticated, claims of the user

On a pool, or on an idle connection in autocommit mode, a call is a transaction of its own: one message to the
server, sent again with the same key when it failed for a passing reason. On any other connection the transaction is
the caller's, who commits it: a call is a savepoint of it, nothing is sent again, a refusal leaves the transaction
usable, role and claims are put back. Calls that share a connection take turns.

    with client.reserve(user_id, 100) as hold:  # for a job: captured at its end, released when it fails
        hold.amount = work()
    for row in client.watch(user_id):           # the balance now, then whenever it is another
        print(row.credits_available)
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeAlias, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from tenacity import (
    AsyncRetrying,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from credits_db._call import Call, is_transient
from credits_db.errors import HoldNotActive, InvalidAmount, translate
from credits_db.procedures import Metadata, ServiceProcedures, UserProcedures, whole
from credits_db.results import CreditHold, CreditTransaction, UserCredits
from credits_db.watch import AsyncWatching, Watching

T = TypeVar("T")
Source: TypeAlias = psycopg.Connection[Any] | ConnectionPool[Any]
AsyncSource: TypeAlias = psycopg.AsyncConnection[Any] | AsyncConnectionPool[Any]
Identity: TypeAlias = dict[str, str] | None  # a value for each of _SETTINGS

# who is asking, in the words of PostgREST; the singular ones are older, and win where somebody sets them
# (one set_config each: the planner takes several times as long over one statement that unnests them)
_SETTINGS = ["role", "request.jwt.claims", *("request.jwt.claim" + end for end in ("", ".sub", ".role", ".email"))]
_SETS = ", ".join(f"set_config('{name}', %({name})s, true)" for name in _SETTINGS)
_GETS = ", ".join(f"coalesce(current_setting('{name}', true), '') as \"{name}\"" for name in _SETTINGS)
_SET, _GET = f"select {_SETS}; ".encode(), f"select {_GETS}".encode()

_RETRY: dict[str, Any] = {
    "wait": wait_random_exponential(multiplier=0.02, max=1),
    "stop": stop_after_attempt(10) | stop_after_delay(5),  # a timeout of the caller's is not to be multiplied
    "reraise": True,
}


def _identity(user_id: UUID, claims: Mapping[str, object] | None) -> Identity:
    token = json.dumps({**(claims or {}), "sub": str(user_id), "role": "authenticated"})
    return dict.fromkeys(_SETTINGS, "") | {"role": "authenticated", "request.jwt.claims": token}


def _is_callers(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    """Whether the transaction of a call is the caller's, or has to be made."""
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    return not (idle and connection.autocommit and connection.info.pipeline_status == PipelineStatus.OFF)


class _Runner:
    """What the sync and the async runner share: one turn a connection, and when to try again."""

    _turns: ClassVar[WeakKeyDictionary[Any, Any]] = WeakKeyDictionary()

    def __init__(self, source: Any, identity: Identity = None) -> None:
        self._source = source
        self._identity = identity

    def _turn(self, lock: type[threading.Lock] | type[asyncio.Lock]) -> Any:
        return self._turns.setdefault(self._source, lock())

    def _policy(self, attempt: dict[str, bool]) -> dict[str, Any]:
        def again(error: BaseException) -> bool:
            lost = isinstance(self._source, psycopg.Connection | psycopg.AsyncConnection) and self._source.closed
            return attempt["own"] and is_transient(error) and not lost  # only a pool has another connection

        return {"retry": retry_if_exception(again), **_RETRY}

    def _owns(self, call: Call[Any]) -> bool:
        """Whether the call is a transaction of its own on this single connection."""
        own = not _is_callers(self._source)
        if call.alone and not own and not self._source.closed:
            raise ValueError("watch() needs a pool, or a connection in autocommit mode outside of any transaction")
        return own

    def _watched(self) -> UUID:
        return UUID(json.loads((self._identity or {})["request.jwt.claims"])["sub"])


class _SyncRunner(_Runner, Watching):
    _source: Source

    def run(self, call: Call[T]) -> T:
        """Execute a call; see the module for transactions and retries."""
        attempt = {"own": True}
        try:
            return Retrying(**self._policy(attempt))(lambda: call.read(self._attempt(call, attempt)))
        except psycopg.Error as error:
            if refusal := translate(error):
                raise refusal from error
            raise

    def _attempt(self, call: Call[T], attempt: dict[str, bool]) -> list[dict[str, Any]]:
        if isinstance(self._source, psycopg.Connection):
            with self._turn(threading.Lock):
                if call.alone:
                    with self._source.lock:  # a statement of the caller's is waited for
                        pass
                attempt["own"] = self._owns(call)
                return self._alone(self._source, call) if attempt["own"] else self._nested(self._source, call)
        with self._source.connection() as connection:
            if connection.autocommit:
                return self._alone(connection, call)
            connection.autocommit = True
            try:
                return self._alone(connection, call)
            finally:
                if not connection.closed:
                    connection.autocommit = False

    def _alone(self, connection: psycopg.Connection[Any], call: Call[T]) -> list[dict[str, Any]]:
        if self._identity is None:
            plain = psycopg.Cursor(connection, row_factory=dict_row)
            return plain.execute(call.statement, call.arguments).fetchall()
        cursor = psycopg.ClientCursor(connection, row_factory=dict_row)
        cursor.execute(_SET + call.statement, {**call.arguments, **self._identity})
        cursor.nextset()
        return cursor.fetchall()

    def _nested(self, connection: psycopg.Connection[Any], call: Call[T]) -> list[dict[str, Any]]:
        cursor = psycopg.Cursor(connection, row_factory=dict_row)
        if not connection.autocommit:
            cursor.execute("select")  # begins the caller's transaction, so that what follows is a savepoint
        with connection.transaction():
            if self._identity is None:
                return cursor.execute(call.statement, call.arguments).fetchall()
            before = cursor.execute(_GET).fetchone() or {}
            cursor.execute(_SET, self._identity)
            rows = cursor.execute(call.statement, call.arguments).fetchall()
            cursor.execute(_SET, before)
            return rows


class _AsyncRunner(_Runner, AsyncWatching):
    _source: AsyncSource

    async def run(self, call: Call[T]) -> T:
        """Execute a call; see the module for transactions and retries."""
        attempt = {"own": True}
        try:
            return call.read(await AsyncRetrying(**self._policy(attempt))(self._attempt, call, attempt))
        except psycopg.Error as error:
            if refusal := translate(error):
                raise refusal from error
            raise

    async def _attempt(self, call: Call[T], attempt: dict[str, bool]) -> list[dict[str, Any]]:
        if isinstance(self._source, psycopg.AsyncConnection):
            async with self._turn(asyncio.Lock):
                if call.alone:
                    async with self._source.lock:  # a statement of the caller's is waited for
                        pass
                attempt["own"] = self._owns(call)
                run = self._alone if attempt["own"] else self._nested
                return await run(self._source, call)
        async with self._source.connection() as connection:
            if connection.autocommit:
                return await self._alone(connection, call)
            await connection.set_autocommit(True)
            try:
                return await self._alone(connection, call)
            finally:
                if not connection.closed:
                    await connection.set_autocommit(False)

    async def _alone(self, connection: psycopg.AsyncConnection[Any], call: Call[T]) -> list[dict[str, Any]]:
        if self._identity is None:
            plain = psycopg.AsyncCursor(connection, row_factory=dict_row)
            return await (await plain.execute(call.statement, call.arguments)).fetchall()
        cursor = psycopg.AsyncClientCursor(connection, row_factory=dict_row)
        await cursor.execute(_SET + call.statement, {**call.arguments, **self._identity})
        cursor.nextset()
        return await cursor.fetchall()

    async def _nested(self, connection: psycopg.AsyncConnection[Any], call: Call[T]) -> list[dict[str, Any]]:
        cursor = psycopg.AsyncCursor(connection, row_factory=dict_row)
        if not connection.autocommit:
            await cursor.execute("select")  # begins the caller's transaction, so that what follows is a savepoint
        async with connection.transaction():
            if self._identity is None:
                return await (await cursor.execute(call.statement, call.arguments)).fetchall()
            before = await (await cursor.execute(_GET)).fetchone() or {}
            await cursor.execute(_SET, self._identity)
            rows = await (await cursor.execute(call.statement, call.arguments)).fetchall()
            await cursor.execute(_SET, before)
            return rows


class Reservation:
    """A hold inside the `with` block of `reserve()`. Set amount to capture less than all; 0 releases.

    row is the hold as it was reserved, transaction the ledger row of the capture once the block has ended.
    """

    def __init__(self, row: CreditHold) -> None:
        if row.status in ("released", "expired"):  # found by a key that was used before
            hint = f"The hold of this key is {row.status} already: reserve with another key."
            raise HoldNotActive(hint, {"hold_id": str(row.id), "state": row.status})
        self.row = row
        self.transaction: CreditTransaction | None = None
        self._amount = row.amount if row.captured_amount is None else row.captured_amount

    @property
    def id(self) -> UUID:
        return self.row.id

    @property
    def expires_at(self) -> datetime:
        return self.row.expires_at

    @property
    def amount(self) -> int:
        """How much is captured at the end of the block, from 0 to what is held."""
        return self._amount

    @amount.setter
    def amount(self, amount: int) -> None:
        if not 0 <= whole(amount) <= self.row.amount:
            raise InvalidAmount(
                "No more can be captured than is held, and 0 releases.", {"amount": amount, "held": self.row.amount}
            )
        if self.row.status == "active":  # what a run of the same key captured before stays
            self._amount = whole(amount)

    @property
    def _capture(self) -> dict[str, Any]:
        """The arguments of the capture. It needs no key: sent again it is the same capture of the same hold."""
        return {"hold_id": self.id, "amount": self._amount}

    def _stays(self, error: BaseException, reason: Exception) -> None:
        """The error of the block is what its caller must see; that the credits stay held is a note on it."""
        error.add_note(f"Hold {self.id}, until {self.expires_at.isoformat()}, was not released: {reason}")


class UserClient(_SyncRunner, UserProcedures):
    """The RPCs of one user, over a sync connection or pool. Made by `Client.as_user`."""

    def watch(self, every: timedelta = timedelta(seconds=1)) -> Generator[UserCredits, None, None]:
        """The balance of this user now, then each other one; all else as Client.watch says."""
        return self._watch(self._watched(), every, UserProcedures.get_user_credits.declare(self))


class AsyncUserClient(_AsyncRunner, UserProcedures):
    """The RPCs of one user, over an async connection or pool. Made by `AsyncClient.as_user`."""

    def watch(self, every: timedelta = timedelta(seconds=1)) -> AsyncGenerator[UserCredits, None]:
        """The balance of this user now, then each other one; all else as Client.watch says."""
        return self._watch(self._watched(), every, UserProcedures.get_user_credits.declare(self))


class Client(_SyncRunner, ServiceProcedures):
    """The service RPCs over a psycopg connection or pool, with the rights of whoever is logged in."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)

    def as_user(self, user_id: UUID, claims: Mapping[str, object] | None = None) -> UserClient:
        """The same connection as this user: role authenticated and their claims, for each call alone."""
        return UserClient(self._source, _identity(user_id, claims))

    def watch(self, user_id: UUID, every: timedelta = timedelta(seconds=1)) -> Generator[UserCredits, None, None]:
        """The balance of a user now, then each that differs from the one before, until you stop asking.

            for row in client.watch(user_id):
                show(row.credits_available)

        Nothing is queued: who is slower than the changes sees fewer of them, the newest always, none after a newer one.
        last_seq tells how many ledger rows lie between; get_transaction_history_for has them. What falls due without
        being written (credits that expire, a hold that ends, a recurring grant) is a change too.

        It polls, `every` so often (50 times a second at most), with one statement for all who are watched through the
        same pool. Where the setting notify_changes is on, a pool of two connections or more lends one to LISTEN while a
        watcher waits, and changes show at once; not through a transaction pooler. A server that is away is waited for,
        whatever time it takes. What ends a watch: AccountNotFound and AccountClosed, a pool that is closed, the loss of
        a single connection. That one must be in autocommit mode and outside of any transaction: ValueError.
        """
        return self._watch(user_id, every, ServiceProcedures.get_user_credits_for.declare(self, user_id))

    @contextmanager
    def reserve(
        self,
        user_id: UUID,
        amount: int,
        expires_in: timedelta = timedelta(minutes=15),
        *,
        description: str | None = None,
        metadata: Metadata = None,
        idempotency_key: str | None = None,
    ) -> Iterator[Reservation]:
        """Keep credits for the work of a `with` block: captured at its end, released when it raises.

        Raises what reserve_credits_for raises, before the work begins. At the end it raises HoldNotActive when the hold
        has expired by then: the work was done and nothing was charged, so give expires_in more time than it takes.
        A hold that cannot be released, or whose capture is lost with the connection, goes free when it expires.

        With your own key, work that was cut off is begun anew on the same hold, and work that was captured is not
        charged again. After an exception the hold is released and its key is used up: HoldNotActive.
        """
        entry: dict[str, Any] = {"description": description, "metadata": metadata}
        hold = Reservation(
            self.reserve_credits_for(user_id, amount, expires_in, **entry, idempotency_key=idempotency_key)
        )
        try:
            yield hold
        except BaseException as error:
            try:
                if hold.row.status == "active":
                    self.release_hold_for(user_id, hold.id)
            except Exception as reason:
                hold._stays(error, reason)
            raise
        if hold.amount:
            hold.transaction = self.capture_hold_for(user_id, **hold._capture, **entry)
        else:
            self.release_hold_for(user_id, hold.id)


class AsyncClient(_AsyncRunner, ServiceProcedures):
    """The service RPCs over an async psycopg connection or pool, with the rights of whoever is logged in."""

    def __init__(self, source: AsyncSource) -> None:
        super().__init__(source)

    def as_user(self, user_id: UUID, claims: Mapping[str, object] | None = None) -> AsyncUserClient:
        """The same connection as this user: role authenticated and their claims, for each call alone."""
        return AsyncUserClient(self._source, _identity(user_id, claims))

    def watch(self, user_id: UUID, every: timedelta = timedelta(seconds=1)) -> AsyncGenerator[UserCredits, None]:
        """The balance of a user now, then each other one, with `async for`; all else as Client.watch says."""
        return self._watch(user_id, every, ServiceProcedures.get_user_credits_for.declare(self, user_id))

    @asynccontextmanager
    async def reserve(
        self,
        user_id: UUID,
        amount: int,
        expires_in: timedelta = timedelta(minutes=15),
        *,
        description: str | None = None,
        metadata: Metadata = None,
        idempotency_key: str | None = None,
    ) -> AsyncIterator[Reservation]:
        """Keep credits for the work of an `async with` block; all else as Client.reserve says."""
        entry: dict[str, Any] = {"description": description, "metadata": metadata}
        hold = Reservation(
            await self.reserve_credits_for(user_id, amount, expires_in, **entry, idempotency_key=idempotency_key)
        )
        try:
            yield hold
        except BaseException as error:
            try:
                if hold.row.status == "active":
                    await self._settle(self.release_hold_for(user_id, hold.id))
            except Exception as reason:
                hold._stays(error, reason)
            raise
        if hold.amount:
            hold.transaction = await self.capture_hold_for(user_id, **hold._capture, **entry)
        else:
            await self.release_hold_for(user_id, hold.id)

    async def _settle(self, release: Coroutine[Any, Any, CreditHold]) -> None:
        """Release even when the task is cancelled once more; in a caller's transaction, its rollback does that."""
        pooled = isinstance(self._source, AsyncConnectionPool)
        await (asyncio.shield(asyncio.ensure_future(release)) if pooled else release)
