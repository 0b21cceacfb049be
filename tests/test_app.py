"""The track app from Python: both clients, races, deletion beside work, and databases that had such tables before."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from conftest import POOLED, Database, Templates, assert_exports_are_paid, sign_up

from credits_db import (
    AccountClosed,
    AccountNotFound,
    AsyncClient,
    Client,
    Export,
    IdempotencyKeyReused,
    InsufficientCredits,
    NotAuthenticated,
    ProjectNotFound,
    UserStats,
    migrations,
)

Connection = psycopg.Connection[Any]
TABLES = ("profiles", "projects", "project_layers", "exports")


def project(connection: Connection, user: UUID, layers: int = 0) -> UUID:
    row = connection.execute("insert into public.projects (user_id) values (%s) returning id", [user]).fetchone()
    assert row
    for place in range(layers):
        connection.execute("insert into public.project_layers (project_id, z_index) values (%s, %s)", [row[0], place])
    return UUID(str(row[0]))


def count(connection: Connection, table: str) -> int:
    row = connection.execute(f"select count(*) from public.{table}".encode()).fetchone()
    assert row
    return int(row[0])


def test_an_export_from_python_is_the_row_of_the_database(app_db: Connection) -> None:
    user = sign_up(app_db)
    id = project(app_db, user, layers=2)
    layers = [row[0] for row in app_db.execute("select id from public.project_layers order by z_index")]
    client = Client(app_db)
    export = client.as_user(user).consume_credit_and_create_export(
        id, "psd", {"scale": 2}, layers, idempotency_key="job-1"
    )
    assert isinstance(export, Export)
    assert (export.project_id, export.type, export.options, export.layer_ids) == (id, "psd", {"scale": 2}, layers)
    assert (export.user_id, export.paid_by, export.seq, export.status) == (user, "credits", 2, "pending")
    again = {"options": {"scale": 2}, "layer_ids": layers, "idempotency_key": "job-1"}
    assert client.consume_credit_and_create_export_for(user, id, "psd", **again) == export  # type: ignore[arg-type]  # as written
    assert Export.from_json(export.to_json()) == export
    answer = app_db.execute("select to_jsonb(e) from public.exports as e").fetchone()
    assert answer
    assert Export.from_json(answer[0]) == export
    with pytest.raises(IdempotencyKeyReused):
        client.consume_credit_and_create_export_for(user, id, "png", idempotency_key="job-1")
    with pytest.raises(ProjectNotFound) as refused:
        client.as_user(sign_up(app_db)).consume_credit_and_create_export(id, "png")
    assert refused.value.details == {"project_id": str(id)}
    with pytest.raises(InsufficientCredits):
        for _ in range(3):
            client.consume_credit_and_create_export_for(user, id, "png")


def test_statistics_from_python_are_those_of_the_database(app_db: Connection) -> None:
    user = sign_up(app_db, created_at=datetime.now(UTC) - timedelta(days=3, hours=5))
    client = Client(app_db)
    client.consume_credit_and_create_export_for(user, project(app_db, user), "png")
    stats = client.as_user(user).get_user_stats()
    assert isinstance(stats, UserStats)
    assert (stats.projects, stats.exports, stats.lifetime_exports, stats.credits) == (1, 1, 1, 2)
    assert stats.account_age
    assert timedelta(days=3, hours=5) <= stats.account_age < timedelta(days=3, hours=6)
    assert client.get_user_stats_for(user).account_age >= stats.account_age  # type: ignore[operator]  # not None
    answer = app_db.execute("select to_jsonb(s) from public.get_user_stats_for(%s) as s", [user]).fetchone()
    assert answer
    assert UserStats.from_json(answer[0]).to_json() == answer[0]
    with pytest.raises(NotAuthenticated):
        client.consume_credit_and_create_export_for(None, uuid4(), "png")  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize(
    "age",
    [
        timedelta(),
        timedelta(days=1),
        timedelta(days=-1, hours=2),
        timedelta(days=400, hours=23, seconds=1),
        timedelta(microseconds=1500),
        None,
    ],
)
def test_an_age_is_the_same_after_a_journey_through_json(app_db: Connection, age: timedelta | None) -> None:
    stats = UserStats(projects=1, exports=2, lifetime_exports=3, account_age=age, credits=4)
    assert UserStats.from_json(stats.to_json()) == stats
    answer = app_db.execute("select to_jsonb(%s::interval)", [age]).fetchone()
    assert answer
    assert UserStats.from_json({**stats.to_json(), "account_age": answer[0]}) == stats


def test_the_async_client_does_the_same(app: Database) -> None:
    user = app.sign_up()
    with app.connect() as connection:
        id = project(connection, user)

    async def work() -> tuple[Export, Export, UserStats]:
        async with await psycopg.AsyncConnection.connect(app.dsn(), autocommit=True, **POOLED) as connection:
            client = AsyncClient(connection)
            mine = client.as_user(user)
            first = await mine.consume_credit_and_create_export(id, "png", idempotency_key="k")
            second = await client.consume_credit_and_create_export_for(user, id, "png", idempotency_key="k")
            with pytest.raises(ProjectNotFound):
                await mine.consume_credit_and_create_export(uuid4(), "png")
            assert (await client.get_user_stats_for(user)).exports == 1
            return first, second, await mine.get_user_stats()

    first, second, stats = asyncio.run(work())
    assert first == second
    assert (stats.exports, stats.credits) == (1, 2)


def test_twenty_calls_at_once_with_one_key_make_one_export(app: Database) -> None:
    user = app.sign_up()
    with app.connect() as connection:
        id = project(connection, user)
    ready = threading.Barrier(20)

    def call(_: int) -> Export:
        with app.connect() as connection:
            ready.wait()
            return Client(connection).consume_credit_and_create_export_for(user, id, "png", idempotency_key="k")

    with ThreadPoolExecutor(20) as pool:
        exports = list(pool.map(call, range(20)))
    assert all(export == exports[0] for export in exports)
    with app.connect() as connection:
        assert count(connection, "exports") == 1
        assert Client(connection).get_user_credits_for(user).credits_remaining == 2


def test_calls_at_once_with_keys_of_their_own_make_as_many_exports_as_there_are_credits(app: Database) -> None:
    user = app.sign_up()
    with app.connect() as connection:
        id = project(connection, user)

    def call(_: int) -> bool:
        with app.connect() as connection:
            try:
                return bool(Client(connection).consume_credit_and_create_export_for(user, id, "png"))
            except InsufficientCredits:
                return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(call, range(8))) == 3
    with app.connect() as connection:
        assert count(connection, "exports") == 3


def test_an_export_beside_the_deletion_of_its_project_or_its_user_ends_clean(templates: Templates) -> None:
    """In many orders: whoever is late is told so, and nothing stays of what is gone."""
    with templates.clone("plain", pushed="app") as app:
        race(app)


def race(app: Database) -> None:

    def export(user: UUID, id: UUID) -> None:
        with app.connect() as connection:
            try:
                Client(connection).consume_credit_and_create_export_for(user, id, "png")
            except (ProjectNotFound, AccountNotFound, AccountClosed):
                return

    def delete_project(user: UUID, id: UUID) -> None:
        with app.connect(options="-c deadlock_timeout=20ms") as connection:
            connection.execute("delete from public.projects where id = %s", [id])

    def delete_export(user: UUID, id: UUID) -> None:
        with app.connect(options="-c deadlock_timeout=20ms") as connection:
            connection.execute("delete from public.exports where project_id = %s", [id])

    def delete_user(user: UUID, id: UUID) -> None:
        with app.connect(options="-c deadlock_timeout=20ms") as connection:
            Client(connection).delete_user_account_for(user)

    with ThreadPoolExecutor(4) as pool:
        for round in range(12):
            user = app.sign_up()
            with app.connect() as connection:
                id = project(connection, user)
                Client(connection).consume_credit_and_create_export_for(user, id, "png")
            others = (delete_project, delete_export, delete_user)[: 2 + round % 2]
            for done in [pool.submit(work, user, id) for work in (export, *others)]:
                try:
                    done.result()
                except psycopg.errors.DeadlockDetected:
                    continue
            with app.connect() as connection:
                assert_exports_are_paid(connection)
                delete_user(user, id)
    with app.connect() as connection:
        assert [count(connection, table) for table in TABLES] == [0, 0, 0, 0]
        assert connection.execute("select * from credits_private.deleted_exports").fetchall() == []


@pytest.mark.session("waits for a backend by its pid")
def test_the_counter_of_deleted_exports_does_not_outlive_a_user_who_goes_meanwhile(app: Database) -> None:
    user = app.sign_up()
    with app.connect() as connection:
        Client(connection).consume_credit_and_create_export_for(user, project(connection, user), "png")
    with app.connect(autocommit=False) as first, app.connect() as second, ThreadPoolExecutor(1) as pool:
        first.execute("delete from public.exports where true")
        gone = pool.submit(lambda: Client(second).delete_user_account_for(user))
        with app.connect() as watch:
            waits = "select count(*) from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
            while watch.execute(waits, [second.info.backend_pid]).fetchone() != (1,):
                pass
        first.commit()
        gone.result()
    with app.connect() as connection:
        assert connection.execute("select * from credits_private.deleted_exports").fetchall() == []


HOST = """
create table public.profiles (id uuid primary key references auth.users, username varchar(20) not null, bio text);
create table public.projects (
  id uuid primary key default gen_random_uuid(),
  user_id uuid constraint owner references auth.users,
  title text,
  created_at timestamptz not null default now(),
  updated_at timestamptz
);
create index by_owner on public.projects (user_id, created_at);
create table public.exports (
  id uuid primary key default gen_random_uuid(),
  project_id uuid references public.projects,
  kind text
);
alter table public.projects enable row level security;
create policy "all may look" on public.projects for select using (true);
grant select on public.projects to anon;
create function public.keep_updated_at() returns trigger language plpgsql as $$
begin
  new.updated_at := '2001-01-01';
  return new;
end $$;
create trigger keep before update on public.projects for each row execute function public.keep_updated_at();
create view public.users as select 1 as one;
"""


@pytest.fixture
def host(templates: Templates, flavour: str) -> Any:
    """A database with tables of the app in other shapes, a user with a profile and one without, and their rows."""
    with templates.clone(flavour) as database:
        with database.connect() as connection:
            connection.execute(HOST)
            ada, bea = sign_up(connection, "ada@example.com"), sign_up(connection, "bea@example.com")
            connection.execute("insert into public.profiles (id, username) values (%s, 'ada')", [ada])
            connection.execute("insert into public.projects (user_id, title) values (%s, 'Cat')", [ada])
            connection.execute("insert into public.projects (title) values ('Nobody''s')")
            connection.execute("insert into public.exports (project_id, kind) select id, 'png' from public.projects")
        yield database, ada, bea


MISSING = [
    "alter table public.projects drop column params cascade",
    "drop trigger remove_files on public.projects",
    "drop trigger count_exports on public.exports",
]


def rows(connection: Connection, columns: dict[str, list[str]] | None = None) -> dict[str, Any]:
    found = {}
    for table in ("profiles", "projects", "exports"):
        listed = ", ".join((columns or {}).get(table, ["*"]))
        found[table] = connection.execute(f"select {listed} from public.{table} order by id".encode()).fetchall()
    return found


def test_push_takes_over_tables_of_other_shapes_and_leaves_their_rows_alone(host: Any) -> None:
    database, ada, bea = host
    with migrations.connect(database.dsn()) as connection:
        query = """
            select attname::text from pg_attribute
            where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum
        """
        columns = {
            table: [name for (name,) in connection.execute(query, [f"public.{table}"])]
            for table in ("profiles", "projects", "exports")
        }
        before = rows(connection)
        migrations.push(connection, more=["app"])
        assert rows(connection, columns) == before
        assert migrations.verify(connection) == []
        adopted = "select array_agg(relation order by relation) from credits_private.adopted_relations"
        assert connection.execute(adopted).fetchone() == (
            ["public.exports", "public.profiles", "public.projects", "public.users"],
        )
        # an index that serves is not made again, nor a trigger that keeps updated_at
        indexes = "select array_agg(indexname::text order by indexname) from pg_indexes where tablename = 'projects'"
        assert connection.execute(indexes).fetchone() == (["by_owner", "projects_pkey"],)
        assert connection.execute(
            "update public.projects set title = 'Dog' where user_id = %s returning updated_at", [ada]
        ).fetchone() == (datetime(2001, 1, 1, tzinfo=UTC),)
        # profiles need a name that only the host knows: they stay the host's
        profiles = connection.execute("select id from public.profiles").fetchall()
        assert profiles == [(ada,)]
        sign_up(connection)
        assert count(connection, "profiles") == 1
        # what is here works, for the project that has a user
        client = Client(connection)
        id = client_project(connection, ada)
        export = client.consume_credit_and_create_export_for(ada, id, "png")
        assert client.consume_credit_and_create_export_for(bea, project(connection, bea), "png").seq == 2
        assert (export.paid_by, client.get_user_stats_for(ada).exports) == ("credits", 2)
        connection.execute("delete from public.projects where user_id = %s", [ada])
        assert client.get_user_stats_for(ada).lifetime_exports == 2
        client.delete_user_account_for(ada)
        assert count(connection, "profiles") == 0
        assert connection.execute("select title from public.projects order by 1").fetchall() == [("Nobody's",), (None,)]
        # what is the host's may change, what is ours must be there
        connection.execute(
            "alter table public.projects add column more int, alter params set default '[]';"
            "create policy theirs on public.projects using (true); grant all on public.projects to anon"
        )
        assert migrations.verify(connection) == []
        for statement in MISSING:
            with connection.transaction(force_rollback=True):
                connection.execute(statement.encode())
                assert len(migrations.verify(connection)) == 1, statement


def client_project(connection: Connection, user: UUID) -> UUID:
    row = connection.execute("select id from public.projects where user_id = %s", [user]).fetchone()
    assert row
    return UUID(str(row[0]))


DRIFTS = {
    "grant all on public.exports to anon": "+ grant",
    "alter table public.projects disable trigger touch, add column more int": "",
    "drop view public.users": "- ",
}


def test_verify_looks_closely_at_tables_that_are_ours(app_db: Connection) -> None:
    assert migrations.verify(app_db) == []
    for statement, drift in DRIFTS.items():
        with app_db.transaction(force_rollback=True):
            app_db.execute(statement.encode())
            lines = migrations.verify(app_db)
            assert lines, statement
            assert all(line.startswith(drift) for line in lines)


def test_a_host_that_makes_profiles_at_sign_up_goes_on_doing_so(templates: Templates) -> None:
    with templates.clone("plain") as database:
        with database.connect() as connection:
            connection.execute(
                """
                create table public.profiles (id uuid primary key references auth.users on delete cascade, email text);
                create function public.handle_new_user() returns trigger language plpgsql security definer as $$
                begin
                  insert into public.profiles (id, email) values (new.id, 'by the host');
                  return new;
                end $$;
                create trigger on_auth_user_created after insert on auth.users
                  for each row execute function public.handle_new_user();
                """
            )
            before = connection.execute("select pg_get_functiondef('public.handle_new_user'::regproc)").fetchone()
        with migrations.connect(database.dsn()) as connection:
            migrations.push(connection, more=["app"])
            user = sign_up(connection, "ada@example.com")
            assert connection.execute("select id, email from public.profiles").fetchall() == [(user, "by the host")]
            triggers = "select count(*) from pg_trigger where tgname = 'write_profile'"
            assert connection.execute(triggers).fetchone() == (0,)
            assert (
                connection.execute("select pg_get_functiondef('public.handle_new_user'::regproc)").fetchone() == before
            )
            assert connection.execute("select credits_balance from public.users").fetchall() == [(3,)]
            assert migrations.verify(connection) == []
            connection.execute("drop trigger remove_projects on auth.users")
            assert len(migrations.verify(connection)) == 1


def test_users_and_rows_of_before_are_taken_over(templates: Templates, flavour: str) -> None:
    with templates.clone(flavour) as database, migrations.connect(database.dsn()) as connection:
        users = {sign_up(connection, f"{number}@example.com") for number in range(5)}
        connection.execute("update auth.users set deleted_at = now() where id = %s", [sign_up(connection)])
        connection.execute("create table public.projects (id uuid primary key default gen_random_uuid(), user_id uuid)")
        connection.execute("insert into public.projects (user_id) values (gen_random_uuid())")
        migrations.push(connection, more=["app"])
        found = connection.execute("select id, email from public.profiles").fetchall()
        assert {id for id, _ in found} == users
        assert all(email for _, email in found)
        # the project of somebody who is gone stays, and there will be no other
        assert count(connection, "projects") == 1
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            project(connection, uuid4())
        assert migrations.verify(connection) == []
