"""Every block of the README runs: the Python, the SQL and the commands as they stand, the JavaScript as its RPCs."""

from __future__ import annotations

import json
import re
import sys
from typing import Any
from uuid import UUID

import psycopg
import pytest
from conftest import ROOT, Database
from psycopg import sql

from credits_db import Client, cli

BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
LANGUAGES = ("python", "bash", "sql", "js")


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


def test_every_block_has_a_language_that_is_run_below() -> None:
    assert {language for language, _ in BLOCKS} == set(LANGUAGES)
    assert [len(blocks(language)) for language in LANGUAGES] == [1, 2, 1, 2]


def test_the_python_example_sells_spends_and_runs_dry(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    user = database.sign_up()
    names = {"DATABASE_URL": database.dsn(), "user_id": user}
    exec(blocks("python")[0], names)
    exec(blocks("python")[0], names)
    assert capsys.readouterr().out == "93 credits left\n" * 2
    with database.connect() as connection:
        Client(connection).consume_credit_for(user, 90)
    exec(blocks("python")[0].replace("job-1", "job-2"), names)
    assert capsys.readouterr().out == "You have 3 credits.\n"


def as_user(connection: psycopg.Connection[Any], user: UUID, function: str, arguments: dict[str, object]) -> Any:
    """What PostgREST does for supabase.rpc(function, arguments) with this user's token."""
    named = sql.SQL(", ").join(sql.SQL("{} => {}").format(sql.Identifier(n), sql.Placeholder(n)) for n in arguments)
    with connection.transaction():
        claims = json.dumps({"sub": str(user), "role": "authenticated"})
        connection.execute(
            "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', %s, true)", [claims]
        )
        query = sql.SQL("select to_jsonb(f) from {}({}) as f").format(sql.Identifier("public", function), named)
        row = connection.execute(query, arguments).fetchone()
        assert row
        return row[0]


def rpc(block: str) -> tuple[str, dict[str, object]]:
    """The call of a JavaScript block: supabase.rpc('name', { argument: value, ... })."""
    found = re.search(r"supabase\.rpc\('(\w+)', \{ (.*?) \}\)", block)
    assert found
    values = {"crypto.randomUUID()": "'8d7f6f0e-7d5c-4e0e-9d6e-0f1a2b3c4d5e'"}
    pairs = (pair.split(": ") for pair in found[2].split(", "))
    return found[1], {name: json.loads(values.get(value, value).replace("'", '"')) for name, value in pairs}


def test_the_hero_pays_and_works_in_one_transaction_or_does_neither(database: Database) -> None:
    create, grants = blocks("sql")[0].split("revoke all", 1)
    assert len(create.strip().splitlines()) <= 9
    user = database.sign_up()
    function, arguments = rpc(blocks("js")[0])
    with database.connect() as connection:
        connection.execute(
            "create table public.jobs (id bigint generated always as identity primary key, user_id uuid, title text)"
        )
        connection.execute((create + "revoke all" + grants).encode())
        with pytest.raises(psycopg.Error, match="insufficient_credits") as caught:
            as_user(connection, user, function, arguments)
        assert caught.value.sqlstate == "PT402"
        details = re.search(r"JSON\.parse\(error\.details\)\.(\w+)", blocks("js")[0])
        assert details
        assert json.loads(caught.value.diag.message_detail or "")[details[1]] == 3
        assert connection.execute("select count(*) from public.jobs").fetchone() == (0,)

        client = Client(connection)
        client.add_credits_for(user, 10)
        job = as_user(connection, user, function, arguments)
        assert (job["title"], job["user_id"]) == ("A film", str(user))
        assert client.get_user_credits_for(user).credits_remaining == 3
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute("set local role anon")
            connection.execute("select public.start_job('for nothing')")


def test_an_app_may_spend_by_itself(database: Database) -> None:
    user = database.sign_up()
    function, arguments = rpc(blocks("js")[1])
    with database.connect() as connection:
        row = as_user(connection, user, function, arguments)
        assert row["balance_after"] == 2
        assert as_user(connection, user, function, arguments) == row


def test_the_commands_install_and_verify(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", empty.dsn())
    commands = [line.split("#")[0].split() for line in blocks("bash")[1].splitlines()]
    assert commands[0] == ["pip", "install", "'credits-db[local]'"]
    for command in commands[1:]:
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as exit:
            cli.main()
        assert not exit.value.code, command


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    names = ("README.md", "CONTRIBUTING.md", ".ci/run", ".github/workflows/test.yml")
    documents = "\n".join((ROOT / name).read_text() for name in names)
    targets = set(re.findall(r"(?:^|`|- |command: )make ([a-z-]+)", documents, re.MULTILINE))
    assert {"demo", "test", "test-versions", "test-container", "check"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
