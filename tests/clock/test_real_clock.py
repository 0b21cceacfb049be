"""The tests of tests/test_clock.py with the real time moved under the server by libfaketime, where it goes on alone.

The server reads how far its clock is off from a file, anew at each look at the clock, so that a step reaches every
session at once and time goes on from there.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from conftest import OPTIONS, Database, assert_books_add_up, sign_up
from psycopg.conninfo import conninfo_to_dict
from test_clock import *  # noqa: F403  the tests themselves
from test_clock import SECOND, SIGNUP_BONUS, Connection, add, ledger, set_grant, spend, spendable, utc

from credits_db import local, migrations

POSTGRES = """#!/bin/sh
export LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={offset} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
exec {real}/{program} "$@"
"""


class RealClock:
    def __init__(self, database: Database, offset: Path) -> None:
        self.database, self.offset = database, offset

    def to(self, at: datetime) -> None:
        fresh = self.offset.with_suffix(".new")
        fresh.write_text(f"{(at - datetime.now(UTC)).total_seconds():+.6f}\n")
        fresh.chmod(0o644)
        fresh.rename(self.offset)  # a server that looks meanwhile finds a whole file


@pytest.fixture(scope="session")  # type: ignore[no-redef]
def clock(servers: dict[str, str]) -> Iterator[RealClock]:
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not libraries:
        pytest.fail("The real time cannot be moved without libfaketime: apt-get install libfaketime")
    with psycopg.connect(servers["plain"]) as connection:
        row = connection.execute("select setting from pg_config where name = 'BINDIR'").fetchone()
    assert row
    home = Path(tempfile.mkdtemp(prefix="clock"))
    home.chmod(0o755)  # the server of root runs as somebody else
    programs, offset = home / "bin", home / "offset"
    programs.mkdir(0o755)
    for program in ("postgres", "initdb"):
        script = programs / program
        script.write_text(POSTGRES.format(library=libraries[0], offset=offset, real=row[0], program=program))
        script.chmod(0o755)
    offset.write_text("+0\n")
    offset.chmod(0o644)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("CREDITS_DB_PG_BIN", str(programs))
            server = local.running(home / "server", durable=False, options=OPTIONS)
            with server as running:
                where = conninfo_to_dict(running.dsn())
                database = Database("postgres", str(where["host"]), str(where["port"]), "postgres")
                with migrations.connect(database.dsn()) as connection:
                    migrations.push(connection)
                yield RealClock(database, offset)
                with database.connect() as connection:
                    assert_books_add_up(connection)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_a_month_a_lot_and_a_hold_end_while_time_goes_on(clock: RealClock, connection: Connection) -> None:
    august = utc(2026, 8, 1)
    clock.to(august - 2 * SECOND)
    user = sign_up(connection)
    set_grant(connection, user, 100, "month")
    add(connection, user, 10, august + timedelta(milliseconds=1))
    hold = connection.execute(
        "select h.id from public.reserve_credits_for(%s, 50, interval '1.5 s') as h", [user]
    ).fetchone()
    assert hold
    assert spendable(connection, user) == SIGNUP_BONUS + 60
    until = time.monotonic() + 30
    while connection.execute("select clock_timestamp() <= %s", [august + timedelta(milliseconds=2)]).fetchone() == (
        True,
    ):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert spendable(connection, user) == SIGNUP_BONUS + 100
    with pytest.raises(psycopg.Error, match="hold_not_active"):
        connection.execute("select public.capture_hold_for(%s, %s)", [user, hold[0]])
    assert spend(connection, user, SIGNUP_BONUS + 101) == "insufficient_credits"
    assert spend(connection, user) == ""
    rows = ledger(connection, user, "expiration", "monthly_bonus")
    assert [row[1] for row in rows] == [100, -100, 100, -10]
    assert [row[2] for row in rows[1:]] == [august, august, august + timedelta(milliseconds=1)]
