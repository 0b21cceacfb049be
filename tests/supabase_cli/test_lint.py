"""`supabase db lint`: plpgsql_check as the CLI runs it, which looks at every function but those of triggers."""

from __future__ import annotations

import json

import pytest
from conftest import Database, create_plpgsql_check

from supabase_cli.conftest import Supabase

LINT = ["db", "lint", "--level", "warning", "--fail-on", "warning", "--output-format", "json"]
CANARY = """
create function {}() returns integer language plpgsql set search_path = '' as
'declare v_unused integer; begin return 1; end'
"""


@pytest.fixture
def checked(app: Database) -> Database:
    create_plpgsql_check(app)
    return app


def test_lint_finds_nothing(supabase: Supabase, checked: Database) -> None:
    done = supabase(checked, *LINT)
    assert json.loads(done.stdout)["results"] == []
    assert done.returncode == 0


def test_lint_would_find_an_unused_variable_in_either_schema(supabase: Supabase, checked: Database) -> None:
    functions = ["credits_private.canary", "public.canary"]
    with checked.connect() as connection:
        for function in functions:
            connection.execute(CANARY.format(function).encode())
    done = supabase(checked, *LINT)
    assert [found["function"] for found in json.loads(done.stdout)["results"]] == functions
    assert done.returncode == 1
