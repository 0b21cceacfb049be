"""watch tells the balance and every other one after it, to many at once, through restarts, and leaves nothing behind.

Each promise is tried on the sync and the async client; `Watched` gives both one face.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import queue
import random
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from conftest import Database, Templates, assert_books_add_up, sign_up
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolClosed, PoolTimeout
from tenacity import stop_after_attempt
from test_client import Driver
from test_client import driver as driver
from test_store_concurrency import home as home
from test_store_concurrency import kill, opened

from credits_db import AccountClosed, AccountNotFound, AsyncClient, Client, UserCredits, client, migrations, watch
from credits_db.testing import freeze

SOON, LATE = timedelta(milliseconds=50), timedelta(seconds=30)
POLL, READ = "watch", "get_user_credits_for"


class Watched:
    """A watch of either client, asked one answer at a time."""

    def __init__(self, driver: Driver, rows: Any) -> None:
        self.driver, self.rows = driver, rows

    def next(self, within: float = 5) -> UserCredits:
        """The next balance; TimeoutError where none comes, which is the end of the watch."""
        if self.driver.kind == "async":

            async def ask() -> UserCredits:
                async with asyncio.timeout(within):
                    answer: UserCredits = await anext(self.rows)
                    return answer

            return self.driver.wait(ask())
        answers: queue.Queue[Any] = queue.Queue()

        def take() -> None:
            try:
                answers.put(next(self.rows))
            except BaseException as error:
                answers.put(error)

        threading.Thread(target=take, daemon=True).start()
        try:
            answer = answers.get(timeout=within)
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(answer, BaseException):
            raise answer
        found: UserCredits = answer
        return found

    def close(self) -> None:
        self.driver.wait(self.rows.aclose()) if self.driver.kind == "async" else self.rows.close()


@contextmanager
def meanwhile(act: Callable[[], object], after: float = 0.05) -> Iterator[None]:
    """Do something in a thread, a little later."""
    problems: list[BaseException] = []

    def later() -> None:
        time.sleep(after)
        try:
            act()
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=later)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert problems == []


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each function was sent to the server by a client of either kind; `watch` is the poll."""
    found: Counter[str] = Counter()
    for runner in (client._SyncRunner, client._AsyncRunner):
        attempt: Any = runner._attempt

        def counted(self: Any, call: Any, own: Any, attempt: Any = attempt) -> Any:
            found[call.function] += 1
            return attempt(self, call, own)

        monkeypatch.setattr(runner, "_attempt", counted)
    return found


@pytest.fixture(scope="module")
def bank(templates: Templates, flavour: str) -> Iterator[Database]:
    """One database for the file; each test brings its own users."""
    with templates.clone(flavour) as database:
        yield database
        with database.connect() as connection:
            assert_books_add_up(connection)


def act(database: Database, method: str, *args: Any) -> Any:
    """A call of the service on a connection of its own."""
    with database.connect() as connection:
        return getattr(Client(connection), method)(*args)


# a server that is killed ---------------------------------------------------------------------------------------------

RESTARTS = int(os.environ.get("RESTARTS", "6"))


def test_a_watch_survives_restarts_under_load_and_shows_the_final_state(home: Path) -> None:
    """Two watches a user and client, spends going on meanwhile; each kill takes the server and all its children."""
    luck = random.Random(50)
    database = opened(home)
    with migrations.connect(database.dsn()) as connection:
        migrations.push(connection)
        users = [sign_up(connection) for _ in range(3)]
        for user in users:
            Client(connection).add_credits_for(user, 10**9)
    seen: dict[tuple[str, UUID], list[UserCredits]] = {(who, user): [] for who in "abcd" for user in users}
    done, spent = threading.Event(), Counter[UUID]()

    def spend(user: UUID) -> None:
        while not done.is_set():
            with suppress(psycopg.OperationalError), database.connect() as connection:
                while not done.is_set():
                    Client(connection).consume_credit_for(user)
                    spent[user] += 1
                    time.sleep(0.002)
            time.sleep(0.02)

    def follow(rows: Iterator[UserCredits], to: list[UserCredits]) -> None:
        with suppress(PoolClosed):
            for row in rows:
                to.append(row)

    async def follow_all(until: asyncio.Event) -> None:
        async def one(rows: Any, to: list[UserCredits]) -> None:
            async for row in rows:
                to.append(row)

        async with AsyncConnectionPool(database.dsn(), min_size=2, open=False, timeout=2) as pool:
            later = AsyncClient(pool)
            tasks = []
            for user in users:
                tasks.append(asyncio.ensure_future(one(later.watch(user, SOON), seen["a", user])))
                tasks.append(asyncio.ensure_future(one(later.as_user(user).watch(SOON), seen["b", user])))
            waiting = asyncio.ensure_future(until.wait())
            ended, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
            assert ended == {waiting}, ended
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    with asyncio.Runner() as runner, ConnectionPool(database.dsn(), min_size=2, open=True, timeout=2) as pool:
        loop, until = runner.get_loop(), asyncio.Event()
        service = Client(pool)
        threads = [threading.Thread(target=spend, args=[user]) for user in users[:2]]
        threads.append(threading.Thread(target=lambda: runner.run(follow_all(until))))
        for user in users:
            for who, rows in (("c", service.watch(user, SOON)), ("d", service.as_user(user).watch(SOON))):
                threads.append(threading.Thread(target=follow, args=[rows, seen[who, user]]))
        for thread in threads:
            thread.start()
        try:
            for _ in range(RESTARTS):
                time.sleep(luck.uniform(0.05, 0.25))
                kill(home)
                time.sleep(luck.uniform(0, 0.05))
                assert opened(home) == database
        finally:
            done.set()
        for thread in threads[:2]:
            thread.join()
        final = {user: act(database, READ, user) for user in users}
        try:
            deadline = time.monotonic() + 20
            while any(not rows or rows[-1] != final[user] for (_, user), rows in seen.items()):
                late = {key: len(rows) for key, rows in seen.items() if not rows or rows[-1] != final[key[1]]}
                assert time.monotonic() < deadline, late
                time.sleep(0.02)
            print(f"{time.monotonic() - deadline + 20:.2f} s after the end, {[len(rows) for rows in seen.values()]}")
        finally:
            loop.call_soon_threadsafe(until.set)
            pool.close()
            for thread in threads[2:]:
                thread.join()
    for (_, user), rows in seen.items():
        numbers = [row.last_seq for row in rows]
        assert numbers == sorted(set(numbers)), "an older balance came after a newer one, or one came twice"
        assert final[user].last_seq >= spent[user] + 2
    with database.connect() as connection:
        assert_books_add_up(connection)
