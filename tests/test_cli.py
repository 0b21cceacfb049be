"""The command: what it prints, its exit codes, and that it never shows a password or a traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Database, Run, Templates

from credits_db import local, migrations

IDS = [migration.id for migration in migrations.shipped()]


def test_help_names_every_command_and_is_fast() -> None:
    began = time.monotonic()
    shown = subprocess.check_output([sys.executable, "-m", "credits_db.cli", "--help"], text=True)
    for command in ("push", "status", "verify", "sql", "new", "settings", "local", "demo"):
        assert f"\n  {command} " in shown
    assert "psycopg" not in subprocess.check_output(
        [sys.executable, "-c", "import sys, credits_db.cli; print(*sys.modules)"], text=True
    ), "help would wait for the database driver"
    assert time.monotonic() - began < 20


def test_without_a_database_it_refuses_and_names_the_three_ways(run: Run) -> None:
    for command in ("push", "status", "verify"):
        outcome = run(command)
        assert outcome.code == 1
        assert all(way in outcome.err for way in ("--db-url", "DATABASE_URL", "--local"))
    assert "not both" in run("push", "--local", "--db-url", "postgresql://x").err


def test_push_status_verify_from_empty_to_done(run: Run, empty: Database) -> None:
    url = ["--db-url", empty.dsn()]
    assert json.loads(run("status", *url, "--json").out) == {"database": empty.name, "applied": [], "pending": IDS}
    assert run("status", *url).code == 1
    assert "push first" in run("verify", *url).err
    dry = run("push", *url, "--dry-run")
    assert (dry.code, "3 to apply. Nothing was changed." in dry.out) == (0, True)
    pushed = run("push", *url)
    assert (pushed.code, [id in pushed.out for id in IDS]) == (0, [True] * 3)
    assert "up to date" in run("push", *url).out
    assert json.loads(run("status", *url, "--json").out)["applied"] == IDS
    assert run("status", *url).code == 0
    assert "is what credits-db ships" in run("verify", *url).out
    with empty.connect() as connection:
        connection.execute("grant delete on public.user_credits to anon")
    drift = run("verify", *url)
    assert (drift.code, drift.out) == (2, "+ grant delete on table public.user_credits to anon\n")
    assert json.loads(run("verify", *url, "--json").out)["drift"] == drift.out.splitlines()


def test_push_asks_before_it_gives_credits_to_existing_users(run: Run, empty: Database) -> None:
    url = ["--db-url", empty.dsn()]
    run("push", *url, "--to", "0001_core")
    with empty.connect() as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("insert into auth.users (id) select gen_random_uuid() from generate_series(1, 4)")
    refused = run("push", *url)
    assert refused.code == 1
    assert "4 existing users get 3 credits each as their signup bonus, 12 in all." in refused.out
    assert "Stopped before 0003_open_existing_accounts" in refused.err
    assert run("settings", "set", "signup_bonus", "5", *url).code == 0
    accepted = run("push", *url, "--yes")
    assert (accepted.code, "get 5 credits each" in accepted.out) == (0, True)


def test_settings_are_listed_and_set_and_wrong_values_refused(run: Run, database: Database) -> None:
    url = ["--db-url", database.dsn()]
    assert json.loads(run("settings", "list", *url, "--json").out) == {"signup_bonus": "3", "user_spending": "on"}
    assert run("settings", "set", "signup_bonus", "7", *url).out == "✓ signup_bonus is 7\n"
    assert "signup_bonus" in run("settings", "list", *url).out
    for name, value, message in (
        ("signup_bonus", "1000001", "signup_bonus is a whole number from 0 to 1000000. (invalid_argument)"),
        ("user_spending", "maybe", "user_spending is on or off. (invalid_argument)"),
        ("nothing", "1", "There is no such setting"),
    ):
        outcome = run("settings", "set", name, value, *url)
        assert outcome.code == 1
        assert message in outcome.err


def test_sql_prints_the_present_definition(run: Run) -> None:
    assert "create or replace function public.consume_credit(" in run("sql", "consume_credit").out
    assert "Did you mean" in run("sql", "consume_credt").err
    assert run("sql").out.count("create or replace function") > 30


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://me:hunter2@127.0.0.1:1/app", "Connection refused"),
        ("postgresql://me:hunter2@/app?host=/nowhere", "/nowhere"),
        ("nonsense hunter2", "That is no database URL"),
        ("postgresql://me:hunter2@host/app?bad=1", "That is no database URL"),
    ],
)
def test_a_bad_database_is_a_sentence_without_the_password(run: Run, url: str, message: str) -> None:
    outcome = run("status", "--db-url", url)
    assert outcome.code == 1
    assert message in outcome.err
    assert "hunter2" not in outcome.out + outcome.err
    assert "Traceback" not in outcome.err


def test_a_database_without_credits_says_push_first(run: Run, empty: Database) -> None:
    assert "has no credits-db yet" in run("settings", "list", "--db-url", empty.dsn()).err


@pytest.mark.parametrize(
    "arguments",
    [
        ["push", "postgresql://me:hunter2@host/app"],
        ["status", "--db-url", "postgresql://me:p@sshunter2@localhost/app"],
        ["verify", "--dburl=postgresql://me:hunter2@host/app"],
    ],
)
def test_a_password_in_the_wrong_place_is_not_shown(run: Run, arguments: list[str]) -> None:
    outcome = run(*arguments)
    assert outcome.code == 1
    assert outcome.err
    assert "hunter2" not in outcome.out + outcome.err


def test_a_negative_value_is_out_of_bounds_and_no_option(run: Run, database: Database) -> None:
    outcome = run("settings", "set", "--db-url", database.dsn(), "signup_bonus", "-5")
    assert "signup_bonus is a whole number from 0 to 1000000." in outcome.err


def test_a_mistyped_command_is_refused_and_is_no_drift(run: Run) -> None:
    for arguments in (["verify", "--typo"], ["pusch"], ["settings", "set", "signup_bonus"]):
        outcome = run(*arguments)
        assert outcome.code == 1
        assert "Usage:" in outcome.err


def test_the_database_may_come_from_the_environment(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database.dsn())
    assert run("status").code == 0


def test_demo_takes_the_whole_tour_and_leaves_no_database(run: Run, templates: Templates) -> None:
    server = templates.get("plain", pushed=True)
    url = server.dsn().replace(f"/{server.name}?", "/postgres?")
    tour = run("demo", "--db-url", url)
    assert tour.code == 0
    assert "insufficient_credits" in tour.out
    assert "the same ledger row again" in tour.out
    assert tour.out.count("clean") == 2
    with server.connect() as connection:
        query = "select count(*) from pg_database where datname like 'credits_demo_%'"
        assert connection.execute(query).fetchone() == (0,)


def test_every_command_of_the_readme_exists(run: Run) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    commands = {line.split("#")[0].split()[1] for line in readme.splitlines() if line.startswith("credits-db ")}
    assert commands
    for command in commands:
        assert run(command, "--help").code == 0


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for the embedded Postgres of this test; the server of root must be able to reach it."""
    folder = Path(tempfile.mkdtemp(prefix="credits"))
    folder.chmod(0o755)
    monkeypatch.setenv("CREDITS_DB_HOME", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_the_embedded_postgres_goes_up_and_down(run: Run, home: Path) -> None:
    assert run("local", "status").code == 1
    assert run("push", "--local").code == 0  # starts it, and stops it again
    assert json.loads(run("local", "status", "--json").out)["running"] is False
    url = run("local", "up").out.strip()
    try:
        assert run("local", "up").out.strip() == url
        assert run("local", "status").out.startswith("Running (pid ")
        assert "up to date" in run("push", "--db-url", url).out
        assert run("push", "--local").code == 0
        assert run("local", "psql", "-Atc", "select count(*) from credits_private.migrations").code == 0
        assert run("demo").code == 0
    finally:
        stopped = run("local", "down")
    assert (stopped.code, stopped.out) == (0, "Stopped.\n")
    assert run("local", "down").out == "It was not running.\n"
    assert str(home) in run("local", "status").out


def test_without_psql_it_says_what_to_install(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = home / "bin"
    bare.mkdir()
    for program in ("initdb", "postgres"):
        (bare / program).symlink_to(local.bin_dir() / program)
    monkeypatch.setattr(local, "bin_dir", lambda: bare)
    monkeypatch.setenv("PATH", str(bare))
    refused = run("local", "psql")
    assert (refused.code, refused.out) == (1, "")
    assert "apt-get install postgresql-client" in refused.err
