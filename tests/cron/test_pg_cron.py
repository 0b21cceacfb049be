"""Maintenance scheduled by push on a real pg_cron. Needs Debian's package postgresql-NN-cron, and a minute."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from conftest import HERE, Database, Run, assert_books_add_up

from credits_db import local

JOB = "select jobname, schedule, command, username, database, active from cron.job order by jobid"
OURS = ("credits-db maintenance", "* * * * *", "select public.run_maintenance()")


@pytest.fixture(scope="module", params=["plain", "supabase"])
def scheduled(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A server with pg_cron, whose database is ready for a push by its owner: the superuser, or as on Supabase."""
    options = {
        "shared_preload_libraries": "pg_cron",
        "cron.database_name": "postgres",
        "cron.use_background_workers": "on",  # by a socket it would need a password file
    }
    with tempfile.TemporaryDirectory(prefix="credits") as home, ExitStack() as stack:
        os.chmod(home, 0o755)  # the server of root runs as somebody else
        server = stack.enter_context(local.running(Path(home, "pg"), durable=False, options=options))
        database = Database("postgres", str(server.socket_dir), str(server.port), "postgres")
        with database.connect("postgres") as superuser:
            if request.param == "supabase":
                superuser.execute((HERE / "supabase.sql").read_bytes())
                database = Database("postgres", database.host, database.port, "supabase_postgres")
                superuser.execute("create extension pg_cron; grant usage on schema cron to supabase_postgres")
                superuser.execute("grant execute on all functions in schema cron to supabase_postgres")
            else:
                superuser.execute("create extension pg_cron")
        yield database


def jobs(database: Database) -> list[tuple[Any, ...]]:
    with database.connect("postgres") as superuser:
        return list(superuser.execute(JOB).fetchall())


def runs(database: Database) -> list[tuple[Any, ...]]:
    with database.connect("postgres") as superuser:
        told = "select status, return_message, start_time, end_time, now() from cron.job_run_details order by runid"
        return list(superuser.execute(told).fetchall())


def test_push_schedules_maintenance_for_the_owner_and_it_runs(scheduled: Database, run: Run) -> None:
    pushed = run("push", "--db-url", scheduled.dsn())
    assert pushed.code == 0, pushed.err
    assert jobs(scheduled) == [(*OURS, scheduled.owner, "postgres", True)]
    user = scheduled.sign_up()
    with scheduled.connect() as connection:
        connection.execute(
            "select public.add_credits_for(%s, 10, expires_at => clock_timestamp() + interval '1 second')", [user]
        )
        written = "select amount from public.credit_transactions where user_id = %s and type = 'expiration'"
        deadline = time.monotonic() + 130
        while (row := connection.execute(written, [user]).fetchone()) is None:
            assert time.monotonic() < deadline, runs(scheduled)
            time.sleep(0.5)
        assert row == (-10,)
        assert_books_add_up(connection)


def test_a_second_push_leaves_what_an_operator_made_of_the_job(scheduled: Database, run: Run) -> None:
    run("push", "--db-url", scheduled.dsn())
    with scheduled.connect() as owner:
        owner.execute("select cron.alter_job(jobid, schedule => '*/15 * * * *', active => false) from cron.job")
    again = run("push", "--db-url", scheduled.dsn())
    assert again.code == 0, again.err
    assert "schedule" not in again.out
    assert [job[1:3] + job[5:] for job in jobs(scheduled)] == [("*/15 * * * *", OURS[2], False)]
    with scheduled.connect() as owner:
        owner.execute("select cron.unschedule('credits-db maintenance')")
    assert "pg_cron calls run_maintenance every minute" in run("push", "--db-url", scheduled.dsn()).out
    assert jobs(scheduled) == [(*OURS, scheduled.owner, "postgres", True)]


@pytest.mark.parametrize("scheduled", ["supabase"], indirect=True)
def test_an_owner_who_may_not_schedule_is_told_so_and_has_pushed(scheduled: Database, run: Run) -> None:
    with scheduled.connect("postgres") as superuser:
        superuser.execute("delete from cron.job")
        superuser.execute("revoke execute on function cron.schedule(text, text, text) from public, supabase_postgres")
    pushed = run("push", "--db-url", scheduled.dsn())
    assert pushed.code == 0, pushed.err
    assert "Maintenance is not scheduled: permission denied for function schedule." in pushed.out
    assert jobs(scheduled) == []
