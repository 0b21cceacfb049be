"""A push does not stop the application: which locks it takes, and sign-ups, sign-ins and spends that go on beside it.

The application's connections give up after a lock_timeout; so a test fails where somebody waits longer than that.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from conftest import Database, Templates, assert_books_add_up
from test_migrations import edit, push, write

from credits_db import Client, InsufficientCredits, migrations

USERS = 3000
WEAK = {"AccessShareLock", "RowShareLock"}
HELD = """
select distinct c.oid::regclass::text, l.mode
from pg_locks as l
join pg_class as c on c.oid = l.relation
where l.pid = pg_backend_pid() and c.relnamespace = 'auth'::regnamespace and c.relkind = 'r'
order by 1, 2
"""


@pytest.fixture
def live(templates: Templates) -> Iterator[Database]:
    """A database like Supabase's, where others wait for auth, with users of before."""
    with templates.clone("supabase", pushed=False) as database:
        with migrations.connect(database.dsn()) as connection:
            migrations._prepare(connection)
            query = "insert into auth.users (id) select gen_random_uuid() from generate_series(1, %s)"
            connection.execute(query, [USERS])
        yield database


def test_only_the_migration_that_joins_auth_locks_a_table_that_was_there_before(live: Database) -> None:
    held = {}
    with migrations.connect(live.dsn()) as connection:
        for migration in migrations.shipped():
            with connection.transaction():
                migrations._run(connection, migration)
                held[migration.id] = connection.execute(HELD).fetchall()
    strong = {id: [lock for lock in locks if lock[1] not in WEAK] for id, locks in held.items()}
    assert strong == {
        "0001_core": [],
        "0002_join_auth": [("auth.users", "ShareRowExclusiveLock")],
        "0003_open_existing_accounts": [],
    }


class Application:
    """Four connections that sign up, sign in and spend, fifty times a second each."""

    def __init__(self, database: Database, lock_timeout: str) -> None:
        self.database, self.lock_timeout = database, lock_timeout
        self.done: Counter[str] = Counter()
        self.errors: list[BaseException] = []
        self.over = threading.Event()
        with database.connect() as connection:
            self.users: list[UUID] = [row[0] for row in connection.execute("select id from auth.users")]

    @contextmanager
    def running(self) -> Iterator[Counter[str]]:
        threads = [threading.Thread(target=self.work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        try:
            yield self.done
        finally:
            self.over.set()
            for thread in threads:
                thread.join()
        assert self.errors == []

    def work(self, seed: int) -> None:
        luck, began = random.Random(seed), time.monotonic()
        try:
            with self.database.connect(options=f"-c lock_timeout={self.lock_timeout}") as connection:
                client = Client(connection)
                for turn in itertools.count():
                    if self.over.wait(max(0, began + turn / 50 - time.monotonic())):
                        return
                    self.operate(luck, connection, client)
        except BaseException as error:
            self.errors.append(error)

    def operate(self, luck: random.Random, connection: psycopg.Connection[object], client: Client) -> None:
        what, user = luck.choice(("sign-up", "sign-in", "spend", "spend")), luck.choice(self.users)
        try:
            if what == "sign-up":
                connection.execute("insert into auth.users (id) values (gen_random_uuid())")
            elif what == "sign-in":
                connection.execute("update auth.users set email = null where id = %s", [user])
            else:
                client.consume_credit_for(user)
            self.done[what] += 1
        except psycopg.errors.UndefinedFunction:
            self.done["not yet"] += 1
        except InsufficientCredits:
            self.done["dry"] += 1


def test_two_hundred_operations_a_second_go_on_while_it_pushes(
    live: Database, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "BATCH", 300)
    application = Application(live, lock_timeout="1s")
    opened: list[int] = []
    with application.running() as done:
        while not done["not yet"]:
            time.sleep(0.01)
        with migrations.connect(live.dsn()) as connection:
            migrations.push(connection, progress=lambda count, _: opened.append(count))
            while done["spend"] < 50:
                time.sleep(0.01)
            edit(checkout, "private/spend.sql", lambda text: text.replace("declare\n", "declare\n  -- next\n"))
            text = migrations.new("next").read_text().replace("raise exception 'write the check'", "null")
            write(checkout, "0004_next", f"{text}\nalter table public.user_credits add column next int;\n")
            assert push(live) == ["0004_next"]
        before = done["spend"]
        while done["spend"] < before + 50:
            time.sleep(0.01)
    assert len(opened) >= 5
    with live.connect() as connection:
        assert_books_add_up(connection)
        left = "select from auth.users as u where not exists (select from public.user_credits where user_id = u.id)"
        assert connection.execute(left).fetchall() == []


def test_a_dry_run_stops_nobody_and_opens_no_account(live: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "_in_batches", lambda *_: pytest.fail("a dry run keeps its locks to the end"))
    application = Application(live, lock_timeout="1s")
    with application.running() as done:
        while not done["sign-up"]:
            time.sleep(0.01)
        assert push(live, dry_run=True) == [migration.id for migration in migrations.shipped()]
    with live.connect() as host, host.transaction():
        host.execute("update auth.users set email = null where id = %s", [application.users[0]])
        with pytest.raises(psycopg.errors.LockNotAvailable):
            push(live, dry_run=True)


def test_a_push_that_waits_for_a_long_transaction_lets_sign_ups_through(live: Database) -> None:
    application = Application(live, lock_timeout="2s")
    pusher = threading.Thread(target=push, args=(live,))
    with application.running() as done, live.connect() as host:
        with host.transaction():
            host.execute("update auth.users set email = null where id = %s", [application.users[0]])
            pusher.start()
            with live.connect() as connection:
                while not migrations.history(connection):
                    time.sleep(0.05)
                time.sleep(2)
                assert len(migrations.history(connection)) == 1
            assert done["sign-up"]
        pusher.join()
    with live.connect() as connection:
        assert len(migrations.history(connection)) == 3
