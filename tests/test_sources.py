"""The verification lists of the five plans that credits-db grew out of, point by point.

A test is named after its source (s0: the balance and the purchases of per-export pricing; s1: its provider and service;
s2: rate limits by credits; s3: the schema of a video generator; s4: the architecture of monetization) and the point
that it holds. Where a source asked for something unsafe, the test says what holds instead.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID, uuid4

import psycopg
import pytest
from conftest import ROOT, Database, Templates, assert_books_add_up, sign_up
from psycopg.rows import dict_row
from test_adoption import APP, acting_as
from test_webhook_handlers import bought, sell

from credits_db import (
    Client,
    CreditTransaction,
    InsufficientCredits,
    InvalidSignature,
    NotAuthenticated,
    PurchaseConflict,
    TransactionType,
    migrations,
)
from credits_db.webhooks import handle_revenuecat

Host = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def whole(templates: Templates, flavour: str) -> Iterator[Database]:
    """A database with both tracks."""
    with templates.clone(flavour) as database:
        with migrations.connect(database.dsn()) as connection:
            migrations.push(connection, more=APP)
        yield database


@pytest.fixture
def host(whole: Database) -> Iterator[Host]:
    """Its owner's connection, in a transaction that is rolled back."""
    with whole.connect() as connection, connection.transaction(force_rollback=True):
        yield connection
        assert_books_add_up(connection)


@pytest.fixture
def user(host: Host) -> UUID:
    return sign_up(host, f"{uuid4()}@example.com")


@pytest.fixture
def other(host: Host) -> UUID:
    return sign_up(host, f"{uuid4()}@example.com")


def columns(connection: Host, table: str) -> dict[str, tuple[str, str | None, bool]]:
    """Type, default and whether null is refused, of each column."""
    rows = connection.execute(
        """
        select a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attnotnull
        from pg_attribute as a
        left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped
        """,
        [table],
    )
    return {name: (type, default, required) for name, type, default, required in rows}


def references(connection: Host, table: str) -> set[tuple[str, str, str]]:
    """Column, table it leads to, and what a deletion there does (c: the row goes as well)."""
    rows = connection.execute(
        """
        select a.attname, c.confrelid::regclass::text, c.confdeltype::text
        from pg_constraint as c
        join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
        where c.conrelid = %s::regclass and c.contype = 'f' and c.convalidated
        """,
        [table],
    )
    return set(rows)


def refused(connection: Host, user: UUID | None, statement: str, *values: object, role: str = "authenticated") -> bool:
    """Whether Postgres says that this role may not."""
    try:
        with acting_as(connection, user, role):
            connection.execute(statement.encode(), values)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


def balance(connection: Host, user: UUID) -> int:
    return Client(connection).get_user_credits_for(user).credits_available


def call(connection: Host, user: UUID | None, statement: str, *values: object) -> list[dict[str, Any]]:
    """What a user of the API gets for a statement."""
    with acting_as(connection, user), connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode(), values).fetchall()


# s0: "Before declaring plan complete" --------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["user_credits", "purchase_transactions", "projects"])
def test_s0_all_three_migration_files_exist(table: str) -> None:
    texts = [path.read_text() for path in sorted((ROOT / "migrations").glob("*/*.sql"))]
    assert sum(f"create table public.{table} (" in t or f"if not exists public.{table} (" in t for t in texts) == 1


def test_s0_sql_syntax_is_valid(whole: Database) -> None:
    with migrations.connect(whole.dsn()) as connection:
        assert list(migrations.history(connection)) == [m.id for m in migrations.shipped(migrations.TRACKS)]
        assert migrations.verify(connection) == []


def test_s0_rls_policies_follow_existing_patterns(host: Host) -> None:
    tables = ("user_credits", "purchase_transactions")
    query = "select relname from pg_class where oid = any (%s::regclass[]) and relrowsecurity order by 1"
    assert [name for (name,) in host.execute(query, [[f"public.{t}" for t in tables]])] == sorted(tables)
    policies = host.execute(
        "select tablename, cmd, qual from pg_policies where tablename = any (%s) and 'authenticated' = any (roles)",
        [list(tables)],
    ).fetchall()
    assert sorted(policies) == [(t, "SELECT", "(user_id = ( SELECT auth.uid() AS uid))") for t in sorted(tables)]


def test_s0_user_credits_has_all_required_columns_per_db_01(host: Host) -> None:
    found = columns(host, "public.user_credits")
    assert found["user_id"] == ("uuid", None, True)
    assert found["credits_remaining"] == ("bigint", "0", True)
    assert found["monthly_bonus_credits"] == ("bigint", "0", True)
    assert found["last_bonus_date"] == ("timestamp with time zone", None, False)
    for name in ("created_at", "updated_at"):
        assert found[name] == ("timestamp with time zone", "credits_private.now()", True)
    assert ("user_id", "auth.users", "c") in references(host, "public.user_credits")


def test_s0_updated_at_follows_every_change(host: Host, user: UUID) -> None:
    before = Client(host).get_user_credits_for(user).updated_at
    Client(host).consume_credit_for(user)
    assert Client(host).get_user_credits_for(user).updated_at > before


def test_s0_purchase_transactions_has_transaction_id_unique_per_db_02(host: Host, user: UUID, other: UUID) -> None:
    found = columns(host, "public.purchase_transactions")
    for name in ("transaction_id", "user_id", "product_id", "status"):
        assert found[name][2], name
    assert {"credits", "price_cents", "currency", "payload", "verified_at", "created_at"} <= found.keys()
    words = host.execute("select unnest(enum_range(null::public.purchase_status))::text").fetchall()
    assert {(word,) for word in ("pending", "completed", "failed", "refunded")} <= set(words)
    sell(host, "pack", 10)
    client = Client(host)
    first = client.record_purchase_for(user, "app_store", "t1", "pack", price_cents=499, currency="USD")
    assert client.record_purchase_for(user, "app_store", "t1", "pack", price_cents=499, currency="USD") == first
    with pytest.raises(PurchaseConflict):
        client.record_purchase_for(other, "app_store", "t1", "pack", price_cents=499, currency="USD")
    assert (balance(host, user), balance(host, other)) == (13, 3)


def test_s0_users_cannot_modify_transactions_directly(host: Host, user: UUID) -> None:
    assert refused(host, user, "update public.purchase_transactions set credits = 1000")
    assert refused(host, user, "delete from public.purchase_transactions")
    assert refused(host, user, "select payload from public.purchase_transactions")
    values = "(user_id, store, environment, transaction_id, product_id, provider, status, credits, created_at)"
    row = "(%s, 'x', 'x', 'x', 'x', 'x', 'completed', 1, now())"
    assert refused(host, user, f"insert into public.purchase_transactions {values} values {row}", user)


def test_s0_rls_policies_secure_user_data_while_allowing_service_access(host: Host, user: UUID, other: UUID) -> None:
    assert call(host, user, "select distinct user_id from public.user_credits") == [{"user_id": user}]
    assert call(host, user, "select distinct user_id from public.credit_transactions") == [{"user_id": user}]
    # the source would let users update their own balance: that is what the RPC is for
    assert refused(host, user, "update public.user_credits set credits_remaining = 1000 where user_id = %s", user)
    with acting_as(host, None, "service_role"):
        assert Client(host).add_credits_for(other, 5).balance_after == 8


def test_s0_projects_fk_references_auth_users_with_cascade(host: Host, user: UUID) -> None:
    assert references(host, "public.projects") == {("user_id", "auth.users", "c")}
    host.execute("insert into public.projects (user_id) values (%s)", [user])
    host.execute("delete from auth.users where id = %s", [user])
    assert host.execute("select from public.projects where user_id = %s", [user]).fetchall() == []


# s1: the model, the service and what the provider derives ------------------------------------------------------------


def test_s1_credit_transaction_model_has_from_json_and_to_json(host: Host, user: UUID) -> None:
    about = {"project_id": "p", "export_id": "e"}
    row = Client(host).as_user(user).consume_credit(2, description="Export", metadata=about)
    assert CreditTransaction.from_json(json.loads(json.dumps(row.to_json()))) == row
    fields = (row.user_id, row.type, row.amount, row.balance_after, row.description, row.metadata)
    assert fields == (user, "consumption", -2, 1, "Export", about)
    assert row.id == f"{user}/{row.seq}"
    assert abs(row.created_at - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize("type", ["purchase", "consumption", "monthly_bonus", "refund"])
def test_s1_credit_transaction_type_has_its_words(type: str) -> None:
    assert type in get_args(TransactionType)


def test_s1_service_gets_user_credits(host: Host, user: UUID) -> None:
    found = Client(host).as_user(user).get_user_credits()
    assert (found.user_id, found.credits_remaining, found.monthly_bonus_credits) == (user, 3, 0)
    assert found.last_bonus_date is None


def test_s1_service_consumes_and_writes_balance_and_record_together(host: Host, user: UUID) -> None:
    row = Client(host).as_user(user).consume_credit(description="Export", metadata={"project_id": "p"})
    assert (row.amount, row.balance_after) == (-1, 2) == (-1, balance(host, user))
    assert Client(host).get_transaction_history_for(user)[0] == row


def test_s1_service_adds_for_purchases_and_bonuses(host: Host, user: UUID) -> None:
    row = Client(host).add_credits_for(user, 5, type="bonus", description="Thanks", metadata={"why": "survey"})
    assert (row.amount, row.balance_after, row.type) == (5, 8, "bonus")
    assert balance(host, user) == 8
    # and nobody else does: a client that adds after its own purchase could mint credits
    assert refused(host, user, "select public.add_credits_for(%s, 5)", user)


def test_s1_service_fetches_the_history_newest_first_50_by_default(host: Host, user: UUID) -> None:
    for _ in range(60):
        Client(host).add_credits_for(user, 1)
    rows = Client(host).as_user(user).get_transaction_history()
    assert [row.seq for row in rows] == list(range(61, 11, -1))
    assert [row.seq for row in Client(host).as_user(user).get_transaction_history(2, before_seq=3)] == [2, 1]


def test_s1_a_failed_consumption_changes_nothing(host: Host, user: UUID) -> None:
    before = Client(host).get_user_credits_for(user), Client(host).get_transaction_history_for(user)
    with pytest.raises(InsufficientCredits):
        Client(host).as_user(user).consume_credit(4)
    assert (Client(host).get_user_credits_for(user), Client(host).get_transaction_history_for(user)) == before


def test_s1_derived_providers_follow_credits_remaining(host: Host, user: UUID) -> None:
    mine = Client(host).as_user(user)
    assert mine.get_user_credits().credits_available > 0
    mine.consume_credit(3)
    assert mine.get_user_credits().credits_available == 0


# s2: "Verification Steps", its policies and the requirements that it names -------------------------------------------


def test_s2_verification_1_profiles_have_credits(host: Host, user: UUID) -> None:
    # as a computed field, the column is written with its table; through PostgREST it is plain select=id,credits
    assert call(host, user, "SELECT p.id, p.credits FROM public.profiles p LIMIT 5") == [{"id": user, "credits": 3}]


def test_s2_verification_2_credit_transactions_table_exists(host: Host) -> None:
    found = host.execute(
        """
        SELECT * FROM information_schema.tables
        WHERE table_name = 'credit_transactions';
        """
    ).fetchall()
    assert [row[1:4] for row in found] == [("public", "credit_transactions", "BASE TABLE")]


def test_s2_verification_3_indexes_are_created(host: Host) -> None:
    found = host.execute(
        """
        SELECT indexname FROM pg_indexes
        WHERE tablename IN ('profiles', 'credit_transactions');
        """
    ).fetchall()
    # those that serve a query: one for each row's place in its user's history, one for its key, one for the profile
    assert {name for (name,) in found} == {
        "credit_transactions_pkey",
        "credit_transactions_idempotency_key",
        "profiles_pkey",
    }


def test_s2_verification_4_rls_policies_are_active(host: Host) -> None:
    found = host.execute(
        """
        SELECT tablename, policyname FROM pg_policies
        WHERE tablename = 'credit_transactions';
        """
    ).fetchall()
    assert ("credit_transactions", "users read their own ledger") in found
    query = "select relrowsecurity from pg_class where oid = 'public.credit_transactions'::regclass"
    assert host.execute(query).fetchone() == (True,)


def test_s2_select_users_can_only_view_their_own_transactions(host: Host, user: UUID, other: UUID) -> None:
    assert call(host, user, "select user_id from public.credit_transactions") == [{"user_id": user}]
    with acting_as(host, None, "service_role"):
        found = host.execute("select user_id from public.credit_transactions where user_id = any (%s)", [[user, other]])
        assert set(found) == {(user,), (other,)}


def test_s2_insert_is_blocked_for_users_and_open_to_the_system(host: Host, user: UUID) -> None:
    insert = "insert into public.credit_transactions (user_id, type, amount) values (%s, 'bonus', 5)"
    assert refused(host, user, insert, user)
    assert refused(host, None, insert, user, role="anon")
    with acting_as(host, None, "service_role"):
        host.execute(insert.encode(), [user])
    assert balance(host, user) == 8


@pytest.mark.parametrize(
    "statement", ["update public.credit_transactions set amount = 9", "delete from public.credit_transactions"]
)
def test_s2_update_and_delete_are_blocked_for_everybody(host: Host, user: UUID, statement: str) -> None:
    for role in ("anon", "authenticated", "service_role"):
        assert refused(host, user, f"{statement} where user_id = %s", user, role=role)
    with pytest.raises(psycopg.Error, match="ledger_immutable"), host.transaction():
        host.execute(f"{statement} where user_id = %s".encode(), [user])  # the owner


def test_s2_transactions_are_deleted_when_the_user_is(host: Host, user: UUID) -> None:
    host.execute("delete from auth.users where id = %s", [user])
    assert host.execute("select from public.credit_transactions where user_id = %s", [user]).fetchall() == []


def test_s2_new_users_receive_3_credits_via_trigger(host: Host, user: UUID) -> None:
    rows = [(row.type, row.amount) for row in Client(host).get_transaction_history_for(user)]
    assert (rows, balance(host, user)) == ([("signup_bonus", 3)], 3)
    assert host.execute("select email is not null from public.profiles where id = %s", [user]).fetchone() == (True,)


def test_s2_existing_users_are_backfilled_and_a_second_run_changes_nothing(templates: Templates) -> None:
    with templates.clone("supabase", pushed=False) as database:
        users = {database.sign_up(f"{number}@example.com") for number in range(3)}
        with migrations.connect(database.dsn()) as connection:
            for again in (False, True):
                assert bool(migrations.push(connection, more=APP)) is not again
                assert set(connection.execute("select user_id, credits_remaining from public.user_credits")) == {
                    (user, 3) for user in users
                }
                assert set(connection.execute("select p.id, p.credits from public.profiles as p")) == {
                    (user, 3) for user in users
                }


@pytest.mark.parametrize("word", ["consumption", "purchase", "refund", "admin_adjustment"])
def test_s2_types_are_an_enum_with_a_word_for_each_of_its_own(host: Host, word: str) -> None:
    query = "select %s = any (enum_range(null::public.credit_transaction_type)::text[])"
    assert host.execute(query, [word]).fetchone() == (True,)


def test_s2_requirement_1_3_and_8_1_usage_is_counted_per_period(host: Host, user: UUID) -> None:
    began = datetime.now(UTC) - timedelta(minutes=1)
    Client(host).consume_credit_for(user, 2)
    used = Client(host).as_user(user).get_usage(began)
    assert (used.consumed, used.operations) == (2, 1)
    earlier = Client(host).as_user(user).get_usage(began - timedelta(days=1), began)
    assert (earlier.consumed, earlier.operations) == (0, 0)


def test_s2_requirements_9_1_9_2_9_3_the_history_of_one_user_comes_from_an_index_under_100_ms(
    host: Host, user: UUID
) -> None:
    insert = "insert into public.credit_transactions (user_id, type, amount) select %s, 'bonus', 1"
    host.execute(f"{insert} from generate_series(1, 2000)".encode(), [user])
    host.execute("set local enable_sort = off")  # the figures of a table that is not committed are guesses
    plan = host.execute(
        "explain select * from public.credit_transactions where user_id = %s order by seq desc limit 50", [user]
    ).fetchall()
    assert "Index Scan Backward using credit_transactions_pkey" in plan[1][0]
    fastest = min(timed(host, user) for _ in range(5))
    assert fastest < 0.1


def timed(host: Host, user: UUID) -> float:
    began = time.monotonic()
    assert len(Client(host).get_transaction_history_for(user)) == 50
    return time.monotonic() - began


# s3: acceptance criteria ---------------------------------------------------------------------------------------------


def test_s3_ac1_users_with_credits_balance(host: Host, user: UUID) -> None:
    Client(host).consume_credit_for(user)
    found = host.execute("select id, email, credits_balance from public.users where id = %s", [user]).fetchone()
    assert found
    assert (found[0], found[2]) == (user, 2)
    assert found[1].endswith("@example.com")


def test_s3_ac1_the_balance_is_0_by_default(host: Host) -> None:
    host.execute("select credits_private.set_setting('signup_bonus', '0')")
    user = sign_up(host, f"{uuid4()}@example.com")
    assert host.execute("select credits_balance from public.users where id = %s", [user]).fetchone() == (0,)


def test_s3_ac2_all_credit_changes_are_logged(host: Host, user: UUID) -> None:
    client = Client(host)
    sell(host, "pack", 10)
    spent = client.consume_credit_for(user)
    client.refund_consumption_for(user, spent.seq)
    client.record_purchase_for(user, "stripe", "pi_1", "pack")
    client.refund_purchase("stripe", "pi_1", "re_1")
    rows = client.get_transaction_history_for(user)[::-1]
    logged = [(row.type, row.amount, row.balance_after) for row in rows]
    assert logged == [
        ("signup_bonus", 3, 3),
        ("consumption", -1, 2),
        ("refund", 1, 3),
        ("purchase", 10, 13),
        ("clawback", -10, 3),
    ]
    assert rows[3].metadata["transaction_id"] == "pi_1"  # its stripe_id


@pytest.mark.parametrize(("type", "amount"), [("purchase", 20), ("consumption", -2), ("bonus", 1)])
def test_s3_ac3_a_row_moves_the_balance_whatever_its_sign(host: Host, user: UUID, type: str, amount: int) -> None:
    with acting_as(host, None, "service_role"):
        host.execute(
            "insert into public.credit_transactions (user_id, type, amount) values (%s, %s, %s)", [user, type, amount]
        )
    assert balance(host, user) == 3 + amount


def test_s3_ac4_users_read_only_their_own_balance(host: Host, user: UUID, other: UUID) -> None:
    assert call(host, user, "select id, credits_balance from public.users") == [{"id": user, "credits_balance": 3}]
    assert call(host, user, "select user_id from public.user_credits") == [{"user_id": user}]
    assert refused(host, user, "select public.get_user_credits_for(%s)", other)


def test_s3_types_are_generated_from_the_schema() -> None:
    text = (ROOT / "types" / "database.ts").read_text()
    assert all(f'"{name}": {{' in text for name in ("user_credits", "credit_transactions", "purchase_transactions"))


# s4: unit tests, integration tests and anti-patterns -----------------------------------------------------------------


def project(host: Host, user: UUID) -> UUID:
    row = host.execute(
        "insert into public.projects (user_id, source_image_path) values (%s, 'a.png') returning id", [user]
    ).fetchone()
    assert row
    return UUID(str(row[0]))


EXPORT = "select * from public.consume_credit_and_create_export(project_id => %s, type => 'psd')"


def test_s4_unit_the_initial_state_has_0_credits_add_updates_and_consume_reduces(host: Host) -> None:
    user = sign_up(host, is_anonymous=True)
    assert balance(host, user) == 0
    Client(host).add_credits_for(user, 2)
    assert balance(host, user) == 2
    Client(host).as_user(user).consume_credit()
    assert balance(host, user) == 1


def test_s4_unit_cannot_consume_when_0_credits(host: Host) -> None:
    user = sign_up(host, is_anonymous=True)
    with pytest.raises(InsufficientCredits):
        Client(host).as_user(user).consume_credit()
    assert Client(host).get_transaction_history_for(user) == []


def test_s4_existing_schema_projects_layers_and_exports_have_their_columns(host: Host) -> None:
    listed = {
        "projects": "id user_id source_image_path status params manifest_path thumbnail_path created_at updated_at",
        "project_layers": "id project_id name png_path png_url width height z_index visible bbox transform created_at",
        "exports": "id project_id type status error_message options asset_path asset_url created_at updated_at",
    }
    for table, names in listed.items():
        assert set(names.split()) <= columns(host, f"public.{table}").keys(), table


def test_s4_user_credits_has_total_used_and_last_purchase_at(host: Host, user: UUID) -> None:
    sell(host, "pack", 10)
    Client(host).record_purchase_for(user, "app_store", "1", "pack")
    Client(host).consume_credit_for(user, 2)
    found = Client(host).get_user_credits_for(user)
    assert (found.total_credits, found.used_credits, found.credits_remaining) == (13, 2, 11)
    assert found.last_purchase_at is not None


def test_s4_export_flow_a_pro_user_exports_without_credit_check(host: Host, user: UUID) -> None:
    Client(host).consume_credit_for(user, 3)
    Client(host).grant_entitlement_for(user, "pro")
    (made,) = call(host, user, EXPORT, project(host, user))
    assert (made["paid_by"], made["seq"], made["type"], made["status"]) == ("entitlement", None, "psd", "pending")
    assert len(Client(host).get_transaction_history_for(user)) == 2


def test_s4_export_flow_a_free_user_with_credits_exports_successfully(host: Host, user: UUID) -> None:
    (made,) = call(host, user, EXPORT, project(host, user))
    assert (made["paid_by"], balance(host, user)) == ("credits", 2)
    row = Client(host).get_transaction_history_for(user)[0]
    assert (row.seq, row.type, row.amount) == (made["seq"], "consumption", -1)
    assert row.metadata == {"project_id": str(made["project_id"]), "export_id": str(made["id"])}


def test_s4_export_flow_a_free_user_without_credits_is_told_to_buy(host: Host, user: UUID) -> None:
    Client(host).consume_credit_for(user, 3)
    mine = project(host, user)
    with pytest.raises(psycopg.Error, match="insufficient_credits"):
        call(host, user, EXPORT, mine)
    assert host.execute("select from public.exports where project_id = %s", [mine]).fetchall() == []


def test_s4_export_flow_a_purchase_adds_credits_and_allows_export(host: Host, user: UUID) -> None:
    sell(host, "pack", 5)
    Client(host).consume_credit_for(user, 3)
    mine = project(host, user)
    Client(host).process_revenuecat_event(bought(user))
    assert balance(host, user) == 5
    assert call(host, user, EXPORT, mine)[0]["paid_by"] == "credits"
    assert balance(host, user) == 4


def test_s4_account_deletion_needs_somebody_who_is_signed_in(host: Host, user: UUID) -> None:
    assert refused(host, None, "select public.delete_user_account()", role="anon")
    with pytest.raises(NotAuthenticated), host.transaction():
        Client(host).as_user("nobody").delete_user_account()  # type: ignore[arg-type]  # a token without a user
    assert balance(host, user) == 3


def test_s4_account_deletion_removes_projects_layers_exports_credits_and_the_user(
    host: Host, user: UUID, other: UUID
) -> None:
    kept = project(host, other)
    call(host, other, EXPORT, kept)
    gone = project(host, user)
    host.execute("insert into public.project_layers (project_id, name) values (%s, 'Ear')", [gone])
    call(host, user, EXPORT, gone)
    Client(host).as_user(user).delete_user_account()
    counts = host.execute(
        """
        select
          (select count(*) from public.projects where id = %(project)s),
          (select count(*) from public.project_layers where project_id = %(project)s),
          (select count(*) from public.exports where project_id = %(project)s),
          (select count(*) from public.user_credits where user_id = %(user)s),
          (select count(*) from public.credit_transactions where user_id = %(user)s),
          (select count(*) from public.profiles where id = %(user)s),
          (select count(*) from auth.users where id = %(user)s)
        """,
        {"project": gone, "user": user},
    ).fetchone()
    assert counts == (0,) * 7
    assert host.execute("select count(*) from public.exports where project_id = %s", [kept]).fetchone() == (1,)
    # the storage clean-up that the source left to a webhook is queued in the same transaction
    paths = {item.payload["path"] for item in Client(host).claim_outbox() if item.kind == "remove_file"}
    assert paths == {"a.png"}


def test_s4_account_deletion_leaves_the_user_signed_out(host: Host, user: UUID) -> None:
    Client(host).as_user(user).delete_user_account()
    with pytest.raises(psycopg.Error, match="account_(closed|not_found)"):
        call(host, user, "select public.consume_credit()")


def test_s4_user_statistics_count_projects_exports_age_and_credits(host: Host, user: UUID) -> None:
    host.execute("update auth.users set created_at = now() - interval '10 days' where id = %s", [user])
    mine = project(host, user)
    project(host, user)
    call(host, user, EXPORT, mine)
    host.execute("delete from public.projects where id = %s", [mine])
    (stats,) = call(host, user, "select * from public.get_user_stats()")
    assert (stats["projects"], stats["exports"], stats["lifetime_exports"], stats["credits"]) == (1, 0, 1, 2)
    assert timedelta(days=10) <= stats["account_age"] < timedelta(days=11)


def test_s4_anti_pattern_1_credits_are_persisted_under_the_users_id(whole: Database) -> None:
    user = whole.sign_up()
    for expected in (2, 1, 0):  # a new device each time
        with whole.connect() as connection:
            assert Client(connection).as_user(user).consume_credit().balance_after == expected


def test_s4_anti_pattern_2_two_exports_at_once_for_one_credit_are_one(whole: Database) -> None:
    user = whole.sign_up()
    with whole.connect() as connection:
        Client(connection).consume_credit_for(user, 2)
        mine = project(connection, user)

    def export(_: int) -> str:
        with whole.connect() as connection:
            try:
                return str(call(connection, user, EXPORT, mine)[0]["paid_by"])
            except psycopg.Error as error:
                return str(error.diag.message_primary)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(export, range(4))) == ["credits"] + ["insufficient_credits"] * 3
    with whole.connect() as connection:
        assert balance(connection, user) == 0
        assert connection.execute("select count(*) from public.exports where project_id = %s", [mine]).fetchone() == (
            1,
        )


def test_s4_anti_pattern_3_a_purchase_under_way_blocks_no_reader_and_no_other_user(whole: Database) -> None:
    buyer, other = whole.sign_up(), whole.sign_up()
    app = whole.connect(options="-c lock_timeout=1s")
    with app, whole.connect() as store, store.transaction(force_rollback=True):
        sell(store, "pack", 5)
        Client(store).process_revenuecat_event(bought(buyer, str(uuid4())))
        assert Client(app).as_user(buyer).get_user_credits().credits_available == 3
        assert Client(app).as_user(other).consume_credit().balance_after == 2


@pytest.mark.parametrize("credits", [1, 5, 10])
def test_s4_anti_pattern_4_what_a_pack_is_worth_is_data(host: Host, user: UUID, credits: int) -> None:
    sell(host, f"pack_of_{credits}", credits)
    Client(host).process_revenuecat_event(bought(user, "1", f"pack_of_{credits}"))
    assert balance(host, user) == 3 + credits


def test_s4_anti_pattern_5_a_purchase_counts_when_the_store_has_signed_it_and_never_before(
    host: Host, user: UUID
) -> None:
    sell(host, "pack", 5)
    with pytest.raises(InvalidSignature):
        handle_revenuecat(bought(user), {"Authorization": "Bearer wrong"}, Client(host), authorization="Bearer right")
    assert balance(host, user) == 3
    handle_revenuecat(bought(user), {"Authorization": "Bearer right"}, Client(host), authorization="Bearer right")
    assert balance(host, user) == 8
    for rpc in ("process_revenuecat_event", "process_stripe_event"):
        assert refused(host, user, f"select public.{rpc}('{{}}'::json)")
