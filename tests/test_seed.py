"""credits-db seed: users with a past to develop with, made once, and books that add up."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from conftest import Database, Run, assert_books_add_up

from credits_db import Client, local, migrations, seed

EVERYTHING = """
select json_agg(t)::text from (select * from public.credit_transactions order by user_id, seq) as t
union all select json_agg(t)::text from (select * from public.user_credits order by user_id) as t
union all select json_agg(t)::text from (select * from public.purchase_transactions order by 1, 2, 3, 4, 5) as t
union all select json_agg(t)::text from (select * from public.credit_holds order by user_id, id) as t
union all select json_agg(t)::text from (select * from public.credit_products order by 1, 2) as t
union all select json_agg(t)::text from (select * from auth.users order by id) as t
"""


def contents(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return connection.execute(EVERYTHING).fetchall()


def test_a_month_of_history_is_made_once_and_the_books_add_up(run: Run, database: Database) -> None:
    outcome = run("seed", "--db-url", database.dsn())
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("✓ 5 users with a month of history\n")
    now = datetime.now(UTC)
    with database.connect() as connection:
        client = Client(connection)
        assert migrations.verify(connection) == []
        assert client.verify_ledger() == []
        assert_books_add_up(connection)
        balances = {id: client.get_user_credits_for(id) for id in seed.USERS}
        ada = client.get_transaction_history_for(seed.ADA)
        rows = connection.execute("select type::text, created_at from public.credit_transactions").fetchall()
        held = connection.execute("select status::text, expires_at > now() from public.credit_holds").fetchall()
        before = contents(connection)
    assert {id: balance.credits_available for id, balance in balances.items()} == {
        seed.ADA: 603 - sum(5 + number % 3 for number in range(12)),
        seed.GRACE: 3 - 40,
        seed.LINUS: balances[seed.LINUS].credits_available,
        seed.MARY: 3 + 50,
        seed.ALAN: 0,
    }
    assert balances[seed.LINUS].credits_held == 5
    assert 3 <= balances[seed.LINUS].credits_available <= 18
    assert held == [("active", True)]
    assert [row.created_at for row in ada] == sorted((row.created_at for row in ada), reverse=True)
    assert timedelta(days=29) < now - min(at for _, at in rows) < timedelta(days=31)
    assert max(at for _, at in rows) <= now
    assert {type for type, _ in rows} == {
        "signup_bonus", "purchase", "consumption", "refund", "clawback", "bonus", "expiration", "monthly_bonus",
    }  # fmt: skip
    for address, _ in seed.USERS.values():
        assert address in outcome.out

    again = run("seed", "--db-url", database.dsn())
    assert again.code == 0
    assert again.out.startswith("It has been seeded before: nothing was changed.\n")
    assert "ada@example.com" in again.out
    with database.connect() as connection:
        assert contents(connection) == before


def test_the_app_has_projects_with_layers_and_exports(run: Run, app: Database) -> None:
    first, second = (run("seed", "--db-url", app.dsn()) for _ in range(2))
    assert (first.code, second.code, first.err) == (0, 0, "")
    assert "✓ 2 projects with layers and exports\n" in first.out
    assert second.out.startswith("It has been seeded before")
    with app.connect() as connection:
        made = "select count(distinct p.id), count(distinct l.id), count(distinct e.id), count(distinct e.seq) "
        made += "from public.projects as p join public.project_layers as l on l.project_id = p.id "
        made += "join public.exports as e on e.project_id = p.id where p.user_id = %s"
        assert connection.execute(made.encode(), [seed.ADA]).fetchone() == (2, 6, 3, 3)
        assert connection.execute("select count(*) from public.profiles").fetchone() == (len(seed.USERS),)
        assert migrations.verify(connection) == []


def test_nobody_sees_the_clock_stand_while_the_past_is_made(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[timedelta]()

    class Watched(Client):
        def run(self, call: Any) -> Any:
            row = other.execute("select clock_timestamp() - credits_private.now()").fetchone()
            assert row
            seen.append(row[0])
            return super().run(call)

    monkeypatch.setattr(seed, "Client", Watched)
    with database.connect() as connection, database.connect() as other:
        seed.run(connection)
    assert len(seen) > 20
    assert max(map(abs, seen)) < timedelta(minutes=1)


def test_what_fails_leaves_nothing_behind(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.connect() as connection:
        connection.execute("alter table public.credit_holds add constraint nothing_is_held check (false)")
        before = contents(connection)
        with pytest.raises(psycopg.errors.CheckViolation):
            seed.run(connection)
        assert contents(connection) == before
        connection.execute("alter table public.credit_holds drop constraint nothing_is_held")
        assert migrations.verify(connection) == []


def test_a_database_in_use_is_left_alone_unless_asked_and_its_products_even_then(run: Run, database: Database) -> None:
    run("products", "set", "seed_pack_100", "120", "--db-url", database.dsn())
    database.sign_up("somebody@example.org")
    with database.connect() as connection:
        before = contents(connection)
        refused = run("seed", "--db-url", database.dsn())
        assert refused.code == 1
        assert "This database has 1 users of its own" in refused.err
        assert contents(connection) == before
        assert run("seed", "--yes", "--db-url", database.dsn()).code == 0
        query = "select credits from public.credit_products where product_id = 'seed_pack_100'"
        assert connection.execute(query).fetchone() == (120,)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (
            "insert into public.credit_products (store, product_id, credits) values ('stripe', 'pack_100', 7)",
            "1 products",
        ),
        ("insert into credits_private.secrets (name, value, added_at) values ('stripe', 'x', now())", "1 secrets"),
        ('select public.process_stripe_event(\'{"id": "evt_1", "type": "nothing"}\')', "1 store events"),
    ],
)
def test_a_shop_that_waits_for_its_first_user_is_not_seeded_unasked(
    run: Run, database: Database, statement: str, what: str
) -> None:
    with database.connect() as connection:
        connection.execute(statement.encode())
        refused = run("seed", "--db-url", database.dsn())
        assert (refused.code, f"This database has {what} of its own" in refused.err) == (1, True)
        assert connection.execute("select count(*) from auth.users").fetchone() == (0,)
        assert run("seed", "--yes", "--db-url", database.dsn()).code == 0


@pytest.mark.parametrize(
    "how",
    [
        "select public.delete_user_account_for(%s)",
        "delete from auth.users where id = %s",
        "update auth.users set deleted_at = now() where id = %s",
    ],
)
def test_who_was_deleted_since_is_made_anew(run: Run, app: Database, how: str) -> None:
    assert run("seed", "--db-url", app.dsn()).code == 0
    with app.connect() as connection:
        client = Client(connection)
        before = {id: client.get_user_credits_for(id).credits_available for id in seed.USERS}
        for user in (seed.ADA, seed.GRACE):
            connection.execute(how.encode(), [user])
        again = run("seed", "--db-url", app.dsn())
        assert (again.code, again.err) == (0, "")
        assert again.out.startswith("✓ 2 users with a month of history\n✓ 2 projects with layers and exports\n")
        assert {id: client.get_user_credits_for(id).credits_available for id in seed.USERS} == before
        assert client.verify_ledger() == []
        connection.execute(how.encode(), [seed.ALAN])
        assert run("seed", "--db-url", app.dsn()).out.startswith("✓ 1 user with a month of history\nuser ")
        assert run("seed", "--db-url", app.dsn()).out.startswith("It has been seeded before")


def test_a_database_that_is_not_pushed_is_refused(run: Run, empty: Database) -> None:
    outcome = run("seed", "--db-url", empty.dsn())
    assert (outcome.code, outcome.err) == (1, "The database does not have all migrations: push first.")


@pytest.mark.session("a server of its own")
def test_the_embedded_postgres_is_pushed_first_whatever_database_url_says(
    run: Run, empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "running", lambda: nullcontext(empty))
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/production")
    first, second = run("seed"), run("seed")
    assert (first.code, second.code) == (0, 0)
    assert f"✓ {migrations.shipped()[-1].id}\n✓ 5 users" in first.out
    assert "Next: credits-db explain grace@example.com --local" in first.out
    assert second.out.startswith("It has been seeded before")
