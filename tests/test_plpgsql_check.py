"""Lints every function and trigger with plpgsql_check, all warnings on. Only where the server has the extension."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from conftest import Templates, create_plpgsql_check

CHECK = """
select p.oid::regprocedure::text, c.*
from pg_proc as p
join pg_language as l on l.oid = p.prolang and l.lanname = 'plpgsql'
left join pg_trigger as t on t.tgfoid = p.oid and not t.tgisinternal
cross join lateral plpgsql_check_function(
  p.oid, coalesce(t.tgrelid, 0), oldtable => t.tgoldtable, format => 'text',
  security_warnings => true, extra_warnings => true, performance_warnings => true, other_warnings => true
) as c
where p.pronamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
  and not exists (select from pg_depend as d where d.objid = p.oid and d.deptype = 'e')
order by 1
"""


@pytest.fixture
def checker(templates: Templates) -> Iterator[psycopg.Connection[Any]]:
    with templates.clone("plain", pushed="app") as database, database.connect() as connection:
        create_plpgsql_check(database)
        yield connection


# these run SQL of the owner's: predicates of personal_data, the columns of an index
RUN_SQL = ("erase_account(uuid)", "export_user_data(uuid)", "remove_adopted(uuid)", "add_index(regclass,text)")


def test_no_function_has_a_warning(checker: psycopg.Connection[Any]) -> None:
    trusted = [f"credits_private.{name}" for name in RUN_SQL]
    query = CHECK.replace("security_warnings => true", "security_warnings => p.oid::regprocedure::text <> all (%s)")
    assert [" ".join(row) for row in checker.execute(query, [trusted])] == []


def test_a_function_with_a_fault_would_be_flagged(checker: psycopg.Connection[Any]) -> None:
    checker.execute(
        """
        create function public.canary(p text) returns bigint language plpgsql as
        'declare v_unused int; begin execute ''select '' || p; return nowhere from public.user_credits; end'
        """
    )
    assert len(checker.execute(CHECK).fetchall()) >= 2
