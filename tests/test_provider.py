"""CreditsProvider shows what the server has less what was just pressed, and one press is never charged twice.

Failures are put where the client meets the connection: before a statement is sent, or after the server has done it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import FrozenInstanceError, dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from conftest import POOLED, ROOT, Database, Templates, assert_books_add_up, sign_up
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from tenacity import stop_after_attempt, wait_none

from credits_db import (
    AccountNotFound,
    AsyncClient,
    AsyncUserClient,
    Client,
    CreditsProvider,
    CreditsState,
    CreditTransaction,
    InsufficientCredits,
    InvalidAmount,
    UserCredits,
    client,
)
from credits_db.client import _identity

FAULTS: ContextVar[list[str]] = ContextVar("FAULTS")  # of the task, one for each attempt
KNOWN = CreditsState(3, is_loading=False)


class Shaky(AsyncUserClient):
    """A client whose connection fails as FAULTS says."""

    async def _alone(self, connection: psycopg.AsyncConnection[Any], call: Any) -> list[dict[str, Any]]:
        faults = FAULTS.get([])
        fault = faults.pop(0) if faults else ""
        await asyncio.sleep(0)
        if fault == "exhausted":
            raise PoolTimeout("no connection in time")
        if fault == "refused":
            raise psycopg.errors.CannotConnectNow("the database system is starting up")
        if fault == "request lost":
            raise psycopg.OperationalError("the connection is lost")
        if fault == "given up before":
            self.give_up()
            await asyncio.sleep(1)
        rows = await super()._alone(connection, call)
        if fault == "given up after":
            self.give_up()
            await asyncio.sleep(1)
        if fault == "answer lost":
            raise psycopg.OperationalError("the connection is lost")
        return rows

    def give_up(self) -> None:
        task = asyncio.current_task()
        assert task
        task.cancel()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client tries twice, at once."""
    monkeypatch.setitem(client._RETRY, "stop", stop_after_attempt(2))
    monkeypatch.setitem(client._RETRY, "wait", wait_none())


@pytest.fixture(scope="module")
def bank(templates: Templates, flavour: str) -> Iterator[Database]:
    with templates.clone(flavour) as database:
        yield database
        with database.connect() as connection:
            assert_books_add_up(connection)


class Shop:
    """A provider of a new user, and the service beside it."""

    def __init__(self, pool: AsyncConnectionPool[Any], user: UUID) -> None:
        self.user, self.service = user, AsyncClient(pool)
        self.provider = CreditsProvider(Shaky(pool, _identity(user, None)))
        self.told: list[CreditsState] = []
        self.stop = self.provider.listen(self.told.append)

    async def press(self, amount: int = 1, *faults: str, **named: Any) -> CreditTransaction:
        """In a task of its own, whose connection fails like this."""

        async def alone() -> CreditTransaction:
            FAULTS.set(list(faults))
            return await self.provider.consume(amount, **named)

        return await asyncio.ensure_future(alone())

    async def spent(self) -> list[CreditTransaction]:
        return await self.service.get_transaction_history_for(self.user, 500, type="consumption")


@asynccontextmanager
async def open_shop(database: Database, user: UUID | None = None) -> Any:
    kwargs = {"autocommit": True, **POOLED}
    async with AsyncConnectionPool(database.dsn(), min_size=2, max_size=4, open=False, kwargs=kwargs) as pool:
        yield Shop(pool, user or database.sign_up())


def run(database: Database, story: Callable[[Shop], Awaitable[None]], user: UUID | None = None) -> None:
    async def main() -> None:
        async with open_shop(database, user) as shop:
            await story(shop)

    asyncio.run(main())


def test_it_begins_with_nothing_known_and_loads_what_the_server_has(bank: Database) -> None:
    async def story(shop: Shop) -> None:
        with pytest.raises(FrozenInstanceError):
            shop.provider.state.credits_remaining = 9  # type: ignore[misc]
        assert shop.provider.state == CreditsState() == CreditsState(0, 0, 0, True, None, 0)
        assert not shop.provider.has_credits
        await shop.provider.load()
        assert shop.told == [KNOWN]  # that it loads was so before
        assert shop.provider.has_credits
        await shop.service.reserve_credits_for(shop.user, 3)
        await shop.provider.refresh()
        assert shop.told[1:] == [replace(KNOWN, is_loading=True), replace(KNOWN, credits_held=3)]
        assert not shop.provider.has_credits

    run(bank, story)


def test_exports_and_the_monthly_bonus_are_shown_where_there_are_any(templates: Templates, flavour: str) -> None:
    with templates.clone(flavour, pushed="app") as database:
        user = database.sign_up()
        with database.connect() as connection:
            Client(connection).set_recurring_grant("plan", 10, "month", user)
            query = "insert into public.projects (user_id) values (%s) returning id"
            project = connection.execute(query, [user]).fetchone()
            assert project
            for _ in range(2):
                Client(connection).consume_credit_and_create_export_for(user, project[0], "png")

        async def story(shop: Shop) -> None:
            await shop.provider.load()
            assert shop.provider.state == CreditsState(11, 10, 2, is_loading=False)

        run(database, story, user)


def test_where_there_are_no_exports_it_asks_once(bank: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def story(shop: Shop) -> None:
        alone = Shaky._alone

        async def counted(self: Any, connection: Any, call: Any) -> Any:
            asked.append(call.function)
            return await alone(self, connection, call)

        monkeypatch.setattr(Shaky, "_alone", counted)
        await shop.provider.load()
        await shop.provider.refresh()

    run(bank, story)
    assert asked == ["get_user_credits", "get_user_stats", "get_user_credits"]


def test_a_press_shows_at_once_and_the_answer_changes_nothing_more(bank: Database) -> None:
    async def story(shop: Shop) -> None:
        await shop.provider.load()
        shop.told.clear()
        row = await shop.press(2, description="a film", metadata={"job": 1}, idempotency_key="press 1")
        assert shop.told == [replace(KNOWN, credits_remaining=1)]
        assert (row.balance_after, row.description, row.metadata) == (1, "a film", {"job": 1})
        assert row.idempotency_key == "press 1"

    run(bank, story)


def test_a_refusal_takes_it_back_and_a_success_clears_the_error(bank: Database) -> None:
    async def story(shop: Shop) -> None:
        await shop.provider.load()
        shop.told.clear()
        with pytest.raises(InsufficientCredits) as caught:
            await shop.press(5)
        assert shop.told == [replace(KNOWN, credits_remaining=0), replace(KNOWN, error=caught.value)]  # never below
        await shop.press(1)
        assert shop.told[2:] == [
            replace(KNOWN, credits_remaining=2, error=caught.value),
            replace(KNOWN, credits_remaining=2),
        ]
        for wrong, error in ((1.5, TypeError), (-1, InvalidAmount)):
            with pytest.raises(error):
                await shop.press(wrong)  # type: ignore[arg-type]
            assert shop.provider.state.credits_remaining == max(state.credits_remaining for state in shop.told[2:]) == 2
        assert len(await shop.spent()) == 1

    run(bank, story)


@pytest.mark.parametrize("fault", ["exhausted", "request lost", "answer lost", "given up before", "given up after"])
def test_a_press_without_an_answer_is_taken_back_and_the_next_one_like_it_settles_it(
    bank: Database, fault: str
) -> None:
    async def story(shop: Shop) -> None:
        await shop.provider.load()
        given_up = fault.startswith("given up")
        with pytest.raises(asyncio.CancelledError if given_up else psycopg.OperationalError) as caught:
            await shop.press(1, fault, fault, metadata={"job": 1})
        state = shop.provider.state
        assert replace(state, error=None) == KNOWN
        assert isinstance(state.error, TimeoutError) if given_up else state.error is caught.value
        done = [row.idempotency_key for row in await shop.spent()]
        assert len(done) == (fault in {"answer lost", "given up after"})
        other = await shop.press(1, metadata={"job": 2})
        row = await shop.press(1, metadata={"job": 1})
        again = await shop.press(1, metadata={"job": 1})
        assert done in ([], [row.idempotency_key])
        assert sorted([other.seq, row.seq, again.seq]) == [2, 3, 4]
        assert shop.provider.state == replace(KNOWN, credits_remaining=0)

    run(bank, story)


def test_a_key_of_the_callers_is_theirs_to_send_again(bank: Database) -> None:
    async def story(shop: Shop) -> None:
        await shop.provider.load()
        with pytest.raises(psycopg.OperationalError):
            await shop.press(1, "answer lost", "answer lost", idempotency_key="mine")
        assert (await shop.press(1)).seq == 3
        assert (await shop.press(1, idempotency_key="mine")).balance_after == 2
        assert shop.provider.state.credits_remaining == 1, "the answer to an old press is no news"
        await shop.provider.refresh()
        assert shop.provider.state == replace(KNOWN, credits_remaining=1)

    run(bank, story)


def test_an_answer_that_was_read_before_what_is_known_is_passed_over(
    bank: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh reads, a press is answered, and only then does the refresh arrive."""

    async def story(shop: Shop) -> None:
        await shop.provider.load()
        came, go = asyncio.Event(), asyncio.Event()
        alone = Shaky._alone

        async def late(self: Any, connection: Any, call: Any) -> Any:
            rows = await alone(self, connection, call)
            if call.function == "get_user_credits":
                came.set()
                await go.wait()
            return rows

        monkeypatch.setattr(Shaky, "_alone", late)
        refresh = asyncio.ensure_future(shop.provider.refresh())
        await came.wait()
        await shop.press(2)
        go.set()
        await refresh
        assert shop.provider.state == replace(KNOWN, credits_remaining=1)

    run(bank, story)


def test_after_a_reset_nothing_is_known_and_late_answers_change_nothing(bank: Database) -> None:
    async def story(shop: Shop) -> None:
        await shop.provider.load()
        with pytest.raises(psycopg.OperationalError):
            await shop.press(1, "answer lost", "answer lost")
        late = [asyncio.ensure_future(shop.press()), asyncio.ensure_future(shop.provider.refresh())]
        follow = asyncio.ensure_future(shop.provider.follow(timedelta(milliseconds=20)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        shop.provider.reset()
        assert shop.provider.state == CreditsState()
        shop.told.clear()
        await asyncio.gather(*late)
        await shop.service.add_credits_for(shop.user, 1)
        async with asyncio.timeout(5):
            await follow
        assert shop.told == []
        row = await shop.press()
        assert row.idempotency_key not in {old.idempotency_key for old in (await shop.spent())[1:]}
        await shop.provider.load()
        assert shop.provider.state.credits_remaining == 4 - len(await shop.spent())

    run(bank, story)


def test_follow_shows_what_others_do_and_says_why_it_ended(bank: Database) -> None:
    async def story(shop: Shop) -> None:
        follow = asyncio.ensure_future(shop.provider.follow(timedelta(milliseconds=20)))

        async def shows(state: CreditsState) -> None:
            async with asyncio.timeout(5):
                while shop.provider.state != state:
                    await asyncio.sleep(0.005)

        await shows(KNOWN)
        await shop.service.add_credits_for(shop.user, 4)
        await shows(replace(KNOWN, credits_remaining=7))
        with pytest.raises(InsufficientCredits):
            await shop.press(9)
        hold = await shop.service.reserve_credits_for(shop.user, 2)
        await shows(replace(KNOWN, credits_remaining=7, credits_held=2))
        await shop.service.release_hold_for(shop.user, hold.id)
        await shows(replace(KNOWN, credits_remaining=7))
        follow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await follow
        assert shop.provider.state == replace(KNOWN, credits_remaining=7)
        follow = asyncio.ensure_future(shop.provider.follow(timedelta(milliseconds=20)))
        await asyncio.sleep(0.05)
        await shop.service.delete_user_account_for(shop.user)
        with pytest.raises(AccountNotFound):
            async with asyncio.timeout(5):
                await follow
        assert isinstance(shop.provider.state.error, AccountNotFound)

    run(bank, story)


def test_listeners_hear_each_state_once_and_a_failing_one_harms_nobody(
    bank: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(shop: Shop) -> None:
        provider, heard = shop.provider, list[CreditsState]()

        def fail(state: CreditsState) -> None:
            raise RuntimeError("a listener")

        def sign_out(state: CreditsState) -> None:
            if state.credits_remaining == 2:
                provider.reset()

        stops = [provider.listen(fail), provider.listen(sign_out), provider.listen(heard.append)]
        await provider.load()
        await provider.refresh()
        await shop.press()
        assert provider.state == CreditsState()
        assert heard == [KNOWN, replace(KNOWN, is_loading=True), KNOWN, CreditsState()]
        assert all(before != after for before, after in zip(shop.told, shop.told[1:], strict=False))
        for stop in stops:
            stop()
            stop()
        await provider.load()
        assert heard[-1] == CreditsState()

    caplog.set_level(logging.ERROR, "credits_db")
    run(bank, story)
    assert {record.getMessage() for record in caplog.records} == {"a listener of CreditsProvider failed"}


def test_a_state_that_a_listener_undoes_is_no_news_for_the_next(bank: Database) -> None:
    async def story(shop: Shop) -> None:
        provider, heard = shop.provider, list[CreditsState]()
        shop.stop()
        provider.listen(lambda state: None if state == CreditsState() else provider.reset())
        provider.listen(heard.append)
        await provider.load()
        assert heard == []

    run(bank, story)


# at random -----------------------------------------------------------------------------------------------------------

FAULT = st.sampled_from(
    ["", "", "exhausted", "refused", "request lost", "answer lost", "answer lost", "given up before", "given up after"]
)
PRESS = st.tuples(st.integers(1, 3), st.integers(1, 4), st.lists(FAULT, max_size=2))  # job, amount, a fault an attempt
STEP = st.one_of(
    st.tuples(st.just("press"), st.lists(PRESS, min_size=1, max_size=3)),
    st.tuples(st.just("other"), st.integers(-3, 5)),
    st.tuples(st.just("refresh"), st.lists(FAULT, max_size=2)),
)


@dataclass
class Story:
    """What the presses were told, to be held against the ledger."""

    shop: Shop
    answered: list[int] = field(default_factory=list)
    lost: int = 0

    async def press(self, job: int, amount: int, faults: list[str]) -> None:
        try:
            self.answered.append((await self.shop.press(amount, *faults, metadata={"job": job})).seq)
        except InsufficientCredits:
            pass
        except (psycopg.Error, asyncio.CancelledError):
            self.lost += 1

    async def refresh(self, faults: list[str]) -> None:
        async def alone() -> None:
            FAULTS.set(list(faults))
            await self.shop.provider.refresh()

        with suppress(psycopg.Error, asyncio.CancelledError):
            await asyncio.ensure_future(alone())

    async def other(self, amount: int) -> None:
        with suppress(InsufficientCredits):
            if amount < 0:
                await self.shop.service.consume_credit_for(self.shop.user, -amount, description="elsewhere")
            elif amount:
                await self.shop.service.add_credits_for(self.shop.user, amount)

    async def step(self, kind: str, what: Any) -> None:
        if kind == "press":
            await asyncio.gather(*(self.press(*press) for press in what))
        else:
            await (self.refresh(what) if kind == "refresh" else self.other(what))

    async def check(self) -> None:
        """Each charge was answered once, or is one that the next press like it will send again."""
        provider, rows = self.shop.provider, await self.shop.spent()
        charged = {row.seq: row.idempotency_key for row in rows if row.description != "elsewhere"}
        assert len(self.answered) == len(set(self.answered)), "one charge answered two presses"
        assert set(self.answered) <= set(charged)
        open_keys = set(provider._session.undecided)
        assert {key for seq, key in charged.items() if seq not in self.answered} <= open_keys, "a charge is forgotten"
        assert len(open_keys) <= self.lost

    async def end(self) -> None:
        """Whoever got no answer presses again, until all is decided."""
        await self.check()
        provider = self.shop.provider
        for press in list(provider._session.undecided.values()):
            amount, _, metadata = json.loads(press)
            await self.press(metadata["job"], amount, [])
        assert provider._session.undecided == {}
        await self.check()
        await provider.refresh()
        row: UserCredits = await self.shop.service.get_user_credits_for(self.shop.user)
        assert provider.state == CreditsState(
            row.credits_remaining, row.monthly_bonus_credits, is_loading=False, credits_held=row.credits_held
        )


@pytest.fixture(scope="module")
def stories(templates: Templates) -> Iterator[Callable[[Callable[[Shop], Coroutine[Any, Any, None]]], None]]:
    """Tell one about a new user; all share a pool."""
    with templates.clone("plain") as database, asyncio.Runner() as runner:
        opened = open_shop(database)
        shop = runner.run(opened.__aenter__())

        with database.connect() as owner:

            def tell(story: Callable[[Shop], Coroutine[Any, Any, None]]) -> None:
                runner.run(story(Shop(shop.service._source, sign_up(owner))))

            yield tell
        runner.run(opened.__aexit__(None, None, None))
        with database.connect() as connection:
            assert_books_add_up(connection)


@settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(st.lists(STEP, min_size=1, max_size=3), min_size=1, max_size=4))
def test_whatever_fails_it_ends_equal_to_the_server_and_a_press_is_charged_once(
    stories: Callable[[Callable[[Shop], Coroutine[Any, Any, None]]], None], steps: list[list[tuple[str, Any]]]
) -> None:
    """Steps in a list go on at the same time."""

    async def story(shop: Shop) -> None:
        await shop.service.add_credits_for(shop.user, 7)
        told = Story(shop)
        for together in steps:
            await asyncio.gather(*(told.step(*step) for step in together))
            await told.check()
            assert shop.provider._session.pending == {}
        await told.end()

    stories(story)


# the example ---------------------------------------------------------------------------------------------------------


def test_the_example_shows_spends_and_runs_dry_in_a_terminal(bank: Database) -> None:
    lines = (ROOT / "examples/terminal.py").read_text().splitlines()
    assert len([line for line in lines if line.strip() and not line.startswith(("import", "from", '"""'))]) <= 20
    user = bank.sign_up()
    program = subprocess.Popen(
        [sys.executable, "-m", "examples.terminal", str(user)],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": bank.dsn(), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with program:
        assert program.stdin
        assert program.stdout
        assert program.stdout.readline() == "3 credits \n"
        for left in (2, 1, 0):
            program.stdin.write("\n")
            program.stdin.flush()
            assert program.stdout.readline() == f"{left} credits \n"
        program.stdin.write("\n")
        program.stdin.flush()
        assert program.stdout.readline().startswith("0 credits insufficient_credits: ")
        with bank.connect() as connection:
            Client(connection).add_credits_for(user, 5)
        assert program.stdout.readline() == "5 credits \n"  # it follows
        program.stdin.close()
        assert program.wait(10) == 0
        assert program.stderr
        assert program.stderr.read() == ""
