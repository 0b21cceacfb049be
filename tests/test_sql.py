"""Runs the promises of the database: every file of tests/sql, on every kind of database.

A file is pgTAP: plan, assertions, finish, in one transaction that is rolled back. Where the server has the
extension (Debian's does) it is used; elsewhere tests/tap.sql stands in, with the few functions that the files
call. A file must pass with either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import FLAVOURS, HERE, Templates

FILES = sorted((HERE / "sql").glob("*.sql"))


def load_tap(connection: psycopg.Connection[Any]) -> None:
    """pgTAP in a schema of its own, or its stand-in."""
    found = connection.execute("select 1 from pg_available_extensions where name = 'pgtap'").fetchone()
    connection.execute("create schema if not exists tap")
    if found:
        connection.execute("create extension if not exists pgtap schema tap")
    else:
        connection.execute((HERE / "tap.sql").read_bytes())
    connection.execute("grant usage on schema tap to public")


def run(connection: psycopg.Connection[Any], path: Path) -> list[str]:
    """Execute a file and return its TAP lines."""
    connection.rollback()  # what a file before this one may have left
    connection.execute("set search_path = tap, public")
    cursor = connection.execute(path.read_bytes())
    lines: list[str] = []
    while True:
        if cursor.description:
            lines += [
                str(row[0])
                for row in cursor.fetchall()
                if str(row[0] or "").lstrip().startswith(("ok", "not ok", "1..", "#"))
            ]
        if not cursor.nextset():
            return lines


@pytest.fixture(scope="session", params=FLAVOURS)
def tap(request: pytest.FixtureRequest, templates: Templates) -> Any:
    with templates.clone(request.param) as database:
        with database.connect("postgres") as connection:
            load_tap(connection)
        with database.connect() as connection:
            yield connection


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_database_keeps_its_promise(tap: psycopg.Connection[Any], path: Path) -> None:
    lines = run(tap, path)
    plan = next((int(line[3:]) for line in lines if line.startswith("1..")), 0)
    results = [line for line in lines if line.startswith(("ok", "not ok"))]
    assert plan > 0
    assert len(results) == plan, "\n".join(lines)
    assert not [line for line in results if line.startswith("not ok")], "\n".join(lines)


def test_every_promise_has_a_file() -> None:
    assert len(FILES) > 10
