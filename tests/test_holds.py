"""reserve(): credits are kept while a block works, captured at its end, and go free when it fails, on both clients."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest
from conftest import POOLED, Database, Templates, assert_books_add_up
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from test_client import SOURCES, Driver, Proxy, Seven, lock

from credits_db import (
    AsyncClient,
    Client,
    CreditHold,
    CreditTransaction,
    HoldNotActive,
    InsufficientCredits,
    InvalidAmount,
    Reservation,
)
from credits_db.testing import Clock, freeze

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module", params=("sync", "async"))
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    with asyncio.Runner() as runner:
        yield Driver(request.param, runner)


@pytest.fixture(scope="module")
def bank(templates: Templates) -> Iterator[Database]:
    """One database for the file; each test brings its own users."""
    with templates.clone("plain") as database:
        yield database
        with database.connect() as connection:
            assert_books_add_up(connection)


@pytest.fixture
def clock(bank: Database) -> Iterator[Clock]:
    """The clock of the bank, which stands still from now on."""
    with bank.connect() as owner, freeze(owner, datetime.now(UTC)) as clock:
        yield clock


@contextmanager
def service(database: Database) -> Iterator[Client]:
    """A client beside the one that is tested."""
    with database.connect() as connection:
        yield Client(connection)


@pytest.fixture
def connection(bank: Database, driver: Driver) -> Iterator[Any]:
    with driver.connected(bank.dsn()) as connection:
        yield connection


@pytest.fixture
def client(driver: Driver, connection: Any) -> Any:
    """The client that is tested, on an idle connection in autocommit mode."""
    return driver.client(connection)


def customer(database: Database, credits: int = 100) -> UUID:
    """A user with so many credits."""
    user = database.sign_up()
    with service(database) as client:
        client.add_credits_for(user, credits - 3)
    return user


def figures(database: Database, user: UUID) -> tuple[int, int]:
    """What is left and what is held."""
    with service(database) as client:
        balance = client.get_user_credits_for(user)
    return balance.credits_remaining, balance.credits_held


def captures(database: Database, user: UUID) -> list[CreditTransaction]:
    with service(database) as client:
        return client.get_transaction_history_for(user, type="consumption")


def holds(database: Database, user: UUID) -> list[CreditHold]:
    query = "select * from public.credit_holds where user_id = %s order by created_at"
    with database.connect(row_factory=dict_row) as connection:
        rows = connection.execute(query, [user]).fetchall()
    return [CreditHold.from_json(row) for row in rows]


# the end of a block --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
def test_credits_are_held_during_the_block_and_all_captured_at_its_end(
    bank: Database, driver: Driver, source: str
) -> None:
    user = customer(bank)
    with driver.source(bank, source) as where:
        client = driver.client(where)
        work = client.reserve(user, 30, MINUTE, description="A film", metadata={"job": 7}, idempotency_key="job-7")
        with driver.opened(work) as hold:
            assert isinstance(hold, Reservation)
            during = driver.wait(client.get_user_credits_for(user))
            assert (during.credits_remaining, during.credits_held, during.credits_available) == (100, 30, 70)
            assert (hold.row.status, hold.amount, hold.transaction) == ("active", 30, None)
            assert (hold.id, hold.expires_at) == (hold.row.id, hold.row.expires_at)
            assert hold.expires_at - hold.row.created_at == MINUTE
            assert (hold.row.description, hold.row.metadata, hold.row.idempotency_key) == (
                "A film", {"job": 7}, "job-7"
            )  # fmt: skip
        row = hold.transaction
        assert row is not None
        assert (row.type, row.amount, row.balance_after) == ("consumption", -30, 70)
        assert (row.description, row.metadata) == ("A film", {"job": 7})
        after = driver.wait(client.get_user_credits_for(user))
        assert (after.credits_remaining, after.credits_held, after.last_seq) == (70, 0, row.seq)
        if source == "manual":
            driver.wait(where.commit())
    assert captures(bank, user) == [row]


@pytest.mark.parametrize("amount", [37, Seven(), 100])
def test_a_part_is_captured_and_the_rest_goes_free(bank: Database, driver: Driver, client: Any, amount: Any) -> None:
    user = customer(bank)
    with driver.opened(client.reserve(user, 100)) as hold:
        hold.amount = 5
        hold.amount = amount
        assert hold.amount == operator.index(amount)
    assert figures(bank, user) == (100 - hold.amount, 0)
    assert [row.amount for row in captures(bank, user)] == [-hold.amount]
    assert holds(bank, user)[0].captured_amount == hold.amount


def test_the_amount_nought_releases(bank: Database, driver: Driver, client: Any) -> None:
    user = customer(bank)
    with driver.opened(client.reserve(user, 100)) as hold:
        hold.amount = 0
    assert hold.transaction is None
    assert (figures(bank, user), captures(bank, user)) == ((100, 0), [])
    assert [row.status for row in holds(bank, user)] == ["released"]


@pytest.mark.parametrize(("amount", "error"), [(101, InvalidAmount), (-1, InvalidAmount), (2**70, InvalidAmount),
                                               (1.5, TypeError), (True, TypeError), ("1", TypeError)])  # fmt: skip
def test_an_amount_that_is_not_held_is_refused_where_it_is_set(
    bank: Database, driver: Driver, client: Any, amount: Any, error: type[Exception]
) -> None:
    user, reached = customer(bank), False
    with pytest.raises(error), driver.opened(client.reserve(user, 100)) as hold:
        hold.amount = amount
        reached = True
    assert not reached
    assert (figures(bank, user), captures(bank, user)) == ((100, 0), [])


def test_a_block_that_cannot_be_paid_does_not_begin(bank: Database, driver: Driver, client: Any) -> None:
    user, begun = customer(bank), False
    with pytest.raises(InsufficientCredits), driver.opened(client.reserve(user, 101)):
        begun = True
    assert not begun
    assert holds(bank, user) == []


@pytest.mark.parametrize("error", [KeyError, HoldNotActive, psycopg.OperationalError, StopIteration, StopAsyncIteration,
                                   KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])  # fmt: skip
def test_whatever_a_block_raises_it_releases_and_is_raised_on(
    bank: Database, driver: Driver, client: Any, error: type[BaseException]
) -> None:
    user, raised = customer(bank), error("the block's own")
    with pytest.raises(error) as caught, driver.opened(client.reserve(user, 100)):
        raise raised
    assert caught.value is raised
    assert not hasattr(raised, "__notes__")
    assert (figures(bank, user), captures(bank, user)) == ((100, 0), [])
    assert [row.status for row in holds(bank, user)] == ["released"]


def test_an_error_of_the_release_does_not_hide_the_one_of_the_block(
    bank: Database, driver: Driver, client: Any, connection: Any
) -> None:
    user = customer(bank)
    with pytest.raises(KeyError) as caught, driver.opened(client.reserve(user, 100)) as hold:
        driver.wait(connection.close())
        raise KeyError("the block's own")
    (note,) = caught.value.__notes__
    assert note.startswith(f"Hold {hold.id}, until {hold.expires_at.isoformat()}, was not released: ")
    assert figures(bank, user) == (100, 100)


def test_a_hold_that_has_expired_by_the_end_charges_nothing_and_says_so(
    bank: Database, driver: Driver, client: Any, clock: Clock
) -> None:
    user = customer(bank)
    with pytest.raises(HoldNotActive) as caught, driver.opened(client.reserve(user, 100, MINUTE)):
        clock.advance(MINUTE)
    assert caught.value.details["state"] == "expired"
    assert figures(bank, user) == (100, 0)
    with pytest.raises(KeyError) as other, driver.opened(client.reserve(user, 100, MINUTE)):
        clock.advance(2 * MINUTE)
        raise KeyError("the block's own")
    assert not hasattr(other.value, "__notes__")
    assert (figures(bank, user), captures(bank, user)) == ((100, 0), [])


# the same key --------------------------------------------------------------------------------------------------------


def test_work_that_was_cut_off_is_begun_anew_on_the_same_hold(bank: Database, driver: Driver, client: Any) -> None:
    user = customer(bank)
    with service(bank) as other:
        first = other.reserve_credits_for(user, 60, idempotency_key="job")
    with driver.opened(client.reserve(user, 60, idempotency_key="job")) as hold:
        assert hold.row == first
    assert (figures(bank, user), len(holds(bank, user))) == ((40, 0), 1)


@pytest.mark.parametrize("amount", [40, 0, 37])
def test_work_that_was_captured_is_not_charged_again(bank: Database, driver: Driver, client: Any, amount: int) -> None:
    user = customer(bank)
    work = partial(client.reserve, user, 60, idempotency_key="j" * 255)
    with driver.opened(work()) as first:
        first.amount = 37
    with driver.opened(work()) as again:
        assert (again.row.status, again.amount) == ("captured", 37)
        again.amount = amount
    assert (again.id, again.transaction) == (first.id, first.transaction)
    with pytest.raises(KeyError) as caught, driver.opened(work()):
        raise KeyError("the block's own")
    assert not hasattr(caught.value, "__notes__")
    assert (figures(bank, user), captures(bank, user)) == ((63, 0), [first.transaction])


def test_a_key_is_used_up_once_its_hold_was_released(bank: Database, driver: Driver, client: Any) -> None:
    user, begun = customer(bank), 0
    work = partial(client.reserve, user, 60, idempotency_key="job")
    with suppress(KeyError), driver.opened(work()):
        begun += 1
        raise KeyError("the block's own")
    with pytest.raises(HoldNotActive) as caught, driver.opened(work()):
        begun += 1
    assert (begun, caught.value.details["state"]) == (1, "released")
    assert caught.value.hint.endswith(".")
    assert figures(bank, user) == (100, 0)


def test_a_key_is_used_up_once_its_hold_has_expired(bank: Database, driver: Driver, client: Any, clock: Clock) -> None:
    user, begun = customer(bank), 0
    with service(bank) as other:
        other.reserve_credits_for(user, 60, MINUTE, idempotency_key="job")
    clock.advance(MINUTE)
    with (
        pytest.raises(HoldNotActive) as caught,
        driver.opened(client.reserve(user, 60, MINUTE, idempotency_key="job")),
    ):
        begun += 1
    assert (begun, caught.value.details["state"]) == (0, "expired")


def test_each_block_without_a_key_has_a_hold_of_its_own(bank: Database, driver: Driver, client: Any) -> None:
    user = customer(bank)
    with driver.opened(client.reserve(user, 10)) as first, driver.opened(client.reserve(user, 20)) as second:
        assert figures(bank, user) == (100, 30)
    assert first.id != second.id
    assert sorted(row.amount for row in captures(bank, user)) == [-20, -10]


# a network that fails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lose", ["request", "answer"])
@pytest.mark.parametrize("call", ["reserve_credits_for", "capture_hold_for", "release_hold_for"])
def test_on_a_pool_a_connection_that_is_lost_charges_once(bank: Database, driver: Driver, call: str, lose: str) -> None:
    user = customer(bank)
    with Proxy(bank) as proxy, driver.source(proxy.database, "pool") as pool:
        proxy.word, proxy.lose = call.encode(), lose
        with driver.opened(driver.client(pool).reserve(user, 60)) as hold:
            if call == "release_hold_for":
                hold.amount = 0
        assert proxy.lose == ""
    paid = call != "release_hold_for"
    assert figures(bank, user) == (40 if paid else 100, 0)
    assert [row.id for row in holds(bank, user)] == [hold.id]
    assert captures(bank, user) == ([hold.transaction] if paid else [])


@pytest.mark.parametrize("lose", ["request", "answer"])
@pytest.mark.parametrize("call", ["reserve_credits_for", "capture_hold_for"])
def test_the_same_key_settles_a_block_whose_only_connection_was_lost(
    bank: Database, driver: Driver, client: Any, call: str, lose: str
) -> None:
    user = customer(bank)
    with Proxy(bank) as proxy, driver.connected(proxy.database.dsn()) as frail:
        proxy.word, proxy.lose = call.encode(), lose
        work = driver.client(frail).reserve(user, 60, idempotency_key="job")
        with pytest.raises(psycopg.OperationalError), driver.opened(work):
            pass
    with driver.opened(client.reserve(user, 60, idempotency_key="job")) as hold:
        pass
    assert (figures(bank, user), captures(bank, user)) == ((40, 0), [hold.transaction])


# the caller's transaction --------------------------------------------------------------------------------------------


def test_in_the_callers_transaction_hold_work_and_capture_are_undone_together(
    bank: Database, driver: Driver, client: Any, connection: Any
) -> None:
    user = customer(bank)
    with driver.opened(connection.transaction(force_rollback=True)):
        with driver.opened(client.reserve(user, 60)) as hold:
            driver.execute(connection, "create table public.work ()")
        assert hold.transaction.balance_after == 40
    assert driver.execute(connection, "select to_regclass('public.work')") == [(None,)]
    assert (figures(bank, user), holds(bank, user)) == ((100, 0), [])


def test_a_statement_that_fails_in_the_block_is_the_error_that_is_seen(
    bank: Database, driver: Driver, client: Any, connection: Any
) -> None:
    user, transaction = customer(bank), connection.transaction
    with (
        pytest.raises(psycopg.errors.DivisionByZero),
        driver.opened(transaction()),
        driver.opened(client.reserve(user, 60)),
    ):
        driver.execute(connection, "select 1 / 0")  # nothing more can be said in this transaction
    assert holds(bank, user) == []
    with (
        driver.opened(transaction()),
        pytest.raises(psycopg.errors.DivisionByZero),
        driver.opened(client.reserve(user, 60)),
        driver.opened(transaction()),
    ):
        driver.execute(connection, "select 1 / 0")
    assert [row.status for row in holds(bank, user)] == ["released"]


# cancellation --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2])
def test_a_task_that_is_cancelled_releases_also_when_it_is_cancelled_meanwhile(bank: Database, times: int) -> None:
    user = customer(bank)

    async def work(client: AsyncClient, begun: asyncio.Event) -> None:
        async with client.reserve(user, 60):
            begun.set()
            await asyncio.sleep(60)

    async def scenario() -> None:
        begun = asyncio.Event()
        async with AsyncConnectionPool(
            bank.dsn(), min_size=1, kwargs={"autocommit": True, **POOLED}, open=False
        ) as pool:
            task = asyncio.create_task(work(AsyncClient(pool), begun))
            await begun.wait()
            with bank.connect(autocommit=False) as holder:
                lock(holder, user)  # the release has to wait
                for _ in range(times):
                    task.cancel()
                    await asyncio.sleep(0.05)
            with pytest.raises(asyncio.CancelledError):
                await task
            for _ in range(200):
                if figures(bank, user) == (100, 0):
                    return
                await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert (figures(bank, user), captures(bank, user)) == ((100, 0), [])
