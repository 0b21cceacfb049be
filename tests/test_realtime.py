"""What others are told when a balance changes: the stream that Supabase Realtime reads, and a channel to LISTEN to.

The stream is pgoutput's, of a server with wal_level=logical, decoded here message by message. Realtime itself cannot
run here; what it asks of the database for each row is asked in its stead: may this role and user select it?
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

import psycopg
import pytest
from conftest import HERE, ROOT, Database, Run, Templates, assert_books_add_up, sign_up
from psycopg import sql
from test_migrations import edit, write
from test_readme import blocks

from credits_db import Client, InsufficientCredits, local, migrations

TABLES = ["credit_transactions", "user_credits"]
KEYS = {"user_credits": {"user_id"}, "credit_transactions": {"user_id", "seq"}}
PUBLISH = (ROOT / "sql" / "credits" / "realtime" / "publish_balances.sql").read_bytes()
Row = dict[str, str | None]


@dataclass(frozen=True)
class Change:
    """A row of the stream: what was done to which table, the row as it is now, and what is told of the row before."""

    verb: Literal["insert", "update", "delete"]
    table: str
    new: Row | None = None
    old: Row | None = None
    is_key_only: bool = True

    @property
    def row(self) -> Row:
        return self.new or self.old or {}


@dataclass
class Reader:
    """Reads one message of pgoutput, protocol 1, from its beginning to its end."""

    message: bytes
    at: int = 0

    def take(self, form: str) -> Any:
        values = struct.unpack_from(f">{form}", self.message, self.at)
        self.at += struct.calcsize(f">{form}")
        return values[0] if len(values) == 1 else values

    def word(self) -> str:
        end = self.message.index(b"\0", self.at)
        text, self.at = self.message[self.at : end].decode(), end + 1
        return text

    def letter(self) -> str:
        return bytes(self.take("c")).decode()

    def row(self, columns: list[str]) -> Row:
        assert self.take("h") == len(columns)
        values: Row = {}
        for column in columns:
            kind = self.letter()
            assert kind in "nt", f"{column} is not whole"  # u: a long value that did not change, b: binary
            values[column] = None if kind == "n" else self.message[self.at + 4 : self.at + 4 + self.take("i")].decode()
            self.at += len((values[column] or "").encode())
        return values


@dataclass
class Stream:
    """A slot of the publication supabase_realtime: what has been committed since it was read last."""

    connection: psycopg.Connection[Any]
    relations: dict[int, tuple[str, list[str]]] = field(default_factory=dict)

    def transactions(self) -> list[list[Change]]:
        """The changes of each transaction that changed what is published."""
        query = """
            select data from pg_logical_slot_get_binary_changes('realtime', null, null, 'proto_version', '1',
              'publication_names', 'supabase_realtime')
        """
        done: list[list[Change]] = []
        is_open = False
        for (message,) in self.connection.execute(query.encode()):
            reader = Reader(bytes(message))
            match kind := reader.letter():
                case "B" | "C":
                    assert is_open == (kind == "C")
                    is_open = kind == "B"
                    reader.take("qqi" if is_open else "bqqq")
                    if is_open:
                        done.append([])
                case "R":
                    self.learn(reader)
                case "Y":
                    reader.take("i")
                    assert [reader.word(), reader.word()] == ["public", "credit_transaction_type"]
                case _:
                    assert is_open
                    done[-1].append(self.change(kind, reader))
            assert reader.at == len(message)
        assert not is_open
        return [changes for changes in done if changes]

    def learn(self, reader: Reader) -> None:
        number, schema, table, identity = reader.take("i"), reader.word(), reader.word(), reader.letter()
        columns = {}
        for _ in range(reader.take("h")):
            is_key, name = reader.take("b"), reader.word()
            columns[name] = is_key == 1
            reader.take("ii")
        assert (schema, identity) == ("public", "d")
        assert {name for name, is_key in columns.items() if is_key} == KEYS[table]
        self.relations[number] = (table, list(columns))

    def change(self, kind: str, reader: Reader) -> Change:
        table, columns = self.relations[reader.take("i")]
        how = reader.letter()
        match kind, how:
            case "I", "N":
                return Change("insert", table, new=reader.row(columns))
            case "U", "N":
                return Change("update", table, new=reader.row(columns))
            case "D", "K" | "O":
                return Change("delete", table, old=reader.row(columns), is_key_only=how == "K")
        raise AssertionError(f"{kind} {how} of {table}")


@pytest.fixture(scope="module")
def logical() -> Iterator[Database]:
    """A project as on Supabase, pushed, on a server that can tell what changes."""
    with tempfile.TemporaryDirectory(prefix="credits") as home:
        os.chmod(home, 0o755)  # the server of root runs as somebody else
        options = {"wal_level": "logical", "autovacuum": "off", "synchronous_commit": "on"}  # what is read was written
        with local.running(Path(home, "pg"), durable=False, options=options) as server:
            database = Database("postgres", str(server.socket_dir), str(server.port), "supabase_postgres")
            with database.connect("postgres") as superuser:
                superuser.execute((HERE / "supabase.sql").read_bytes())
            with migrations.connect(database.dsn()) as owner:
                migrations.push(owner)
            yield database


@pytest.fixture
def stream(logical: Database) -> Iterator[Stream]:
    with logical.connect("postgres") as superuser:
        superuser.execute("select pg_create_logical_replication_slot('realtime', 'pgoutput')")
        yield Stream(superuser)
        superuser.execute("select pg_drop_replication_slot('realtime')")


def may_select(connection: psycopg.Connection[Any], role: str, user: UUID | None, change: Change) -> bool:
    """What Realtime asks of each row for each who listens: do they find it by its key?"""
    key = {name: change.row[name] for name in sorted(KEYS[change.table])}
    query = sql.SQL("select exists (select from public.{} where {})").format(
        sql.Identifier(change.table),
        sql.SQL(" and ").join(sql.SQL("{} = {}").format(sql.Identifier(k), v) for k, v in key.items()),
    )
    claims = json.dumps({"role": role} | ({"sub": str(user)} if user else {}))
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(
                "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)", [role, claims]
            )
            row = connection.execute(query).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return False
    return row == (True,)


def kinds(transaction: list[Change]) -> set[str]:
    return {f"{change.verb} {change.table}" for change in transaction}


def rows_of(connection: psycopg.Connection[Any], table: str) -> list[Row]:
    """What a table has now, as text."""
    columns = [
        name
        for (name,) in connection.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0", [f"public.{table}"]
        )
    ]
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in columns)
    rows = connection.execute(sql.SQL("select {} from public.{}").format(texts, sql.Identifier(table)))
    return [dict(zip(columns, row, strict=True)) for row in rows]


def test_the_stream_has_each_change_of_balances_and_ledger_and_nothing_else(logical: Database, stream: Stream) -> None:
    ada, bob = logical.sign_up("ada@example.com"), logical.sign_up("bob@example.com")
    held, spent = {"update user_credits"}, {"update user_credits", "insert credit_transactions"}
    opened = {"insert user_credits"} | spent
    with logical.connect() as owner:
        client = Client(owner)
        client.add_credits_for(ada, 50, idempotency_key="gift")
        for _ in range(2):  # the second is a replay
            client.consume_credit_for(ada, 7, description="A film", metadata={"job": 1}, idempotency_key="film")
        with pytest.raises(InsufficientCredits):
            client.consume_credit_for(bob, 7)
        released, captured = (client.reserve_credits_for(ada, 5) for _ in range(2))
        client.release_hold_for(ada, released.id)
        client.capture_hold_for(ada, captured.id, 2)
        client.add_credits_for(bob, 9, expires_at=datetime.now(UTC) + timedelta(days=1))
        client.set_alert_for(bob, 10)
        client.consume_credit_for(bob, 4)  # lots and a notice are written too, but not published
        transactions = stream.transactions()
        expected = [opened, opened, spent, spent, held, held, held, spent, spent, held, spent]
        assert [kinds(changes) for changes in transactions] == expected

        told: dict[tuple[object, ...], Change] = {}
        for change in (change for changes in transactions for change in changes):
            told[change.table, change.row["user_id"], change.row.get("seq")] = change
        for table in TABLES:
            now = rows_of(stream.connection, table)
            assert [change.new for change in told.values() if change.table == table and change.new not in now] == []
            assert len(now) == sum(change.table == table for change in told.values())

        people = {"ada": ("authenticated", ada), "bob": ("authenticated", bob), "stranger": ("authenticated", uuid4())}
        nobody = {"nobody": ("authenticated", None), "visitor": ("anon", None)}
        with logical.connect("authenticator") as realtime:
            for change in told.values():
                seen = {name for name, who in {**people, **nobody}.items() if may_select(realtime, *who, change)}
                assert seen == {"ada" if change.row["user_id"] == str(ada) else "bob"}

        client.delete_user_account_for(ada)
        owner.execute("delete from auth.users where id = %s", [bob])
        for user, rows, gone in zip((ada, bob), (4, 3), stream.transactions(), strict=True):
            keys = [{name: value for name, value in (change.old or {}).items() if value is not None} for change in gone]
            expected_keys = [{"user_id": str(user)}, *({"user_id": str(user), "seq": str(n + 1)} for n in range(rows))]
            assert sorted(keys, key=str) == sorted(expected_keys, key=str)
            assert kinds(gone) == {"delete user_credits", "delete credit_transactions"}
            assert all(change.is_key_only for change in gone)
        assert_books_add_up(owner)


def members(connection: psycopg.Connection[Any]) -> list[str]:
    query = "select schemaname || '.' || tablename from pg_publication_tables where pubname = 'supabase_realtime'"
    return sorted(name for (name,) in connection.execute(query))


OURS = [f"public.{table}" for table in TABLES]


BY_NAME = b"""
select r.prrelid::regclass
from pg_publication_rel as r
join pg_publication as p on p.oid = r.prpubid
where p.pubname = 'supabase_realtime'
order by r.prrelid::regclass::text
"""


@pytest.fixture
def project(templates: Templates) -> Iterator[Database]:
    """As on Supabase, pushed, and with the publication to be made anew."""
    with templates.clone("supabase") as database:
        with database.connect("postgres") as superuser:
            superuser.execute("drop publication supabase_realtime")
        yield database


@pytest.mark.parametrize(
    ("how", "listed"),
    [
        ("", OURS),
        ("for table public.user_credits", OURS),
        ("for table public.user_credits (user_id, credits_remaining), public.credit_transactions", OURS),
        ("for tables in schema public", []),
        ("for all tables", []),
    ],
)
def test_a_publication_gets_what_it_lacks_and_is_otherwise_left_alone(
    project: Database, how: str, listed: list[str]
) -> None:
    columns = """
        select attnames from pg_publication_tables where (pubname, tablename) = ('supabase_realtime', 'user_credits')
    """
    with project.connect("postgres") as superuser, project.connect() as owner:
        superuser.execute("create publication warehouse for table public.user_credits")
        superuser.execute(f"create publication supabase_realtime {how}".encode())
        superuser.execute(f"alter publication supabase_realtime owner to {project.owner}".encode())
        before = owner.execute(columns.encode()).fetchall() or None
        for _ in range(2):
            owner.execute(PUBLISH)
            assert set(OURS) <= set(members(owner))
            assert [f"public.{name}" for (name,) in owner.execute(BY_NAME)] == listed
            assert before in (None, owner.execute(columns.encode()).fetchall())


def test_another_publication_is_nobodys_business_of_ours(project: Database) -> None:
    with project.connect() as owner:
        owner.execute("create publication warehouse")
        owner.execute(PUBLISH)
        assert owner.execute("select from pg_publication_tables").fetchall() == []


def test_who_may_not_alter_the_publication_is_told_and_has_pushed(templates: Templates, run: Run) -> None:
    with templates.clone("supabase", pushed=False) as database:
        with database.connect("postgres") as superuser:
            superuser.execute("alter publication supabase_realtime owner to postgres")
        pushed = run("push", "--db-url", database.dsn(), "--to", "0001_core")
        assert (pushed.code, pushed.err) == (0, "")
        remedy = "".join(f" alter publication supabase_realtime add table {table};" for table in reversed(OURS))
        told = "Realtime does not show balances: must be owner of publication supabase_realtime."
        assert f"{told} Whoever owns the publication may run:{remedy}\n" in pushed.out
        with database.connect("postgres") as superuser:
            assert members(superuser) == []
            superuser.execute(remedy.encode())
            assert members(superuser) == OURS


def test_tables_that_were_taken_out_as_written_stay_out(templates: Templates) -> None:
    take_out = blocks("sql", ROOT / "docs" / "supabase.md")[-1]
    with templates.clone("supabase") as database, migrations.connect(database.dsn()) as owner:
        assert members(owner) == OURS
        owner.execute(take_out.encode())
        assert migrations.push(owner) == []
        assert members(owner) == []
        assert migrations.verify(owner) == []


def test_tables_of_before_leave_the_publication_and_do_not_keep_their_users(templates: Templates) -> None:
    with templates.clone("supabase", pushed=False) as database, migrations.connect(database.dsn()) as owner:
        user = sign_up(owner)
        owner.execute("create table public.user_credits (user_id uuid primary key, credits_remaining int)")
        owner.execute("create table public.credit_transactions (user_id uuid, amount int, type text)")  # without a key
        owner.execute("create table public.notes (id int primary key)")
        owner.execute("alter table public.user_credits replica identity full")
        owner.execute("insert into public.user_credits values (%s, 7)", [user])
        owner.execute("insert into public.credit_transactions values (%s, 7, 'purchase')", [user])
        for publication in ("warehouse", "supabase_realtime"):
            if publication == "warehouse":
                owner.execute("create publication warehouse")
            owner.execute(f"alter publication {publication} add table public.user_credits, public.notes".encode())
        owner.execute("alter publication supabase_realtime add table public.credit_transactions")
        migrations.push(owner)
        assert members(owner) == [OURS[0], "public.notes", OURS[1]]
        theirs = "select schemaname, tablename from pg_publication_tables where pubname = 'warehouse' order by 1"
        assert owner.execute(theirs.encode()).fetchall() == [("credits_before", "user_credits"), ("public", "notes")]
        assert Client(owner).consume_credit_for(user, 2).balance_after == 5
        removed = Client(owner).delete_user_account_for(user).removed
        assert removed["credits_before.credit_transactions"] == 1


@pytest.fixture
def stranger(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """Somebody with a login who may do what any user may, and listens."""
    name = f"stranger_{uuid4().hex[:8]}"
    with database.connect("postgres") as superuser:
        superuser.execute(f"create role {name} login in role authenticated".encode())
        with database.connect(name) as connection:
            connection.execute("listen credits_changed; listen fence")
            yield connection
        superuser.execute(f"drop role {name}".encode())


def heard(database: Database, stranger: psycopg.Connection[Any]) -> list[str]:
    """The payloads on our channel since it was asked last."""
    with database.connect() as connection:
        connection.execute("notify fence")
    payloads: list[str] = []
    for notice in stranger.notifies(timeout=10):
        if notice.channel == "fence":
            return payloads
        assert notice.channel == "credits_changed"
        payloads.append(notice.payload)
    raise AssertionError("the fence was not heard")


def test_a_stranger_who_listens_hears_nothing_unless_switched_on_and_then_nothing_of_whom(
    database: Database, stranger: psycopg.Connection[Any]
) -> None:
    user = database.sign_up()
    with database.connect() as owner:
        client = Client(owner)
        client.consume_credit_for(user)
        assert heard(database, stranger) == []

        owner.execute("select credits_private.set_setting('notify_changes', 'on')")
        assert heard(database, stranger) == []
        client.add_credits_for(user, 9, idempotency_key="gift")
        client.as_user(user).consume_credit(1)
        client.release_hold_for(user, client.reserve_credits_for(user, 1).id)
        assert heard(database, stranger) == [""] * 4
        with owner.transaction():
            for other in (database.sign_up(), user):
                client.consume_credit_for(other, 2)
                client.add_credits_for(other, 1)
        assert heard(database, stranger) == ["", ""]  # the sign-up, and the transaction
        with database.connect(options="-c role=service_role") as service:
            service.execute(
                "insert into public.credit_transactions (user_id, type, amount) values (%s, 'bonus', 1)", [user]
            )
        assert heard(database, stranger) == [""]

        client.add_credits_for(user, 9, idempotency_key="gift")
        client.get_user_credits_for(user)
        with pytest.raises(InsufficientCredits):
            client.consume_credit_for(user, 1000)
        with owner.transaction(force_rollback=True):
            client.consume_credit_for(user)
        assert heard(database, stranger) == []
        owner.execute("delete from auth.users where id = %s", [user])
        assert heard(database, stranger) == [""]

        owner.execute("select credits_private.set_setting('notify_changes', 'off')")
        client.consume_credit_for(database.sign_up())
        assert heard(database, stranger) == []


def test_the_rows_of_a_copy_notify_nobody(database: Database, stranger: psycopg.Connection[Any]) -> None:
    user = database.sign_up()
    with database.connect("postgres") as superuser:
        superuser.execute("select credits_private.set_setting('notify_changes', 'on')")
        superuser.execute("set session_replication_role = replica")
        superuser.execute("update public.user_credits set alert_below = 7 where user_id = %s", [user])
    assert heard(database, stranger) == []


def test_who_switches_gives_up_behind_a_transaction_and_nobody_waits_for_long(templates: Templates, run: Run) -> None:
    with templates.clone("supabase") as database:
        ada, bob = database.sign_up(), database.sign_up()
        took: list[float] = []

        def spend() -> None:
            began = time.monotonic()
            with database.connect() as connection:
                Client(connection).consume_credit_for(bob)
            took.append(time.monotonic() - began)

        waits = "select count(*) from pg_locks where not granted and relation = 'public.user_credits'::regclass"
        with database.connect() as owner, database.connect() as other:
            with owner.transaction():
                Client(owner).consume_credit_for(ada)
                switch: list[Any] = []
                switching = threading.Thread(
                    target=lambda: switch.append(
                        run("settings", "set", "notify_changes", "on", "--db-url", database.dsn())
                    )
                )
                spending = threading.Thread(target=spend)
                switching.start()
                while other.execute(waits.encode()).fetchone() == (0,):
                    assert switching.is_alive()
                spending.start()
                assert Client(other).get_user_credits_for(bob).credits_remaining == 3  # who reads does not wait
                switching.join(10)
                spending.join(10)
                assert [switching.is_alive(), spending.is_alive()] == [False, False]
            assert (switch[0].code, "try again" in switch[0].err) == (1, True)
            assert took[0] < 3
            query = "select value from credits_private.settings where name = 'notify_changes'"
            assert owner.execute(query.encode()).fetchone() == ("off",)
        assert run("settings", "set", "notify_changes", "on", "--db-url", database.dsn()).code == 0


ENABLED = (
    "select tgenabled from pg_trigger where tgrelid = 'public.user_credits'::regclass and tgname = 'notify_changes'"
)


def test_a_migration_that_replaces_the_trigger_leaves_it_as_its_setting_says(
    templates: Templates, checkout: Path
) -> None:
    edit(checkout, "triggers/notify_changes.sql", lambda text: text.replace("with nothing in it", "an empty payload"))
    with templates.clone("supabase") as database, migrations.connect(database.dsn()) as owner:
        owner.execute("select credits_private.set_setting('notify_changes', 'on')")
        assert migrations.push(owner) == []
        text = migrations.new("reword").read_text().replace("raise exception 'write the check'", "null")
        write(checkout, "0004_reword", text)
        assert [migration.id for migration in migrations.push(owner)] == ["0004_reword"]
        assert owner.execute(ENABLED.encode()).fetchone() == ("O",)
        owner.execute("select credits_private.set_setting('notify_changes', 'off')")
        owner.execute((checkout / "sql" / "credits" / "triggers" / "notify_changes.sql").read_bytes())
        assert owner.execute(ENABLED.encode()).fetchone() == ("D",)


@pytest.mark.parametrize(("value", "other"), [("on", "disable"), ("off", "enable"), ("on", "enable always")])
def test_verify_names_a_trigger_that_is_not_as_its_setting_says(database: Database, value: str, other: str) -> None:
    with migrations.connect(database.dsn()) as owner:
        owner.execute("select credits_private.set_setting('notify_changes', %s)", [value])
        assert migrations.verify(owner) == []
        owner.execute(f"alter table public.user_credits {other} trigger notify_changes".encode())
        assert len(migrations.verify(owner)) == 2
        owner.execute("select credits_private.set_setting('notify_changes', %s)", [value])
        assert migrations.verify(owner) == []
