"""`supabase db push` of exported files, and docs/supabase.md followed to the letter in a project of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Database, sign_up
from test_migrations import push, snapshot
from test_readme import blocks

from credits_db import Client, migrations
from supabase_cli.conftest import CLI, SILENCE, Supabase

DOCUMENT = ROOT / "docs" / "supabase.md"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a migration of its own in supabase/migrations."""
    folder = tmp_path / "supabase" / "migrations"
    folder.mkdir(parents=True)
    (folder / "20260101000000_films.sql").write_text("create table public.films (id bigint primary key);\n")
    return tmp_path


def follow(block: str, database: Database, project: Path) -> str:
    """Run a bash block as written: uvx runs the credits-db of this checkout, npx the CLI, told which database."""
    tools = project / "tools"
    tools.mkdir(exist_ok=True)
    remote = database.dsn().replace("@/", "@localhost/") + "&sslmode=disable"
    for name, command in {
        "credits-db": f'{sys.executable} -m credits_db.cli "$@"',
        "uvx": 'exec "$@"',
        "npx": f"shift; {CLI} \"$@\" --yes '--remote={remote}'",
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{command}\n")
        (tools / name).chmod(0o755)
    env = {**SILENCE, "HOME": str(project), "PATH": f"{tools}:{os.defpath}", "DATABASE_URL": database.dsn()}
    env["PYTHONPATH"] = str(ROOT)
    words = ["bash", "-euo", "pipefail", "-c", block]
    done = subprocess.run(words, cwd=project, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_document_installs_sets_the_bonus_upgrades_and_generates_types(
    supabase: Supabase, empty: Database, project: Path
) -> None:
    install, push_from_python, upgrade, types = blocks("bash", DOCUMENT)
    bonus, no_spending, take_out = blocks("sql", DOCUMENT)
    published = "select tablename from pg_publication_tables where pubname = 'supabase_realtime' order by 1"
    with empty.connect() as owner:
        user = sign_up(owner)
        follow(install.splitlines()[0], empty, project)
        (project / "supabase" / "migrations" / "20261121000250_signup_bonus.sql").write_text(bonus)
        assert "20261121000250_signup_bonus.sql" in DOCUMENT.read_text()
        follow(install, empty, project)
        assert Client(owner).get_user_credits_for(user).credits_remaining == 10
        assert "up to date" in follow(push_from_python, empty, project)
        assert "is what credits-db ships" in follow(upgrade, empty, project)
        follow(types, empty, project)
        assert "consume_credit_for" in (project / "database.ts").read_text()
        owner.execute(no_spending.encode())
        assert owner.execute(published.encode()).fetchall() == [("credit_transactions",), ("user_credits",)]
        owner.execute(take_out.encode())
        assert migrations.verify(owner) == []
    listed = supabase(empty, "migration", "list", "--output-format", "json", cwd=project)
    pairs = [(row["local"], row["remote"]) for row in json.loads(listed.stdout)["migrations"]]
    assert len(pairs) == 2 + len(list((ROOT / "migrations" / "credits").glob("*.sql")))  # films, the bonus, and ours
    assert all(local == remote for local, remote in pairs)


def test_a_database_that_credits_db_pushed_takes_the_exported_files_and_stays_the_same(
    supabase: Supabase, empty: Database, project: Path
) -> None:
    push(empty)
    before = snapshot(empty)
    migrations.export(project / "supabase" / "migrations")
    done = supabase(empty, "db", "push", "--yes", cwd=project)
    assert done.returncode == 0, done.stderr
    surface, comments, history = snapshot(empty)
    assert ([line for line in surface if "films" not in line], comments, history) == before


def test_a_refusal_is_short_and_says_what_to_do(supabase: Supabase, empty: Database, project: Path) -> None:
    with empty.connect() as owner:
        owner.execute("create table public.user_credits (id int)")
    migrations.export(project / "supabase" / "migrations")
    done = supabase(empty, "db", "push", "--yes", cwd=project)
    assert done.returncode == 1
    assert "There is already public.user_credits, and it is not credits-db's." in done.stderr
    assert len(done.stderr.splitlines()) < 80  # the migrations themselves have thousands of lines
    with migrations.connect(empty.dsn()) as connection:
        assert migrations.history(connection) == {}
