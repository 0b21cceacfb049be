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
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from conftest import POOLED, Database, Templates, assert_books_add_up, sign_up
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolClosed, PoolTimeout
from tenacity import stop_after_attempt
from test_client import Driver
from test_client import driver as driver
from test_store_concurrency import home as home
from test_store_concurrency import kill, opened

from credits_db import AccountNotFound, AsyncClient, Client, UserCredits, client, migrations, watch
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

            return self.driver.runner.run(ask())
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
    attempt: Any = client._SyncRunner._attempt
    async_attempt: Any = client._AsyncRunner._attempt

    def counted(self: Any, call: Any, own: Any) -> Any:
        found[call.function] += 1
        return attempt(self, call, own)

    async def async_counted(self: Any, call: Any, own: Any) -> Any:
        found[call.function] += 1
        return await async_attempt(self, call, own)

    monkeypatch.setattr(client._SyncRunner, "_attempt", counted)
    monkeypatch.setattr(client._AsyncRunner, "_attempt", async_counted)
    return found


@pytest.fixture(scope="module")
def bank(templates: Templates, flavour: str) -> Iterator[Database]:
    """One database for the file; each test brings its own users."""
    with templates.clone(flavour) as database:
        yield database
        with database.connect() as connection:
            assert_books_add_up(connection)


def act(database: Database, method: str, *args: Any, **kwargs: Any) -> Any:
    """A call of the service on a connection of its own."""
    with database.connect() as connection:
        return getattr(Client(connection), method)(*args, **kwargs)


@contextmanager
def watched(driver: Driver, database: Database, user: UUID, every: timedelta = SOON, **pool: Any) -> Iterator[Watched]:
    """A watch of the service over a pool of its own."""
    with driver.pool(database.dsn(), **pool) as source:
        rows = Watched(driver, driver.client(source).watch(user, every))
        try:
            yield rows
        finally:
            with suppress(ValueError):  # a thread still waits for it, until the pool is closed
                rows.close()


def nothing_is_left(driver: Driver, pool: Any) -> None:
    """Neither a lock, a seat, a watcher, a task, nor a connection that is lent or listens."""
    station = watch._STATIONS[pool]
    assert not station.seat.locked()
    assert [
        (hub.lock.locked(), hub.watchers) for hub in station.hubs.values() if hub.lock.locked() or hub.watchers
    ] == []
    if driver.kind == "async":

        async def tasks() -> list[str]:
            await asyncio.sleep(0.01)
            return [str(task.get_coro()) for task in asyncio.all_tasks()]

        assert [
            coro for coro in driver.runner.run(tasks()) if "watch" in coro or "_take" in coro or "aclose" in coro
        ] == []
    deadline = time.monotonic() + 10  # a pool may still be making its first connections
    while len({(stats := pool.get_stats())["pool_available"], stats["pool_size"], pool.min_size}) > 1:
        assert time.monotonic() < deadline, stats
        driver.runner.run(asyncio.sleep(0.01))
    with_each = [driver.wait(pool.getconn()) for _ in range(pool.min_size)]
    try:
        for connection in with_each:
            assert driver.execute(connection, "select pg_listening_channels()") == []
    finally:
        for connection in with_each:
            driver.wait(pool.putconn(connection))


# what it tells -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["service", "user"])
def test_it_begins_with_the_balance_and_tells_each_change(bank: Database, driver: Driver, who: str) -> None:
    user = bank.sign_up()
    with driver.pool(bank.dsn()) as pool:
        client = driver.client(pool)
        rows = Watched(driver, client.watch(user, SOON) if who == "service" else client.as_user(user).watch(SOON))
        assert rows.next() == act(bank, READ, user)
        for method, arguments, left in (
            ("add_credits_for", [5], 8),
            ("consume_credit_for", [2], 6),
            ("set_alert_for", [4], 6),
        ):
            with meanwhile(lambda method=method, arguments=arguments: act(bank, method, user, *arguments)):  # type: ignore[misc]
                row = rows.next()
            assert row == act(bank, READ, user)
            assert row.credits_remaining == left
        rows.close()


def test_holds_are_changes_though_they_write_no_ledger_row(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with watched(driver, bank, user) as rows:
        assert (first := rows.next()).credits_available == 3
        hold = act(bank, "reserve_credits_for", user, 2)
        assert (held := rows.next()).credits_available == 1
        act(bank, "release_hold_for", user, hold.id)
        assert rows.next().credits_available == 3
        assert held.last_seq == first.last_seq


def test_credits_that_expire_are_a_change_though_nobody_writes(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with watched(driver, bank, user) as rows:
        at = rows.next().created_at + timedelta(seconds=0.6)
        act(bank, "add_credits_for", user, 5, expires_at=at)
        found = [rows.next()]
        while found[-1].credits_remaining == 8:
            found.append(rows.next())
        assert found[-1].credits_remaining == 3
        assert found[-1].last_seq == found[0].last_seq == 2


def test_holds_that_end_and_grants_of_a_new_day_are_changes_though_nobody_writes(
    database: Database, driver: Driver
) -> None:
    user = database.sign_up()
    with database.connect() as owner, freeze(owner, datetime(2026, 1, 31, 23, 59, tzinfo=UTC)) as clock:
        Client(owner).set_recurring_grant("daily", 5, "day", user, rollover=True)
        Client(owner).reserve_credits_for(user, 2, timedelta(seconds=30))
        with watched(driver, database, user) as rows:
            first = rows.next()
            assert (first.credits_remaining, first.credits_held) == (8, 2)
            clock.advance(timedelta(seconds=40))
            freed = rows.next()
            assert (freed.credits_remaining, freed.credits_held) == (8, 0)
            clock.advance(timedelta(minutes=2))
            last = rows.next()
            assert (last.credits_remaining, last.credits_held, last.last_seq) == (13, 0, first.last_seq)


def test_a_row_that_is_written_without_a_change_is_not_told(bank: Database, driver: Driver, sent: Counter[str]) -> None:
    user = bank.sign_up()
    with watched(driver, bank, user) as rows, bank.connect("postgres") as superuser:
        rows.next()

        def write() -> None:
            superuser.execute("update public.user_credits set alert_below = alert_below where user_id = %s", [user])
            time.sleep(0.2)
            act(bank, "add_credits_for", user, 1)

        with meanwhile(write):
            assert rows.next().credits_remaining == 4
    assert sent[READ] == 3  # the first, the one that told nothing, the change


def test_who_is_slower_than_the_changes_sees_the_newest_and_nothing_older(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with watched(driver, bank, user) as rows:
        first = rows.next()
        for _ in range(5):
            act(bank, "add_credits_for", user, 1)
        last = rows.next()
        assert (last.credits_remaining, last.last_seq - first.last_seq) == (8, 5)
        with pytest.raises(TimeoutError):
            rows.next(0.2)


def test_many_watchers_are_one_statement_a_time(bank: Database, driver: Driver, sent: Counter[str]) -> None:
    users = [bank.sign_up() for _ in range(12)]
    told: dict[UUID, list[UserCredits]] = {user: [] for user in users}
    lucky, every, seconds = users[7], timedelta(milliseconds=150), 0.7

    def follow(rows: Iterator[UserCredits], to: list[UserCredits]) -> None:
        with suppress(PoolClosed):
            to.extend(rows)

    async def follow_all(pool: Any) -> None:
        async def one(rows: Any, to: list[UserCredits]) -> None:
            async for row in rows:
                to.append(row)

        tasks = [asyncio.ensure_future(one(AsyncClient(pool).watch(user, every), told[user])) for user in users]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    threads: list[threading.Thread] = []
    with meanwhile(lambda: act(bank, "add_credits_for", lucky, 1), seconds / 2):
        with driver.pool(bank.dsn(), size=2) as pool:
            if driver.kind == "async":
                driver.runner.run(follow_all(pool))
            else:
                for user in users:
                    watching = Client(pool).watch(user, every)
                    threads.append(threading.Thread(target=follow, args=[watching, told[user]]))
                    threads[-1].start()
                time.sleep(seconds)
            asked = sent.copy()
        for thread in threads:
            thread.join()
    assert {user: len(rows) for user, rows in told.items()} == dict.fromkeys(users, 1) | {lucky: 2}
    assert asked[READ] == len(users) + 1
    # a thread may find that the first poll was begun without it; after that, one a time
    assert asked[POLL] <= (len(users) if driver.kind == "sync" else 1) + seconds / every.total_seconds() + 1


def test_a_newcomer_does_not_wait_for_the_next_poll(bank: Database, driver: Driver) -> None:
    with driver.pool(bank.dsn()) as pool:
        client = driver.client(pool)
        first, second = (Watched(driver, client.watch(bank.sign_up(), LATE)) for _ in range(2))
        assert [first.next().credits_remaining, second.next().credits_remaining] == [3, 3]
        first.close()
        second.close()


def test_a_user_whose_account_is_not_open_yet_is_watched_until_it_is(bank: Database, driver: Driver) -> None:
    user = uuid4()
    with bank.connect("postgres") as superuser, superuser.transaction():
        superuser.execute("set local session_replication_role = replica")
        superuser.execute("insert into auth.users (id) values (%s)", [user])
    with watched(driver, bank, user) as rows:
        assert (rows.next().credits_remaining, act(bank, READ, user).last_seq) == (3, 0)
        act(bank, "consume_credit_for", user)
        row = rows.next()
        assert (row.credits_remaining, row.last_seq) == (2, 2)


def test_nobody_and_a_deleted_account_end_it(bank: Database, driver: Driver) -> None:
    with watched(driver, bank, uuid4()) as rows, pytest.raises(AccountNotFound):
        rows.next()
    user = bank.sign_up()
    with watched(driver, bank, user) as rows:
        rows.next()
        act(bank, "delete_user_account_for", user)
        with pytest.raises(AccountNotFound):
            rows.next()
        with pytest.raises(StopAsyncIteration if driver.kind == "async" else StopIteration):
            rows.next()


# what it leaves ------------------------------------------------------------------------------------------------------


def test_a_watch_that_nobody_waits_for_costs_nothing(bank: Database, driver: Driver, sent: Counter[str]) -> None:
    with watched(driver, bank, bank.sign_up(), timedelta(milliseconds=20)) as rows:
        rows.next()
        time.sleep(0.2)
        assert sent.total() == 2
        driver.runner.run(asyncio.sleep(0.1))
        assert sent.total() == 2


@pytest.mark.parametrize("listens", [False, True])
def test_a_loop_that_is_left_leaves_nothing_behind(
    bank: Database, driver: Driver, listens: bool, request: pytest.FixtureRequest
) -> None:
    if listens:
        request.getfixturevalue("listened")
    user = bank.sign_up()
    with driver.pool(bank.dsn(), size=3) as pool:
        client = driver.client(pool)

        async def first_of() -> None:
            async for row in client.watch(user, SOON):
                assert row.credits_remaining == 3
                break

        if driver.kind == "async":
            driver.runner.run(first_of())
        else:
            for row in client.watch(user, SOON):
                assert row.credits_remaining == 3
                break
        nothing_is_left(driver, pool)
        with (
            suppress(TimeoutError)
            if driver.kind == "async"
            else meanwhile(lambda: act(bank, "add_credits_for", user, 1), 0.1)
        ):
            rows = Watched(driver, client.watch(user, SOON))
            rows.next()
            rows.next(0.1 if driver.kind == "async" else 5)
        nothing_is_left(driver, pool)
        rows.close()
        assert len(watch._STATIONS[pool].hubs) <= 1
        del rows
        gc.collect()
        assert len(watch._STATIONS[pool].hubs) == 0


def test_a_cancellation_that_meets_a_free_connection_ends_it_all_the_same(bank: Database) -> None:
    """A pool with a connection for a waiter who is being cancelled hands it over, and tells nobody of the rest."""
    user = bank.sign_up()

    async def story() -> None:
        async with AsyncConnectionPool(bank.dsn(), min_size=1, max_size=1, open=False, kwargs=POOLED) as pool:
            for ticks in range(12):
                async with pool.connection():
                    waiting = asyncio.ensure_future(anext(AsyncClient(pool).watch(user)))
                    await asyncio.sleep(0.01)
                for _ in range(ticks % 6):
                    await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    async with asyncio.timeout(5):
                        await waiting

    asyncio.run(story())


def test_a_cancelled_task_ends_at_once_and_another_takes_its_turn(bank: Database) -> None:
    """The one who is asking for all is given up while its statement waits for a lock."""
    user, other = bank.sign_up(), bank.sign_up()

    async def follow(rows: Any, to: list[UserCredits]) -> None:
        async for row in rows:
            to.append(row)

    async def main() -> None:
        async with AsyncConnectionPool(
            bank.dsn(), min_size=2, open=False, kwargs={"autocommit": True, **POOLED}
        ) as pool:
            await pool.wait()
            before = len(asyncio.all_tasks())
            later, seen = AsyncClient(pool), dict[int, list[UserCredits]]()
            tasks = []
            for number, whose in enumerate((user, other)):
                tasks.append(asyncio.ensure_future(follow(later.watch(whose, SOON), seen.setdefault(number, []))))
            while not all(seen.values()):
                await asyncio.sleep(0.01)
            (hub,) = watch._STATIONS[pool].hubs.values()
            with bank.connect("postgres", autocommit=False) as superuser:
                superuser.execute("lock table public.user_credits in access exclusive mode")
                while not (hub.lock.locked() and hub.lock._waiters):
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.05)
                for number, task in enumerate(tasks):
                    if number == 0:
                        task.cancel()
                        began = time.monotonic()
                        with suppress(asyncio.CancelledError):
                            await task
                        assert time.monotonic() - began < 1
                superuser.rollback()
            for whose in (user, other):
                act(bank, "add_credits_for", whose, 1)
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    while len(seen[1]) < 2:
                        await asyncio.sleep(0.01)
            assert [row.credits_remaining for row in seen[1]] == [3, 4]
            assert [row.credits_remaining for row in seen[0]] == [3]
            tasks[1].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert not hub.lock.locked()
            assert hub.watchers == set()
            assert len(asyncio.all_tasks()) == before

    asyncio.run(main())


# to listen -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def listened(bank: Database) -> Iterator[None]:
    """The setting notify_changes is on."""
    with bank.connect() as owner:
        owner.execute("select credits_private.set_setting('notify_changes', 'on')")
    yield
    with bank.connect() as owner:
        owner.execute("select credits_private.set_setting('notify_changes', 'off')")


def quickly(rows: Watched, change: Callable[[], object]) -> UserCredits:
    """The next balance, which must come long before the next poll is due."""
    began = time.monotonic()
    with meanwhile(change):
        row = rows.next()
    assert time.monotonic() - began < 2
    return row


@pytest.mark.session("LISTEN")
@pytest.mark.usefixtures("listened")
@pytest.mark.parametrize("autocommit", [True, False])
def test_where_changes_are_notified_they_show_at_once(bank: Database, driver: Driver, autocommit: bool) -> None:
    user = bank.sign_up()
    with watched(driver, bank, user, LATE, size=2, autocommit=autocommit) as rows:
        assert rows.next().credits_remaining == 3
        for amount in (1, 2, 3):
            row = quickly(rows, lambda: act(bank, "add_credits_for", user, amount))  # noqa: B023
            assert row == act(bank, READ, user)
        act(bank, "add_credits_for", user, 1)  # while nobody listens
        assert quickly(rows, lambda: None).credits_remaining == 10


@pytest.mark.session("LISTEN")
@pytest.mark.usefixtures("listened")
def test_one_connection_listens_for_all_watchers_of_a_pool(bank: Database) -> None:
    """The service's and each user's own, of whom the one who listens is the first to be told and to leave."""
    users = [bank.sign_up() for _ in range(4)]
    seen: dict[int, list[int]] = {}

    async def follow(rows: Any, to: list[int]) -> None:
        async for row in rows:
            to.append(row.credits_remaining)

    async def all_see(*credits: int) -> None:
        async with asyncio.timeout(5):
            while any(to[-1:] != [credits[number % 4]] for number, to in seen.items()):
                await asyncio.sleep(0.005)

    async def main() -> None:
        async with AsyncConnectionPool(
            bank.dsn(), min_size=2, max_size=2, open=False, kwargs={"autocommit": True}
        ) as pool:
            later = AsyncClient(pool)
            watches = [later.watch(user, LATE) for user in users] + [later.as_user(user).watch(LATE) for user in users]
            tasks = [asyncio.ensure_future(follow(rows, seen.setdefault(n, []))) for n, rows in enumerate(watches)]
            await all_see(3, 3, 3, 3)
            for turn in (4, 5, 6):
                for number, user in enumerate(users):
                    act(bank, "add_credits_for", user, 1)
                    await all_see(*[turn] * (number + 1), *[turn - 1] * (3 - number))
                async with asyncio.timeout(5):
                    while pool.get_stats()["pool_available"] != 1:
                        await asyncio.sleep(0.005)
            with bank.connect() as connection:
                query = "select count(*) from pg_stat_activity where datname = %s and query = 'listen credits_changed'"
                row = connection.execute(query, [bank.name]).fetchone()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert pool.get_stats()["pool_available"] == 2
            assert not watch._STATIONS[pool].seat.locked()
            for _ in range(2):
                async with pool.connection() as one, pool.connection() as other:
                    for mine in (one, other):
                        assert await (await mine.execute("select pg_listening_channels()")).fetchall() == []
            assert row == (1,)

    asyncio.run(main())


@pytest.mark.session("LISTEN")
@pytest.mark.usefixtures("listened")
def test_forged_notifications_tell_nothing_and_cost_little(bank: Database, driver: Driver, sent: Counter[str]) -> None:
    user = bank.sign_up()
    with watched(driver, bank, user, LATE, size=2) as rows, bank.connect() as stranger:
        rows.next()

        def forge() -> None:
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                stranger.execute(
                    "select pg_notify('credits_changed', 'a lie'), pg_notify('credits_changed', %s)", [str(user)]
                )
                time.sleep(0.001)
            act(bank, "add_credits_for", user, 1)

        assert quickly(rows, forge).credits_remaining == 4
    assert sent[READ] == 2
    assert 5 < sent[POLL] < 25


@pytest.mark.usefixtures("listened")
@pytest.mark.parametrize(
    "obstacle",
    ["a pooler", pytest.param("a standby", marks=pytest.mark.session("LISTEN")), "a pool of one", "one connection"],
)
def test_where_it_cannot_listen_it_polls(
    bank: Database, driver: Driver, obstacle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler answers with another backend than it told at the start; a standby refuses LISTEN."""
    user, said = bank.sign_up(), list[str]()
    kind: Any = psycopg.Connection if driver.kind == "sync" else psycopg.AsyncConnection
    execute = kind.execute

    def heard(self: Any, query: str, *more: Any, **how: Any) -> Any:
        said.append(query)
        if query == "listen credits_changed":
            raise psycopg.errors.ReadOnlySqlTransaction("cannot execute LISTEN during recovery")
        return execute(self, query, *more, **how)

    monkeypatch.setattr(kind, "execute", heard)
    if obstacle == "a pooler":
        monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", 1)
    single = obstacle == "one connection"
    with (
        driver.connected(bank.dsn())
        if single
        else driver.pool(bank.dsn(), 1 if obstacle == "a pool of one" else 2) as source
    ):
        rows = Watched(driver, driver.client(source).watch(user, SOON))
        rows.next()
        with meanwhile(lambda: act(bank, "add_credits_for", user, 1)):
            assert rows.next().credits_remaining == 4
        rows.close()
        if not single:
            nothing_is_left(driver, source)
    assert said.count("listen credits_changed") == (obstacle == "a standby")


# what it is given ----------------------------------------------------------------------------------------------------


def test_on_a_single_connection_it_takes_turns_with_other_calls(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        rows = Watched(driver, client.watch(user, SOON))
        assert rows.next().credits_remaining == 3

        async def both() -> UserCredits:
            asking = asyncio.ensure_future(anext(rows.rows))
            await connection.execute("select pg_sleep(0.15)")
            for _ in range(3):
                await client.consume_credit_for(user)
            found: UserCredits = await asking
            return found

        def spend() -> None:
            connection.execute("select pg_sleep(0.15)")
            for _ in range(3):
                client.consume_credit_for(user)

        if driver.kind == "async":
            row: UserCredits = driver.runner.run(both())
        else:
            with meanwhile(spend, 0):
                row = rows.next()
        while row.credits_remaining:
            row = rows.next()
        rows.close()


@pytest.mark.parametrize("source", ["manual", "transaction"])
def test_in_a_transaction_of_the_callers_it_refuses(bank: Database, driver: Driver, source: str) -> None:
    user = bank.sign_up()
    with driver.source(bank, source) as connection:
        for rows in (driver.client(connection).watch(user), driver.client(connection).as_user(user).watch()):
            with pytest.raises(ValueError, match="outside of any transaction"):
                Watched(driver, rows).next()
        assert driver.execute(connection, "select 1") == [(1,)]


def test_a_transaction_that_begins_meanwhile_shows_it_nothing_that_may_be_undone(
    bank: Database, driver: Driver
) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        rows = Watched(driver, client.watch(user, SOON))
        assert rows.next().credits_remaining == 3
        with driver.opened(connection.transaction(force_rollback=True)):
            driver.wait(client.consume_credit_for(user))
            with pytest.raises(ValueError, match="outside of any transaction"):
                rows.next()


def test_a_source_that_is_closed_ends_it(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.pool(bank.dsn()) as pool, driver.connected(bank.dsn()) as connection:
        over = {kind: Watched(driver, driver.client(kind).watch(user, SOON)) for kind in (pool, connection)}
        assert [rows.next().credits_remaining for rows in over.values()] == [3, 3]
        driver.wait(pool.close())
        driver.wait(connection.close())
        with pytest.raises(PoolClosed):
            over[pool].next()
        with pytest.raises(psycopg.OperationalError, match="the connection is closed"):
            over[connection].next()


def test_an_error_that_stays_ends_it(database: Database, driver: Driver) -> None:
    user = database.sign_up()
    with watched(driver, database, user) as rows:
        rows.next()
        with database.connect() as owner:
            owner.execute("alter table public.user_credits rename to hidden")
        with pytest.raises(psycopg.errors.UndefinedTable):
            rows.next()
        with database.connect() as owner:
            owner.execute("alter table public.hidden rename to user_credits")


@pytest.mark.session("a timeout of its own")
def test_an_outage_is_waited_for_and_told_once(
    bank: Database, driver: Driver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the server's time is up again and again, while somebody keeps the table locked."""
    monkeypatch.setitem(client._RETRY, "stop", stop_after_attempt(1))
    user = bank.sign_up()
    caplog.set_level(logging.INFO, "credits_db")
    with watched(driver, bank, user, options="-c statement_timeout=30ms") as rows:
        rows.next()

        def outage() -> None:
            with bank.connect("postgres", autocommit=False) as superuser:
                superuser.execute("lock table public.user_credits in access exclusive mode")
                time.sleep(0.5)
            act(bank, "add_credits_for", user, 1)

        with meanwhile(outage, 0):
            assert rows.next(20).credits_remaining == 4
        act(bank, "add_credits_for", user, 1)
        assert rows.next().credits_remaining == 5
    told = [record for record in caplog.records if record.name == "credits_db"]
    assert [record.levelname for record in told] == ["WARNING", "INFO"]
    assert "statement timeout" in told[0].getMessage()


def test_a_pool_that_has_no_connection_to_spare_is_waited_for(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.pool(bank.dsn(), timeout=0.05) as pool:
        rows = Watched(driver, driver.client(pool).watch(user, SOON))
        assert rows.next().credits_remaining == 3
        with driver.borrowed(pool):
            act(bank, "add_credits_for", user, 1)
            with pytest.raises(PoolTimeout):
                driver.wait(driver.client(pool).get_user_credits_for(user))
            if driver.kind == "sync":
                with pytest.raises(TimeoutError):
                    rows.next(0.3)
        if driver.kind == "async":
            assert rows.next().credits_remaining == 4


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
    brief: Any = {"connect_timeout": 2}  # a socket may outlive its server by an instant

    def spend(user: UUID) -> None:
        while not done.is_set():
            with suppress(psycopg.OperationalError), database.connect(**brief) as connection:
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

        async with AsyncConnectionPool(database.dsn(), min_size=2, open=False, timeout=2, kwargs=brief) as pool:
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

    with (
        asyncio.Runner() as runner,
        ConnectionPool(database.dsn(), min_size=2, open=True, timeout=2, kwargs=brief) as pool,
    ):
        loop, until = runner.get_loop(), asyncio.Event()
        service = Client(pool)
        threads = [threading.Thread(target=spend, args=[user], daemon=True) for user in users[:2]]
        threads.append(threading.Thread(target=lambda: runner.run(follow_all(until)), daemon=True))
        for user in users:
            for who, rows in (("c", service.watch(user, SOON)), ("d", service.as_user(user).watch(SOON))):
                threads.append(threading.Thread(target=follow, args=[rows, seen[who, user]], daemon=True))
        for thread in threads:
            thread.start()
        try:
            for _ in range(RESTARTS):
                time.sleep(luck.uniform(0.05, 0.25))
                kill(home)
                time.sleep(luck.uniform(0, 0.05))
                assert opened(home) == database
            done.set()
            for thread in threads[:2]:
                thread.join()
            final = {user: act(database, READ, user) for user in users}
            deadline = time.monotonic() + 15
            while late := [key for key, told in seen.items() if told[-1:] != [final[key[1]]]]:
                assert time.monotonic() < deadline, late
                time.sleep(0.02)
        finally:
            done.set()
            loop.call_soon_threadsafe(until.set)
            pool.close()
            for thread in threads:
                thread.join(20)
            assert not [thread for thread in threads if thread.is_alive()]
    for (_, user), told in seen.items():
        numbers = [row.last_seq for row in told]
        assert numbers == sorted(set(numbers)), "an older balance came after a newer one, or one came twice"
        assert final[user].last_seq >= spent[user] + 2
    with database.connect() as connection:
        assert_books_add_up(connection)
