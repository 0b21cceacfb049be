"""sql/ is what the database is, migrations/ is how it came to be, push is what joins them."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import ROOT, Database, Templates, sign_up
from tenacity import wait_none

from credits_db import Client, local, migrations

SURFACE = ROOT / "sql" / "credits" / "surface.txt"
APP_SURFACE = ROOT / "sql" / "app" / "surface.txt"
COMMENTS = """
select c.relnamespace::regnamespace || '.' || c.relname || coalesce('.' || a.attname, '') || ': ' || d.description
from pg_description as d
join pg_class as c on c.oid = d.objoid and d.classoid = 'pg_class'::regclass
left join pg_attribute as a on a.attrelid = c.oid and a.attnum = d.objsubid and d.objsubid > 0
where c.relnamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
union all
select d.objoid::regprocedure || ': ' || d.description
from pg_description as d
join pg_proc as p on p.oid = d.objoid and d.classoid = 'pg_proc'::regclass
where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
order by 1
"""


def snapshot(database: Database) -> tuple[list[str], list[tuple[Any, ...]], list[str]]:
    with migrations.connect(database.dsn()) as connection:
        comments = connection.execute(COMMENTS).fetchall()
        return migrations.surface(connection), comments, list(migrations.history(connection))


def push(database: Database, **options: Any) -> list[str]:
    with migrations.connect(database.dsn()) as connection:
        return [migration.id for migration in migrations.push(connection, **options)]


def write(checkout: Path, name: str, text: str) -> Path:
    path = checkout / "migrations" / "credits" / f"{name}.sql"
    path.write_text(text)
    sums = subprocess.check_output("sha256sum */*.sql", shell=True, cwd=checkout / "migrations", text=True)
    (checkout / "migrations" / "SHA256SUMS").write_text(sums)
    return path


def edit(checkout: Path, name: str, change: Callable[[str], str]) -> None:
    path = checkout / "sql" / "credits" / name
    path.write_text(change(path.read_text()))


@pytest.mark.parametrize("tracks", [["credits"], ["credits", "app"]], ids=lambda tracks: tracks[-1])
def test_present_and_history_build_the_same_database(
    empty: Database, templates: Templates, flavour: str, tracks: list[str]
) -> None:
    with migrations.connect(empty.dsn()) as connection:
        migrations._prepare(connection)
        for path in (path for track in tracks for path in migrations._objects(track)):
            connection.execute(path.read_bytes())
    present, present_comments, _ = snapshot(empty)
    history, history_comments, _ = snapshot(templates.get(flavour, pushed="app" if "app" in tracks else True))
    assert present == history
    assert present_comments == history_comments


def test_the_surface_is_current(templates: Templates, pytestconfig: pytest.Config) -> None:
    surface, _, _ = snapshot(templates.get("plain", pushed=True))
    with_app, _, _ = snapshot(templates.get("plain", pushed="app"))
    assert set(surface) <= set(with_app)
    more = [line for line in with_app if line not in set(surface)]
    if pytestconfig.getoption("update"):
        SURFACE.write_text("\n".join(surface) + "\n")
        APP_SURFACE.write_text("\n".join(more) + "\n")
    assert surface == SURFACE.read_text().splitlines(), "run: make generate"
    assert more == APP_SURFACE.read_text().splitlines(), "run: make generate"


@pytest.mark.parametrize("track", migrations.TRACKS)
def test_every_replaceable_file_stands_verbatim_in_the_newest_migration_that_names_it(track: str) -> None:
    history = [path.read_text() for path in sorted((ROOT / "migrations" / track).glob("*.sql"))]
    for path in migrations._objects(track):
        label = path.relative_to(ROOT).as_posix()
        newest = next(text for text in reversed(history) if f"-- from {label}\n" in text)
        if "create or replace" in path.read_text():
            assert f"-- from {label}\n{path.read_text().rstrip()}\n-- end\n" in newest, f"{label}: credits-db new NAME"


def test_every_file_of_sql_is_listed_once_in_its_install() -> None:
    for track in (*migrations.TRACKS, "plain"):
        listed = migrations._objects(track)
        assert len(listed) == len(set(listed))
        assert set(listed) == set((ROOT / "sql" / track).rglob("*.sql")) - {ROOT / "sql" / track / "install.sql"}


def test_released_migrations_never_change() -> None:
    tags = subprocess.run(["git", "tag", "--list", "v*"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    present = set((ROOT / "migrations" / "SHA256SUMS").read_text().splitlines())
    for tag in tags:
        released = subprocess.check_output(["git", "show", f"{tag}:migrations/SHA256SUMS"], cwd=ROOT, text=True)
        assert set(released.splitlines()) <= present, f"{tag} was released with other migrations"
        for name in ("credits_db/export.sql", "credits_db/preflight.sql"):  # are in everybody's exported files
            assert subprocess.check_output(["git", "show", f"{tag}:{name}"], cwd=ROOT) == (ROOT / name).read_bytes()


@pytest.mark.parametrize("migration", migrations.shipped(migrations.TRACKS), ids=lambda migration: migration.id)
def test_a_migration_is_split_into_whole_statements_and_ends_in_a_check(migration: migrations.Migration) -> None:
    statements = migration.statements
    rest = migration.path.read_text()
    for statement in statements:
        before, found, rest = rest.partition(statement)
        assert found
        assert all(not line.strip() or line.startswith("--") for line in before.splitlines())
    assert not rest.strip()
    assert all(statement.rstrip().endswith(";") for statement in statements)
    assert re.search(r"-- check: .*\ndo \$\$.*raise exception", statements[-1], re.DOTALL)


def test_a_second_push_changes_nothing(database: Database) -> None:
    before = snapshot(database)
    assert push(database) == []
    assert snapshot(database) == before


@pytest.mark.session("yoyo sets a search_path")
def test_yoyo_agrees_and_nothing_of_it_is_in_public(database: Database) -> None:
    url = f"postgresql+psycopg://{database.owner}@/{database.name}?host={database.host}&port={database.port}"
    command = [sys.executable, "-m", "yoyo", "list", "--no-config-file", "--batch", "--database"]
    command += [f"{url}&schema=credits_private", str(ROOT / "migrations" / "credits")]
    listed = subprocess.check_output(command, text=True)
    assert re.findall(r"^(\w) +(\w+)", listed, re.MULTILINE) == [("A", m.id) for m in migrations.shipped()]
    with database.connect() as connection:
        query = "select relname from pg_class where relnamespace = 'public'::regnamespace and relname like '%yoyo%'"
        assert connection.execute(query).fetchall() == []


def test_a_dry_run_does_everything_and_leaves_nothing(empty: Database) -> None:
    before = snapshot_of_empty(empty)
    assert push(empty, dry_run=True) == [migration.id for migration in migrations.shipped()]
    assert snapshot_of_empty(empty) == before


def snapshot_of_empty(database: Database) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        query = "select nspname, relname from pg_class join pg_namespace as n on n.oid = relnamespace order by 1, 2"
        return connection.execute(query).fetchall()


def test_push_stops_where_it_is_told(empty: Database) -> None:
    assert push(empty, to="0001_core") == ["0001_core"]
    assert push(empty) == ["0002_join_auth", "0003_open_existing_accounts"]
    with migrations.connect(empty.dsn()) as connection, pytest.raises(migrations.Refusal, match="no migration 0010"):
        migrations.push(connection, to="0010_nothing")


def test_existing_users_get_accounts_and_push_asks_first(empty: Database) -> None:
    push(empty, to="0001_core")
    with empty.connect() as connection:
        connection.execute("set session_replication_role = replica")  # so that the trigger does not open accounts
        users = [sign_up(connection) for _ in range(5)]
        anonymous = sign_up(connection, is_anonymous=True)
    asked: list[str] = []

    def refuse(question: str) -> bool:
        asked.append(question)
        return False

    with pytest.raises(migrations.Refusal, match="settings set signup_bonus"):
        push(empty, confirm=refuse)
    assert asked == ["5 existing users get 3 credits each as their signup bonus, 15 in all."]
    push(empty)
    with empty.connect() as connection:
        client = Client(connection)
        assert [client.get_user_credits_for(user).credits_remaining for user in users] == [3] * 5
        assert client.get_user_credits_for(anonymous).last_seq == 0
        assert client.verify_ledger() == []


def test_a_database_without_users_to_reward_is_not_asked_about(empty: Database) -> None:
    assert len(push(empty, confirm=lambda question: pytest.fail(question))) == 3


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("select 1 / 0;", 5),
        ("selekt;", 5),
        ("create table public.user_credits ();", 5),
        ("do $$\nbegin\n  raise 'no';\nend $$;", 5),
    ],
)
def test_a_failing_migration_leaves_nothing_and_names_file_and_line(
    database: Database, checkout: Path, statement: str, line: int
) -> None:
    before = snapshot(database)
    head = "-- depends: 0003_open_existing_accounts\n\ncreate table public.half ();\n-- now it fails\n"
    path = write(checkout, "0004_fails", f"{head}{statement}\n")
    with pytest.raises(psycopg.Error) as caught:
        push(database)
    assert caught.value.__notes__ == [f"{path}:{line}"]
    assert snapshot(database) == before


def test_an_applied_migration_that_was_edited_is_refused(database: Database, checkout: Path) -> None:
    path = checkout / "migrations" / "credits" / "0002_join_auth.sql"
    write(checkout, "0002_join_auth", path.read_text() + "-- better\n")
    with pytest.raises(migrations.Refusal, match="0002_join_auth was edited after it was applied"):
        push(database)


def test_a_file_that_does_not_match_its_checksum_is_refused(empty: Database, checkout: Path) -> None:
    with (checkout / "migrations" / "credits" / "0001_core.sql").open("a") as file:
        file.write("select 1;\n")
    with pytest.raises(migrations.Refusal, match="not the file that SHA256SUMS names"):
        push(empty)


def test_a_database_ahead_of_the_package_is_refused(database: Database, checkout: Path) -> None:
    path = write(checkout, "0004_later", "-- depends: 0003_open_existing_accounts\nselect 1;\n")
    assert push(database) == ["0004_later"]
    path.unlink()
    with pytest.raises(migrations.Refusal, match="0004_later, which this version .* Upgrade credits-db"):
        push(database)


def test_a_migration_that_comes_late_is_refused(database: Database, checkout: Path) -> None:
    write(checkout, "0002a_late", "-- depends: 0001_core\nselect 1;\n")
    with pytest.raises(migrations.Refusal, match="0002a_late comes before a migration that the database already has"):
        push(database)


def test_half_a_schema_auth_is_refused(templates: Templates) -> None:
    with templates.clone("plain", pushed=False) as database:
        with database.connect() as connection:
            connection.execute("create schema auth")
        with pytest.raises(migrations.Refusal, match="no table auth.users"):
            push(database)


def test_several_pushes_at_once_apply_each_migration_once(empty: Database) -> None:
    done: list[str] = []
    threads = [threading.Thread(target=lambda: done.extend(push(empty))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [migration.id for migration in migrations.shipped()]


def test_a_push_that_cannot_get_a_lock_gives_up_and_leaves_nothing(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(empty, to="0001_core")
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", "20ms")
    monkeypatch.setattr(migrations._apply.retry, "wait", wait_none())
    with empty.connect() as holder, holder.transaction():
        holder.execute("lock table public.user_credits in access share mode")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            push(empty)
        with migrations.connect(empty.dsn()) as connection:
            assert list(migrations.history(connection)) == ["0001_core"]
    assert push(empty) == ["0002_join_auth", "0003_open_existing_accounts"]


def test_a_push_that_waits_for_another_gives_up_in_time(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "PUSH_TIMEOUT", "20ms")
    monkeypatch.setattr(migrations._prepare.retry, "wait", wait_none())
    with migrations.connect(empty.dsn()) as other, other.transaction():
        migrations._lock(other)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            push(empty)
    assert len(push(empty)) == 3


def test_pushes_at_once_are_right_whatever_isolation_the_database_starts_with(templates: Templates) -> None:
    with templates.clone("plain", pushed=False) as database:
        with database.connect() as connection:
            setting = "set default_transaction_isolation = 'repeatable read'"
            connection.execute(f"alter database {database.name} {setting}".encode())
        test_several_pushes_at_once_apply_each_migration_once(database)


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("create table public.user_credits (id int)", "user_credits"),
        ("create view public.credit_transactions as select 1 as a", "credit_transactions"),
        ("create sequence public.user_credits", "user_credits"),
        ("create type public.credit_usage as enum ()", "credit_usage"),
        ("create function public.consume_credit() returns int language sql return 1", "consume_credit"),
    ],
)
def test_what_is_in_the_way_is_named(empty: Database, statement: str, name: str) -> None:
    with empty.connect() as connection:
        connection.execute(statement.encode())
    with pytest.raises(
        migrations.Refusal, match=rf"public.{name}: (?s:.*)alter \w+ public.{name}.* rename to {name}_before;"
    ):
        push(empty)


def test_users_without_uuid_are_refused(templates: Templates) -> None:
    with templates.clone("plain", pushed=False) as database:
        with database.connect() as connection:
            connection.execute("create schema auth create table users (id bigint, is_anonymous boolean)")
            connection.execute("create function auth.uid() returns uuid language sql return null::uuid")
        with pytest.raises(migrations.Refusal, match="id uuid"):
            push(database)


def push_and_say_so(dsn: str, said: Any) -> None:
    with migrations.connect(dsn) as connection:
        said.release()  # connected
        migrations.push(connection, report=lambda _: said.release())  # and each migration


@pytest.mark.session("a process that is killed, and its connections")
@pytest.mark.parametrize("fifth", range(5 if "CI" in os.environ else 1))  # fifty kills in CI, ten elsewhere
def test_a_push_killed_at_random_points_ends_in_the_same_database(templates: Templates, fifth: int) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["test_migrations"])
    luck = random.Random(20260207 + fifth)
    expected = snapshot(templates.get("supabase", pushed=True))
    began = time.monotonic()
    with templates.clone("supabase", pushed=False) as database:
        push(database)
    duration = time.monotonic() - began
    left: set[int] = set()
    for _ in range(2):
        with templates.clone("supabase", pushed=False) as database:
            stand = 0
            for kill in range(1, 6):  # each goes on where the one before was killed
                said = context.Semaphore(0)
                process = context.Process(target=push_and_say_so, args=(database.dsn(), said))
                process.start()
                between = kill in {2, 4} and stand < len(migrations.shipped())  # migrations, not within one
                for _ in range(2 if between else 1):
                    assert said.acquire(timeout=20)
                time.sleep(luck.uniform(0, 0.01 if between else duration * kill / 5))
                process.kill()
                process.join()
                with migrations.connect(database.dsn()) as connection:
                    stand = len(migrations.history(connection))
                left.add(stand)
            push(database)
            assert snapshot(database) == expected
    assert left - {0, len(migrations.shipped())}, "the kills did not fall between migrations"


@contextmanager
def virgin_server() -> Iterator[local.Server]:
    """A cluster in which nobody has made a role yet."""
    home = tempfile.mkdtemp(prefix="credits")
    os.chmod(home, 0o755)  # the server of root runs as somebody else
    try:
        with local.running(Path(home) / "pg", durable=False) as server:
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.session("a server of its own")
def test_plain_postgres_needs_no_superuser_and_gets_the_roles_it_lacks() -> None:
    with virgin_server() as server:
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("create role app_owner login createrole")
            admin.execute("create database app owner app_owner")
            admin.execute("create role second_owner login")
            admin.execute("create database second owner second_owner")
        dsn = server.dsn("app").replace("postgres@", "app_owner@")
        with migrations.connect(dsn) as connection:
            connection.execute("revoke all on schema public from public")
            migrations.push(connection)
            assert migrations.verify(connection) == []
            user = sign_up(connection)
            client = Client(connection)
            assert client.as_user(user).consume_credit(2).balance_after == 1
            with connection.transaction():
                connection.execute("set local role service_role")
                assert client.add_credits_for(user, 5).balance_after == 6
                connection.execute(
                    "insert into public.credit_transactions (user_id, type, amount) values (%s, 'bonus', 4)", [user]
                )
            assert client.get_user_credits_for(user).credits_remaining == 10
            assert client.verify_ledger() == []
        # the roles are there now, and belong to somebody else
        with migrations.connect(server.dsn("second").replace("postgres@", "second_owner@")) as connection:
            migrations.push(connection)
            assert migrations.verify(connection) == []
            assert Client(connection).consume_credit_for(sign_up(connection)).balance_after == 2


DRIFTS = {
    "grant select on public.user_credits to anon": ["+ grant select on table public.user_credits to anon"],
    "revoke select on public.user_credits from authenticated": [
        "- grant select on table public.user_credits to authenticated"
    ],
    "alter table public.user_credits add column gift int": ["+ column public.user_credits.gift integer"],
    "alter table public.user_credits disable row level security": [
        "- table public.user_credits with fillfactor=90, row level security",
        "+ table public.user_credits with fillfactor=90",
    ],
    'drop policy "users read their own balance" on public.user_credits': [
        '- policy public.user_credits "users read their own balance" for r to authenticated'
        " using (user_id = ( SELECT auth.uid() AS uid))"
    ],
    "create policy gift on public.user_credits for update to authenticated using (true)": [
        "+ policy public.user_credits gift for w to authenticated using true"
    ],
    "create function public.consume_credit(a text) returns int language sql return 1": [
        "+ function public.consume_credit(a text) returns integer, sql volatile, body d41d8cd98f00b204e9800998ecf8427e",
        "+ grant execute on function public.consume_credit(text) to public",
    ],
    "create index gift on public.credit_transactions (created_at)": [
        "+ index CREATE INDEX gift ON public.credit_transactions USING btree (created_at)"
    ],
}


@pytest.mark.parametrize("statement", DRIFTS)
def test_verify_names_what_has_drifted(templates: Templates, statement: str) -> None:
    with templates.clone("plain") as database, migrations.connect(database.dsn()) as connection:
        assert migrations.verify(connection) == []
        connection.execute(statement.encode())
        assert migrations.verify(connection) == DRIFTS[statement]


@pytest.mark.parametrize(
    "statement",
    [
        "alter table public.credit_transactions enable trigger keep_ledger",
        "alter table public.credit_transactions disable trigger post_transaction",
        "create or replace function credits_private.now() returns timestamptz language plpgsql set search_path = '' "
        "as 'begin return timestamptz ''2030-01-01''; end'",
        "alter function credits_private.spend reset search_path",
        "alter function public.consume_credit security definer",
        'alter table public.credit_transactions alter idempotency_key type text collate "default"',
        "alter type public.credit_transaction_type add value 'gift'",
        "drop trigger close_account on public.user_credits",
        "alter table public.user_credits drop constraint user_credits_held_not_negative",
        "alter table public.user_credits force row level security",
        "create rule gift as on insert to public.credit_transactions do instead nothing",
        "delete from credits_private.settings where name = 'signup_bonus'",
        "revoke usage on schema public from public, authenticated",
        "grant insert on credits_private.migrations to authenticated",
        "alter function credits_private.record_migration security definer",
    ],
)
def test_verify_notices_a_guard_that_is_gone(templates: Templates, statement: str) -> None:
    with templates.clone("plain") as database, migrations.connect(database.dsn()) as connection:
        connection.execute(statement.encode())
        assert migrations.verify(connection)


def test_verify_passes_over_what_is_the_hosts_own(database: Database) -> None:
    with migrations.connect(database.dsn()) as connection:
        connection.execute("create table public.orders (id int); grant all on public.orders to anon")
        connection.execute("create function public.theirs() returns int language sql return 1")
        connection.execute("create function public.id(int) returns int language sql return 1")
        connection.execute("select credits_private.set_setting('user_spending', 'off')")
        assert migrations.verify(connection) == []
        connection.execute("grant execute on function public.consume_credit to authenticated")
        assert len(migrations.verify(connection)) == 1


def test_a_migration_that_replaces_consume_credit_leaves_user_spending_off(database: Database, checkout: Path) -> None:
    edit(checkout, "rpc/consume_credit.sql", lambda text: text.replace("Take credits", "Takes credits"))
    with migrations.connect(database.dsn()) as connection:
        connection.execute("select credits_private.set_setting('user_spending', 'off')")
        text = migrations.new("reword").read_text().replace("raise exception 'write the check'", "null")
        write(checkout, "0004_reword", text)
        assert [migration.id for migration in migrations.push(connection)] == ["0004_reword"]
        function = "public.consume_credit(bigint, text, jsonb, text)"
        query = "select has_function_privilege('authenticated', %s, 'execute')"
        assert connection.execute(query, [function]).fetchone() == (False,)


def test_verify_of_a_database_that_is_behind_or_was_tampered_with_says_so(empty: Database) -> None:
    push(empty, to="0001_core")
    with migrations.connect(empty.dsn()) as connection:
        with pytest.raises(migrations.Refusal, match="push first"):
            migrations.verify(connection)
        migrations.push(connection)
        connection.execute("update credits_private.migrations set sha256 = 'x' where id = '0001_core'")
        with pytest.raises(migrations.Refusal, match="0001_core was edited"):
            migrations.verify(connection)


def test_verify_of_a_database_without_credits_says_push_first(empty: Database) -> None:
    with migrations.connect(empty.dsn()) as connection, pytest.raises(migrations.Refusal, match="push first"):
        migrations.verify(connection)


def test_new_snapshots_what_changed_and_stops_for_what_a_person_must_write(database: Database, checkout: Path) -> None:
    with pytest.raises(migrations.Refusal, match="Nothing in sql/ differs"):
        migrations.new("nothing")
    with pytest.raises(migrations.Refusal, match="lowercase"):
        migrations.new("Cap Spend")
    edit(
        checkout, "private/refuse_spend.sql", lambda text: text.replace("Add credits, or spend fewer.", "Add credits.")
    )
    edit(checkout, "tables/user_credits.sql", lambda text: text.replace("fillfactor = 90", "fillfactor = 80"))
    path = migrations.new("shorter_hint")
    assert path.name == "0004_shorter_hint.sql"
    text = path.read_text()
    assert "-- depends: 0003_open_existing_accounts" in text
    assert "hint = 'Add credits.'" in text
    assert "write the change of sql/credits/tables/user_credits.sql here" in text
    write(checkout, path.stem, text)
    with pytest.raises(psycopg.errors.RaiseException, match="here"):
        push(database)
    by_hand = re.sub(
        r"do \$\$ begin raise exception 'write the ch[^;]*; end \$\$;",
        "alter table public.user_credits set (fillfactor = 80);",
        text,
        count=1,
    )
    by_hand = by_hand.replace("do $$ begin raise exception 'write the check'; end $$;", "select 1;")
    write(checkout, path.stem, by_hand)
    assert push(database) == ["0004_shorter_hint"]
    with database.connect() as connection:
        options = connection.execute(
            "select reloptions from pg_class where oid = 'public.user_credits'::regclass"
        ).fetchone()
    assert options == (["fillfactor=80"],)


def test_new_stops_for_a_signature_that_changed(checkout: Path) -> None:
    edit(
        checkout, "private/read_operation.sql", lambda text: text.replace("p_user_id uuid,", "p_user_id uuid, p_x int,")
    )
    text = migrations.new("more").read_text()
    assert "raise exception 'drop what sql/credits/private/read_operation.sql was, by hand'" in text
    assert text.index("drop what") < text.index("p_x int")


def test_the_definition_of_an_object_is_its_file() -> None:
    assert migrations.definition("spend") == (ROOT / "sql" / "credits" / "private" / "spend.sql").read_text()
    assert "create table public.user_credits" in migrations.definition()
    with pytest.raises(migrations.Refusal, match="Did you mean consume_credit"):
        migrations.definition("consume_credt")


def test_no_lock_outlives_a_push(database: Database) -> None:
    with migrations.connect(database.dsn()) as connection:
        migrations.push(connection)
        mine = "database = (select oid from pg_database where datname = current_database())"
        query = f"select count(*) from pg_locks where locktype = 'advisory' and {mine}"
        assert connection.execute(query.encode()).fetchone() == (0,)
