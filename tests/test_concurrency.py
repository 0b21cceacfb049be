"""Many at once: what the one lock of an account promises, at every isolation level.

Races run through the client, which may try again; where a retry could hide what went wrong, the statements go
to the server as they are. The interleavings step two transactions through begin, call and commit in every order
there is, and ask the server itself who waits for whom.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest
from conftest import POOLED, Database, Templates, assert_books_add_up
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn
from psycopg_pool import ConnectionPool

from credits_db import AccountNotFound, Client, CreditTransaction, InsufficientCredits

T = TypeVar("T")

LEVELS = ("read committed", "repeatable read", "serializable")
OWN_SETTINGS = pytest.mark.session("settings of its own")
WATCHED = pytest.mark.session("two transactions that a third watches")
ANY_LEVEL = [LEVELS[0], *(pytest.param(level, marks=OWN_SETTINGS) for level in LEVELS[1:])]
THREADS = 50


@pytest.fixture(scope="module")
def bank(templates: Templates) -> Iterator[Database]:
    """One database for the file, a plain one: who waits for whom is the same on any. Each test brings its own users."""
    with templates.clone("plain") as database:
        yield database
        with database.connect() as connection:
            assert_books_add_up(connection)


def at(level: str) -> str:
    """The connection option that makes every transaction one of this level."""
    return "-c default_transaction_isolation=" + level.replace(" ", r"\ ")


def together(calls: list[Callable[[], T]]) -> list[T | Exception]:
    """Run all calls at once, each in a thread of its own, and return what each answered or raised."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T | Exception:
        start.wait(30)
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def opened_later(database: Database, *, anonymous: bool = False) -> UUID:
    """A user whose sign-up the trigger missed: the first operation opens the account."""
    with database.connect(options="-c session_replication_role=replica") as connection:
        row = connection.execute(
            "insert into auth.users (id, is_anonymous) values (gen_random_uuid(), %s) returning id", [anonymous]
        ).fetchone()
        assert row
        return UUID(str(row[0]))


def anonymous_users(database: Database, count: int) -> list[UUID]:
    """Users who have not converted yet, each with five credits."""
    with database.connect() as connection:
        row = connection.execute(
            """
            with u as (
              insert into auth.users (id, is_anonymous)
              select gen_random_uuid(), true from generate_series(1, %s)
              returning id
            )
            select array_agg(id) from u
            """,
            [count],
        ).fetchone()
        assert row
        connection.execute("select public.add_credits_for(u, %s) from unnest(%s::uuid[]) as u", [START, row[0]])
        return [UUID(str(user)) for user in row[0]]


def books(database: Database, user: UUID) -> list[tuple[str, int, int]]:
    """Type, amount and balance of each ledger row, oldest first."""
    with database.connect() as connection:
        return connection.execute(
            "select type::text, amount, balance_after from public.credit_transactions where user_id = %s order by seq",
            [user],
        ).fetchall()


# races ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ANY_LEVEL)
@pytest.mark.parametrize("lots", [[None], ["1 hour", "1 day"]], ids=["for ever", "lots"])
def test_fifty_threads_that_share_thirty_credits_spend_thirty(
    bank: Database, lots: list[str | None], level: str
) -> None:
    user = bank.sign_up()
    add = "select public.add_credits_for(%s, %s, expires_at => now() + %s::interval)"
    with bank.connect() as connection:
        for ends in lots:
            connection.execute(add, [user, 27 if ends is None else 27 // 2 + (ends == "1 hour"), ends])
    kwargs = {"autocommit": True, "options": at(level), **POOLED}
    with ConnectionPool(bank.dsn(), min_size=25, max_size=25, kwargs=kwargs, open=True) as pool:
        pool.wait()
        client = Client(pool)
        users = [lambda: client.consume_credit_for(user), lambda: client.as_user(user).consume_credit()]
        answers = together(users * (THREADS // 2))
    spent = [answer for answer in answers if isinstance(answer, CreditTransaction)]
    assert Counter(type(answer) for answer in answers) == {CreditTransaction: 30, InsufficientCredits: 20}
    assert sorted(row.balance_after for row in spent) == list(range(30))
    assert len(books(bank, user)) == 31 + len(lots)


@pytest.mark.parametrize("level", ANY_LEVEL)
def test_one_key_sent_fifty_times_at_once_counts_once_and_answers_fifty_times(bank: Database, level: str) -> None:
    user = bank.sign_up()
    kwargs = {"autocommit": True, "options": at(level), **POOLED}
    with ConnectionPool(bank.dsn(), min_size=25, max_size=25, kwargs=kwargs, open=True) as pool:
        pool.wait()
        client = Client(pool)
        # the second takes the last credit: a replay is answered also when nothing is left
        for send in (
            partial(client.consume_credit_for, user, 2, idempotency_key="a"),
            partial(client.consume_credit_for, user, 1, idempotency_key="b"),
            partial(client.add_credits_for, user, 7, idempotency_key="c"),
        ):
            answers = together([send] * THREADS)
            assert [answer for answer in answers if answer != answers[0]] == []
            assert isinstance(answers[0], CreditTransaction)
    assert books(bank, user)[1:] == [("consumption", -2, 1), ("consumption", -1, 0), ("bonus", 7, 7)]


@OWN_SETTINGS
@pytest.mark.parametrize("level", LEVELS)
def test_twenty_first_uses_at_once_open_one_account_with_one_bonus(bank: Database, level: str) -> None:
    user = opened_later(bank)
    kwargs = {"autocommit": True, "options": at(level), **POOLED}
    with ConnectionPool(bank.dsn(), min_size=20, max_size=20, kwargs=kwargs, open=True) as pool:
        pool.wait()
        answers = together([lambda: Client(pool).consume_credit_for(user)] * 20)
    assert Counter(type(answer) for answer in answers) == {CreditTransaction: 3, InsufficientCredits: 17}
    assert books(bank, user) == [("signup_bonus", 3, 3), *(("consumption", -1, left) for left in (2, 1, 0))]
    with bank.connect() as connection:
        assert len(connection.execute("select from public.user_credits where user_id = %s", [user]).fetchall()) == 1


@pytest.mark.parametrize("known", [True, pytest.param(False, marks=OWN_SETTINGS)], ids=["account", "first use"])
@pytest.mark.parametrize("leave", ["rpc", "auth user"])
def test_a_spend_that_races_a_deletion_came_before_it_or_finds_no_account(
    bank: Database, leave: str, known: bool
) -> None:
    delete = {
        "rpc": "select (public.delete_user_account_for(%s)).removed",
        "auth user": "delete from auth.users where id = %s returning '{}'::jsonb",
    }[leave]
    outcomes: Counter[str] = Counter()
    with ExitStack() as stack:
        leaver, *spenders = (stack.enter_context(bank.connect()) for _ in range(3))
        for _ in range(40):
            user = bank.sign_up() if known else opened_later(bank)
            calls: list[Callable[[], Any]] = [lambda: leaver.execute(delete, [user]).fetchone()]  # noqa: B023
            for spender in spenders:
                calls.append(lambda c=spender, u=user: Client(c).consume_credit_for(u))  # type: ignore[misc]
            receipt, *answers = together(calls)
            assert not isinstance(receipt, Exception)
            spent = sum(isinstance(answer, CreditTransaction) for answer in answers)
            assert all(isinstance(answer, CreditTransaction | AccountNotFound) for answer in answers), answers
            if leave == "rpc" and (known or spent):
                opened = {"auth.users": 1, "public.user_credits": 1, "public.credit_transactions": 1 + spent}
                assert {table: rows for table, rows in receipt[0].items() if rows} == opened
            outcomes[f"{spent} before"] += 1
            left = leaver.execute(
                """
                select (select count(*) from auth.users where id = %(u)s)
                  + (select count(*) from public.user_credits where user_id = %(u)s)
                  + (select count(*) from public.credit_transactions where user_id = %(u)s)
                """,
                {"u": user},
            ).fetchone()
            assert left == (0,)
    assert len(outcomes) > 1, "no race: both sides always came in the same order"


@WATCHED
@pytest.mark.parametrize("rpc_first", [True, False], ids=["rpc first", "rpc second"])
@pytest.mark.parametrize("other", ["delete in auth", "convert", "delete"])
def test_a_deletion_and_what_else_takes_the_user_queue_in_one_order(
    bank: Database, other: str, rpc_first: bool
) -> None:
    """Both wait behind somebody who holds the balance; let go, neither may wait for the other for ever."""
    (user,) = anonymous_users(bank, 1)
    queries = ["select public.delete_user_account_for(%s)", OPERATIONS[other].replace("$1", "%s")]
    warnings: list[str] = []
    with ExitStack() as stack:
        monitor, holder = (stack.enter_context(bank.connect("postgres")) for _ in range(2))
        sessions = [stack.enter_context(bank.connect("postgres", options=QUICK)) for _ in queries]
        threads = stack.enter_context(ThreadPoolExecutor(2))
        holder.execute("begin")
        holder.execute("select from public.user_credits where user_id = %s for update", [user])
        waiting = []
        for query, session in list(zip(queries, sessions, strict=True))[:: 1 if rpc_first else -1]:
            session.add_notice_handler(lambda notice: warnings.append(str(notice.message_primary)))
            waiting.append(threads.submit(session.execute, query.encode(), [user]))
            wait_until_blocked(monitor, session.info.backend_pid)
        holder.execute("commit")
        errors = [call.exception(10) for call in waiting]
    assert errors == [None, None]
    assert warnings == []
    assert books(bank, user) == []


@OWN_SETTINGS
def test_grants_spends_and_rows_of_a_service_mix_without_a_deadlock(bank: Database) -> None:
    users = [bank.sign_up() for _ in range(3)]
    grant = "select public.add_credits_for(%(user)s, 3, idempotency_key => %(key)s)"
    spend = "select public.consume_credit_for(%(user)s, 2, idempotency_key => %(key)s)"
    row = """
        insert into public.credit_transactions (user_id, type, amount, idempotency_key)
        values (%(user)s, 'admin_adjustment', -1, %(key)s) on conflict do nothing
    """

    def work(worker: int) -> Counter[str]:
        done: Counter[str] = Counter()
        with bank.connect(options="-c role=service_role") as connection:
            for number in range(45):
                user = users[(worker // 2 + number) % 3]
                query = (grant, spend, row)[number % 3]
                # each key is used by two workers, for the same thing
                key = f"{number % 3}-{worker // 2}-{number}"
                try:
                    connection.execute(query.encode(), {"user": user, "key": key})
                    done["ok"] += 1
                except psycopg.Error as error:
                    done[f"{error.sqlstate}"] += 1
        return done

    answers = together([lambda n=n: work(n) for n in range(8)])  # type: ignore[misc]
    total: Counter[str] = Counter()
    for answer in answers:
        assert isinstance(answer, Counter)
        total += answer
    assert set(total) <= {"ok", "PT402"}
    assert total["ok"] > 200
    with bank.connect() as connection:
        assert_books_add_up(connection)


# waiting -------------------------------------------------------------------------------------------------------------


def wait_until_blocked(monitor: psycopg.Connection[Any], pid: int) -> None:
    for _ in range(1000):
        row = monitor.execute("select cardinality(pg_blocking_pids(%s)) > 0", [pid]).fetchone()
        if row == (True,):
            return
        time.sleep(0.002)
    raise AssertionError("it did not wait")


def test_a_savepoint_that_is_rolled_back_undoes_the_spend_and_frees_the_key(bank: Database) -> None:
    user = bank.sign_up()
    with bank.connect() as connection, connection.transaction():
        client = Client(connection)
        with connection.transaction(force_rollback=True):
            assert client.consume_credit_for(user, 3, idempotency_key="k").balance_after == 0
        assert client.get_operation_for(user, "k") is None
        assert client.consume_credit_for(user, 2, idempotency_key="k").balance_after == 1
    assert books(bank, user) == [("signup_bonus", 3, 3), ("consumption", -2, 1)]


@OWN_SETTINGS
def test_a_lock_that_is_held_too_long_is_lock_not_available(bank: Database) -> None:
    user = bank.sign_up()
    with bank.connect() as holder, bank.connect(options="-c lock_timeout=50ms") as waiter, holder.transaction():
        Client(holder).consume_credit_for(user)
        for spend in (Client(waiter).consume_credit_for, Client(waiter).add_credits_for):
            with waiter.transaction(), pytest.raises(psycopg.errors.LockNotAvailable) as caught:
                spend(user, 1)
            assert caught.value.sqlstate == "55P03"
        assert Client(waiter).get_user_credits_for(user).credits_remaining == 3
    assert len(books(bank, user)) == 2


@WATCHED
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_spend_that_waits_for_another_sees_the_newest_balance(bank: Database, end: str) -> None:
    user = bank.sign_up()
    with bank.connect() as first, bank.connect() as second, bank.connect("postgres") as monitor:
        first.execute("begin")
        Client(first).consume_credit_for(user, 2)
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(Client(second).consume_credit_for, user, 2)
            wait_until_blocked(monitor, second.info.backend_pid)
            getattr(first, end)()
            error = waiting.exception(10)
    if end == "commit":
        assert isinstance(error, InsufficientCredits)
        assert error.details == {"amount": 2, "credits_available": 1, "credits_remaining": 1}
    assert books(bank, user) == [("signup_bonus", 3, 3), ("consumption", -2, 1)]


@WATCHED
@pytest.mark.parametrize("method", ["consume_credit_for", "add_credits_for"])
def test_a_key_that_another_transaction_is_about_to_commit_is_waited_for(bank: Database, method: str) -> None:
    user = bank.sign_up()
    with bank.connect() as first, bank.connect() as second, bank.connect("postgres") as monitor:
        first.execute("begin")
        row = getattr(Client(first), method)(user, 2, idempotency_key="k")
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(getattr(Client(second), method), user, 2, idempotency_key="k")
            wait_until_blocked(monitor, second.info.backend_pid)
            first.commit()
            assert waiting.result(10) == row


@WATCHED
def test_a_spend_that_finds_its_key_only_after_waiting_is_undone_to_the_letter(bank: Database) -> None:
    user = bank.sign_up()
    balance = "select to_jsonb(a) from public.user_credits as a where a.user_id = %s"
    with bank.connect() as first, bank.connect() as second, bank.connect("postgres") as monitor:
        Client(first).add_credits_for(user, 100)
        first.execute("begin")
        row = Client(first).consume_credit_for(user, idempotency_key="k")
        left = first.execute(balance, [user]).fetchone()
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(Client(second).consume_credit_for, user, idempotency_key="k")
            wait_until_blocked(monitor, second.info.backend_pid)
            first.commit()
            assert waiting.result(10) == row
        assert second.execute(balance, [user]).fetchone() == left


def test_replays_and_a_deletion_do_not_meet_in_a_deadlock(bank: Database) -> None:
    with ThreadPoolExecutor(3) as threads:
        for _ in range(20):
            user = bank.sign_up()
            with ExitStack() as stack:
                clients = [Client(stack.enter_context(bank.connect())) for _ in range(3)]
                clients[0].consume_credit_for(user, idempotency_key="k")
                replays = [threads.submit(replay_in_a_transaction, c, user) for c in clients[:2]]
                gone = threads.submit(clients[2].delete_user_account_for, user)
                errors = [*(replay.exception() for replay in replays), gone.exception()]
            assert all(error is None or isinstance(error, AccountNotFound) for error in errors), errors


def replay_in_a_transaction(client: Client, user: UUID) -> None:
    """As a savepoint of the caller's transaction, where nothing is tried again."""
    assert isinstance(client._source, psycopg.Connection)
    with client._source.transaction():
        client.consume_credit_for(user, idempotency_key="k")


@OWN_SETTINGS
def test_one_who_holds_a_lock_for_long_stops_nobody_else(bank: Database) -> None:
    busy, other, newcomer = bank.sign_up(), bank.sign_up(), opened_later(bank)
    with bank.connect() as holder, bank.connect(options="-c lock_timeout=100ms") as connection:
        holder.execute("begin")
        Client(holder).consume_credit_for(busy)
        client = Client(connection)
        with connection.transaction():  # where nothing is tried again
            assert client.consume_credit_for(other).balance_after == 2
            assert client.consume_credit_for(newcomer).balance_after == 2
            assert client.as_user(other).consume_credit().balance_after == 1
            assert client.get_user_credits_for(busy).credits_remaining == 3
            assert client.verify_ledger() == []
            assert client.delete_user_account_for(newcomer).credits_written_off == 2
            assert connection.execute("insert into auth.users (id) values (%s) returning 1", [uuid4()]).fetchone()


# interleavings -------------------------------------------------------------------------------------------------------

OPERATIONS = {
    "spend": "select public.consume_credit_for($1, 1)",
    "spend with a key": "select public.consume_credit_for($1, 1, idempotency_key => 'same')",
    "grant": "select public.add_credits_for($1, 10)",
    "row of a service": "insert into public.credit_transactions (user_id, type, amount) values ($1, 'bonus', 100)",
    "read": "select public.get_user_credits_for($1)",
    "convert": "update auth.users set is_anonymous = false where id = $1",
    "delete": "select public.delete_user_account_for($1)",
    "delete in auth": "delete from auth.users where id = $1",
}
EFFECTS = {"spend": -1, "spend with a key": -1, "grant": 10, "row of a service": 100, "read": 0, "convert": 3}
PAIRS = list(itertools.combinations_with_replacement(OPERATIONS, 2))
STEPS = ("begin", "call", "commit")
ORDERS = sorted(set(itertools.permutations("AAABBB")))
START = 5
# What a life brings to the user of live(), below.
HOLD = "(select h.id from public.credit_holds as h where h.user_id = $1 and h.idempotency_key = 'live')"
LIFE = {
    "spend": "select public.consume_credit_for($1, 1)",
    "grant": "select public.add_credits_for($1, 2)",
    "grant that expires": "select public.add_credits_for($1, 4, expires_at => '2031-05-20')",
    "refund a consumption": """
        select public.refund_consumption_for($1, (
          select t.seq from public.credit_transactions as t where t.user_id = $1 and t.idempotency_key = 'spent'
        ))
    """,
    "reserve": "select public.reserve_credits_for($1, 16, '20 days')",
    "capture": f"select public.capture_hold_for($1, {HOLD})",
    "release": f"select public.release_hold_for($1, {HOLD})",
    "maintain": "select public.run_maintenance()",
    "set a grant": "select public.set_recurring_grant('weekly', 64, 'week', $1)",
    "change a grant": "select public.set_recurring_grant('daily', 9, 'day', $1)",
    "end a grant": "select public.end_recurring_grant('daily', $1)",
    "set a grant for all": "select public.set_recurring_grant('u' || $1::text, 128, 'week', entitlement => $1::text)",
    "entitle": "select public.grant_entitlement_for($1, 'gold')",
    "row of a service": """
        insert into public.credit_transactions (user_id, type, amount) values ($1, 'consumption', -256)
    """,
    "buy": "select public.record_purchase_for($1, 'play_store', 'new ' || $1::text, 'season')",
    "refund a purchase": "select public.refund_purchase('play_store', 'old ' || $1::text, 'all')",
    "set an alert": "select public.set_alert_for($1, 1000)",
    "delete": "select public.delete_user_account_for($1)",
}
QUICK = "-c deadlock_timeout=10ms"  # only a superuser may; the functions run as their owner anyway


@dataclass
class Session:
    """One of two connections, stepped without waiting for its answers."""

    pgconn: PGconn
    call: str
    user: bytes
    waiting: bool = False
    steps: list[str] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)

    def send(self, step: str, level: str) -> None:
        if step == "begin":  # and see a first snapshot, so that it matters when
            self.pgconn.send_query(
                b"begin isolation level " + level.encode() + b"; select from public.user_credits limit 1"
            )
        elif step == "commit":
            self.pgconn.send_query(b"commit")
        else:
            self.pgconn.send_query_params(self.call.encode(), [self.user], param_types=[2950])
        self.waiting = True

    def poll(self, seconds: float) -> bool:
        """Whether the answer has come; notes how the step ended."""
        if self.pgconn.is_busy():
            select.select([self.pgconn.socket], [], [], seconds)
            self.pgconn.consume_input()
            if self.pgconn.is_busy():
                return False
        outcome = ""
        while result := self.pgconn.get_result():
            if result.status == ExecStatus.FATAL_ERROR:
                outcome = (result.error_field(ord("C")) or b"").decode()
            else:
                outcome = outcome or (result.command_status or b"").decode()
        self.outcomes.append(outcome)
        self.waiting = False
        return True


@dataclass(frozen=True)
class Outcome:
    pair: tuple[str, str]
    order: tuple[str, ...]
    calls: tuple[str, str]
    commits: tuple[str, str]


class Interleaver:
    """Two sessions and one who watches them."""

    def __init__(self, stack: ExitStack, database: Database, calls: dict[str, str]) -> None:
        self.calls = calls
        options = f"{QUICK} -c client_min_messages=error"
        self.connections = [stack.enter_context(database.connect("postgres", options=options)) for _ in range(2)]
        self.pids = [connection.info.backend_pid for connection in self.connections]
        # each user's proof reads that user's rows, however many there are
        options = "-c plan_cache_mode=force_custom_plan"
        self.monitor = stack.enter_context(database.connect("postgres", options=options))
        self.database = database

    def blocked(self, index: int) -> bool:
        row = self.monitor.execute(
            "select pg_isolation_test_session_is_blocked(%s, %s::int[])", [self.pids[index], self.pids]
        ).fetchone()
        return row == (True,)

    def settle(self, sessions: list[Session]) -> None:
        """Until each session has answered or is known to wait for the other."""
        deadline = time.monotonic() + 10
        while any(session.waiting for session in sessions):
            progress = [session.poll(0.002) for session in sessions if session.waiting]
            stuck = [self.blocked(index) for index, session in enumerate(sessions) if session.waiting]
            if not any(progress) and stuck and all(stuck) and len(stuck) == 1:
                return
            assert time.monotonic() < deadline, "they wait for ever"

    def run(self, pair: tuple[str, str], order: tuple[str, ...], level: str, user: UUID) -> Outcome:
        sessions = [
            Session(connection.pgconn, self.calls[operation], str(user).encode(), steps=list(STEPS))
            for connection, operation in zip(self.connections, pair, strict=True)
        ]
        turns = ["AB".index(letter) for letter in order]
        while any(session.steps for session in sessions):
            # whoever is next and can move; a session that waits keeps its steps until the other has gone on
            index = next(i for i in [*turns, 0, 1] if sessions[i].steps and not sessions[i].waiting)
            if index in turns:
                turns.remove(index)
            session = sessions[index]
            step = session.steps.pop(0)
            session.send(step, level)
            self.settle(sessions)
            if all(s.waiting or not s.steps for s in sessions) and any(s.waiting for s in sessions):
                self.finish(sessions)
        self.finish(sessions)
        calls = [session.outcomes[1] for session in sessions]
        commits = [session.outcomes[2] for session in sessions]
        return Outcome(pair, order, (calls[0], calls[1]), (commits[0], commits[1]))

    def finish(self, sessions: list[Session]) -> None:
        """Nobody is left who could let go of a lock: all must answer now."""
        deadline = time.monotonic() + 10
        while any(session.waiting for session in sessions):
            for session in sessions:
                if session.waiting:
                    session.poll(0.002)
            assert time.monotonic() < deadline, "they wait for ever"


@pytest.fixture(scope="module")
def interleaver(templates: Templates) -> Iterator[Interleaver]:
    """A plain database, since who waits for whom is the same on any."""
    with templates.clone("plain") as database, ExitStack() as stack:
        yield Interleaver(stack, database, OPERATIONS)


def expected_balance(outcome: Outcome) -> int | None:
    """What must be left when every committed call counts once; None when the user is gone."""
    committed = [
        operation
        for operation, call, commit in zip(outcome.pair, outcome.calls, outcome.commits, strict=True)
        if commit == "COMMIT" and not call.startswith(("PT", "UPDATE 0", "DELETE 0"))
    ]
    if any(operation.startswith("delete") for operation in committed):
        return None
    once = {"spend with a key", "convert"}
    counted = [o for o in committed if o not in once] + sorted(once.intersection(committed))
    return START + sum(EFFECTS[operation] for operation in counted)


ALLOWED = {
    "read committed": {"PT404"},
    "repeatable read": {"PT404", "40001"},
    "serializable": {"PT404", "40001"},
}


@WATCHED
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_two_operations_in_any_order_neither_hang_nor_break_the_books(
    interleaver: Interleaver, pair: tuple[str, str], level: str
) -> None:
    users = anonymous_users(interleaver.database, len(ORDERS))
    outcomes = {user: interleaver.run(pair, order, level, user) for user, order in zip(users, ORDERS, strict=True)}
    states = {call for outcome in outcomes.values() for call in outcome.calls if call[:1].isdigit() or call[:2] == "PT"}
    assert states <= ALLOWED[level]
    balances = dict(
        interleaver.monitor.execute(
            "select user_id, credits_remaining from public.user_credits where user_id = any (%s)", [users]
        ).fetchall()
    )
    wrong = {
        outcome: (expected, balances.get(user))
        for user, outcome in outcomes.items()
        if (expected := expected_balance(outcome)) != balances.get(user)
    }
    assert wrong == {}
    assert_books_add_up(interleaver.monitor)


# interleavings of a life ---------------------------------------------------------------------------------------------

# The clock stands at a noon, so that nothing falls due by itself, or as long before as a session says. live() makes a
# user who has one of everything. Made yesterday, a lot, a hold and what is left of the daily grant are past their end
# today, and the daily grant is due again.
LIVE = """
create or replace function credits_private.now()
  returns timestamptz
  language sql
  volatile
as $$
  select timestamptz '2031-05-07 12:00Z' + (clock_timestamp() - pg_postmaster_start_time()) / 100
    - coalesce(nullif(current_setting('life.before', true), ''), '0')::interval
$$;
select credits_private.set_product('play_store', 'season', 1000, 0, 0, null, null, 'season', '40 days', null, null);
create schema life;
create function life.live(before interval)
  returns uuid
  language plpgsql
as $$
declare
  u uuid := gen_random_uuid();
  t timestamptz;
begin
  perform set_config('life.before', before::text, true);
  t := credits_private.now();
  insert into auth.users (id) values (u);
  perform public.add_credits_for(u, 10000);
  perform public.add_credits_for(u, 300, expires_at => t + interval '2 hours');
  perform public.add_credits_for(u, 500, expires_at => t + interval '30 days');
  perform public.consume_credit_for(u, 32, idempotency_key => 'spent');
  perform public.set_recurring_grant('daily', 7, 'day', u);
  perform public.grant_entitlement_for(u, u::text);
  perform public.record_purchase_for(u, 'play_store', 'old ' || u, 'season');
  perform public.reserve_credits_for(u, 8, '10 days', idempotency_key => 'live');
  perform public.reserve_credits_for(u, 20, '15 minutes');
  perform set_config('life.before', '', true);
  return u;
end;
$$;
"""
LIVED = {"live": 3 + 10_000 + 300 + 500 - 32 + 7 + 1000, "due": 3 + 10_000 + (32 + 8) + 500 - 32 + 7 + 1000}
HELD = {"live": 8 + 20, "due": 8}
MOVES = {
    "spend": -1, "grant": 2, "grant that expires": 4, "refund a consumption": 32, "capture": -8, "set a grant": 64,
    "set a grant for all": 128, "row of a service": -256, "buy": 1000, "refund a purchase": -1000,
}  # fmt: skip
# the consumption and the hold were paid from the lot that is past its end
MOVES_WHEN_DUE = {"refund a consumption": 0, "release": -8}
HOLDS = {"reserve": 16, "capture": -8, "release": -8}
DONE_ONCE = {"capture", "release", "set a grant", "set a grant for all", "buy", "refund a purchase"}
REFUSED = {"PT404", "PT409"}  # the user, the grant or the purchase is gone; the hold or the consumption is used up


def meet(order: tuple[str, ...]) -> bool:
    """Whether each calls before the other commits."""
    calls, commits = ([[i for i, who in enumerate(order) if who == side][step] for side in "AB"] for step in (1, 2))
    return max(calls) < min(commits)


INTERLEAVE = "INTERLEAVE" in os.environ  # every order at every level; else one of each pair, while something is due
MEETING = [order for order in ORDERS if meet(order)]
CELLS = [
    (state, pair)
    for state in LIVED
    for pair in itertools.combinations_with_replacement(LIFE, 2)
    if state == "due" or (INTERLEAVE and "maintain" not in pair)
]
LIVES = [
    (state, pair, level, ORDERS if INTERLEAVE else [MEETING[number % len(MEETING)]])
    for number, (state, pair) in enumerate(CELLS)
    for level in (LEVELS if INTERLEAVE else [LEVELS[number // len(MEETING) % 3]])
]


@pytest.fixture(scope="module")
def lives(templates: Templates) -> Iterator[Interleaver]:
    """A plain database, since who waits for whom is the same on any; its users are made by live()."""
    with templates.clone("plain") as database, ExitStack() as stack:
        with database.connect() as connection:
            connection.execute(LIVE)
        yield Interleaver(stack, database, LIFE)


def lived(state: str, outcome: Outcome) -> tuple[int, int] | None:
    """Balance and held credits when every committed call counts as often as it should; None when the user is gone."""
    committed = [
        operation
        for operation, call, commit in zip(outcome.pair, outcome.calls, outcome.commits, strict=True)
        if commit == "COMMIT" and not call.startswith("PT")
    ]
    if "delete" in committed:
        return None
    moves = MOVES | MOVES_WHEN_DUE if state == "due" else MOVES
    counted = [o for o in committed if o not in DONE_ONCE] + sorted(DONE_ONCE.intersection(committed))
    balance = LIVED[state] + sum(moves.get(operation, 0) for operation in counted)
    return balance, HELD[state] + sum(HOLDS.get(operation, 0) for operation in counted)


@WATCHED
@pytest.mark.parametrize(
    ("state", "pair", "level", "orders"), LIVES, ids=[f"{s}: {a} and {b}, {level}" for s, (a, b), level, _ in LIVES]
)
def test_two_operations_on_a_life_in_any_order_neither_hang_nor_break_the_books(
    lives: Interleaver, state: str, pair: tuple[str, str], level: str, orders: list[tuple[str, ...]]
) -> None:
    outcomes: dict[UUID, Outcome] = {}
    for order in orders:
        row = lives.monitor.execute("select life.live(%s)", ["1 day" if state == "due" else "0"]).fetchone()
        assert row
        outcomes[row[0]] = lives.run(pair, order, level, row[0])
    states = {call for outcome in outcomes.values() for call in outcome.calls if call[:1].isdigit() or call[:2] == "PT"}
    assert states <= REFUSED | ({"40001"} if level != "read committed" else set())
    read = """
        select a.user_id, (c).credits_remaining, (c).credits_held
        from public.user_credits as a, lateral (select public.get_user_credits_for(a.user_id) as c) as g
        where a.user_id = any (%s)
    """
    users = list(outcomes)
    lives.monitor.execute("select credits_private.tell_holders(100000)")  # whoever was busy, as maintenance would
    shown = lives.monitor.execute(read, [users]).fetchall()
    lives.monitor.execute(
        """
        select credits_private.settle_due(a.user_id, null) from public.user_credits as a where a.user_id = any (%s)
        """,
        [users],
    )
    stored = lives.monitor.execute(
        "select user_id, credits_remaining, credits_held from public.user_credits where user_id = any (%s)", [users]
    ).fetchall()
    expected = {user: figures for user, outcome in outcomes.items() if (figures := lived(state, outcome))}
    for rows in (shown, stored):
        found = {user: (balance, held) for user, balance, held in rows}
        wrong = {outcomes[u]: (expected.get(u), found.get(u)) for u in users if expected.get(u) != found.get(u)}
        assert wrong == {}
    violations = lives.monitor.execute(
        "select v.* from unnest(%s::uuid[]) as u, lateral credits_private.verify_ledger(u) as v", [users]
    ).fetchall()
    assert violations == []
    lives.monitor.execute(
        "delete from credits_private.recurring_grants where user_id = '00000000-0000-0000-0000-000000000000'"
    )


# races of a life -----------------------------------------------------------------------------------------------------


def again(
    connection: psycopg.Connection[Any],
    query: str,
    *values: object,
    conflicts: tuple[type[psycopg.Error], ...] = (psycopg.errors.SerializationFailure,),
) -> Any:
    """The first value of a statement, sent again after a conflict; of a refusal its SQLSTATE and the state it names."""
    for _ in range(200):
        try:
            row = connection.execute(query.encode(), values).fetchone()
            return row and row[0]
        except conflicts:
            continue
        except psycopg.Error as error:
            return error.sqlstate, str(json.loads(error.diag.message_detail or "{}").get("state"))
    raise AssertionError("two hundred conflicts in a row")


@WATCHED
def test_a_hold_that_is_captured_released_expired_and_deleted_at_once_ends_once(lives: Interleaver) -> None:
    """By the real time: holds, and the lots that paid them, end some milliseconds apart while all want to end them."""
    make = """
        with u as (
          insert into auth.users (id) select gen_random_uuid() from generate_series(1, %s) returning id
        ), lots as materialized (
          select id, n, public.add_credits_for(
            id, 10, expires_at => clock_timestamp() + interval '1 second' + (n * 12 + n %% 7 - 3) * interval '1 ms'
          ) from (select id, row_number() over () as n from u) as u
        )
        select array_agg(id order by n) from lots
    """
    hold = """
        select h.id, h.expires_at
        from public.reserve_credits_for(%s, 12, interval '1 second' + %s * interval '12 ms') as h
    """
    capture = "select (public.capture_hold_for(%s, %s, 5, idempotency_key => %s)).seq"
    release = "select (public.release_hold_for(%s, %s)).status::text"
    sweep = "select (public.run_maintenance()).holds"
    delete = "select (public.delete_user_account_for(%s)).credits_written_off"
    with ExitStack() as stack:
        clock = "create or replace function credits_private.now() returns timestamptz language sql volatile as "
        owner = stack.enter_context(lives.database.connect())
        (now,) = owner.execute("select pg_get_functiondef('credits_private.now()'::regprocedure)").fetchone() or ("",)
        stack.callback(owner.execute, now)
        owner.execute(f"{clock} 'select clock_timestamp()'".encode())
        sessions = [
            [stack.enter_context(lives.database.connect(options=f"{QUICK} {at(level)}")) for level in LEVELS]
            for _ in range(6)
        ]
        users = (owner.execute(make, [150 if INTERLEAVE else 48]).fetchone() or [[]])[0]
        holds = [owner.execute(hold, [user, n]).fetchall()[0] for n, user in enumerate(users)]

        def work(which: int) -> list[Any]:
            answers = list[Any]()
            for number, (user, (hold_id, ends)) in enumerate(zip(users, holds, strict=True)):
                time.sleep(max(0, ends.timestamp() - time.time() + ((number + which) % 9 - 7) / 1000))
                send = partial(again, sessions[which][number // 4 % 3])
                if which in (0, 1, 2):  # two of one key, one of another
                    answers.append(send(capture, user, hold_id, "ab"[which // 2]))
                elif which == 3:
                    answers.append(send(release, user, hold_id))
                elif which == 4:
                    answers.append(send(sweep))
                else:
                    answers.append(None if number % 4 else send(delete, user))
            return answers

        answers = together([partial(work, which) for which in range(6)])
        assert not [a for a in answers if isinstance(a, Exception)]
        owner.execute("select public.run_maintenance()")
        ended = dict(
            owner.execute(
                """
                select h.user_id, (h.status::text, h.seq, a.credits_remaining, a.credits_held)
                from public.credit_holds as h
                join public.user_credits as a using (user_id)
                where h.user_id = any (%s)
                """,
                [users],
            ).fetchall()
        )
        violations = owner.execute(
            "select v.* from unnest(%s::uuid[]) as u, lateral credits_private.verify_ledger(u) as v", [users]
        ).fetchall()
    assert violations == []
    seen: Counter[str] = Counter()
    for number, user in enumerate(users):
        first, same, other, released, swept, left = (answer[number] for answer in answers)  # type: ignore[index]
        assert isinstance(swept, int)
        if number % 4 == 0:
            assert user not in ended
            assert isinstance(left, int)
            continue
        status, seq, balance, held = ended[user]
        seen[status] += 1
        assert held == "0"
        if status == "captured":
            assert balance == str(13 - 5 - 5)  # what goes back to the lot is past its end
            assert {a for a in (first, same, other) if not isinstance(a, tuple)} == {int(seq)}
        else:
            assert balance == str(13 - 10)
        refusal = ("PT409", status)
        assert released == (refusal if status == "captured" else status)
        assert {a for a in (first, same, other) if isinstance(a, tuple)} <= {refusal}
    assert len(seen) >= 2, seen


@OWN_SETTINGS
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("keys", [1, 2])
def test_captures_of_one_hold_at_once_take_it_once(lives: Interleaver, keys: int, level: str) -> None:
    user = lives.monitor.execute("select life.live('0')").fetchone()
    assert user
    capture = f"select public.capture_hold_for($1, {HOLD}, 5, idempotency_key => %s)".replace("$1", "%s")
    with ExitStack() as stack:
        sessions = [stack.enter_context(lives.database.connect(options=at(level))) for _ in range(20)]
        answers = together(
            [partial(again, s, capture, user[0], user[0], f"{n % keys}") for n, s in enumerate(sessions)]
        )
    assert Counter(type(a) for a in answers) == {1: {str: 20}, 2: {str: 10, tuple: 10}}[keys]
    assert len(set(answers)) == keys
    assert {a for a in answers if isinstance(a, tuple)} <= {("PT409", "captured")}
    balance = "select credits_remaining, credits_held from public.user_credits where user_id = %s"
    assert lives.monitor.execute(balance, user).fetchone() == (LIVED["live"] - 5, HELD["live"] - 8)


@OWN_SETTINGS
@pytest.mark.parametrize("level", LEVELS)
def test_twenty_first_spends_of_a_period_at_once_write_what_is_due_once(lives: Interleaver, level: str) -> None:
    user = lives.monitor.execute("select life.live('1 day')").fetchone()
    assert user
    with ExitStack() as stack:
        sessions = [stack.enter_context(lives.database.connect(options=at(level))) for _ in range(20)]
        answers = together([partial(again, s, LIFE["spend"].replace("$1", "%s"), user[0]) for s in sessions])
    assert {type(a) for a in answers} == {str}
    rows = lives.monitor.execute(
        """
        select t.type::text, t.amount, count(*)
        from public.credit_transactions as t
        where t.user_id = %s and t.created_at > '2031-05-06 13:00Z'
        group by 1, 2 order by 1, 2
        """,
        user,
    ).fetchall()
    assert rows == [("bonus", 7, 1), ("consumption", -1, 20), ("expiration", -260, 1), ("expiration", -7, 1)]
    assert lives.monitor.execute("select * from credits_private.verify_ledger(%s)", user).fetchall() == []
