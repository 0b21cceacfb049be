"""docs/leaving.md is followed to the letter: all rows come out, then the database is what it was before push."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import ROOT, Database, Templates
from test_readme import blocks

from credits_db import Client, local, migrations, seed

LEAVING = ROOT / "docs" / "leaving.md"
CATALOGUE = """
select 'schema ' || n.nspname || coalesce(' ' || n.nspacl::text, '') from pg_namespace as n where n.nspname !~ '^pg_'
union all
select concat_ws(' ', 'relation', c.oid::regclass, c.relkind, c.relacl, c.relrowsecurity)
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspname !~ '^(pg_|information_schema)'
union all
select
  concat_ws(
    ' ', 'column', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attacl
  )
from pg_attribute as a join pg_class as c on c.oid = a.attrelid join pg_namespace as n on n.oid = c.relnamespace
where n.nspname !~ '^(pg_|information_schema)' and a.attnum > 0 and not a.attisdropped
union all
select concat_ws(' ', 'function', p.oid::regprocedure, md5(p.prosrc), p.proacl)
from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
where n.nspname !~ '^(pg_|information_schema)'
union all
select concat_ws(' ', 'type', t.oid::regtype, t.typtype)
from pg_type as t join pg_namespace as n on n.oid = t.typnamespace
where n.nspname !~ '^(pg_|information_schema)'
union all
select 'trigger ' || pg_get_triggerdef(t.oid) || t.tgenabled::text from pg_trigger as t where not t.tgisinternal
union all
select concat_ws(' ', 'constraint', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
from pg_constraint as k where k.conrelid >= 16384
union all
select concat_ws(' ', 'policy', p.polrelid::regclass, p.polname) from pg_policy as p
union all
select concat_ws(' ', 'publication', p.pubname, r.prrelid::regclass)
from pg_publication as p left join pg_publication_rel as r on r.prpubid = p.oid
union all
select concat_ws(' ', 'default', d.defaclrole::regrole, d.defaclnamespace::regnamespace, d.defaclacl)
from pg_default_acl as d
"""
# as pg_cron keeps its jobs
CRON = """
create schema cron;
create table cron.job (jobid bigint generated always as identity, jobname text, schedule text, command text);
create function cron.unschedule(job_id bigint) returns boolean language sql as
  'delete from cron.job where jobid = job_id returning true';
insert into cron.job (jobname) values ('mine'), ('credits-db maintenance');
"""


def catalogue(connection: psycopg.Connection[Any]) -> list[str]:
    """What the database is, but for rows: one line a fact."""
    with connection.transaction():
        connection.execute("set local search_path = ''")
        return sorted(row[0] for row in connection.execute(CATALOGUE))


@pytest.fixture
def left(templates: Templates, flavour: str) -> Iterator[Database]:
    """A database with both tracks, of which no books remain in the end."""
    with templates.clone(flavour, pushed="app") as database:
        yield database


def test_everything_comes_out_and_nothing_of_credits_db_remains(
    left: Database, templates: Templates, flavour: str, tmp_path: Path
) -> None:
    [copy] = blocks("bash", LEAVING)
    leave, without_auth = blocks("sql", LEAVING)
    with templates.get(flavour, pushed=False).connect() as untouched:
        before = catalogue(untouched)
    with left.connect() as owner:
        seed.run(owner)
        owner.execute(CRON)
        tables = {
            "balances": "public.user_credits",
            "ledger": "public.credit_transactions",
            "purchases": "public.purchase_transactions",
            "holds": "public.credit_holds",
            "lots": "credits_private.credit_lots",
            "entitlements": "public.user_entitlements",
            "products": "public.credit_products",
        }
        rows = {file: count(owner, table) for file, table in tables.items()}
        balances = owner.execute("select user_id::text, credits_remaining::text from public.user_credits").fetchall()
        users = count(owner, "auth.users")

        path = f"{Path(sys.executable).parent}:{local.bin_dir()}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "DATABASE_URL": left.dsn()}
        command = ["bash", "-euo", "pipefail", "-c", copy]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        found = {file: list(csv.DictReader((tmp_path / f"{file}.csv").read_text().splitlines())) for file in tables}
        assert {file: len(lines) for file, lines in found.items()} == rows
        assert sorted((line["user_id"], line["credits_remaining"]) for line in found["balances"]) == sorted(balances)
        assert {line["email"] for line in found["balances"]} == {address for address, _ in seed.USERS.values()}
        for user, balance in balances:
            assert sum(int(line["amount"]) for line in found["ledger"] if line["user_id"] == user) == int(balance)

        owner.execute("create view public.mine as select count(*) from public.user_credits")
        with pytest.raises(psycopg.errors.DependentObjectsStillExist, match="user_credits"):
            owner.execute(leave.encode())
        assert {file: count(owner, table) for file, table in tables.items()} == rows
        owner.execute("drop view public.mine")
        owner.execute(leave.encode())
        assert count(owner, "auth.users") == users == 5
        assert owner.execute("select jobname from cron.job").fetchall() == [("mine",)]
        owner.execute("drop schema cron cascade")
        if flavour == "plain":
            owner.execute(without_auth.encode())
        assert catalogue(owner) == before


def test_what_was_there_before_stays_or_comes_back_with_its_rows(templates: Templates) -> None:
    with templates.clone("supabase", pushed=False) as database, migrations.connect(database.dsn()) as owner:
        ada = database.sign_up("ada@example.com")
        owner.execute("create table public.user_credits (user_id uuid primary key, credits_remaining integer)")
        owner.execute("insert into public.user_credits values (%s, 7)", [ada])
        owner.execute(
            "create table public.projects (id uuid primary key, user_id uuid references auth.users, title text)"
        )
        owner.execute("insert into public.projects values (gen_random_uuid(), %s, 'mine')", [ada])
        owner.execute("create table public.users (id uuid primary key, nick text)")
        before = catalogue(owner)
        migrations.push(owner, more=migrations.TRACKS[1:])
        assert Client(owner).get_user_credits_for(ada).credits_available == 7
        owner.execute(blocks("sql", LEAVING)[0].encode())
        assert owner.execute("table public.user_credits").fetchall() == [(ada, 7)]
        assert owner.execute("select user_id, title from public.projects").fetchall() == [(ada, "mine")]
        after = catalogue(owner)
        changed = [line for line in before if line not in after] + [line for line in after if line not in before]
        allowed = ("public.projects", "REFERENCES auth.users(id) ON DELETE CASCADE")
        assert [line for line in changed if not any(word in line for word in allowed)] == []
        owner.execute("delete from auth.users")
        assert count(owner, "public.projects") == 0, "a project goes with its user, as before leaving"
        owner.execute("insert into public.users values (gen_random_uuid(), 'ada')")


def count(connection: psycopg.Connection[Any], table: str) -> int:
    row = connection.execute(f"select count(*) from {table}".encode()).fetchone()
    assert row
    return int(row[0])


def test_every_block_of_the_document_has_a_language_that_is_run() -> None:
    assert set(re.findall(r"^```(\w+)$", LEAVING.read_text(), re.MULTILINE)) == {"bash", "sql"}
