"""What the benchmark compares: every contestant spends one credit a transaction, and its books add up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from conftest import Database, Templates, assert_books_add_up

from bench import clients, life
from bench.contestants import BARE, CONTESTANTS, HISTORY, NAIVE, Contestant, prepare
from bench.load import Slice, pgbench

USERS, ROWS = 5, 4
BARE_TABLES = (BARE.name, NAIVE.name)


@pytest.fixture(scope="module")
def bank(templates: Templates) -> Iterator[Database]:
    """Five users with four ledger rows each, in our tables and in the bare ones; afterwards both books add up."""
    with templates.clone("plain") as database, database.connect() as connection:
        prepare(connection, USERS, ROWS)
        assert rows(database) == {"public": USERS * ROWS, "bare": USERS * ROWS}
        yield database
        assert_books_add_up(connection)
        wrong = connection.execute(
            """
            select a.user_id
            from bare.user_credits as a
            join bare.credit_transactions as t using (user_id)
            group by a.user_id
            having (a.credits_remaining, a.last_seq) is distinct from (sum(t.amount), count(*))
              or a.credits_remaining <> a.total_credits - a.used_credits
            """
        ).fetchall()
        assert wrong == []


def rows(database: Database) -> dict[str, int]:
    """How many rows each ledger has."""
    query = "select (select count(*) from public.credit_transactions), (select count(*) from bare.credit_transactions)"
    with database.connect() as connection:
        ours, bare = connection.execute(query).fetchone() or (0, 0)
    return {"public": ours, "bare": bare}


@pytest.mark.parametrize("contestant", CONTESTANTS, ids=lambda contestant: contestant.name)
def test_a_script_writes_one_ledger_row_a_transaction(bank: Database, contestant: Contestant) -> None:
    expected = rows(bank)
    expected["bare" if contestant.name in BARE_TABLES else "public"] += 40
    load = pgbench(bank.dsn(), contestant, "-t", "20", clients=2, users=USERS)
    assert len(load.latencies) == 40
    assert rows(bank) == expected


def test_reading_history_writes_nothing(bank: Database) -> None:
    expected = rows(bank)
    assert len(pgbench(bank.dsn(), HISTORY, "-t", "5", users=USERS).latencies) == 5
    assert rows(bank) == expected


def test_a_python_call_writes_one_ledger_row(bank: Database) -> None:
    with ExitStack() as stack:
        for loads in clients.python(bank.dsn(), USERS, 0.05, stack, tasks=2).values():
            for name, load in loads.items():
                expected = rows(bank)
                expected["bare" if name in BARE_TABLES else "public"] += len(load().latencies)
                assert rows(bank) == expected


def test_a_user_in_python_spends_in_one_round_trip(bank: Database) -> None:
    assert clients.messages(bank.dsn(), clients.user_id(1)) == 1


def test_a_script_that_fails_stops_the_run(bank: Database) -> None:
    wrong = Contestant("wrong", "refused", "select * from public.consume_credit_for(null);")
    with pytest.raises(RuntimeError, match="not_authenticated"):
        pgbench(bank.dsn(), wrong, "-t", "1", users=USERS)


def test_a_percentile_is_one_of_the_latencies() -> None:
    load = Slice(1, [float(value) for value in range(100, 0, -1)])
    assert (load.percentile(0), load.percentile(0.5), load.percentile(0.99)) == (1, 51, 100)


def test_lots_made_for_a_sweep_are_due_and_the_clock_is_right_again(templates: Templates) -> None:
    with templates.clone("plain") as database, database.connect() as connection:
        life.expire(database.dsn(), 1, users=4, lots=3)
        assert connection.execute("select (public.run_maintenance(100)).expirations").fetchone() == (12,)
        assert connection.execute("select abs(extract(epoch from credits_private.now() - now())) < 60").fetchone() == (
            True,
        )
        assert_books_add_up(connection)


def test_usage_is_measured_over_a_day_of_a_history(templates: Templates) -> None:
    with templates.clone("plain") as database, database.connect() as connection:
        life.fill_history(database.dsn(), 2000)
        query = life.TODAY.script.replace(":user", "1").replace("select *", "select operations")
        assert connection.execute(query.encode()).fetchone() == (480,)
        assert_books_add_up(connection)
