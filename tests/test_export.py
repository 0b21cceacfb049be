"""The migrations as files for `supabase db push`: their names, and that both tools recognise what the other did.

A file is executed here as the Supabase CLI does, in one transaction of its own; tests/supabase_cli runs the real one.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from conftest import Database, Run
from test_migrations import push, snapshot, write

from credits_db import migrations

NAMES = [
    "20261121000100_credits_0001_core.sql",
    "20261121000200_credits_0002_join_auth.sql",
    "20261121000300_credits_0003_open_existing_accounts.sql",
]


def supabase_db_push(database: Database, folder: Path) -> None:
    with database.connect() as connection:
        for path in sorted(folder.iterdir()):
            with connection.transaction():
                connection.execute(path.read_bytes())


def test_export_writes_each_migration_once_under_a_name_that_stays(tmp_path: Path) -> None:
    folder = tmp_path / "supabase" / "migrations"
    assert [path.name for path in migrations.export(folder)] == NAMES
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert migrations.export(folder) == []
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_migration_of_a_newer_version_comes_after_all_that_is_there(tmp_path: Path, checkout: Path) -> None:
    migrations.export(tmp_path / "m")
    (tmp_path / "m" / "20270304050607_ours.sql").touch()
    (tmp_path / "m" / "notes.sql").touch()
    write(checkout, "0004_later", "-- depends: 0003_open_existing_accounts\nselect 1;\n")
    write(checkout, "0005_last", "-- depends: 0004_later\nselect 1;\n")
    names = [path.name for path in migrations.export(tmp_path / "m")]
    assert names == ["20270304050707_credits_0004_later.sql", "20270304050807_credits_0005_last.sql"]
    assert migrations.export(tmp_path / "m") == []


def test_an_edited_file_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    migrations.export(tmp_path)
    edited, gone = tmp_path / NAMES[0], tmp_path / NAMES[-1]
    text = edited.read_text().replace("signup_bonus", "gift")
    edited.write_text(text)
    gone.unlink()
    with pytest.raises(migrations.Refusal, match="0001_core.sql was edited"):
        migrations.export(tmp_path)
    assert (edited.read_text(), gone.exists()) == (text, False)


def test_a_file_that_was_deleted_before_a_later_one_is_missed(tmp_path: Path) -> None:
    migrations.export(tmp_path)
    (tmp_path / NAMES[1]).unlink()
    with pytest.raises(migrations.Refusal, match="0003_open_existing_accounts.sql is there, but a migration before it"):
        migrations.export(tmp_path)


def test_a_checkout_with_other_line_ends_is_not_an_edit_and_installs_the_same(
    database: Database, empty: Database, tmp_path: Path
) -> None:
    for path in migrations.export(tmp_path):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert migrations.export(tmp_path) == []
    with migrations.connect(empty.dsn()) as connection:
        migrations._prepare(connection)
    supabase_db_push(empty, tmp_path)
    assert snapshot(empty) == snapshot(database)


@pytest.mark.parametrize("name", ["2024-01-02_ours.sql", "1²_ours.sql", "0001_ours.sql", "20270101_ours.sql", "a.txt"])
def test_a_file_that_the_cli_would_not_have_named_is_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert [path.name for path in migrations.export(tmp_path)] == NAMES


def test_two_files_of_one_number_are_refused(tmp_path: Path) -> None:
    migrations.export(tmp_path)
    (tmp_path / "20261121000200_ours.sql").touch()
    with pytest.raises(migrations.Refusal, match="several migrations of 20261121000200"):
        migrations.export(tmp_path)


def spoil(folder: Path, how: str) -> Path:
    if how == "is a file":
        (folder / "file").touch()
        return folder / "file"
    if how == "is in a file":
        (folder / "file").touch()
        return folder / "file" / "migrations"
    if how == "holds a folder of our name":
        (folder / NAMES[0]).mkdir()
    if how == "holds no text of our name":
        (folder / NAMES[0]).write_bytes(b"\xff\xfe")
    return folder if how.startswith("holds") else Path("/proc/credits")


@pytest.mark.parametrize(
    "how", ["is a file", "is in a file", "holds a folder of our name", "holds no text of our name", "is not writable"]
)
def test_a_folder_that_is_none_is_refused_in_a_sentence(run: Run, tmp_path: Path, how: str) -> None:
    refused = run("export", str(spoil(tmp_path, how)))
    assert (refused.code, refused.out) == (1, "")
    assert "cannot be written, or holds what is no migration" in refused.err


def test_no_migration_ends_the_quotes_around_it() -> None:
    for migration in migrations.shipped():
        assert "$migration$" not in migration.path.read_text()
        assert "$export$" not in migration.path.read_text()


def test_a_database_filled_by_supabase_db_push_is_the_same_and_push_goes_on(
    empty: Database, database: Database, tmp_path: Path, checkout: Path
) -> None:
    with migrations.connect(empty.dsn()) as connection:
        migrations._prepare(connection)
    migrations.export(tmp_path / "m")
    supabase_db_push(empty, tmp_path / "m")
    assert snapshot(empty) == snapshot(database)
    with migrations.connect(empty.dsn()) as connection:
        assert migrations.verify(connection) == []
        assert migrations.push(connection) == []
    write(checkout, "0004_later", "-- depends: 0003_open_existing_accounts\nselect 1;\n")
    assert push(empty) == ["0004_later"]
    migrations.export(tmp_path / "m")
    supabase_db_push(empty, tmp_path / "m")
    assert len(snapshot(empty)[2]) == 4


def test_supabase_db_push_finds_nothing_to_do_where_push_was(database: Database, tmp_path: Path) -> None:
    before = snapshot(database)
    migrations.export(tmp_path)
    supabase_db_push(database, tmp_path)
    assert snapshot(database) == before


def test_an_exported_file_that_fails_leaves_nothing_and_says_why(empty: Database, tmp_path: Path) -> None:
    migrations.export(tmp_path)
    with empty.connect() as connection:
        connection.execute("create schema if not exists auth")
        connection.execute("create table public.credit_transactions (id int)")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        supabase_db_push(empty, tmp_path)
    with migrations.connect(empty.dsn()) as connection:
        assert migrations.history(connection) == {}


def test_the_command_names_what_it_wrote_and_what_comes_next(run: Run, tmp_path: Path) -> None:
    first = run("export", str(tmp_path))
    assert (first.code, first.out.count("✓")) == (0, 3)
    assert "supabase db push" in first.out
    assert "Nothing to write" in run("export", str(tmp_path)).out
    (tmp_path / NAMES[0]).write_text("")
    refused = run("export", str(tmp_path))
    assert (refused.code, refused.out) == (1, "")
    assert "was edited" in refused.err
