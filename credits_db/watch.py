"""How `watch` waits for the next balance, for all watchers of a process together.

Whoever wakes first asks for everybody who is being waited for: one statement that tells the version of each row. A
watcher whose row has another version, or of whose credits some have fallen due, reads its balance; that read comes
after the poll, so that a change in between is at worst seen again, and then collapsed. There is no thread and no task
behind it: a watcher that nobody waits for does nothing. A notification is only a hint that cuts the wait short: anybody
in the database may send one, and one that is lost costs no more than the wait until the next poll.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import Any, TypeAlias, TypeVar, cast
from uuid import UUID
from weakref import WeakKeyDictionary, WeakValueDictionary

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout, TooManyRequests

from credits_db._call import Call, is_transient
from credits_db.results import UserCredits

T = TypeVar("T")
Steps: TypeAlias = Generator[Callable[[], Any], Any, T]  # of what is to be called, and awaited where that is the way
_LOG = logging.getLogger("credits_db")
_APART, _AGAIN, _RARELY = 0.02, 0.1, 1.0  # seconds between polls at least, after the first failure, after many
_BUSY = 0.1  # how long a pool is asked for a connection to LISTEN on

# a row is another one by its xmin; by its figures, too, since a standby that was promoted may number transactions anew
_POLL = b"""
  select
    a.user_id,
    array[a.xmin::text::bigint, a.last_seq, a.credits_remaining, a.credits_held] as version,
    clock_timestamp() as now,
    (
      select t.tgenabled <> 'D'
      from pg_catalog.pg_trigger as t
      where t.tgrelid = 'public.user_credits'::regclass and t.tgname = 'notify_changes'
    ) as notifies
  from public.user_credits as a
  where a.user_id = any(%(users)s)
"""


class _Poll(Call[None]):
    __slots__ = ()

    @property
    def statement(self) -> bytes:
        return _POLL


class _Station:
    """What all watchers of a pool or connection share, whoever asks: who listens, what was heard, a bell."""

    def __init__(self, bell: type[threading.Event] | type[asyncio.Event]) -> None:
        self.hubs: WeakValueDictionary[object, _Hub] = WeakValueDictionary()
        self.seat = threading.Lock()  # of the one who listens; never waited for
        self.direct = True  # until a pooler is found between us and the server
        self.heard = 0
        self.bell: Any = bell()
        self._turn = threading.Lock()

    def ring(self) -> None:
        """Wake all who wait."""
        with self._turn:
            bell, self.bell = self.bell, type(self.bell)()
        bell.set()

    def hear(self) -> None:
        """Something may have changed: nobody waits for the next poll."""
        self.heard += 1
        self.ring()


_STATIONS: WeakKeyDictionary[Any, _Station] = WeakKeyDictionary()


@dataclass(eq=False, slots=True)
class _Watcher:
    user_id: UUID
    every: float
    read: Call[UserCredits]
    version: object = None
    shown: UserCredits | None = None

    def is_new(self, row: UserCredits, version: object) -> bool:
        """Remember the row; whether it is another than was shown."""
        self.version, before, self.shown = version, self.shown, row
        return row != before


class _Hub:
    """What the watchers of one source and identity share: the last poll, and what the next one asks for."""

    def __init__(self, station: _Station, lock: type[threading.Lock] | type[asyncio.Lock]) -> None:
        self.station = station
        self.lock: Any = lock()  # held while polling
        self.watchers: set[_Watcher] = set()  # those that are being waited for
        self.versions: dict[UUID, Any] = {}
        self.now: datetime | None = None
        self.notifies = False
        self.polled = float("-inf")
        self.heard = 0
        self.failures = 0

    @property
    def is_told(self) -> bool:
        """Whether a hint came since the last poll."""
        return self.heard != self.station.heard

    def delay(self, watcher: _Watcher) -> float:
        """Seconds until this watcher wants the next poll."""
        wait = max(watcher.every, _APART)
        if self.failures:
            wait = max(wait, min(_AGAIN * 2 ** (self.failures - 1), _RARELY))
        elif watcher.user_id not in self.versions:
            wait = 0
        elif self.is_told:
            wait = _APART
        return self.polled + wait - monotonic()

    def poll(self) -> Call[None]:
        """The statement, whose answer is kept here."""
        begun, heard = monotonic(), self.station.heard
        users = list({watcher.user_id for watcher in tuple(self.watchers)})

        def read(rows: Any) -> None:
            self.versions = dict.fromkeys(users) | {row["user_id"]: tuple(row["version"]) for row in rows}
            self.now = rows[0]["now"] if rows else None
            self.notifies = bool(rows and rows[0]["notifies"])
            self.polled, self.heard = begun, heard

        return _Poll("watch", {"users": users}, read, alone=True)

    def news(self, watcher: _Watcher) -> tuple[bool, object]:
        """Whether the watcher has to read, and the version of the row as of the last poll."""
        shown = watcher.shown
        if watcher.user_id not in self.versions:
            return False, None
        version = self.versions[watcher.user_id]
        due = shown and shown.next_due_at and self.now and shown.next_due_at <= self.now
        return shown is None or version != watcher.version or bool(due), version

    def bears(self, error: psycopg.Error, source: Any) -> bool:
        """Whether it is worth trying again, a little later."""
        if not is_transient(error) and not isinstance(error, PoolTimeout | TooManyRequests):
            return False
        if isinstance(source, psycopg.Connection | psycopg.AsyncConnection) and source.closed:
            return False
        if not self.failures:
            _LOG.warning("watch has no answer, and tries again until it has: %s", error)
        self.polled, self.failures = monotonic(), self.failures + 1
        return True

    def works(self) -> None:
        """There was an answer."""
        if self.failures:
            _LOG.info("watch has answers again")
        self.failures = 0

    def may_listen(self, source: Any) -> bool:
        """Whether there is something to hear, on a connection that the others can do without."""
        pooled = isinstance(source, ConnectionPool | AsyncConnectionPool) and source.max_size != 1
        return pooled and self.notifies and self.station.direct and not self.failures


class _Watching:
    """The steps of a watcher, which the sync and the async runner take each in its own way."""

    _source: Any
    _identity: dict[str, str] | None
    run: Callable[[Call[Any]], Any]
    _pause: Callable[[Any, float], Any]  # until a bell rings, these seconds at most
    _hear: Callable[[Any, float], Any]  # until a connection has a notification; whether one came

    def _begin(
        self, user_id: UUID, every: timedelta, read: Call[UserCredits], lock: type[Any], bell: type[Any]
    ) -> tuple[_Hub, _Watcher]:
        station = _STATIONS.setdefault(self._source, _Station(bell))
        hub = station.hubs.setdefault(self._identity and tuple(self._identity.values()), _Hub(station, lock))
        return hub, _Watcher(user_id, every.total_seconds(), replace(read, alone=True))

    def _steps(self, hub: _Hub, watcher: _Watcher) -> Steps[UserCredits]:
        """Until the user has another balance."""
        ear, bell = None, hub.station.bell
        hub.watchers.add(watcher)
        try:
            while True:
                try:
                    if ear is None and hub.may_listen(self._source):
                        ear = yield from self._listen(hub.station)
                    seconds = max(0.0, hub.delay(watcher))
                    if ear is None or hub.is_told:
                        yield partial(self._pause, bell, seconds)
                    elif (yield partial(self._hear, ear, seconds)):
                        hub.station.hear()
                    bell = hub.station.bell
                    yield hub.lock.acquire
                    try:
                        if asked := hub.delay(watcher) <= 0:
                            yield partial(self.run, hub.poll())
                    finally:
                        hub.lock.release()
                    stale, version = hub.news(watcher)
                    row: UserCredits | None = (yield partial(self.run, watcher.read)) if stale else None
                    if asked or stale:
                        hub.works()
                    if row and watcher.is_new(row, version):
                        return row
                except psycopg.Error as error:
                    if not hub.bears(error, self._source):
                        raise
                    lost, ear = ear, None
                    yield from self._leave(hub.station, lost)
        finally:
            hub.watchers.discard(watcher)
            yield from self._leave(hub.station, ear)

    def _listen(self, station: _Station) -> Steps[Any]:
        """A connection that listens, unless another watcher has one or the pool has none to spare."""
        if not station.seat.acquire(blocking=False):
            return None
        try:
            connection = yield partial(self._source.getconn, _BUSY)
        except BaseException as error:
            station.seat.release()
            if isinstance(error, PoolTimeout | TooManyRequests):
                return None
            raise
        try:
            cursor = connection.cursor(row_factory=tuple_row)
            yield partial(cursor.execute, "select pg_backend_pid()")
            if (yield cursor.fetchone) == (connection.info.backend_pid,):
                yield partial(connection.execute, "listen credits_changed")
                yield connection.commit
                station.hear()  # what happened before
                return connection
            station.direct = False  # LISTEN would stay on a connection that somebody else has by then
        except BaseException as error:
            refused = isinstance(error, psycopg.Error) and not is_transient(error)  # by a standby, say
            station.direct = station.direct and not refused
            yield from self._leave(station, connection)
            if not refused:
                raise
            return None
        yield from self._leave(station, connection)
        return None

    def _leave(self, station: _Station, ear: Any) -> Steps[None]:
        """Give the connection back as it was, and the seat to somebody else."""
        if ear is None:
            return
        try:
            yield partial(ear.execute, "unlisten credits_changed")
            yield ear.commit
        except BaseException as error:
            yield ear.close
            if not isinstance(error, psycopg.Error):
                raise
        finally:
            yield partial(self._source.putconn, ear)
            station.seat.release()
            station.ring()


class Watching(_Watching):
    """What gives a sync runner its watch."""

    def _watch(self, user_id: UUID, every: timedelta, read: Call[UserCredits]) -> Generator[UserCredits, None, None]:
        hub, watcher = self._begin(user_id, every, read, threading.Lock, threading.Event)
        while True:
            yield self._take(self._steps(hub, watcher))

    def _take(self, steps: Steps[T]) -> T:
        go_on: Callable[[Any], Callable[[], Any]] = steps.send
        answer: Any = None
        while True:
            try:
                step = go_on(answer)
            except StopIteration as end:
                return cast("T", end.value)
            try:
                answer, go_on = step(), steps.send
            except BaseException as error:
                answer, go_on = error, steps.throw

    def _pause(self, bell: threading.Event, seconds: float) -> None:
        bell.wait(seconds)

    def _hear(self, ear: psycopg.Connection[Any], seconds: float) -> bool:
        return bool(list(ear.notifies(timeout=seconds, stop_after=1)))


class AsyncWatching(_Watching):
    """What gives an async runner its watch."""

    async def _watch(
        self, user_id: UUID, every: timedelta, read: Call[UserCredits]
    ) -> AsyncGenerator[UserCredits, None]:
        hub, watcher = self._begin(user_id, every, read, asyncio.Lock, asyncio.Event)
        while True:
            yield await self._take(self._steps(hub, watcher))

    async def _take(self, steps: Steps[T]) -> T:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        cancelled = task.cancelling()
        go_on: Callable[[Any], Callable[[], Any]] = steps.send
        answer: Any = None
        while True:
            try:
                step, answer = go_on(answer), None
            except StopIteration as end:
                if task.cancelling() > cancelled:
                    raise asyncio.CancelledError from None
                return cast("T", end.value)
            try:
                # a pool that has a connection by then gives it, and keeps the cancellation to itself
                if task.cancelling() > cancelled:
                    raise asyncio.CancelledError
                answer, go_on = await step(), steps.send
            except BaseException as error:
                answer, go_on, cancelled = error, steps.throw, task.cancelling()

    async def _pause(self, bell: asyncio.Event, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await bell.wait()

    async def _hear(self, ear: psycopg.AsyncConnection[Any], seconds: float) -> bool:
        return bool([note async for note in ear.notifies(timeout=seconds, stop_after=1)])
