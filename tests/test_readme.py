"""The Python, the SQL and the commands of the README run as they stand; its JavaScript runs in tests/http."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import psycopg
import pytest
from conftest import ROOT, Database

from credits_db import Client, cli

README = ROOT / "README.md"
LANGUAGES = ("python", "bash", "sql", "js")
JOBS = b"create table public.jobs (id bigint generated always as identity primary key, user_id uuid, title text)"


def blocks(language: str, document: Path = README) -> list[str]:
    """The code blocks of a document in this language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)


def test_every_block_has_a_language_that_is_run() -> None:
    assert set(re.findall(r"^```(\w+)$", README.read_text(), re.MULTILINE)) == set(LANGUAGES)
    assert [len(blocks(language)) for language in LANGUAGES] == [1, 4, 1, 2]


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


def test_the_hero_pays_and_works_in_one_transaction_or_does_neither(database: Database) -> None:
    hero = blocks("sql")[0]
    assert len(hero.split("revoke all")[0].strip().splitlines()) <= 9
    user = database.sign_up()
    claims = json.dumps({"sub": str(user), "role": "authenticated"})
    with database.connect() as connection:
        connection.execute(JOBS)
        connection.execute(hero.encode())

        def start_job(role: str) -> object:
            """As PostgREST calls it for a token of this role and user."""
            with connection.transaction():
                connection.execute(
                    "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)", [role, claims]
                )
                return connection.execute("select user_id, title from public.start_job(title => 'A film')").fetchone()

        with pytest.raises(psycopg.Error, match="insufficient_credits") as caught:
            start_job("authenticated")
        assert caught.value.sqlstate == "PT402"
        assert connection.execute("select count(*) from public.jobs").fetchone() == (0,)

        client = Client(connection)
        client.add_credits_for(user, 10)
        assert start_job("authenticated") == (user, "A film")
        assert client.get_user_credits_for(user).credits_remaining == 3
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            start_job("anon")


def test_the_commands_install_and_verify(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", empty.dsn())
    commands = [line.split("#")[0].split() for line in blocks("bash")[3].splitlines()]
    assert commands[0] == ["pip", "install", "'credits-db[local]'"]
    for command in commands[1:]:
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as exit:
            cli.main()
        assert not exit.value.code, command


def test_the_two_commands_for_supabase_are_those_of_its_document() -> None:
    assert blocks("bash")[2] == blocks("bash", ROOT / "docs" / "supabase.md")[0]


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    names = ("README.md", "CONTRIBUTING.md", ".ci/run", ".github/workflows/test.yml")
    documents = "\n".join((ROOT / name).read_text() for name in names)
    targets = set(re.findall(r"(?:^|`|- |command: )make ([a-z-]+)", documents, re.MULTILINE))
    assert {"demo", "test", "test-versions", "test-container", "check"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
