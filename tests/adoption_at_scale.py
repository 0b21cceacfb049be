"""A million users, two hundred operations a second, and a push with both tracks beside them: `make test-adoption`.

An application like that of tests/sources/s2.sql, with projects, goes on signing people up, reading their profiles and
(as soon as it can) spending. Nothing may fail for another reason than that something is not there yet. How long anybody
waited is said, not judged: that is the machine's.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
from conftest import Database, Templates, assert_books_add_up
from psycopg import errors
from test_adoption import settle

from credits_db import Client, InsufficientCredits, migrations

USERS = int(os.environ.get("USERS", "1000000"))
THREADS, RATE = 4, 50  # operations a second of each
PROJECTS = """
create table public.projects (
  id uuid primary key default gen_random_uuid(),
  user_id uuid constraint owner_of_project references auth.users (id) on delete set null,
  source_image_path text,
  status text not null default 'draft',
  created_at timestamptz not null default now()
);
create index projects_owner on public.projects (user_id, created_at desc);
"""
CROWD = """
set session_replication_role = replica;
create temp table crowd as
select gen_random_uuid() as id, n from generate_series(1, {users}) as n;
insert into auth.users (id, email, created_at)
select id, 'user' || n || '@example.com', now() - n * interval '1 second' from crowd;
insert into public.profiles (id, email, credits)
select id, 'user' || n || '@example.com', 5 + n % 20 from crowd;
insert into public.credit_transactions (user_id, amount, type, description, timestamp)
select id, case when n % 2 = 0 then 1 + n % 5 else -1 end, case when n % 2 = 0 then 'add' else 'deduct' end, 'Before',
  now() - n * interval '1 second'
from crowd;
insert into public.projects (user_id, source_image_path)
select id, n || '.png' from crowd where n % 2 = 0;
drop table crowd;
reset session_replication_role;
"""
WAITING = """
select extract(epoch from clock_timestamp() - l.waitstart), coalesce(l.relation::regclass::text, l.locktype), l.mode
from pg_locks as l
where not l.granted and l.waitstart is not null
order by l.waitstart
limit 1
"""
READ = "select p.email, p.credits from public.profiles as p where p.id = %s"
NOT_YET = (errors.UndefinedTable, errors.UndefinedFunction, errors.InvalidSchemaName)


class Application:
    """Threads that work at their pace, whatever comes, and what became of it."""

    def __init__(self, database: Database) -> None:
        self.database, self.over = database, threading.Event()
        self.done: Counter[str] = Counter()
        self.longest: dict[str, float] = defaultdict(float)
        self.lock: tuple[float, str, str] = (0.0, "", "")
        self.failures: list[BaseException] = []
        with database.connect() as connection:
            query = "select id from public.profiles where email like 'user%' limit 5000"
            self.users: list[UUID] = [id for (id,) in connection.execute(query)]

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self.work, args=(seed,)) for seed in range(THREADS)]
        threads.append(threading.Thread(target=self.watch))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over.set()
            for thread in threads:
                thread.join()

    def work(self, seed: int) -> None:
        luck, began = random.Random(seed), time.monotonic()
        try:
            with self.database.connect() as connection:
                for turn in itertools.count():
                    if self.over.wait(max(0, began + turn / RATE - time.monotonic())):
                        return
                    what, start = luck.choice(("sign-up", "read", "read", "spend")), time.monotonic()
                    self.done[self.operate(what, connection, luck.choice(self.users))] += 1
                    self.longest[what] = max(self.longest[what], time.monotonic() - start)
        except BaseException as error:
            self.failures.append(error)

    def operate(self, what: str, connection: psycopg.Connection[object], user: UUID) -> str:
        if what == "sign-up":
            connection.execute("insert into auth.users (id) values (gen_random_uuid())")
        elif what == "read":
            assert connection.execute(READ, [user]).fetchone()
        else:
            try:
                Client(connection).consume_credit_for(user)
            except NOT_YET:
                return "spend, not yet"
            except InsufficientCredits:
                return "spend, dry"
        return what

    def watch(self) -> None:
        """Who waits for a lock, twenty times a second."""
        with self.database.connect() as connection:
            while not self.over.wait(0.05):
                for seconds, what, mode in connection.execute(WAITING):
                    self.lock = max(self.lock, (float(seconds), what, mode))


def test_a_million_users_are_adopted_while_the_application_goes_on(templates: Templates) -> None:
    with templates.clone("plain", pushed=False) as database:
        settle(database, "s2", PROJECTS, CROWD.format(users=USERS))
        with database.connect() as connection:
            connection.execute("vacuum analyze")
            old = connection.execute("select sum(credits) from public.profiles where email like 'user%'").fetchone()
        application, steps, opened = Application(database), list[tuple[str, float]](), list[tuple[int, int]]()
        began = time.monotonic()

        def reached(migration: migrations.Migration) -> None:
            steps.append((migration.id, time.monotonic() - began))

        with application.running(), migrations.connect(database.dsn()) as connection:
            time.sleep(2)
            migrations.push(
                connection, more=["app"], report=reached, progress=lambda done, users: opened.append((done, users))
            )
            took = time.monotonic() - began
            time.sleep(2)
        print(f"\n{USERS} users adopted in {took:.0f} s; accounts opened in {len(opened)} batches")
        print(*(f"  {id}: at {at:.1f} s" for id, at in steps), sep="\n")
        print(f"operations: {dict(application.done)}, {sum(application.done.values()) / (took + 2):.0f} a second")
        print("longest:", ", ".join(f"{what} {wait:.3f} s" for what, wait in sorted(application.longest.items())))
        print("longest wait for a lock: {:.3f} s, {} {}".format(*application.lock))
        assert application.failures == []
        assert opened[-1][0] >= USERS
        assert [done for done, _ in opened] == sorted(done for done, _ in opened)
        with database.connect() as connection:
            assert_books_add_up(connection)
            left = connection.execute(
                """
                select sum(a.credits_remaining)
                from public.user_credits as a
                join auth.users as u on u.id = a.user_id
                where u.email like 'user%'
                """
            ).fetchone()
            assert old
            assert left == (old[0] - application.done["spend"],)
            assert connection.execute("select conname from pg_constraint where not convalidated").fetchall() == []
            assert migrations.verify(connection) == []
