"""Whoever leaves, by any way, leaves nothing that names them and books that add up, whatever goes on beside."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from conftest import Database

from credits_db import AccountClosed, AccountNotFound, Client

LEAVE = {
    "rpc": "select public.delete_user_account_for(%(user)s)",
    "auth user": "delete from auth.users where id = %(user)s",
    "in bulk": "delete from auth.users where id = any (array[%(user)s, gen_random_uuid()])",
    "softly": """
        update auth.users
        set deleted_at = now(), email = md5(id::text || email), phone = null, raw_user_meta_data = '{}'
        where id = %(user)s
    """,
}
GOTRUE = """
    select set_config('role', coalesce(to_regrole('supabase_auth_admin')::text, 'none'), false)
"""
SHARED = {  # by a transfer, or by an event that names both
    "credits_private.store_events", "credits_private.store_event_names", "credits_private.purchase_claims",
    "public.user_entitlements",
}  # fmt: skip
# what stands anywhere, as text; bytea is read as bytes and as hex
PLACES = """
    select format('%I.%I', n.nspname, c.relname), a.attname::text, a.atttypid = 'bytea'::regtype
    from pg_catalog.pg_attribute as a
    join pg_catalog.pg_class as c on c.oid = a.attrelid
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'm')
      and a.attnum > 0
      and not a.attisdropped
      and n.nspname not in ('pg_catalog', 'information_schema')
      and n.nspname not like 'pg\\_toast%'
"""
SESSION = """{"id": "%s", "type": "checkout.session.completed", "livemode": true, "data": {"object": {
  "id": "cs_%s", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_%s", "customer": %s,
  "amount_total": 500, "currency": "eur", "client_reference_id": %s, "customer_details": {"email": "%s"},
  "metadata": {"product_id": "pack"}}}}"""
EVENT = """{"event": {"id": "%s", "type": "%s", "store": "APP_STORE", "environment": "PRODUCTION", "product_id": "pack",
  "transaction_id": "%s", "app_user_id": "%s", "aliases": %s, "transferred_from": ["%s"], "transferred_to": ["%s"]}}"""


def mentions(connection: psycopg.Connection[Any], *words: str) -> set[str]:
    """The columns, of all tables of all schemas, in which one of these words stands, in whatever type."""
    found = set()
    for table, column, is_bytes in connection.execute(PLACES).fetchall():
        shown = f"encode(t.{column}, 'escape')" if is_bytes else f"t.{column}::text"
        query = f"select 1 from {table} as t, unnest(%s::text[]) word where strpos(lower({shown}), word) > 0 limit 1"
        if connection.execute(query.encode(), [[word.lower() for word in words]]).fetchone():
            found.add(f"{table}.{column}")
    return found


def wait_until_blocked_or_done(
    monitor: psycopg.Connection[Any], session: psycopg.Connection[Any], call: Future[Any]
) -> None:
    for _ in range(1000):
        row = monitor.execute("select cardinality(pg_blocking_pids(%s)) > 0", [session.info.backend_pid]).fetchone()
        if call.done() or row == (True,):
            return
        time.sleep(0.002)
    raise AssertionError("it neither waits nor ends")


def live(database: Database, user: UUID, other: UUID, address: str) -> None:
    """A rich past of a user, parts of which are shared with another."""
    with database.connect() as connection:
        client = Client(connection)
        connection.execute(
            "select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, 'pro', null, null, null)"
        )
        connection.execute("select credits_private.set_setting('sandbox_users', %s)", [f"{other},{user}"])
        client.record_purchase_for(user, "play_store", "gpa-1", "pack", payload={"mail": address})
        client.add_credits_for(user, 20, expires_at=datetime.now(UTC) + timedelta(days=1))
        client.reserve_credits_for(user, 6, metadata={"for": address})
        client.consume_credit_for(
            user, 30, description=f"For {address}", metadata={"who": [str(user)]}, idempotency_key=str(user)
        )
        client.refund_consumption_for(user, client.consume_credit_for(user, 2).seq)
        hold = client.reserve_credits_for(user, 5, description=address)
        client.capture_hold_for(user, hold.id, 4)
        client.set_recurring_grant("daily", 1, "day", user)
        client.grant_entitlement_for(user, "gold")
        client.set_alert_for(user, 1000)
        client.set_alert_for(user, 90)
        client.consume_credit_for(user, 20)
        client.process_stripe_event(SESSION % ("s1", "s1", "s1", '"cus_of_them"', f'"{user}"', address))
        client.process_stripe_event(SESSION % ("guest", "g", "g", "null", "null", address.upper()))
        client.process_stripe_event(SESSION % ("gift", "gift", "gift", "null", f'"{other}"', address))
        for name, type, transaction, who, aliases in (
            ("r1", "INITIAL_PURCHASE", "r1", str(user), '["$RCAnonymousID:theirs"]'),
            ("r2", "RENEWAL", "r2", "$RCAnonymousID:theirs", "[]"),
            ("r3", "RENEWAL", "r3", str(user).upper(), f'["{other}"]'),
            ("r4", "TRANSFER", "r4", str(user), "[]"),
            ("r5", "TEST", "r5", str(user), "[]"),
            ("r6", "PAYWALL_IMPRESSION", "r6", "somebody", f'["{address}"]'),
        ):
            client.process_revenuecat_event(EVENT % (name, type, transaction, who, aliases, user, other))
        assert len(client.claim_outbox()) == 1


@pytest.mark.parametrize("way", LEAVE)
def test_nothing_in_the_database_names_who_has_left_and_what_is_others_stays(database: Database, way: str) -> None:
    address, bystander = "ada.lovelace@example.com", "bea@example.com"
    user, other = database.sign_up(address), database.sign_up(bystander)
    live(database, user, other, address)
    with database.connect() as connection, database.connect("postgres") as superuser:
        totals = "select jsonb_agg(t order by t.month, t.type) from credits_private.monthly_totals as t"
        sales = "select jsonb_agg(s::text order by s::text) from credits_private.monthly_sales as s"
        before = [connection.execute(query.encode()).fetchone() for query in (totals, sales)]
        theirs = Client(connection).export_user_data_for(other)["tables"]
        assert isinstance(theirs, dict)
        balance = Client(connection).get_user_credits_for(user).credits_remaining
        expected = {"auth.users.id", "public.credit_transactions.metadata", "credits_private.store_events.body"}
        assert expected < mentions(superuser, str(user), address)

        superuser.execute(GOTRUE) if way != "rpc" else None  # as who deletes users, not as who owns credits
        superuser.execute(LEAVE[way].encode(), {"user": user})
        superuser.execute("reset role")

        names = (str(user), address, "RCAnonymousID:theirs", "cus_of_them")
        assert mentions(superuser, *names) == ({"auth.users.id"} if way == "softly" else set())
        assert [connection.execute(query.encode()).fetchone() for query in (totals, sales)] == before
        assert connection.execute("select credits_written_off from credits_private.closed_accounts").fetchall() == [
            (balance,)
        ]
        after = Client(connection).export_user_data_for(other)["tables"]
        assert isinstance(after, dict)
        assert {table: rows for table, rows in after.items() if table not in SHARED} == {
            table: rows for table, rows in theirs.items() if table not in SHARED
        }
        assert Client(connection).has_entitlement_for(other, "pro")
        kept = connection.execute(
            """
            select event_id, body is null, user_id
            from credits_private.store_events
            where event_id in ('gift', 'r3', 'r4')
            order by event_id
            """
        ).fetchall()
        assert kept == [("gift", False, other), ("r3", False, None), ("r4", False, other)]


def test_an_export_has_everything_and_no_secret(database: Database) -> None:
    address = "ada.lovelace@example.com"
    user, other = database.sign_up(address), database.sign_up("bea@example.com")
    live(database, user, other, address)
    with database.connect() as connection, database.connect("postgres") as superuser:
        superuser.execute("update auth.users set email_confirmed_at = now() where id = %s", [user])
        if connection.execute(
            "select from pg_attribute where attrelid = 'auth.users'::regclass and attname = 'encrypted_password'"
        ).fetchone():
            superuser.execute("update auth.users set encrypted_password = 'hush', recovery_token = 'hush'")
        told = Client(connection).export_user_data_for(user)
        tables = told["tables"]
        assert told["user_id"] == str(user)
        assert isinstance(tables, dict)
        assert "hush" not in str(told)
        assert tables["auth.users"][0]["email"] == address  # type: ignore[index,call-overload]  # rows
        held = mentions(superuser, str(user), address)
        shown = {place for place in held if place.rpartition(".")[0] in tables}
        assert held - shown == set()
        for table, rows in tables.items():
            assert rows, table
        rows = tables["public.credit_transactions"]
        assert isinstance(rows, list)
        assert len(rows) == len(Client(connection).get_transaction_history_for(user, 500))
        events: Any = tables["credits_private.store_events"]
        assert {event["event_id"] for event in events} >= {"s1", "guest", "r1", "r2"}
        with pytest.raises(AccountNotFound):
            Client(connection).export_user_data_for(uuid4())


RACES: dict[str, tuple[str, set[str]]] = {
    "spend": ("select public.consume_credit_for(%(user)s)", {"PT404", "PT410"}),
    "capture": (
        "select public.capture_hold_for(%(user)s, (select id from public.credit_holds where user_id = %(user)s))",
        {"PT404", "PT410"},
    ),
    "buy": (
        "select public.record_purchase_for(%(user)s, 'stripe', 'pi_' || md5(%(user)s::text), 'pack')",
        {"PT404", "PT410"},
    ),
    "event": (
        """
        select public.process_revenuecat_event(format(
          '{"event": {"id": "%%2$s", "type": "INITIAL_PURCHASE", "store": "APP_STORE", "environment": "PRODUCTION",
            "transaction_id": "%%2$s", "product_id": "pack", "app_user_id": "%%1$s"}}',
          %(user)s::text, md5(%(user)s::text)
        )::json)
        """,
        set(),
    ),
    "sign up again": ("insert into auth.users (id, email) values (gen_random_uuid(), upper(%(address)s))", set()),
    "delete": (LEAVE["rpc"], set()),
    "delete in auth": (LEAVE["auth user"], set()),
    "delete softly": (LEAVE["softly"], set()),
    "change the address": ("update auth.users set email = 'new+' || %(address)s where id = %(user)s", set()),
}


@pytest.fixture
def races(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(
            "select credits_private.set_product('any', 'pack', 100, 0, 0, null, null, 'pro', null, null, null)"
        )
    return database


@pytest.mark.session("two transactions that a third watches")
@pytest.mark.parametrize("way", ["rpc", "auth user", "softly"])
def test_a_deletion_beside_anything_else_ends_clean_whoever_is_first(races: Database, way: str) -> None:
    """One holds its transaction open, the other waits behind it; let go, both end, and nobody is left half."""
    gone: list[str] = []
    with ExitStack() as stack:
        monitor = stack.enter_context(races.connect("postgres"))
        first, second = (stack.enter_context(races.connect("postgres", autocommit=False)) for _ in range(2))
        threads = stack.enter_context(ThreadPoolExecutor(1))
        for (other, (query, refusals)), deletes_first in itertools.product(RACES.items(), (True, False)):
            address = f"a{uuid4().hex[:10]}@example.com"
            user = races.sign_up(address)
            Client(monitor).reserve_credits_for(user, 1)
            calls = (LEAVE[way], query) if deletes_first else (query, LEAVE[way])
            values = {"user": user, "address": address}
            first.execute(calls[0].encode(), values)
            waiting = threads.submit(second.execute, calls[1].encode(), values)
            wait_until_blocked_or_done(monitor, second, waiting)
            first.commit()
            error = waiting.exception(20)
            second.rollback() if error else second.commit()
            assert error is None or getattr(error, "sqlstate", None) in refusals, (other, deletes_first, error)
            for table in ("public.user_credits", "public.credit_transactions", "public.purchase_transactions"):
                left = monitor.execute(f"select from {table} where user_id = %s".encode(), [user]).fetchall()
                assert left == [], (other, deletes_first)
            gone.append(str(user))
        assert mentions(monitor, *gone) <= ({"auth.users.id"} if way == "softly" else set())


@pytest.mark.session("two transactions that a third watches")
@pytest.mark.parametrize("way", ["rpc", "auth user", "softly"])
def test_a_deletion_waits_for_who_opens_the_account_and_takes_it_along(races: Database, way: str) -> None:
    with ExitStack() as stack:
        monitor = stack.enter_context(races.connect("postgres"))
        first, second = (stack.enter_context(races.connect("postgres", autocommit=False)) for _ in range(2))
        user = uuid4()
        monitor.execute("set session_replication_role = replica")  # the sign-up opens no account
        monitor.execute("insert into auth.users (id) values (%s)", [user])
        first.execute("select public.consume_credit_for(%s)", [user])
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(second.execute, LEAVE[way].encode(), {"user": user})
            wait_until_blocked_or_done(monitor, second, waiting)
            first.commit()
            waiting.result(20)
        second.commit()
        assert mentions(monitor, str(user)) == ({"auth.users.id"} if way == "softly" else set())


@pytest.mark.session("two transactions that a third watches")
def test_two_sign_ups_of_one_address_at_once_have_one_bonus(races: Database) -> None:
    """The second waits for the first, in whatever spelling; if the first is undone, the second has it."""
    insert = "insert into auth.users (id, email) values (%s, %s)"
    for commits, bonuses in ((True, [0, 3]), (False, [3])):
        name = uuid4().hex[:10]
        with ExitStack() as stack:
            monitor = stack.enter_context(races.connect("postgres"))
            first, second = (stack.enter_context(races.connect("postgres", autocommit=False)) for _ in range(2))
            first.execute(insert, [uuid4(), f"{name}@example.com"])
            with ThreadPoolExecutor(1) as thread:
                waiting = thread.submit(second.execute, insert, [uuid4(), f"{name}+2@Example.com"])
                wait_until_blocked_or_done(monitor, second, waiting)
                assert not waiting.done()
                first.commit() if commits else first.rollback()
                waiting.result(20)
            second.commit()
            found = monitor.execute(
                """
                select a.credits_remaining
                from public.user_credits as a
                join auth.users as u on u.id = a.user_id
                where u.email like %s
                order by 1
                """,
                [f"{name}%"],
            ).fetchall()
        assert [row[0] for row in found] == bonuses


def test_a_sign_up_succeeds_whatever_becomes_of_its_bonus(races: Database) -> None:
    with races.connect("postgres", options="-c client_min_messages=error") as connection:
        connection.execute("alter table credits_private.bonus_claims rename to gone")
        user = uuid4()
        connection.execute("insert into auth.users (id, email) values (%s, 'ada@example.com')", [user])
        connection.execute("alter table credits_private.gone rename to bonus_claims")
        assert Client(connection).get_user_credits_for(user).credits_remaining == 3
        assert Client(connection).consume_credit_for(user).balance_after == 2


def test_an_address_is_of_who_is_here(races: Database) -> None:
    with races.connect() as connection:
        connection.execute(
            "insert into auth.users (id, email, deleted_at) values (gen_random_uuid(), 'ada@example.com', now())"
        )
        user = races.sign_up("Ada@example.com")
        found = connection.execute("select credits_private.find_addresses(array['ADA@example.com'])").fetchone()
        assert found == ({"ADA@example.com": [str(user)]},)


def test_who_was_deleted_softly_is_refused_by_a_class(races: Database) -> None:
    user = races.sign_up("ada@example.com")
    with races.connect() as connection:
        connection.execute(LEAVE["softly"].encode(), {"user": user})
        with pytest.raises(AccountClosed):
            Client(connection).consume_credit_for(user)
        with pytest.raises(AccountClosed):
            Client(connection).as_user(user).get_user_credits()
