"""docs/ is followed to the letter: its blocks run in their order, on a server of their own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from conftest import ROOT, Database, Run, assert_books_add_up, sign_up
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from test_readme import blocks

from credits_db import Client, InsufficientCredits, local, migrations
from credits_db.webhooks import sign

PLAIN = ROOT / "docs" / "plain-postgres.md"
PURCHASES = ROOT / "docs" / "purchases.md"
LOTS = ROOT / "docs" / "lots.md"
APP = ROOT / "docs" / "app.md"
ACCOUNTS = ROOT / "docs" / "accounts.md"
EXISTING = ROOT / "docs" / "existing.md"
CLIENTS = ROOT / "docs" / "clients.md"


@pytest.fixture(scope="module")
def machine() -> Iterator[dict[str, str]]:
    """A Postgres that the environment points to, for a role that may make databases and roles and no more.

    credits-db and the programs of Postgres are on the PATH.
    """
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        patch.delenv("CREDITS_DB_PG_BIN", raising=False)  # the wheel has the programs of the document
        os.chmod(home, 0o755)  # the server of root runs as somebody else
        with local.running(Path(home) / "server", durable=False) as server:
            path = f"{Path(sys.executable).parent}:{local.bin_dir()}:{os.environ['PATH']}"
            where = {"PGHOST": str(server.socket_dir), "PGPORT": str(server.port), "PGUSER": "ada"}
            with psycopg.connect(server.dsn(), autocommit=True) as connection:
                connection.execute("create role ada login createdb createrole")
            yield {**os.environ, **where, "PATH": path, "HOME": home}


def bash(script: str, environment: Mapping[str, str], folder: Path) -> str:
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def shop(machine: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Database:
    """The database of plain-postgres.md, installed as written, with its user and the application's role."""
    bash(blocks("bash", PLAIN)[0], machine, tmp_path_factory.mktemp("shop"))
    database = Database("shop", machine["PGHOST"], machine["PGPORT"], "ada")
    with database.connect() as owner:
        for statements in blocks("sql", PLAIN):
            owner.execute(statements.encode())
    return database


def test_the_application_sells_and_spends_as_written(
    shop: Database, machine: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("PGHOST", "PGPORT"):
        monkeypatch.setenv(name, machine[name])
    exec(blocks("python", PLAIN)[0], {})
    assert capsys.readouterr().out == "98\n"
    with shop.connect() as owner:
        assert_books_add_up(owner)


def test_whoever_listens_is_told_that_something_has_changed_as_written(shop: Database) -> None:
    with shop.connect("app") as app:
        app.execute("listen credits_changed")
        shop.sign_up()
        [told] = app.notifies(timeout=10, stop_after=1)
        assert (told.channel, told.payload) == ("credits_changed", "")


def test_a_standby_answers_what_only_reads(shop: Database) -> None:
    user, past = shop.sign_up(), datetime.now(UTC) - timedelta(days=1)
    with shop.connect("app", options="-c default_transaction_read_only=on") as standby:
        client = Client(standby)
        assert client.get_user_credits_for(user).credits_available == 3
        assert len(client.get_transaction_history_for(user)) == 1
        assert client.get_operation_for(user, "none") is None
        assert client.get_usage_for(user, past).consumed == 0
        assert client.get_balance_at_for(user, past) == 0
        assert client.explain_balance_for(user)
        assert client.verify_ledger() == []
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            client.consume_credit_for(user)


def test_a_backup_is_restored_and_verified_as_written(shop: Database, machine: dict[str, str], tmp_path: Path) -> None:
    told = bash(blocks("bash", PLAIN)[1], {**machine, "DATABASE_URL": "postgresql:///shop"}, tmp_path)
    assert "is what credits-db ships" in told
    assert "(0 rows)" in told


@pytest.mark.parametrize(
    "statement",
    [
        "update public.user_credits set credits_remaining = 9",
        "update public.credit_transactions set amount = 9",
        "delete from public.credit_transactions",
        "truncate public.credit_transactions",
        "insert into public.credit_transactions (user_id, type, amount, seq) select id, 'bonus', 1, 1 from auth.users",
        "select from credits_private.settings",
        "select credits_private.set_setting('signup_bonus', '9')",
        "alter table public.user_credits disable trigger all",
        "create table public.mine ()",
        "set session_replication_role = replica",
        "set role postgres",
    ],
)
def test_the_role_of_the_application_can_do_no_more_than_the_document_says(shop: Database, statement: str) -> None:
    with shop.connect("app") as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement.encode())


def test_the_role_of_the_application_keeps_the_users(shop: Database) -> None:
    with shop.connect("app") as app:
        row = app.execute("insert into auth.users (email) values ('grace@example.com') returning id").fetchone()
        query = "select credits_remaining from public.user_credits where user_id = %s"
        assert app.execute(query, row).fetchone() == (3,)
        app.execute("delete from auth.users where id = %s", row)
        assert app.execute(query, row).fetchone() is None


def test_credits_are_sold_as_written(
    machine: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From what is sold to the replay of fixtures, and an event that comes to a server in between."""
    install, *commands = blocks("bash", PURCHASES)
    assert install == blocks("bash", ROOT / "docs" / "supabase.md")[0]
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    there = {**machine, "DATABASE_URL": "postgresql:///sale"}
    bash("createdb sale && credits-db push --yes", there, tmp_path)
    database = Database("sale", machine["PGHOST"], machine["PGPORT"], "ada")
    database.sign_up(id=UUID("11111111-1111-4111-8111-111111111111"))
    told = [bash(block, there, tmp_path) for block in commands]
    assert "pro_monthly" in told[0]
    assert "processed" in told[-1]

    with database.connect() as owner:
        secret = (tmp_path / "webhook-secret.txt").read_text().strip()
        assert len(secret) == 64
        assert owner.execute("select credits_private.secrets_of('revenuecat_authorization')").fetchone() == ([secret],)
        query = "select value from credits_private.settings where name = 'sandbox'"
        assert owner.execute(query).fetchone() == ("allow_listed",)
        buyer = database.sign_up()
        session: dict[str, object] = {
            "id": "cs_1",
            "mode": "payment",
            "payment_status": "paid",
            "payment_intent": "pi_1",
            "currency": "usd",
        }
        session |= {"client_reference_id": str(buyer), "metadata": {"product_id": "pack_100"}}
        event = {"id": "evt_1", "object": "event", "type": "checkout.session.completed", "livemode": True}
        body = json.dumps(event | {"data": {"object": session}}).encode()
        names: dict[str, object] = {"body": body, "client": Client(owner), "STRIPE_SECRET": "whsec_0123456789abcdef"}
        names["headers"] = {"Stripe-Signature": sign(body, "whsec_0123456789abcdef")}
        exec(blocks("python", PURCHASES)[0], names)
        assert capsys.readouterr().out == "processed None\n"
        assert Client(owner).get_user_credits_for(buyer).credits_available == 103
        assert_books_add_up(owner)


def test_what_the_readme_sells_is_a_part_of_its_document() -> None:
    products, secret, *_ = blocks("bash")[1].splitlines()
    document = PURCHASES.read_text()
    assert products in document
    assert secret in document


def test_every_block_of_the_purchases_document_has_a_language_that_is_run() -> None:
    assert set(re.findall(r"^```(\w+)$", PURCHASES.read_text(), re.MULTILINE)) == {"bash", "js", "python"}


def test_credits_live_as_written(
    database: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """Every block of the document in its order: what each leaves is what its words promise."""
    imports, lots, failed, held, usage, tokens, alert, frozen = blocks("python", LOTS)
    recurring, limit = blocks("sql", LOTS)
    explain, maintain = (block.split("#")[0].split()[1:] for block in blocks("bash", LOTS))
    user = database.sign_up()
    with database.connect() as owner:
        client = Client(owner)
        names: dict[str, object] = {"client": client, "user_id": user, "DATABASE_URL": database.dsn()}

        def run_block(block: str) -> int:
            exec(block, names)
            return client.get_user_credits_for(user).credits_available

        exec(imports, names)
        assert run_block(lots) == 3 + 50 - 10
        assert run_block(failed) == 43
        assert run_block(held) == 43 - 12
        for statement in recurring.replace(":user_id", f"'{user}'").split(";\n"):
            owner.execute(statement.encode())
        assert client.get_user_credits_for(user).credits_available == 31 + 20
        owner.execute(limit.encode())
        free = database.sign_up()
        assert client.get_user_credits_for(free).credits_available == 3 + 10
        assert run_block(usage) == 51
        assert capsys.readouterr().out == "32\n"
        assert run_block(tokens) == 51 - 3
        client.consume_credit_for(user, 8)
        assert run_block(alert) == 25
        assert capsys.readouterr().out == "low_balance 25\n"
        assert client.claim_outbox() == []

        monkeypatch.setenv("DATABASE_URL", database.dsn())
        told = run(*[str(user) if "-" in word else word for word in explain])
        assert told.code == 0
        assert "25 credits" in told.out
        assert run(*maintain).code == 0
        assert run_block(frozen) == 25
        assert capsys.readouterr().out == "2030-01-31T23:59:00+00:00\n"


def test_every_block_of_the_document_about_lots_has_a_language_that_is_run() -> None:
    assert set(re.findall(r"^```(\w+)$", LOTS.read_text(), re.MULTILINE)) == {"bash", "js", "python", "sql"}


def test_every_block_about_the_app_accounts_and_existing_databases_is_run() -> None:
    found = {
        path: [len(blocks(word, path)) for word in ("bash", "js", "python", "sql")]
        for path in (APP, ACCOUNTS, EXISTING)
    }
    assert found == {APP: [1, 2, 1, 0], ACCOUNTS: [0, 1, 0, 3], EXISTING: [3, 0, 0, 2]}
    for path, counts in found.items():
        assert len(re.findall(r"^```\w+$", path.read_text(), re.MULTILINE)) == sum(counts)


def test_the_app_track_is_pushed_and_its_files_are_removed_as_written(
    empty: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty.dsn())
    monkeypatch.chdir(tmp_path)
    for command in blocks("bash", APP)[0].splitlines():
        assert run(*command.split("#")[0].split()[1:]).code == 0
    assert len(list((tmp_path / "supabase" / "migrations").glob("*_app_*.sql"))) == 3
    user, removed = empty.sign_up(), list[object]()
    with empty.connect() as owner:
        for path in (f"{user}/cat.png", f"{uuid4()}/not-mine.png"):
            owner.execute("insert into public.projects (user_id, source_image_path) values (%s, %s)", [user, path])
        owner.execute("delete from public.projects where user_id = %s", [user])
        exec(blocks("python", APP)[0], {"client": Client(owner), "remove": removed.append})
        assert removed == [f"{user}/cat.png"]
        assert Client(owner).claim_outbox() == []


def test_what_is_held_is_handed_out_and_the_books_stay_as_written(database: Database) -> None:
    totals, hand_out, register = blocks("sql", ACCOUNTS)
    user = database.sign_up()
    with database.connect() as owner:
        owner.execute(
            "create table public.jobs (user_id uuid references auth.users (id) on delete cascade, title text)"
        )
        owner.execute("insert into public.jobs values (%s, 'A film')", [user])
        owner.execute(register.encode())
        held = owner.execute(hand_out.replace(":user_id", f"'{user}'").encode()).fetchall()[0][0]
        assert held["tables"]["public.jobs"] == [{"user_id": str(user), "title": "A film"}]
        before = [owner.execute(query.encode()).fetchall() for query in totals.strip().split(";\n")]
        assert Client(owner).delete_user_account_for(user).removed["public.jobs"] == 1
        assert [owner.execute(query.encode()).fetchall() for query in totals.strip().split(";\n")] == before
        assert before[0]


def test_a_live_database_is_taken_over_and_tidied_as_written(
    empty: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    looks, verify, imports = (block.splitlines() for block in blocks("bash", EXISTING))
    with migrations.connect(empty.dsn()) as owner:
        with owner.transaction():
            migrations._prepare(owner)
        user = sign_up(owner)
        owner.execute("create table public.user_credits (user_id uuid primary key, credits_remaining int)")
        owner.execute("insert into public.user_credits values (%s, 7)", [user])
    monkeypatch.setenv("DATABASE_URL", empty.dsn())
    monkeypatch.chdir(tmp_path)
    for command in looks:
        told = run(*command.split()[1:])
        assert told.code == 0
        assert "adopt public.user_credits: 1 balances, 7 credits in all" in told.out
    assert run("push", "--yes").code == 0
    assert run(*verify[0].split()[1:]).code == 0
    with empty.connect() as owner:
        check, tidy = (block.strip().split(";\n") for block in blocks("sql", EXISTING))
        assert [owner.execute(query.encode()).fetchall() for query in check] == [[], [(1, 7)]]
        for statement in tidy:
            owner.execute(statement.encode())
        assert run(*verify[0].split()[1:]).code == 0
        (tmp_path / "balances.csv").write_text(f"user,amount\n{user},5\n")
        for command in imports:
            assert run(*command.split()[1:]).code == 0
        client = Client(owner)
        assert client.get_user_credits_for(user).credits_remaining == 12
        assert client.delete_user_account_for(user).credits_written_off == 12
        assert_books_add_up(owner)


def test_a_server_spends_for_its_user_as_written(database: Database) -> None:
    user = database.sign_up()
    names: dict[str, Any] = {"DATABASE_URL": database.dsn(), "verify": lambda token: {"sub": token}}
    exec(blocks("python", CLIENTS)[0], names)
    try:
        told = [names["press"](str(user), key) for key in ("first", "first", "second")]
    finally:
        names["pool"].close()
    assert told == ["1 credits left", "1 credits left", "You have 1 credits."]


def test_a_balance_is_followed_and_kept_for_a_screen_as_written(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    _, follow, screen = blocks("python", CLIENTS)[:3]
    names: dict[str, Any] = {"user_id": database.sign_up(), "UUID": UUID, "InsufficientCredits": InsufficientCredits}
    with ConnectionPool(database.dsn(), kwargs={"autocommit": True}) as pool:
        names["client"] = client = Client(pool)
        exec(follow, names)
        assert capsys.readouterr().out == "3 credits\n"
        exec(screen, names)

        async def shown() -> None:
            async with AsyncConnectionPool(database.dsn(), kwargs={"autocommit": True}, open=False) as pool:
                for _ in range(2):
                    await names["screen"](pool, names["user_id"])

        asyncio.run(shown())
        assert client.get_user_credits_for(names["user_id"]).credits_remaining == 1
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == ["3 ", "1 "]
    assert told[-2].startswith("1 insufficient_credits")
    assert told[-1] == "0 "


def test_plain_sql_spends_as_a_service_and_as_a_user_as_written(database: Database) -> None:
    function, as_user = blocks("sql", CLIENTS)[:2]
    user = database.sign_up()
    with database.connect() as owner:
        owner.execute(function.encode())
        told = [
            owner.execute("select public.try_spend(%s, %s, %s)", [user, amount, key]).fetchall()[0][0]
            for amount, key in ((1, "first"), (1, "first"), (3, "second"))
        ]
        assert told == ["2 credits left", "2 credits left", "You have 2 credits."]
        filled = as_user.replace(":user_id", f"'{user}'").replace(":key", "'third'")
        *_, before, spent, _ = [owner.execute(line.encode()) for line in filled.strip().split(";\n")]
        assert (before.fetchall(), spent.fetchall()) == ([(2, 0)], [(3, 0)])
        assert owner.execute("select current_user = session_user").fetchone() == (True,)


def test_every_name_that_dart_uses_is_there(db: psycopg.Connection[Any]) -> None:
    [code] = blocks("dart", CLIENTS)
    functions = """
        select p.proname, p.proargnames, p.provolatile
        from pg_proc as p
        where p.pronamespace = 'public'::regnamespace and has_function_privilege('authenticated', p.oid, 'execute')
    """
    known = {name: (set(arguments or []), volatile) for name, arguments, volatile in db.execute(functions)}
    calls = re.findall(r"\.rpc\('(\w+)'(?:, params: \{(.*?)\})?(, get: true)?\)", code)
    assert {name for name, *_ in calls} == {"get_user_credits", "get_transaction_history", "consume_credit"}
    assert len(calls) == code.count(".rpc(")
    for name, given, get in calls:
        arguments, volatile = known[name]
        assert set(re.findall(r"'(\w+)':", given)) <= arguments, name
        assert not get or volatile == "s", name

    models = dict(re.findall(r"^class (\w+) \{\n(.*?)^\}", code, re.MULTILINE | re.DOTALL))
    for model, table in (("Credits", "user_credits"), ("CreditTransaction", "credit_transactions")):
        columns = """
            select a.attname,
              case t.typcategory when 'N' then 'int' else 'String' end || case when a.attnotnull then '' else '?' end
            from pg_attribute as a
            join pg_type as t on t.oid = a.atttypid
            where a.attrelid = %s::regclass and a.attnum > 0
        """
        types = dict(db.execute(columns, [f"public.{table}"]).fetchall())
        fields = re.findall(r"json\['(\w+)'\] as (\w+\??)", models[model])
        assert len(fields) == models[model].count("json['") >= 3
        assert {name: types[name] for name, _ in fields} == dict(fields)
    assert re.findall(r"from\('(\w+)'\)\s+\.stream\(primaryKey: \['(\w+)'\]\)", code) == [("user_credits", "user_id")]

    tokens = re.findall(r"message != '(\w+)'", code)
    assert tokens == [InsufficientCredits.token]
    user = sign_up(db)
    with pytest.raises(InsufficientCredits) as caught:
        Client(db).as_user(user).consume_credit(99)
    [(name, kind)] = re.findall(r"details\['(\w+)'\] as (\w+)", code)
    assert (caught.value.details[name], kind) == (3, "int")


def test_every_block_of_the_document_for_clients_is_run_but_dart_which_is_read() -> None:
    found = re.findall(r"^```(\w+)$", CLIENTS.read_text().partition("## Other drivers")[0], re.MULTILINE)
    assert {word: found.count(word) for word in found} == {"js": 1, "dart": 1, "python": 3, "sql": 2}
