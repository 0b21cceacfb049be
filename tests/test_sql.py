"""Runs the promises of the database: every file of tests/sql, on every kind of database.

A file is pgTAP: plan, assertions, finish, in one transaction that is rolled back. Where the server has the
extension (Debian's does) it is used; elsewhere tests/tap.sql stands in, with the few functions that the files
call. A file must pass with either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import FLAVOURS, HERE, Pushed, Templates

FILES = sorted((HERE / "sql").glob("*.sql"))
APP = sorted((HERE / "sql" / "app").glob("*.sql"))
EVERYWHERE = [  # also true of the track app
    HERE / "sql" / f"{name}.sql"
    for name in (
        "definer_functions_belong_to_the_owner",
        "every_object_has_a_comment",
        "functions_pin_their_search_path",
        "the_private_schema_is_closed",
    )
]
ROLES = re.compile(r"role (anon|authenticated|service_role)|has_\w+_privilege|pg_policies")


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


@pytest.fixture(scope="session")
def tap(request: pytest.FixtureRequest, templates: Templates) -> Any:
    yield from tapped(templates, request.param, True)


@pytest.fixture(scope="session")
def app_tap(request: pytest.FixtureRequest, templates: Templates) -> Any:
    yield from tapped(templates, request.param, "app")


def tapped(templates: Templates, flavour: str, pushed: Pushed) -> Iterator[psycopg.Connection[Any]]:
    with templates.clone(flavour, pushed=pushed) as database:
        with database.connect("postgres") as connection:
            load_tap(connection)
        with database.connect() as connection:
            yield connection


def everywhere(files: list[Path]) -> list[Any]:
    """Each file on each kind of database; where nothing is exposed by itself, those that are about roles."""
    return [
        pytest.param(flavour, path, id=f"{flavour}-{path.stem}")
        for flavour in FLAVOURS
        for path in files
        if flavour != "supabase_closed" or ROLES.search(path.read_text())
    ]


@pytest.mark.parametrize(("tap", "path"), everywhere(FILES), indirect=["tap"])
def test_the_database_keeps_its_promise(tap: psycopg.Connection[Any], path: Path) -> None:
    assert_keeps(tap, path)


@pytest.mark.parametrize(("app_tap", "path"), everywhere(APP + EVERYWHERE), indirect=["app_tap"])
def test_the_app_keeps_its_promise(app_tap: psycopg.Connection[Any], path: Path) -> None:
    assert_keeps(app_tap, path)


def assert_keeps(tap: psycopg.Connection[Any], path: Path) -> None:
    lines = run(tap, path)
    plan = next((int(line[3:]) for line in lines if line.startswith("1..")), 0)
    results = [line for line in lines if line.startswith(("ok", "not ok"))]
    assert plan > 0
    assert len(results) == plan, "\n".join(lines)
    assert not [line for line in results if line.startswith("not ok")], "\n".join(lines)


def test_every_promise_has_a_file() -> None:
    assert len(FILES) > 10
    assert len(APP) > 5
