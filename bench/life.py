"""What lots, maintenance and usage windows cost, and a spend of this commit beside another's."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import psycopg

from bench.contestants import SERVICE, Contestant
from bench.load import cpu, pgbench

ROOT = Path(__file__).parents[1]
USAGE = "select * from public.get_usage_for({user}, now() - interval '{since}', now() - interval '{until}');"
_USER = "md5(:user::text)::uuid"
TODAY = Contestant(
    "last day",
    "get_usage_for of the last day",
    USAGE.format(user=_USER, since="1 day", until="0"),
    role="service_role",
)
LONG_AGO = Contestant(
    "a day a year ago",
    "get_usage_for of a day, with 175,000 rows since",
    USAGE.format(user=_USER, since="366 days", until="365 days"),
    role="service_role",
)

# A row every three minutes, 480 a day: a million go back six years.
_HISTORY = """
insert into auth.users (id) values (md5('1')::uuid);
select public.add_credits_for(md5('1')::uuid, 1000000000000);
insert into public.credit_transactions (
  user_id, seq, type, amount, balance_after, created_at, idempotency_key, metadata
)
select a.user_id, n, 'consumption', -1, a.credits_remaining - n + 2, now() - (%(rows)s - n) * interval '3 minutes',
  gen_random_uuid()::text, '{}'
from generate_series(3, %(rows)s) as n, public.user_credits as a;
update public.user_credits
set last_seq = %(rows)s, credits_remaining = credits_remaining - %(rows)s + 2, used_credits = %(rows)s - 2;
"""


@contextmanager
def checkout(revision: str, folder: Path) -> Iterator[Path]:
    """The repository as it was at a revision."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), revision], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def push(source: Path, dsn: str) -> None:
    """Set a database up with the package of another checkout."""
    code = (
        "import sys\nfrom credits_db import migrations\nwith migrations.connect(sys.argv[1]) as c: migrations.push(c)"
    )
    subprocess.run([sys.executable, "-c", code, dsn], cwd=source, env={"PYTHONPATH": str(source)}, check=True)


def wal(dsn: str, users: int) -> float:
    """Bytes of WAL of one spend: the median of a thousand, so that no split of a page is among them."""
    spend = "select public.consume_credit_for(md5(%s::text)::uuid, idempotency_key => gen_random_uuid()::text)"
    sizes = list[float]()
    with psycopg.connect(dsn, autocommit=True) as connection, psycopg.connect(dsn, autocommit=True) as watcher:
        for number in range(1, 1001):
            at = watcher.execute("select pg_current_wal_insert_lsn()").fetchall()[0][0]
            connection.execute(spend, [number * 7919 % users + 1])
            sizes += watcher.execute("select pg_current_wal_insert_lsn() - %s::pg_lsn", [at]).fetchall()[0]
    return median(map(float, sizes))


def expire(dsn: str, first: int, users: int, lots: int) -> None:
    """So many users from number `first` on, rich, and each with so many lots of 10 credits that ended an hour ago."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        (clock,) = connection.execute(
            "select pg_get_functiondef('credits_private.now()'::regprocedure)"
        ).fetchone() or ("",)
        connection.execute(clock.replace("clock_timestamp()", "clock_timestamp() - interval '1 day'").encode())
        last = first + users - 1
        connection.execute(
            "insert into auth.users (id) select md5(n::text)::uuid from generate_series(%s::int, %s) as n"
            " on conflict do nothing",
            [first, last],
        )
        for amount, ends in [(1_000_000, None), *[(10, "1 hour")] * lots]:
            connection.execute(
                """
                select count(public.add_credits_for(md5(n::text)::uuid, %s, expires_at => now() - %s::interval))
                from generate_series(%s::int, %s) as n
                """,
                [amount, ends, first, last],
            )
        connection.execute(clock.encode())
        connection.execute("vacuum analyze")


@dataclass(frozen=True, slots=True)
class Sweep:
    """What maintenance took, in seconds and in those of its session's CPU; rows it wrote; spends a second beside it."""

    seconds: float
    cpu: float
    rows: int
    tps: float


def sweep(dsn: str, users: int, clients: int = 4) -> Sweep:
    """run_maintenance(1000) until nothing is due, while so many clients spend."""
    stop, spends = threading.Event(), list[float]()

    def spend() -> None:
        while not stop.is_set():
            spends.append(pgbench(dsn, SERVICE, "-T", "2", users=users, clients=clients).tps)

    with psycopg.connect(dsn, options="-c role=service_role", autocommit=True) as connection:
        thread = threading.Thread(target=spend)
        thread.start()
        rows, start, used = 0, perf_counter(), cpu(connection.info.backend_pid)
        while done := connection.execute("select (public.run_maintenance(1000)).expirations").fetchall()[0][0]:
            rows += done
        seconds, used = perf_counter() - start, cpu(connection.info.backend_pid) - used
        stop.set()
        thread.join()
    return Sweep(seconds, used, rows, sum(spends) / len(spends))


def fill_history(dsn: str, rows: int) -> None:
    """User 1, alone in the database, with so many ledger rows."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        psycopg.ClientCursor(connection).execute(_HISTORY.encode(), {"rows": rows})
        connection.execute("vacuum analyze")
