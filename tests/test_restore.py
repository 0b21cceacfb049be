"""A backup that is restored has the balances that were saved, and never twice.

With the programs that operators use: pg_dump, pg_restore and psql, which stand beside the server or on the PATH. A
full dump, and the three ways to bring back only the rows into a database that was pushed anew: with triggers off
for the session, with triggers off for the tables, and carelessly.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from conftest import Database, Templates, assert_books_add_up
from pytest_postgresql.janitor import DatabaseJanitor

from credits_db import Client
from credits_db.local import bin_dir
from credits_db.migrations import verify

TABLES = (
    "auth.users",
    "public.user_credits",
    "public.credit_transactions",
    "public.credit_products",
    "public.purchase_transactions",
    "public.user_entitlements",
    "public.credit_holds",
    "credits_private.credit_lots",
    "credits_private.lot_allocations",
    "credits_private.hold_lots",
    "credits_private.recurring_grants",
    "credits_private.due_accounts",
    "credits_private.outbox",
    "credits_private.purchase_claims",
    "credits_private.purchase_facts",
    "credits_private.store_customers",
    "credits_private.store_events",
    "credits_private.store_event_names",
    "credits_private.closed_accounts",
    "credits_private.closed_totals",
    "credits_private.closed_sales",
    "credits_private.closed_identities",
    "credits_private.bonus_claims",
)
ROWS = [f"--table={table}" for table in TABLES]
LATER = UUID("1a7e0000-0000-4000-8000-000000000000")  # signs up after the restore
REPLICA = "-c session_replication_role=replica"
WHOLE = ("--quiet", "--output=/dev/null", "-vON_ERROR_STOP=1", "--single-transaction")


SESSION = """{"id": "%s", "type": "checkout.session.completed", "livemode": true, "data": {"object": {
  "id": "cs_%s", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_%s", "customer": "cus_%s",
  "amount_subtotal": 1000, "amount_total": 1000, "currency": "eur", "client_reference_id": "%s",
  "metadata": {"product_id": "pack"}}}}"""
REFUND = """{"id": "evt_refund_%s", "type": "charge.refunded", "livemode": true, "data": {"object": {
  "id": "ch_%s", "payment_intent": "pi_%s", "amount": 1000, "amount_refunded": %s, "currency": "eur"}}}"""


def buy(connection: psycopg.Connection[Any], user: UUID | str, name: str) -> str:
    """A purchase by Stripe of 100 credits and of an entitlement, and what became of its event."""
    return state(connection, SESSION % (f"evt_{name}", name, name, name, user))


def refund(connection: psycopg.Connection[Any], name: str, cents: int) -> str:
    return state(connection, REFUND % (f"{name}_{cents}", name, name, cents))


def state(connection: psycopg.Connection[Any], body: str) -> str:
    query = "select concat_ws(' ', e.state, e.reason) from public.process_stripe_event(%s) as e"
    row = connection.execute(query, [body]).fetchone()
    assert row
    return str(row[0])


def path_of(program: str) -> str:
    path = shutil.which(program, path=f"{bin_dir()}{os.pathsep}{os.environ['PATH']}")
    assert path, f"no {program} beside the server or on the PATH: apt-get install postgresql-client"
    return path


def run(program: str, database: Database, *arguments: str, user: str | None = None, **env: str) -> str:
    """Run a program of PostgreSQL on a database and return its errors; warnings may be."""
    done = subprocess.run(
        [path_of(program), f"--dbname={database.dsn(user)}", *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    errors = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    return "\n".join(errors) or (f"exit status {done.returncode}" if done.returncode else "")


def dump(database: Database, path: Path, *arguments: str, user: str | None = None) -> Path:
    assert run("pg_dump", database, f"--file={path}", *arguments, user=user) == ""
    return known(path) if path.suffix == ".sql" else path


def known(script: Path) -> Path:
    """The script without the setting that pg_dump writes since 17: an older server would refuse it, or stop there."""
    script.write_text(script.read_text().replace("SET transaction_timeout = 0;\n", "", 1))
    return script


def restore(database: Database, saved: Path, *arguments: str) -> str:
    """pg_restore, all or nothing; before 17 by a script, since it sends that setting too."""
    with database.connect() as connection:
        if connection.info.server_version >= 170000:
            options = ("--exit-on-error", "--single-transaction", *arguments)
            return run("pg_restore", database, *options, str(saved), user="postgres")
    script = saved.with_suffix(".sql")
    subprocess.run([path_of("pg_restore"), f"--file={script}", *arguments, saved], check=True)
    return run("psql", database, *WHOLE, f"--file={known(script)}", user="postgres")


def contents(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the tables that hold credits, as text."""
    with database.connect() as connection:
        return {
            table: connection.execute(f"select t::text from {table} as t order by 1".encode()).fetchall()
            for table in TABLES
        }


def balances(database: Database) -> dict[UUID, int]:
    with database.connect() as connection:
        return dict(connection.execute("select user_id, credits_remaining from public.user_credits").fetchall())


def drift(database: Database) -> list[str]:
    with database.connect() as connection:
        return verify(connection)


def assert_purchases_mean_the_same(database: Database) -> None:
    """What was bought is not credited again, refunds go on from where they were, and who was waited for is found."""
    with database.connect() as connection:
        before = balances(database)
        assert [buy(connection, uuid4(), name) for name in ("rich", "poor", "gone")] == [
            "processed", "processed", "processed"
        ]  # fmt: skip
        rows = connection.execute(
            "select user_id, transaction_id from public.purchase_transactions where transaction_id like 'pi\\_%'"
        ).fetchall()
        owners = {name: user for user, name in rows}
        again = SESSION % ("evt_again", "rich", "rich", "rich", owners["pi_rich"])
        assert state(connection, again) == "processed"
        assert state(connection, SESSION % ("evt_other", "poor", "poor", "poor", owners["pi_rich"])) == (
            "failed purchase_conflict"
        )
        assert state(connection, SESSION % ("evt_gone_again", "gone", "gone", "gone", owners["pi_rich"])) == (
            "ignored account_closed"
        )
        assert refund(connection, "rich", 300) == "processed before_purchase"
        assert balances(database) == before
        assert [refund(connection, "rich", 500), refund(connection, "rich", 1000)] == ["processed"] * 2
        assert balances(database) == {**before, owners["pi_rich"]: before[owners["pi_rich"]] - 70}
        active = "select public.has_entitlement_for(%s, 'pro'), public.has_entitlement_for(%s, 'pro')"
        assert connection.execute(active, [owners["pi_rich"], owners["pi_poor"]]).fetchone() == (False, True)
        assert buy(connection, owners["pi_poor"], "early") == "processed"
        assert balances(database)[owners["pi_poor"]] == before[owners["pi_poor"]]
        connection.execute("insert into auth.users (id) values (%s)", [LATER])
        assert balances(database)[LATER] >= 100
        assert_books_add_up(connection)


def assert_credits_live_on(connection: psycopg.Connection[Any], client: Client) -> None:
    """The hold is captured from its lots, the rest of a spend goes back, and what was due or told is."""
    hold = connection.execute("select user_id, id from public.credit_holds where status = 'active'").fetchone()
    assert hold
    user, hold_id = hold
    assert client.capture_hold_for(user, hold_id, 20).amount == -20
    assert client.refund_consumption_for(user, 4).amount == 6
    query = "select remaining from credits_private.credit_lots where granted in (25, 40) order by granted"
    assert connection.execute(query).fetchall() == [(10,), (35,)]
    assert client.get_user_credits_for(user).monthly_bonus_credits == 5
    assert [item.user_id for item in client.claim_outbox()] == [user] * 2  # from before, and by the capture


def assert_works(database: Database) -> None:
    """The restored database goes on where the saved one stopped."""
    with database.connect() as connection:
        assert_books_add_up(connection)
        client = Client(connection)
        user, balance = max(balances(database).items(), key=lambda item: item[1])
        row = client.consume_credit_for(user)
        assert row.balance_after == balance - 1
        (older,) = client.get_transaction_history_for(user, 1, row.seq)
        assert older.seq == row.seq - 1
        assert client.get_user_credits_for(database.sign_up()).credits_remaining > 0
        assert_credits_live_on(connection, client)
        for statement in ("update public.credit_transactions set amount = 1", "truncate public.credit_transactions"):
            with pytest.raises(psycopg.Error) as caught:
                connection.execute(statement.encode())
            assert caught.value.sqlstate == "PT403"
        assert_books_add_up(connection)


@pytest.fixture
def source(database: Database) -> Database:
    """A database in which everything has happened that leaves rows behind."""
    rich, poor, gone, anonymous, holder = (database.sign_up(f"user{n}@example.com") for n in range(5))
    with database.connect() as connection:
        connection.execute("select credits_private.set_setting('signup_bonus', '7')")
        client = Client(connection)
        client.add_credits_for(rich, 10**12, "purchase", metadata={"order": 'a "quoted"\n\\ value', "n": [1.5, None]})
        for number in range(20):
            client.consume_credit_for(rich, 2, description=f"✓ {number}", idempotency_key=f"key {number}")
        client.consume_credit_for(poor, 3)
        client.set_alert_for(holder, 60)
        for amount, days in ((25, 1), (40, 2)):
            client.add_credits_for(holder, amount, expires_at=datetime.now(UTC) + timedelta(days))
        client.consume_credit_for(holder, 10)
        client.reserve_credits_for(holder, 30, timedelta(hours=12))
        client.refund_consumption_for(holder, 4, 4)
        client.set_recurring_grant("monthly", 5, "month", holder)
        connection.execute(
            "insert into public.credit_transactions (user_id, type, amount) values (%s, 'clawback', -50)", [poor]
        )
        connection.execute(
            "select credits_private.set_product('any', 'pack', 100, 0, 0, 999, 'EUR', 'pro', null, null, null)"
        )
        assert [refund(connection, "rich", 300), buy(connection, rich, "rich")] == [
            "processed before_purchase", "processed"
        ]  # fmt: skip
        assert [buy(connection, user, name) for user, name in ((poor, "poor"), (gone, "gone"))] == ["processed"] * 2
        assert [buy(connection, LATER, "later"), refund(connection, "early", 1000)] == [
            "parked unknown_user", "processed before_purchase"
        ]  # fmt: skip
        client.delete_user_account_for(gone)
        connection.execute("update auth.users set is_anonymous = true where id = %s", [anonymous])
        connection.execute("insert into auth.users (id, is_anonymous) values (%s, true)", [uuid4()])
    with database.connect(options=REPLICA) as connection:
        connection.execute("insert into auth.users (id) values (%s)", [uuid4()])
    assert sorted(balances(database).values()) == [0, 3, 50, 62, 10**12 + 3 - 40 + 70]
    return database


@pytest.fixture
def fresh(templates: Templates, flavour: str) -> Iterator[Database]:
    """Another database, pushed and without users."""
    with templates.clone(flavour) as database:
        yield database


@pytest.fixture
def bare(source: Database) -> Iterator[Database]:
    """Another database with nothing in it."""
    name = f"r{uuid4().hex[:12]}"
    with DatabaseJanitor(user="postgres", host=source.host, port=source.port, dbname=name, template_dbname="template0"):
        yield Database(name, source.host, source.port, "postgres")


@pytest.mark.parametrize("program", ["pg_restore", "psql"])
def test_a_full_dump_is_the_same_database_again(source: Database, bare: Database, tmp_path: Path, program: str) -> None:
    before = contents(source)
    if program == "psql":
        saved = dump(source, tmp_path / "full.sql", user="postgres")
        assert run(program, bare, "--quiet", "--output=/dev/null", "-vON_ERROR_STOP=1", f"--file={saved}") == ""
    else:
        saved = dump(source, tmp_path / "full.dump", "--format=custom", user="postgres")
        assert restore(bare, saved) == ""
    assert contents(bare) == before
    assert drift(bare) == []
    assert_purchases_mean_the_same(bare)
    assert_works(bare)


def test_rows_restored_as_a_replica_are_the_balances_that_were_saved(
    source: Database, fresh: Database, tmp_path: Path
) -> None:
    before = contents(source)
    saved = dump(source, tmp_path / "rows.sql", "--data-only", *ROWS)
    assert run("psql", fresh, *WHOLE, f"--file={saved}", PGOPTIONS=REPLICA) == ""
    assert contents(fresh) == before
    assert drift(fresh) == []
    assert_purchases_mean_the_same(fresh)
    assert_works(fresh)


def test_rows_restored_with_triggers_disabled_add_up_and_verify_names_the_guards_to_arm_again(
    source: Database, fresh: Database, tmp_path: Path
) -> None:
    before = contents(source)
    saved = dump(source, tmp_path / "rows.dump", "--data-only", "--format=custom", *ROWS, user="postgres")
    assert restore(fresh, saved, "--data-only", "--disable-triggers") == ""
    assert contents(fresh) == before
    drifted = drift(fresh)
    switched = [line for line in drifted if " TRIGGER notify_changes " in line]
    assert [line[0] for line in switched] == ["-", "+"], "enabled with all the others, against its setting"
    found = [line for line in drifted if line not in switched]
    armed = re.compile(r"^([-+]) trigger CREATE TRIGGER (\w+) .* ON ((?:public|credits_private)\.\w+) .*?(, always)?$")
    matches = [armed.match(line) for line in found]
    guards = {(m[2], m[3]) for m in matches if m}
    assert {name for name, _ in guards} == {
        "keep_accounts", "keep_accounts_whole", "keep_app_store_credits", "keep_ledger", "keep_ledger_whole",
        "close_account",
    }  # fmt: skip
    assert [m and (m[1], m[4]) for m in matches] == [("-", ", always")] * 6 + [("+", None)] * 6
    with fresh.connect() as connection:
        for name, table in sorted(guards):
            connection.execute(f"alter table {table} enable always trigger {name}".encode())
        connection.execute("select credits_private.set_setting('notify_changes', 'off')")
    assert drift(fresh) == []
    assert_purchases_mean_the_same(fresh)
    assert_works(fresh)


@pytest.mark.corrupts
@pytest.mark.parametrize("stop", ["0", "1"], ids=["going on", "stopping"])
@pytest.mark.parametrize("what", ["our tables", "everything"])
def test_a_careless_restore_of_rows_fails_loudly_and_never_doubles(
    source: Database, fresh: Database, tmp_path: Path, what: str, stop: str
) -> None:
    expected = balances(source)
    saved = dump(source, tmp_path / "rows.sql", "--data-only", *(ROWS if what == "our tables" else []), user="postgres")
    arguments = ("--quiet", "--output=/dev/null", f"-vON_ERROR_STOP={stop}", f"--file={saved}")
    complaint = run("psql", fresh, *arguments, user="postgres")
    assert "ERROR" in complaint
    for user, balance in balances(fresh).items():
        assert balance in (0, 3, expected.get(user, 0))
    with fresh.connect() as connection:
        # what came back without its ledger row is named, and no balance counts it
        assert {violation.rule for violation in Client(connection).verify_ledger()} <= {
            "purchase_is_not_its_rows", "lot_is_not_its_grant", "allocation_exceeds_row", "lots_exceed_balance",
            "held_is_not_holds", "due_is_late", "due_is_not_queued",
        }  # fmt: skip


def test_rows_restored_twice_fail_loudly_and_change_nothing(source: Database, fresh: Database, tmp_path: Path) -> None:
    saved = dump(source, tmp_path / "rows.sql", "--data-only", *ROWS)
    arguments = ("--quiet", "--output=/dev/null", f"--file={saved}")
    assert run("psql", fresh, *arguments, PGOPTIONS=REPLICA) == ""
    before = contents(fresh)
    assert run("psql", fresh, *arguments, PGOPTIONS=REPLICA).count("duplicate key") == len(TABLES)
    assert contents(fresh) == before


@pytest.mark.corrupts
def test_a_ledger_that_comes_back_without_its_balances_is_named_by_verify_ledger(
    source: Database, fresh: Database, tmp_path: Path
) -> None:
    saved = dump(source, tmp_path / "rows.sql", "--data-only", "--table=public.credit_transactions")
    assert run("psql", fresh, "--quiet", "--output=/dev/null", f"--file={saved}") == ""
    assert balances(fresh) == {}
    with fresh.connect() as connection:
        violations = Client(connection).verify_ledger()
    assert {violation.rule for violation in violations} == {
        "ledger_without_account", "purchase_is_not_its_rows"
    }  # fmt: skip
    assert {violation.user_id for violation in violations} == {
        user for user, _ in balances(source).items() if contents_of(source, user)
    }


def contents_of(database: Database, user: UUID) -> int:
    with database.connect() as connection:
        return len(Client(connection).get_transaction_history_for(user, 500))
