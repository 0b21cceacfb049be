"""A live database takes credits-db: each source's schema with data, what is made of it, and what stays as it was.

tests/sources/ holds the schemas, each with the same eight people in whatever state they may be. What a push makes of
each is looked at once for all; a test that changes something rolls back, or has a database of its own.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from conftest import Database, Run, Templates, assert_books_add_up, sign_up
from psycopg import sql

from credits_db import Client, migrations

APP = ["app"]
SOURCES = ("s0", "s1", "s2", "s3", "s4")
FOLDER = Path(__file__).parent / "sources"
NAMES = ("ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal")
PEOPLE = {name: UUID(f"00000000-0000-4000-8000-{number:012}") for number, name in enumerate(NAMES, 1)}
BALANCES = dict(zip(NAMES, (12, 0, 0, 3, 8, 9, 20, 4), strict=True))  # dan has no old one, and gets the bonus
OLD_BALANCES = dict.fromkeys(SOURCES, BALANCES) | {"s0": {**BALANCES, "eve": 5, "fay": 2**31 - 1, "gus": 1}}
MOVED = {"user_credits", "credit_transactions", "purchase_transactions"}

# what a host wrote besides tables, which may get columns of ours; a table that moves takes these with it
OBJECTS = """
with homes (oid) as (select oid from pg_namespace where nspname in ('public', 'credits_before'))
select 'function', p.oid::bigint, p.proname::text, p.proowner::bigint, pg_get_functiondef(p.oid)
from pg_proc as p
where p.pronamespace in (select oid from homes)
union all
select 'trigger', t.oid::bigint, t.tgname, t.tgrelid::bigint, concat_ws(' ', t.tgfoid, t.tgtype, t.tgenabled, t.tgqual)
from pg_trigger as t
where not t.tgisinternal and t.tgrelid >= 16384
union all
select
  'policy', p.oid::bigint, p.polname, p.polrelid::bigint,
  concat_ws(' ', p.polcmd, p.polpermissive, p.polroles, pg_get_expr(p.polqual, p.polrelid),
    pg_get_expr(p.polwithcheck, p.polrelid))
from pg_policy as p
union all
select 'index', i.indexrelid::bigint, c.relname, i.indrelid::bigint, concat_ws(' ', i.indkey, i.indoption, i.indisvalid)
from pg_index as i
join pg_class as c on c.oid = i.indexrelid
where c.relnamespace in (select oid from homes)
union all
select 'type', t.oid::bigint, t.typname, t.typowner::bigint, t.typtype::text
from pg_type as t
where t.typnamespace in (select oid from homes)
"""


@dataclass(frozen=True)
class Picture:
    """What a host has: every row of every table of its own, and everything else that it wrote."""

    rows: dict[str, list[dict[str, Any]]]
    objects: set[tuple[Any, ...]]


def picture(connection: psycopg.Connection[Any], schema: str = "public") -> Picture:
    tables = connection.execute(
        "select relname from pg_class where relnamespace = to_regnamespace(%s) and relkind = 'r'", [schema]
    ).fetchall()
    rows = {name: rows_of(connection, schema, name) for (name,) in tables}
    return Picture(rows, set(connection.execute(OBJECTS).fetchall()))


def rows_of(connection: psycopg.Connection[Any], schema: str, table: str) -> list[dict[str, Any]]:
    query = sql.SQL("select to_jsonb(t) from {} as t order by ctid").format(sql.Identifier(schema, table))
    return [row for (row,) in connection.execute(query)]


def settle(database: Database, source: str, *more: str) -> Picture:
    """Make an empty database the live one of a source: its people, its schema, its data, and then `more` SQL."""
    with migrations.connect(database.dsn()) as connection:
        migrations._prepare(connection)
        for name, id in PEOPLE.items():
            sign_up(connection, None if name == "hal" else address(name), id=id, is_anonymous=name == "hal")
        for text in ((FOLDER / f"{source}.sql").read_text(), *more):
            connection.execute(text.encode())
        return picture(connection)


def address(name: str) -> str:
    return f"{name}.lovelace@example.com"


def push(database: Database, **options: Any) -> list[str]:
    with migrations.connect(database.dsn()) as connection:
        return [migration.id for migration in migrations.push(connection, **options)]


@contextmanager
def acting_as(connection: psycopg.Connection[Any], user: UUID | None, role: str = "authenticated") -> Iterator[None]:
    """As PostgREST does it: the role and the claims of a request, until the end of the block."""
    claims = json.dumps({"sub": str(user), "role": role} if user else {"role": role})
    with connection.transaction():
        connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        yield
        connection.execute("reset role")
        connection.execute("select set_config('request.jwt.claims', '', true)")


def ledger(connection: psycopg.Connection[Any], name: str) -> list[tuple[Any, ...]]:
    """Type, amount and key of each row; the key of a purchase without the hash of what was bought."""
    query = """
        select type::text, amount, regexp_replace(idempotency_key, '^credits:purchase:.*', 'credits:purchase')
        from public.credit_transactions
        where user_id = %s
        order by seq
    """
    return connection.execute(query, [PEOPLE[name]]).fetchall()


def balances(connection: psycopg.Connection[Any]) -> dict[str, int]:
    found = dict(connection.execute("select user_id, credits_remaining from public.user_credits").fetchall())
    return {name: found[id] for name, id in PEOPLE.items() if id in found}


def everything(connection: psycopg.Connection[Any]) -> dict[str, Counter[str]]:
    """Every row of every table that is not Postgres's own."""
    tables = connection.execute(
        """
        select c.relnamespace::regnamespace::text, c.relname
        from pg_class as c
        where c.relkind = 'r' and c.oid >= 16384
        """
    ).fetchall()
    return {
        f"{schema}.{table}": Counter(json.dumps(row, sort_keys=True) for row in rows_of(connection, schema, table))
        for schema, table in tables
    }


@dataclass(frozen=True)
class Adopted:
    source: str
    database: Database
    before: Picture


@pytest.fixture(scope="module", params=SOURCES)
def adopted(templates: Templates, request: pytest.FixtureRequest) -> Iterator[Adopted]:
    """The live database of a source after push --with app, by no superuser. Whoever changes it rolls back."""
    with templates.clone("supabase", pushed=False) as database:
        before = settle(database, request.param)
        push(database, more=APP)
        yield Adopted(request.param, database, before)


@pytest.fixture
def host(adopted: Adopted) -> Iterator[psycopg.Connection[Any]]:
    """Its owner's connection, in a transaction that is rolled back."""
    with adopted.database.connect() as connection, connection.transaction(force_rollback=True):
        yield connection
        assert_books_add_up(connection)


# what is imported ----------------------------------------------------------------------------------------------------


def test_every_balance_is_the_old_one_and_whoever_had_none_gets_the_bonus(
    adopted: Adopted, host: psycopg.Connection[Any]
) -> None:
    assert balances(host) == OLD_BALANCES[adopted.source]
    for name, user in PEOPLE.items():
        assert Client(host).get_user_credits_for(user).credits_available == OLD_BALANCES[adopted.source][name]


OPENING = "credits:adopted:opening"
USED = "credits:adopted:used"
BONUS: list[tuple[str, int, str | None]] = [("signup_bonus", 3, "credits:signup_bonus")]


SOLD = "credits:purchase"


def old(*rows: tuple[str, int, int | str | None]) -> list[tuple[str, int, str | None]]:
    """Ledger rows of before: type, amount, and the last digits of the old id, or else the whole key."""
    return [
        (type, amount, f"credits:adopted:00000000-0000-4000-a000-{key:012}" if isinstance(key, int) else key)
        for type, amount, key in rows
    ]


def opening(amount: int) -> tuple[str, int, str]:
    return ("admin_adjustment", amount, OPENING)


LEDGERS: dict[str, dict[str, list[tuple[str, int, str | None]]]] = {
    "s0": {
        "ada": old(("purchase", 10, SOLD), ("purchase", 5, SOLD), opening(-3)),
        "bob": old(("purchase", 5, SOLD), ("clawback", -5, None)),
        "cyd": [],
        "dan": BONUS,
        "eve": old(opening(5)),
        "fay": old(opening(2**31 - 6), ("purchase", 5, SOLD)),
        "gus": old(opening(1)),
        "hal": old(opening(4)),
    },
    "s1": {
        "ada": old(("purchase", 10, 101), ("monthly_bonus", 5, 102), ("consumption", -3, 103)),
        "bob": old(("bonus", 2, 201), ("consumption", -2, 202)),
        "cyd": [],
        "dan": BONUS,
        "eve": old(("consumption", -4, 501), ("purchase", 10, 502), ("refund", 2, 503)),
        "fay": old(opening(2), ("purchase", 10, 601), ("consumption", -3, 602)),
        "gus": old(opening(12), ("monthly_bonus", 7, 701), ("bonus", 1, 702)),
        "hal": old(opening(4)),
    },
    "s2": {
        "ada": old(opening(3), ("purchase", 10, 101), ("consumption", -1, 102)),
        "bob": old(opening(3), ("consumption", -3, 201)),
        "cyd": old(opening(3), ("admin_adjustment", -3, 301)),
        "dan": BONUS,
        "eve": old(("consumption", -4, 501), ("purchase", 10, 502), ("refund", 2, 503)),
        "fay": old(opening(2), ("purchase", 10, 601), ("consumption", -3, 602)),
        "gus": old(opening(3), ("admin_adjustment", 17, 701)),
        "hal": old(opening(4)),
    },
    "s3": {
        "ada": old(("purchase", 20, SOLD), ("consumption", -10, 102), ("refund", 2, 103)),
        "bob": old(("purchase", 5, SOLD), ("consumption", -5, 202)),
        "cyd": [],
        "dan": BONUS,
        "eve": old(("consumption", -4, 501), ("purchase", 12, SOLD)),
        "fay": old(("purchase", 12, SOLD), ("consumption", -3, 602)),
        "gus": old(opening(20)),
        "hal": old(opening(4)),
    },
    "s4": {
        "ada": old(opening(15), ("consumption", -3, USED)),
        "bob": old(opening(5), ("consumption", -5, USED)),
        "cyd": [],
        "dan": BONUS,
        "eve": old(opening(8)),
        "fay": old(opening(2**31 - 1), ("consumption", -(2**31 - 10), USED)),
        "gus": old(opening(21), ("consumption", -1, USED)),
        "hal": old(opening(4)),
    },
}


def test_the_old_words_and_signs_are_mapped_in_the_order_of_time(
    adopted: Adopted, host: psycopg.Connection[Any]
) -> None:
    assert {name: ledger(host, name) for name in PEOPLE} == LEDGERS[adopted.source]


def test_total_and_used_follow_the_ledger_and_are_the_old_ones_where_the_source_has_them(
    adopted: Adopted, host: psycopg.Connection[Any]
) -> None:
    rows = host.execute("select user_id, total_credits, used_credits from public.user_credits").fetchall()
    found = {user: (total, used) for user, total, used in rows}
    if adopted.source == "s4":
        wanted = {
            UUID(row["user_id"]): (row["total_credits"], row["used_credits"])
            for row in adopted.before.rows["user_credits"]
        }
        assert found == wanted | {PEOPLE["dan"]: (3, 0)}
    else:
        used = {
            PEOPLE[name]: -sum(amount for type, amount, _ in rows if type in ("consumption", "refund"))
            for name, rows in LEDGERS[adopted.source].items()
        }
        assert {user: used for user, (_, used) in found.items()} == used


def test_an_opening_says_what_it_is_and_comes_first_or_last_where_it_takes(
    adopted: Adopted, host: psycopg.Connection[Any]
) -> None:
    openings = host.execute(
        """
        select t.description, t.seq = case when t.amount > 0 then 1 else a.last_seq end
        from public.credit_transactions as t
        join public.user_credits as a on a.user_id = t.user_id
        where t.idempotency_key = %s
        """,
        [OPENING],
    ).fetchall()
    assert set(openings) == {("Balance before credits-db", True)}


def test_dates_are_kept(adopted: Adopted, host: psycopg.Connection[Any]) -> None:
    for row in adopted.before.rows.get("user_credits", []):
        found = host.execute(
            "select created_at, last_bonus_date, last_purchase_at from public.user_credits where user_id = %s",
            [row["user_id"]],
        ).fetchone()
        assert found
        for value, name in zip(found, ("created_at", "last_bonus_date", "last_purchase_at"), strict=True):
            if row.get(name):
                assert value == datetime.fromisoformat(row[name]), name
    for row in (*adopted.before.rows.get("credit_transactions", []), *adopted.before.rows.get("transactions", [])):
        query = "select created_at from public.credit_transactions where idempotency_key = %s"
        for (at,) in host.execute(query, [f"credits:adopted:{row['id']}"]):
            assert at == datetime.fromisoformat(row.get("timestamp") or row["created_at"])


def test_descriptions_are_cut_and_metadata_kept_where_it_is_an_object_within_limits(
    adopted: Adopted, host: psycopg.Connection[Any]
) -> None:
    found = {
        key: (description, metadata)
        for key, description, metadata in host.execute(
            "select idempotency_key, description, metadata from public.credit_transactions"
        )
    }
    for row in adopted.before.rows.get("credit_transactions", []):
        if (key := f"credits:adopted:{row['id']}") in found:
            description, metadata = found[key]
            assert (description or "") == (row["description"] or "")[:500]
            fits = isinstance(row["metadata"], dict) and len(json.dumps(row["metadata"])) <= 4096
            assert metadata == (row["metadata"] if fits else {})


def test_the_purchases_of_before_are_purchases(templates: Templates) -> None:
    with templates.clone("supabase", pushed=False) as database:
        before = settle(database, "s0")
        push(database)
        with database.connect() as connection:
            bought = connection.execute(
                """
                select user_id, transaction_id, store, provider, environment, product_id, status::text, credits,
                  price_cents, currency, verified_at, created_at, payload
                from public.purchase_transactions
                """
            ).fetchall()
            stores = {
                "GPA.3312-1234-5678-90123": "play_store",
                "pi_3NabcXYZ": "stripe",
                "2000000123456789": "app_store",
                "rc_promo_77": "revenuecat",
                "named_by_the_payload": "app_store",
                "in_1NabcXYZ": "stripe",
            }
            assert {row[1]: row[2] for row in bought if row[0] != PEOPLE["dan"]} == stores
            old_rows = {row["transaction_id"]: row for row in before.rows["purchase_transactions"]}
            for (
                user,
                id,
                _,
                provider,
                environment,
                product,
                status,
                credits,
                price,
                currency,
                at,
                since,
                payload,
            ) in bought:
                row = old_rows[id]
                assert (str(user), product, status, price, currency) == tuple(
                    row[name] for name in ("user_id", "product_id", "status", "price_cents", "currency")
                )
                assert (provider, environment, credits) == ("revenuecat", "PRODUCTION", row["amount"] or 0)
                assert payload == (row["revenuecat_json"] or {})
                assert at == (row["verified_at"] and datetime.fromisoformat(row["verified_at"]))
                assert since == datetime.fromisoformat(row["created_at"])
            assert balances(connection) == OLD_BALANCES["s0"]
            assert_books_add_up(connection)


def test_a_late_event_of_an_old_purchase_is_not_credited_again(templates: Templates) -> None:
    with templates.clone("supabase", pushed=False) as database:
        settle(database, "s0")
        push(database)
        with database.connect() as connection:
            connection.execute(
                "insert into public.credit_products (product_id, credits) values ('credits_10', 10), ('credits_5', 5)"
            )
            client = Client(connection)
            late = (
                ("ada", "PLAY_STORE", "GPA.3312-1234-5678-90123", "credits_10"),
                ("bob", "APP_STORE", "2000000123456789", "credits_5"),
                ("fay", "APP_STORE", "named_by_the_payload", "credits_5"),
                ("bob", "PLAY_STORE", "GPA.3312-1234-5678-90123", "credits_10"),  # a restore in another account
            )
            for number, (name, store, transaction, product) in enumerate(late):
                event = {
                    "id": f"late_{number}", "type": "NON_RENEWING_PURCHASE", "app_user_id": str(PEOPLE[name]),
                    "store": store, "environment": "PRODUCTION", "transaction_id": transaction, "product_id": product,
                }  # fmt: skip
                client.process_revenuecat_event(json.dumps({"api_version": "1.0", "event": event}).encode())
            assert balances(connection) == OLD_BALANCES["s0"]
            assert_books_add_up(connection)


# what stays ----------------------------------------------------------------------------------------------------------


def test_every_row_of_the_host_is_as_it_was(adopted: Adopted, host: psycopg.Connection[Any]) -> None:
    for table, rows in adopted.before.rows.items():
        schema = "credits_before" if table in MOVED else "public"
        after = rows_of(host, schema, table)
        shown = [{name: row[name] for name in rows[0]} for row in after]
        assert shown[: len(rows)] == rows, table
        assert shown[len(rows) :] == [] or table == "profiles", table  # where whoever has no profile gets one


def test_functions_triggers_policies_indexes_and_types_of_the_host_are_as_they_were(
    adopted: Adopted, host: psycopg.Connection[Any]
) -> None:
    assert adopted.before.objects - set(host.execute(OBJECTS).fetchall()) == set()


def test_triggers_of_the_host_on_auth_users_still_come_first(adopted: Adopted, host: psycopg.Connection[Any]) -> None:
    query = """
        select tgname
        from pg_trigger
        where tgrelid = 'auth.users'::regclass and not tgisinternal and tgtype & 4 > 0 -- on insert
        order by tgname
    """
    names = [name for (name,) in host.execute(query)]
    theirs = [name for kind, _, name, *_ in adopted.before.objects if kind == "trigger" and name in names]
    assert names[: len(theirs)] == theirs


def test_verify_is_clean(adopted: Adopted) -> None:
    with migrations.connect(adopted.database.dsn()) as connection:
        assert migrations.verify(connection) == []
        assert connection.execute("select * from public.verify_ledger()").fetchall() == []


def test_a_second_push_has_nothing_to_do(adopted: Adopted) -> None:
    with migrations.connect(adopted.database.dsn()) as connection:
        before = everything(connection)
        assert migrations.plan(connection, APP) == []
        assert migrations.push(connection, more=APP, confirm=lambda _: pytest.fail("it asks")) == []
        assert everything(connection) == before


def test_whoever_signs_up_now_gets_the_plain_bonus(adopted: Adopted, host: psycopg.Connection[Any]) -> None:
    user = sign_up(host, "ivy.new@example.com")
    assert [(row.type, row.amount) for row in Client(host).get_transaction_history_for(user)] == [("signup_bonus", 3)]
    assert Client(host).as_user(user).consume_credit().balance_after == 2
    if adopted.source == "s2":  # and the host's own trigger works as before
        query = "select email, credits from public.profiles as p where p.id = %s"
        assert host.execute(query, [user]).fetchone() == ("ivy.new@example.com", 3)


def test_adopted_users_spend_and_get_no_bonus_when_they_come_back(
    adopted: Adopted, host: psycopg.Connection[Any]
) -> None:
    client = Client(host)
    assert client.as_user(PEOPLE["ada"]).consume_credit().balance_after == 11
    host.execute("update auth.users set email = 'ada@new.example.com' where id = %s", [PEOPLE["ada"]])
    host.execute("update auth.users set is_anonymous = false, email = 'hal@x.com' where id = %s", [PEOPLE["hal"]])
    for name in ("ada", "hal", "bob"):
        assert client.get_user_credits_for(PEOPLE[name]).credits_remaining == {"ada": 11, "hal": 4, "bob": 0}[name]


def test_a_user_sees_their_own_rows_only(adopted: Adopted, host: psycopg.Connection[Any]) -> None:
    with acting_as(host, PEOPLE["ada"]):
        for relation in ("user_credits", "credit_transactions", "purchase_transactions"):
            seen = host.execute(f"select distinct user_id from public.{relation}".encode()).fetchall()
            assert set(seen) <= {(PEOPLE["ada"],)}
        assert host.execute("select count(*) from public.user_credits").fetchone() == (1,)


def test_the_moved_tables_are_out_of_reach_of_the_api(adopted: Adopted, host: psycopg.Connection[Any]) -> None:
    for role in ("anon", "authenticated"):
        query = "select from pg_namespace where nspname = 'credits_before' and has_schema_privilege(%s, oid, 'usage')"
        assert host.execute(query, [role]).fetchall() == []


@pytest.mark.parametrize("name", ["ada", "bob", "dan"])
def test_a_deleted_user_leaves_nothing_in_any_table(adopted: Adopted, host: psycopg.Connection[Any], name: str) -> None:
    assert traces(host, name)
    Client(host).delete_user_account_for(PEOPLE[name])
    assert traces(host, name) == []


def test_an_adopted_user_deleted_by_other_means_leaves_nothing_either(
    adopted: Adopted, host: psycopg.Connection[Any]
) -> None:
    host.execute("delete from auth.users where id = %s", [PEOPLE["ada"]])
    assert traces(host, "ada") == []


def traces(connection: psycopg.Connection[Any], name: str) -> list[str]:
    """The tables that still name somebody, by id or address; the outbox is what has yet to be sent."""
    words = (str(PEOPLE[name]), address(name))
    found = everything(connection)
    return [
        table
        for table, rows in found.items()
        if table != "credits_private.outbox" and any(word in row.lower() for row in rows for word in words)
    ]


# the app's tables ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adopted", ["s0", "s4"], indirect=True)
def test_a_project_goes_with_its_user_and_one_without_a_user_stays(
    adopted: Adopted, host: psycopg.Connection[Any]
) -> None:
    keys = host.execute(
        """
        select a.attname, c.confrelid::regclass::text, c.confdeltype::text, c.convalidated
        from pg_constraint as c
        join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
        where c.conrelid = 'public.projects'::regclass and c.contype = 'f'
        """
    ).fetchall()
    assert keys == [("user_id", "auth.users", "c", True)]
    host.execute("delete from auth.users where id = %s", [PEOPLE["ada"]])
    left = host.execute("select user_id from public.projects order by user_id").fetchall()
    assert left == [(PEOPLE["bob"],), (None,)]


def test_the_view_users_gives_way_to_a_table_of_that_name(adopted: Adopted, host: psycopg.Connection[Any]) -> None:
    kind = host.execute("select relkind::text from pg_class where oid = to_regclass('public.users')").fetchone()
    assert kind == (("r",) if adopted.source == "s3" else ("v",))


@pytest.mark.parametrize("adopted", ["s3"], indirect=True)
def test_the_table_users_is_still_moved_by_its_own_trigger(adopted: Adopted, host: psycopg.Connection[Any]) -> None:
    host.execute("insert into public.transactions (user_id, amount, type) values (%s, 5, 'PURCHASE')", [PEOPLE["ada"]])
    query = "select credits_balance from public.users where id = %s"
    assert host.execute(query, [PEOPLE["ada"]]).fetchone() == (17,)
    assert Client(host).get_user_credits_for(PEOPLE["ada"]).credits_remaining == 12


# while it goes on ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["s2", "s4"])
def test_a_spend_between_two_migrations_sees_the_old_balance(templates: Templates, source: str) -> None:
    with templates.clone("supabase", pushed=False) as database:
        settle(database, source)
        push(database, to="0002_join_auth")
        with database.connect() as connection:
            client = Client(connection)
            assert client.as_user(PEOPLE["ada"]).get_user_credits().credits_available == 12
            assert client.as_user(PEOPLE["ada"]).consume_credit().balance_after == 11
            assert client.as_user(PEOPLE["dan"]).consume_credit().balance_after == 2
            new = sign_up(connection, "ivy.new@example.com")
            assert client.get_user_credits_for(new).credits_available == 3
            push(database)
            assert balances(connection) == OLD_BALANCES[source] | {"ada": 11, "dan": 2}
            assert client.get_user_credits_for(new).credits_remaining == 3
            assert_books_add_up(connection)


def test_a_spend_while_the_import_runs_sees_the_old_balance(
    templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "BATCH", 2)
    with templates.clone("supabase", pushed=False) as database:
        settle(database, "s2")
        with database.connect() as application:
            spent = list[int]()

            def spend(opened: int, users: int) -> None:
                if not spent:
                    spent.append(Client(application).as_user(PEOPLE["gus"]).consume_credit().balance_after)

            push(database, progress=spend)
            assert spent == [19]
            assert balances(application) == BALANCES | {"gus": 19}
            assert ledger(application, "gus")[:-1] == LEDGERS["s2"]["gus"]
            assert_books_add_up(application)


@pytest.mark.parametrize("source", ["s0", "s2"])
def test_a_push_that_is_killed_again_and_again_ends_like_one_that_is_not(
    templates: Templates, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setattr(migrations, "BATCH", 5)
    ends = list[tuple[object, ...]]()
    for lives in (itertools.repeat(False), itertools.chain(itertools.repeat(True, 30), itertools.repeat(False))):
        with templates.clone("plain", pushed=False) as database:
            settle(database, source)
            while not pushed_through(database, lives):
                pass
            with database.connect() as connection:
                assert_books_add_up(connection)
                ledger = connection.execute(
                    "select user_id, seq, amount, balance_after, type, idempotency_key, description, metadata "
                    "from public.credit_transactions order by user_id, seq"
                ).fetchall()
                bought = connection.execute(
                    "select user_id, store, transaction_id, status, credits, refunded_credits "
                    "from public.purchase_transactions order by transaction_id"
                ).fetchall()
                with migrations.connect(database.dsn()) as another:
                    ends.append((ledger, bought, migrations.surface(another), balances(connection)))
    assert ends[0] == ends[1]


def pushed_through(database: Database, lives: Iterator[bool]) -> bool:
    """Push until something is reported, and lose the connection then, if that is how it is to be."""

    def report(*_: object) -> None:
        if next(lives):
            with database.connect("postgres") as superuser:
                superuser.execute("select pg_terminate_backend(%s, 10000)", [connection.info.backend_pid])

    with migrations.connect(database.dsn()) as connection:
        try:
            migrations.push(connection, more=APP, report=report, progress=report)
        except psycopg.OperationalError:
            return False
    return True


# the plan ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
def test_a_plan_says_what_is_adopted_and_changes_nothing(templates: Templates, source: str, run: Run) -> None:
    with templates.clone("supabase", pushed=False) as database:
        before = settle(database, source)
        with migrations.connect(database.dsn()) as connection:
            steps = migrations.plan(connection, APP)
        assert {step.action for step in steps} <= {"adopt", "leave"}
        named = " ".join(step.object for step in steps)
        assert all(table in named for table in before.rows), named
        shown = run("push", "--plan", "--with", "app", "--db-url", database.dsn())
        assert shown.code == 0, shown.err
        for step in steps:
            assert step.object in shown.out
        with database.connect() as connection:
            assert picture(connection) == before
            assert connection.execute("select to_regnamespace('credits_private')").fetchone() == (None,)


def test_a_push_to_a_migration_makes_nothing_ahead_for_those_after_it(templates: Templates) -> None:
    with templates.clone("plain", pushed=False) as database:
        settle(database, "s0")
        with migrations.connect(database.dsn()) as connection:
            count = "select count(*) from pg_index where indrelid = 'public.projects'::regclass"
            before = connection.execute(count.encode()).fetchone()

            def asked(_: str) -> bool:
                raise AssertionError("asked before the name was looked at")

            with pytest.raises(migrations.Refusal, match="There is no migration 0001_cor\\."):
                migrations.push(connection, more=["app"], to="0001_cor", confirm=asked)
            assert [step.ahead for step in migrations.plan(connection, ["app"]) if "projects" in (step.ahead or "")]
            assert [done.id for done in migrations.push(connection, more=["app"], to="0001_core")] == ["0001_core"]
            assert connection.execute(count.encode()).fetchone() == before


def test_a_plan_for_a_database_with_nothing_in_the_way_is_empty(empty: Database, database: Database) -> None:
    for target in (empty, database):
        with migrations.connect(target.dsn()) as connection:
            assert migrations.plan(connection) == []
            assert migrations.plan(connection, APP) == []


def test_a_push_asks_once_and_a_no_changes_nothing(templates: Templates) -> None:
    asked = list[str]()

    def refuse(question: str) -> bool:
        asked.append(question)
        return False

    with templates.clone("plain", pushed=False) as database:
        before = settle(database, "s2")
        with pytest.raises(migrations.Refusal):
            push(database, confirm=refuse)
        assert len(asked) == 1
        assert re.search(r"\b7\b", asked[0]), f"how many balances: {asked[0]}"
        assert str(sum(BALANCES.values()) - 3) in asked[0], f"how many credits: {asked[0]}"
        with database.connect() as connection:
            assert picture(connection) == before


# what is refused -----------------------------------------------------------------------------------------------------

DELETE_USER_ACCOUNT = """
create or replace function delete_user_account()
returns void
language plpgsql
security definer
set search_path = public
as $$
declare
  v_user_id uuid;
begin
  v_user_id := auth.uid();
  if v_user_id is null then
    raise exception 'Not authenticated';
  end if;
  delete from projects where user_id = v_user_id;
  delete from user_credits where user_id = v_user_id;
  return;
end;
$$;
grant execute on function delete_user_account() to authenticated;
"""
TRANSACTIONS = "public.credit_transactions"
# what a host may have besides its source, the object that is named, and what is said of it
REFUSED = {
    "a word that nobody knows": (
        "s1", f"insert into {TRANSACTIONS} (user_id, type, amount, balance_after)"
        " select user_id, 'gamble', 1, 1 from public.user_credits limit 1", TRANSACTIONS, "gamble",
    ),
    "a fraction of a credit": (
        "s2", "alter table public.profiles alter credits type numeric; "
        "update public.profiles set credits = 1.5 where credits = 4", "public.profiles", "",
    ),
    "a balance of 2 to the 53": (
        "s0", "alter table public.user_credits alter credits_remaining type bigint; "
        "update public.user_credits set credits_remaining = 9007199254740992 where credits_remaining = 4",
        "public.user_credits", "",
    ),
    "a function of our name": (
        "s4", DELETE_USER_ACCOUNT, "public.delete_user_account",
        "alter function public.delete_user_account() rename to",
    ),
    "a function of our name with arguments": (
        "s3", "create function public.consume_credit(p_user_id uuid, p_amount integer) returns boolean"
        " language sql as 'select true'", "public.consume_credit",
        "alter function public.consume_credit(uuid, integer) rename to",
    ),
    "a view of a table's name": (
        "s3", "create view public.user_credits as select id as user_id, credits_balance from public.users",
        "public.user_credits", "",
    ),
    "a type of our name": ("s3", "create type public.purchase_status as enum ('paid')", "public.purchase_status", ""),
    "a table in none of the shapes": (
        "s3", "create table public.user_credits (user_id uuid primary key, coins integer)", "public.user_credits", "",
    ),
    "purchases in none of the shapes": (
        "s1", "create table public.purchase_transactions (number serial primary key, what text)",
        "public.purchase_transactions", "",
    ),
    "a table that refers to one that moves": (
        "s4", "create table public.orders (user_id uuid references public.user_credits (user_id))",
        "public.orders", "alter table public.orders drop constraint orders_user_id_fkey;",
    ),
    "a sign-up that writes a table that moves": (
        "s0", "create function public.welcome() returns trigger language plpgsql as"
        " 'begin insert into public.user_credits (user_id, credits_remaining) values (new.id, 3); return new; end';"
        "create trigger welcome after insert on auth.users for each row execute function welcome()",
        "public.welcome()", "sign-ups would fail",
    ),
    "a trigger of our name": (
        "s4", "create function public.note() returns trigger language plpgsql as 'begin return null; end';"
        "create trigger remove_files after delete on public.projects for each row execute function note()",
        "public.projects", "alter trigger remove_files on public.projects rename to remove_files_before;",
    ),
    "a history in parts": (
        "s4", f"create table {TRANSACTIONS} (user_id uuid, amount integer, type text, created_at timestamptz)"
        " partition by range (created_at)", TRANSACTIONS, "partitioned",
    ),
    "profiles with an id of their own": (
        "s4", "create table public.profiles (id uuid primary key default gen_random_uuid(),"
        " user_id uuid unique references auth.users (id), email text)", "public.profiles", "user_id",
    ),
    "balances of other ids": (
        "s4", "drop table public.user_credits;"
        " create table public.users (id uuid primary key, credits_balance integer);"
        " insert into public.users values (gen_random_uuid(), 5)", "public.users", "None of its rows",
    ),
    "an id that is not unique": (
        "s4", "alter table public.exports drop constraint exports_pkey", "public.exports", "not unique",
    ),
    "an export that needs more than we know": (
        "s4", "alter table public.exports add column format text not null default 'x'; "
        "alter table public.exports alter column format drop default", "public.exports", "format",
    ),
    "a field of our name": (
        "s2", "create function public.credits(p public.profiles) returns text language sql as 'select 1::text'",
        "public.credits(public.profiles)", "rename to credits_before",
    ),
    "what a push left before": (
        "s4", "create schema credits_before; create table credits_before.user_credits ()",
        "credits_before.user_credits", "alter schema",
    ),
    "exports with options of another type": (
        "s4", "alter table public.exports alter options drop default, alter options type text",
        "public.exports", "options",
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_adopted_is_refused_with_a_remedy(templates: Templates, reason: str, run: Run) -> None:
    source, text, object, said = REFUSED[reason]
    with templates.clone("plain", pushed=False) as database:
        before = settle(database, source, text)
        with migrations.connect(database.dsn()) as connection:
            refused = [step for step in migrations.plan(connection, APP) if step.action == "refuse"]
            assert [step.object for step in refused] == [object]
            assert refused[0].remedy
            assert said.replace(", ", ",") in f"{refused[0].text} {refused[0].remedy}".replace(", ", ",")
            with pytest.raises(migrations.Refusal) as refusal:
                migrations.push(connection, more=APP, confirm=lambda _: pytest.fail("it asks"))
            assert object in str(refusal.value)
            assert refused[0].remedy in str(refusal.value)
        shown = run("push", "--plan", "--with", "app", "--db-url", database.dsn())
        assert shown.code == 1
        assert refused[0].remedy in " ".join((shown.out + shown.err).split()) or refused[0].remedy in shown.out
        with database.connect() as connection:
            assert picture(connection) == before
            assert connection.execute("select to_regnamespace('credits_private')").fetchone() == (None,)
            if remedy := re.search(r"alter function [^;]+ rename to \w+", refused[0].remedy):
                connection.execute(remedy[0].encode())
                push(database, more=APP)
                assert_books_add_up(connection)


def test_all_that_is_refused_is_said_at_once(templates: Templates) -> None:
    with templates.clone("plain", pushed=False) as database:
        settle(database, "s4", DELETE_USER_ACCOUNT, REFUSED["exports with options of another type"][1])
        with pytest.raises(migrations.Refusal) as refusal:
            push(database, more=APP)
        assert "public.delete_user_account" in str(refusal.value)
        assert "public.exports" in str(refusal.value)


def test_the_app_is_planned_only_where_it_is_asked_for(templates: Templates) -> None:
    with templates.clone("plain", pushed=False) as database:
        settle(database, "s4", REFUSED["exports with options of another type"][1])
        push(database)
        with migrations.connect(database.dsn()) as connection:
            assert migrations.plan(connection) == []
            before = everything(connection)
            with pytest.raises(migrations.Refusal, match="options"):
                migrations.push(connection, more=APP)
            assert everything(connection) == before


def test_the_app_may_come_later(templates: Templates) -> None:
    with templates.clone("plain", pushed=False) as database:
        before = settle(database, "s4")
        push(database)
        with database.connect() as connection:
            assert rows_of(connection, "public", "projects") == before.rows["projects"]
        push(database, more=APP)
        with migrations.connect(database.dsn()) as connection:
            assert migrations.verify(connection) == []
            assert balances(connection) == BALANCES


# variations of the shapes --------------------------------------------------------------------------------------------

VARIATIONS = {
    "transactions without a time": ("s3", "alter table public.transactions drop column created_at"),
    "types as text": (
        "s3", "alter table public.transactions alter column type type text; drop type public.transaction_type",
    ),
    "a balance without a bonus": (
        "s1", "alter table public.user_credits drop column monthly_bonus_credits, drop column last_bonus_date",
    ),
    "profiles that have a user": (
        "s2", "alter table public.profiles add column user_id uuid references auth.users (id);"
        " update public.profiles set user_id = id; alter table public.profiles drop constraint profiles_pkey cascade,"
        " drop constraint profiles_id_fkey; alter table public.profiles alter id drop not null;"
        " update public.profiles set id = null",
    ),
    "times as numbers": (
        "s1", "alter table public.credit_transactions alter created_at drop default,"
        " alter created_at type bigint using extract(epoch from created_at)::bigint",
    ),
    "a payment that was noted twice": (
        "s3", "alter table public.transactions disable trigger user;"
        " insert into public.transactions (user_id, amount, type, stripe_id)"
        " select user_id, amount, type, stripe_id from public.transactions where stripe_id is not null",
    ),
    "a ledger that refers to the balance": (
        "s1", "delete from public.credit_transactions as t"
        " where not exists (select from public.user_credits as c where c.user_id = t.user_id);"
        " alter table public.credit_transactions drop constraint credit_transactions_user_id_fkey,"
        " add foreign key (user_id) references public.user_credits (user_id)",
    ),
    "a history without a time of its own": ("s2", "alter table public.credit_transactions drop column timestamp"),
}  # fmt: skip


@pytest.mark.parametrize("variation", VARIATIONS)
def test_a_source_may_differ_in_what_is_not_needed(templates: Templates, variation: str) -> None:
    source, text = VARIATIONS[variation]
    with templates.clone("plain", pushed=False) as database:
        settle(database, source, text)
        push(database, more=() if variation == "profiles that have a user" else APP)
        with migrations.connect(database.dsn()) as connection:
            assert balances(connection) == BALANCES
            assert migrations.verify(connection) == []
            assert_books_add_up(connection)


def test_empty_tables_of_a_source_are_adopted_too(templates: Templates) -> None:
    with templates.clone("plain", pushed=False) as database:
        settle(database, "s1", "delete from public.credit_transactions; delete from public.user_credits")
        push(database, more=APP)
        with database.connect() as connection:
            assert balances(connection) == {name: 0 if name == "hal" else 3 for name in PEOPLE}


def test_two_sources_at_once_take_the_balance_of_the_first(templates: Templates) -> None:
    """S0 to S1 is one app; one that also kept credits in its profiles has its balance in user_credits."""
    profiles = """
        create table public.profiles (id uuid primary key references auth.users on delete cascade, credits integer);
        insert into public.profiles select id, 77 from auth.users;
    """
    with templates.clone("plain", pushed=False) as database:
        settle(database, "s1", profiles)
        push(database)
        with database.connect() as connection:
            assert balances(connection) == BALANCES


def test_a_table_without_a_reference_loses_the_rows_of_a_deleted_user_alone(templates: Templates) -> None:
    loose = "alter table public.profiles drop constraint profiles_id_fkey"
    with templates.clone("plain", pushed=False) as database:
        settle(database, "s2", loose)
        push(database)
        with database.connect() as connection:
            before = [row["id"] for row in rows_of(connection, "public", "profiles")]
            receipt = Client(connection).delete_user_account_for(PEOPLE["ada"])
            assert receipt.removed["public.profiles"] == 1
            after = [row["id"] for row in rows_of(connection, "public", "profiles")]
            assert set(before) - set(after) == {str(PEOPLE["ada"])}


def test_a_deletion_before_the_account_is_opened_writes_off_what_was_there(templates: Templates) -> None:
    with templates.clone("plain", pushed=False) as database:
        settle(database, "s2")
        push(database, to="0002_join_auth")
        with database.connect() as connection:
            assert Client(connection).delete_user_account_for(PEOPLE["ada"]).credits_written_off == BALANCES["ada"]
        push(database, more=APP)
        with database.connect() as connection:
            query = "select credits_written_off from credits_private.closed_accounts"
            assert connection.execute(query).fetchall() == [(BALANCES["ada"],)]
            assert_books_add_up(connection)


def test_whoever_came_and_left_between_two_migrations_does_not_stop_the_push(templates: Templates) -> None:
    with templates.clone("plain", pushed=False) as database:
        settle(database, "s4")
        push(database, to="0001_core")
        with database.connect() as connection:
            Client(connection).consume_credit_for(PEOPLE["ada"])
            connection.execute("delete from auth.users where id = %s", [PEOPLE["ada"]])
        push(database)
        with migrations.connect(database.dsn()) as connection:
            assert "ada" not in balances(connection)
            assert migrations.verify(connection) == []
            assert_books_add_up(connection)


def test_what_the_old_app_writes_after_the_first_migration_does_not_count(templates: Templates) -> None:
    with templates.clone("plain", pushed=False) as database:
        settle(database, "s2")
        push(database, to="0001_core")
        with database.connect() as connection:
            connection.execute("update public.profiles set credits = 2147483647 where id = %s", [PEOPLE["ada"]])
        push(database)
        with database.connect() as connection:
            assert balances(connection) == BALANCES


def test_triggers_of_the_host_find_their_tables_in_a_deletion(templates: Templates) -> None:
    audit = """
        create table public.audit (project uuid);
        create function public.note() returns trigger language plpgsql as
          'begin insert into audit values (old.id); return null; end';
        create trigger note after delete on public.projects for each row execute function note();
    """
    with templates.clone("plain", pushed=False) as database:
        settle(database, "s4", audit)
        push(database, more=APP)
        with database.connect() as connection:
            Client(connection).delete_user_account_for(PEOPLE["ada"])
            assert connection.execute("select count(*) from public.audit").fetchone() != (0,)


def test_rows_that_security_hides_from_whoever_pushes_are_refused(templates: Templates) -> None:
    force = "alter table public.user_credits force row level security; alter table public.user_credits owner to keeper;"
    with templates.clone("plain", pushed=False) as database:
        with database.connect() as connection:
            connection.execute("drop role if exists keeper")
            connection.execute("create role keeper login createdb")
        try:
            settle(database, "s0", force)
            keeper = Database(database.name, database.host, database.port, "keeper")
            with database.connect() as connection:
                connection.execute(f"grant create on database {database.name} to keeper".encode())
                connection.execute("grant all on schema public, auth to keeper; grant all on auth.users to keeper")
            with pytest.raises(migrations.Refusal, match="no force row level security"):
                push(keeper)
        finally:
            with database.connect() as connection:
                connection.execute("drop owned by keeper cascade; drop role keeper")
