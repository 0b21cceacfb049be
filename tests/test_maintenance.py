"""run_maintenance beside itself, beside spending, and over a session that is killed.

Users are made yesterday by a session whose clock is a day behind (LIVE), so that today a lot, a hold and a grant of
each have fallen due.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest
from conftest import Database, Templates, assert_books_add_up
from test_concurrency import ANY_LEVEL, LEVELS, LIVE, OWN_SETTINGS, WATCHED, again, at, together, wait_until_blocked

MAINTAIN = "select (r).accounts, (r).expirations, (r).holds, (r).grants from public.run_maintenance(%s) as r"
SPEND = "select (public.consume_credit_for(%s, 1)).seq"
DUE = """
select count(*)
from credits_private.due_accounts as d
where d.due_at <= credits_private.now() and d.user_id = any (%s)
"""


@pytest.fixture(scope="module")
def bank(templates: Templates) -> Iterator[Database]:
    """A plain database with a clock, for the file. Each test brings its own users and leaves nothing due."""
    with templates.clone("plain") as database:
        with database.connect() as connection:
            connection.execute(LIVE)
        yield database
        with database.connect() as connection:
            assert_books_add_up(connection)


def due(bank: Database, users: int) -> list[UUID]:
    """Users of live() with 11,518 credits once what is due of each is written: two lots, a hold, a grant."""
    with bank.connect() as connection:
        row = connection.execute("select array_agg(life.live('1 day')) from generate_series(1, %s)", [users]).fetchone()
        assert row
        return [UUID(str(user)) for user in row[0]]


def expiring(bank: Database, lots: int, ends: str) -> UUID:
    """A user with so many lots of a credit that are past their end; `ends` is when, by their number n."""
    user = bank.sign_up()
    with bank.connect(options="-c life.before=1day") as connection:
        add = f"select public.add_credits_for(%s, 1, expires_at => {ends}) from generate_series(1, %s) as n"
        connection.execute(add.encode(), [user, lots])
    return user


def settled(bank: Database, users: list[UUID], spent: int = 0) -> None:
    """Each due thing of users of live() was written, once."""
    rows = """
        select t.user_id, t.type::text, t.amount from public.credit_transactions as t
        where t.user_id = any (%s) and t.created_at > '2031-05-06 13:00Z' and t.type <> 'consumption'
    """
    with bank.connect() as connection:
        written = connection.execute(rows, [users]).fetchall()
        assert Counter(written) == Counter(
            (user, *what) for user in users for what in (("expiration", -260), ("expiration", -7), ("bonus", 7))
        )
        states = connection.execute(
            """
            select h.status::text, count(*), sum(a.credits_remaining), sum(a.credits_held)
            from public.credit_holds as h join public.user_credits as a using (user_id)
            where h.user_id = any (%s)
            group by 1 order by 1
            """,
            [users],
        ).fetchall()
        left, held = 11_518 * len(users) - spent, 8 * len(users)
        assert states == [("active", len(users), left, held), ("expired", len(users), left, held)]
        assert_books_add_up(connection)


def sweep(connection: psycopg.Connection[Any], items: int) -> Counter[str]:
    """Maintenance until nothing more is done; what it did, and how many times. Any conflict is an error."""
    done: Counter[str] = Counter()
    while True:
        counts = connection.execute(MAINTAIN, [items]).fetchone()
        assert counts
        if not any(counts):
            return done
        assert sum(counts[1:]) <= items
        done.update(dict(zip(("accounts", "expirations", "holds", "grants"), counts, strict=True)), calls=1)


@OWN_SETTINGS
def test_four_at_once_do_each_thing_once_and_never_wait_for_each_other(bank: Database) -> None:
    users = due(bank, 40)
    with ExitStack() as stack:
        options = "-c lock_timeout=1ms"
        sessions = [stack.enter_context(bank.connect(options=options)) for _ in range(4)]
        reports = together([partial(sweep, session, 20) for session in sessions])
        total: Counter[str] = Counter()
        for report in reports:
            assert isinstance(report, Counter), report
            total += report
        # whoever finds everything taken goes home; nothing is left for longer than that
        total += sweep(sessions[0], 20)
    del total["calls"], total["accounts"]
    assert total == {"expirations": 80, "holds": 40, "grants": 40}
    settled(bank, users)


def test_beside_spends_of_the_same_users_nothing_deadlocks_and_each_thing_is_done_once(bank: Database) -> None:
    users = due(bank, 40)

    def spend(seed: int) -> int:
        order = random.Random(seed).sample(users, len(users))
        with bank.connect() as connection:
            return sum(isinstance(again(connection, SPEND, user, conflicts=()), int) for user in order)

    with ExitStack() as stack:
        sessions = [stack.enter_context(bank.connect()) for _ in range(2)]
        calls = [*(partial(sweep, session, 10) for session in sessions), *(partial(spend, n) for n in range(4))]
        first, second, *spent = together(calls)  # type: ignore[arg-type]
        assert isinstance(first, Counter), first
        assert isinstance(second, Counter), second
        sweep(sessions[0], 1000)
    assert spent == [40] * 4
    settled(bank, users, spent=160)


@OWN_SETTINGS
@pytest.mark.parametrize("level", LEVELS[1:])
def test_at_stricter_levels_it_does_each_thing_once_too(bank: Database, level: str) -> None:
    users = due(bank, 20)
    with ExitStack() as stack:
        sessions = [stack.enter_context(bank.connect(options=at(level))) for _ in range(4)]
        maintain = "select (public.run_maintenance(%s)).accounts"
        answers = together([partial(again, session, maintain, 10) for session in sessions for _ in range(1)])
        answers += together(
            [partial(again, session, SPEND, user) for session, user in zip(sessions, users, strict=False)]
        )
        assert {type(answer) for answer in answers} == {int}
    with bank.connect() as connection:
        sweep(connection, 1000)
    settled(bank, users, spent=4)


@WATCHED
def test_a_batch_holds_up_those_in_it_and_nobody_else(bank: Database) -> None:
    users = due(bank, 6)
    with ExitStack() as stack:
        sweeper, other = (stack.enter_context(bank.connect(options="-c lock_timeout=100ms")) for _ in range(2))
        spender, monitor = stack.enter_context(bank.connect()), stack.enter_context(bank.connect("postgres"))
        sweeper.execute("begin")
        assert sweeper.execute(MAINTAIN, [4]).fetchone() == (1, 2, 1, 1)
        # locked as far as the batch might have gone
        busy = [user for user in users if isinstance(again(other, SPEND, user, conflicts=()), tuple)]
        assert 1 <= len(busy) <= 4
        assert sweep(other, 4) == {}  # the others have settled with their spend
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(again, spender, SPEND, busy[0], conflicts=())
            wait_until_blocked(monitor, spender.info.backend_pid)
            sweeper.execute("commit")
            assert isinstance(waiting.result(10), int)
        free = [user for user in busy if isinstance(again(other, SPEND, user, conflicts=()), int)]
        assert free == busy
        sweep(sweeper, 1000)
    settled(bank, users, spent=len(users) + 1)


ONE_BY_ONE = "timestamptz '2031-05-06 14:00Z' + n * interval '1 minute'"


@OWN_SETTINGS
@pytest.mark.parametrize("ends", [ONE_BY_ONE, "'2031-05-06 14:00Z'"], ids=["one by one", "at once"])
def test_a_user_with_a_thousand_due_lots_is_swept_in_bounded_batches(bank: Database, ends: str) -> None:
    user = expiring(bank, 1000, ends)
    with bank.connect() as connection:
        for _ in range(10):
            assert connection.execute(MAINTAIN, [100]).fetchone() == (1, 100, 0, 0)
        assert connection.execute(DUE, [[user]]).fetchone() == (0,)
        row = connection.execute(
            """
            select
              count(*), count(distinct t.created_at), bool_and(t.created_at = l.expires_at), max(a.credits_remaining)
            from public.credit_transactions as t
            join credits_private.credit_lots as l on l.user_id = t.user_id and l.seq = (t.metadata ->> 'lot')::bigint
            join public.user_credits as a on a.user_id = t.user_id
            where t.user_id = %s and t.type = 'expiration'
            """,
            [user],
        ).fetchone()
    assert row == (1000, 1000 if ends is ONE_BY_ONE else 1, True, 3)


@OWN_SETTINGS
def test_a_spend_that_comes_between_two_batches_writes_the_rest(bank: Database) -> None:
    user = expiring(bank, 50, ONE_BY_ONE)
    with bank.connect() as connection:
        assert connection.execute(MAINTAIN, [20]).fetchone() == (1, 20, 0, 0)
        assert again(connection, "select (public.get_user_credits_for(%s)).credits_remaining", user) == 3
        assert again(connection, SPEND, user) == 1 + 50 + 50 + 1
        assert connection.execute(MAINTAIN, [1000]).fetchone() == (0, 0, 0, 0)


@pytest.mark.session("is killed by its pid")
def test_killed_in_the_middle_it_has_done_whole_batches_and_the_next_call_does_the_rest(bank: Database) -> None:
    users = due(bank, 40)
    luck, killed = random.Random(11), 0
    with bank.connect("postgres") as monitor:
        while monitor.execute(DUE, [users]).fetchone() != (0,):
            sweeper = bank.connect()
            with ThreadPoolExecutor(1) as thread:
                calls = thread.submit(sweep, sweeper, 40 if killed < 6 else 1000)
                if killed < 6:
                    time.sleep(luck.uniform(0.002, 0.03))
                    monitor.execute("select pg_terminate_backend(%s)", [sweeper.info.backend_pid])
                with suppress(psycopg.OperationalError):
                    calls.result(30)
                    killed -= 1
                killed += 1
            sweeper.close()
            assert_books_add_up(monitor)
    assert killed > 0, "no kill came in time"
    settled(bank, users)


# the outbox ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ANY_LEVEL)
def test_spends_that_cross_an_alert_at_once_queue_one_notice_of_the_crossing(bank: Database, level: str) -> None:
    user = bank.sign_up()
    with ExitStack() as stack:
        sessions = [stack.enter_context(bank.connect(options=at(level))) for _ in range(10)]
        again(sessions[0], "select public.add_credits_for(%s, 17)", user)
        again(sessions[0], "select public.set_alert_for(%s, 15)", user)
        answers = together([partial(again, session, SPEND, user) for session in sessions])
        assert {type(answer) for answer in answers} == {int}
        payloads = sessions[0].execute(
            "select o.payload ->> 'credits_remaining' from credits_private.outbox as o where o.user_id = %s", [user]
        )
        assert payloads.fetchall() == [("14",)]


@OWN_SETTINGS
def test_workers_at_once_are_handed_each_item_once_and_wait_for_nobody(bank: Database) -> None:
    user = bank.sign_up()

    def work(session: psycopg.Connection[Any]) -> list[UUID]:
        mine = list[UUID]()
        while items := session.execute("select id from public.claim_outbox(7) where user_id = %s", [user]).fetchall():
            mine += [item[0] for item in items]
            acked = session.execute("select public.ack_outbox(%s)", [[item[0] for item in items]]).fetchone()
            assert acked == (len(items),)
        return mine

    with ExitStack() as stack:
        # more than somebody needs to extend a table
        sessions = [stack.enter_context(bank.connect(options="-c lock_timeout=100ms")) for _ in range(4)]
        sessions[0].execute("select public.ack_outbox(array(select id from credits_private.outbox))")
        sessions[0].execute(
            "select credits_private.queue_alert(%s, 9, n, 1, credits_private.now()) from generate_series(1, 200) as n",
            [user],
        )
        answers = together([partial(work, session) for session in sessions])
        handed = Counter(id for answer in answers if isinstance(answer, list) for id in answer)
        assert sessions[0].execute("select count(*) from credits_private.outbox").fetchone() == (0,)
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert len(handed) == 200
    assert set(handed.values()) == {1}


# who gets a grant of all ----------------------------------------------------------------------------------------------

GRANT = "select public.set_recurring_grant('pro', %s, 'day', entitlement => 'pro')"
AVAILABLE = "select (public.get_user_credits_for(%s)).credits_remaining"


@WATCHED
def test_of_two_who_set_a_grant_of_all_at_once_one_comes_after_the_other(database: Database) -> None:
    with database.connect() as first, database.connect() as second, database.connect("postgres") as monitor:
        with ThreadPoolExecutor(1) as threads:
            with first.transaction():
                first.execute(GRANT, [10])
                waiting = threads.submit(second.execute, GRANT, [20])
                wait_until_blocked(monitor, second.info.backend_pid)
            waiting.result(10)
        query = "select amount, ends_at is null from credits_private.recurring_grants order by starts_at"
        assert first.execute(query).fetchall() == [(10, False), (20, True)]
        assert first.execute("select (public.end_recurring_grant('pro')).name").fetchone() == ("pro",)


def test_who_regains_an_entitlement_while_their_balance_is_busy_is_told_by_maintenance(database: Database) -> None:
    user = database.sign_up()
    with database.connect() as owner, database.connect() as busy:
        owner.execute(GRANT, [10])
        owner.execute(
            "select public.grant_entitlement_for(%s, 'pro', credits_private.now() - interval '1 day')", [user]
        )
        with busy.transaction():
            busy.execute(SPEND, [user])
            owner.execute("update public.user_entitlements set granted_until = null where user_id = %s", [user])
            owner.execute("select credits_private.refresh_entitlements(%s, '{pro}')", [user])
        owner.execute("select public.run_maintenance()")
        assert owner.execute(AVAILABLE, [user]).fetchone() == (2 + 10,)


@pytest.mark.parametrize("level", LEVELS)
def test_a_grant_that_is_set_from_an_older_snapshot_reaches_who_gained_the_entitlement_meanwhile(
    database: Database, level: str
) -> None:
    user = database.sign_up()
    with database.connect() as setter, database.connect() as other:
        with setter.transaction():
            setter.execute(f"set transaction isolation level {level}".encode())
            setter.execute("select from public.user_credits")
            other.execute("select public.grant_entitlement_for(%s, 'pro')", [user])
            setter.execute(GRANT, [10])
        other.execute("select public.run_maintenance()")
        assert other.execute(AVAILABLE, [user]).fetchone() == (3 + 10,)
