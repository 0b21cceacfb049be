"""asyncpg and SQLAlchemy call the RPCs as docs/clients.md says, in a transaction with the caller's own row."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import sqlalchemy
from conftest import POOLED, ROOT, Database
from sqlalchemy.exc import DBAPIError

from credits_db import Client, InsufficientCredits

SECTION = (ROOT / "docs" / "clients.md").read_text().partition("## Other drivers\n")[2].partition("\n## ")[0]
ASYNCPG, SQLALCHEMY, POOLER = re.findall(r"^```python\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
(AS_USER,) = re.findall(r"^```sql\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
Start = Callable[[UUID, UUID, Any], str | None]  # a job, of a user, and its title


@pytest.fixture
def shop(database: Database) -> Database:
    """A database with the jobs of an application, whose role is a service of it."""
    with database.connect() as owner:
        owner.execute("create table public.jobs (id uuid primary key, user_id uuid, title text not null)")
        owner.execute("grant insert, select on public.jobs to service_role")
    return database


def opening(name: str) -> str:
    """The line that opens a pool or an engine: what the document says for a pooler, else without its last argument."""
    (line,) = (line for line in POOLER.splitlines() if line.startswith(f"{name} ="))
    return line if POOLED else re.sub(r", [a-z_]+=.*\)$", ")", line)


@contextmanager
def with_asyncpg(database: Database) -> Iterator[Start]:
    names: dict[str, Any] = {"asyncpg": asyncpg, "json": json, "DATABASE_URL": database.dsn()}
    exec(ASYNCPG, names)
    with asyncio.Runner() as runner:

        async def opened() -> Any:
            exec(opening("pool"), names)
            return await names["pool"]

        pool = runner.run(opened())
        yield lambda job, user, title: runner.run(names["start_job"](pool, job, user, title))
        runner.run(pool.close())


@contextmanager
def with_sqlalchemy(database: Database) -> Iterator[Start]:
    names: dict[str, Any] = {"json": json, "text": sqlalchemy.text, "DBAPIError": DBAPIError}
    exec(SQLALCHEMY, names)
    with engine_for(database) as engine:
        yield lambda job, user, title: names["start_job"](engine, job, user, title)


@contextmanager
def engine_for(database: Database) -> Iterator[sqlalchemy.Engine]:
    names: dict[str, Any] = {
        "create_engine": sqlalchemy.create_engine,
        "ENGINE_URL": database.dsn().replace("postgresql:", "postgresql+psycopg:"),
    }
    exec(opening("engine"), names)
    yield names["engine"]
    names["engine"].dispose()


@pytest.fixture(params=(with_asyncpg, with_sqlalchemy))
def start(request: pytest.FixtureRequest, shop: Database) -> Iterator[Start]:
    with request.param(shop) as start:
        yield start


def state(database: Database, user: UUID) -> tuple[list[str], int]:
    """The titles of a user's jobs, and the credits that are left."""
    with database.connect() as owner:
        titles = owner.execute("select title from public.jobs where user_id = %s order by title", [user]).fetchall()
        return [title for (title,) in titles], Client(owner).get_user_credits_for(user).credits_remaining


def test_the_row_and_its_price_are_committed_together_and_once(shop: Database, start: Start) -> None:
    user, jobs = shop.sign_up(), [uuid4() for _ in range(8)]
    with shop.connect() as owner:
        Client(owner).add_credits_for(user, 40)
    for job in (*jobs, jobs[0]):  # more often than a driver needs to prepare what it sends
        assert start(job, user, "A film") is None
    assert state(shop, user) == (["A film"] * 8, 3)


def test_without_enough_credits_there_is_no_row_and_a_sentence_with_their_number(shop: Database, start: Start) -> None:
    user = shop.sign_up()
    assert start(uuid4(), user, "A film") == "You have 3 credits, and a job costs 5."
    assert state(shop, user) == ([], 3)


def test_another_error_is_the_callers_and_costs_nothing(shop: Database, start: Start) -> None:
    user = shop.sign_up()
    for job, who, title in ((uuid4(), user, None), (uuid4(), uuid4(), "A film")):
        with pytest.raises((asyncpg.PostgresError, DBAPIError)) as caught:
            start(job, who, title)
        state_of = getattr(caught.value, "orig", caught.value).sqlstate
        assert state_of == ("PT404" if title else "23502")
    assert state(shop, user) == ([], 3)


def test_the_client_joins_the_transaction_of_sqlalchemy(shop: Database) -> None:
    assert "Client(connection.connection.driver_connection).consume_credit_for(user_id, 5)" in SECTION
    user = shop.sign_up()
    with engine_for(shop) as engine:
        with suppress(KeyError), engine.begin() as connection:
            client = Client(connection.connection.driver_connection)  # type: ignore[arg-type]
            client.consume_credit_for(user, 1)
            raise KeyError("the caller's own")
        assert state(shop, user) == ([], 3)
        with engine.begin() as connection:
            client = Client(connection.connection.driver_connection)  # type: ignore[arg-type]
            with pytest.raises(InsufficientCredits):
                client.consume_credit_for(user, 5)
            client.consume_credit_for(user, 1)
            connection.execute(
                sqlalchemy.text("insert into jobs values (:id, :user, 'A film')"), {"id": uuid4(), "user": user}
            )
    assert state(shop, user) == (["A film"], 2)


def test_who_acts_as_a_user_does_so_for_the_transaction_alone(shop: Database) -> None:
    user = shop.sign_up()
    claims = AS_USER.replace('{"sub": "..."}', json.dumps({"sub": str(user)}))
    assert claims != AS_USER
    with shop.connect() as connection:
        with connection.transaction():
            connection.execute(claims.encode())
            row = connection.execute("select user_id, balance_after from consume_credit()").fetchone()
            assert row == (user, 2)
        who = "select current_setting('role'), coalesce(current_setting('request.jwt.claims', true), '')"
        assert {connection.execute(who).fetchone() for _ in range(4)} == {("none", "")}
