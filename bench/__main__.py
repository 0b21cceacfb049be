"""Sets a server up, lets the contestants take turns, and prints what came of it. Nothing is asserted."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from rich.console import Console
from rich.table import Table

from bench import clients, life
from bench.contestants import (
    BARE,
    CONTESTANTS,
    ENGINE,
    HISTORY,
    PRODUCT,
    REVENUECAT,
    SERVICE,
    STRIPE,
    Contestant,
    prepare,
)
from bench.load import Slices, cpu, pgbench, take_turns, timed
from credits_db import local, migrations

OPTIONS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "1h"}
SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", *OPTIONS, "autovacuum")
USERS = 10_000
CELLS = {
    "1 client, 10,000 users": (1, USERS),
    "8 clients, 10,000 users": (8, USERS),
    "32 clients, 10,000 users": (32, USERS),
    "16 clients, one hot user": (16, 1),
}
say = Console(highlight=False, width=None if os.isatty(1) else 120).print


@dataclass
class Run:
    """A server, how long to load it, and the aims so far: what, figure, aim, and whether it was met."""

    server: local.Server
    admin: psycopg.Connection[Any]
    rounds: int
    seconds: int
    transactions: int
    rows: int
    aims: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def value(self, query: str) -> Any:
        row = self.admin.execute(query.encode()).fetchone()
        return row[0] if row else None

    def database(self, name: str, template: str = "filled") -> str:
        """A new database, cloned from the template; its DSN."""
        self.admin.execute(f'create database "{name}" template {template}'.encode())
        return self.server.dsn(name)

    def filled(self, name: str, users: int, rows: int) -> str:
        """A new database in which each user has so many ledger rows, ours and bare; its DSN."""
        dsn = self.database(name, "template1")
        with migrations.connect(dsn) as connection:
            migrations.push(connection)
            prepare(connection, users, rows)
            connection.execute("vacuum analyze")
        return dsn

    def cost(self, dsn: str, contestant: Contestant, users: int) -> list[float]:
        """Bytes of WAL and buffers of one transaction, while no other session writes."""
        name = conninfo_to_dict(dsn)["dbname"]
        idle = f"select count(*) from pg_stat_activity where datname = '{name}' or backend_type = 'autovacuum worker'"
        query = f"""
            select pg_current_wal_insert_lsn() - '0/0', blks_hit + blks_read from pg_stat_database
            where datname = '{name}'
        """
        counts = []
        for transactions in (10, self.transactions):
            pgbench(dsn, contestant, "-t", str(transactions), users=users)
            while self.value(idle):  # sessions hand their counts in as they end
                time.sleep(0.05)
            counts.append(self.admin.execute(query.encode()).fetchone() or ())
        return [float(after - before) / self.transactions for before, after in zip(*counts, strict=True)]

    def cpu(self) -> float:
        """Seconds of CPU of all sessions that have ended."""
        time.sleep(0.2)  # until the postmaster knows of the last
        pid = Path(self.value("show data_directory"), "postmaster.pid").read_text().split()[0]
        return cpu(int(pid), children=True)

    def set(self, name: str, value: str) -> None:
        self.admin.execute(f"alter system set {name} = {value}".encode())
        self.value("select pg_reload_conf()")

    def aim(self, what: str, figure: float, form: str, least: float | None = None, most: float | None = None) -> None:
        goal = f"at least {least:{form}}" if least is not None else f"at most {most:{form}}"
        met = figure >= least if least is not None else figure <= (most or 0)
        self.aims.append((what, f"{figure:{form}}", goal, met))


def ratios(slices: Slices, name: str, of: str = "bare") -> list[float]:
    return [mine.tps / other.tps for mine, other in zip(slices[name], slices[of], strict=True)]


def spread(values: list[float]) -> str:
    return f"{median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"


def table(title: str, *columns: str) -> Table:
    say(f"\n[bold]{title}[/]")
    made = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    return made


def show(title: str, slices: Slices, column: str = "client CPU us", values: list[str] | None = None) -> None:
    shown = table(title, "", "calls/s", "p50 us", "p99 us", "of bare \\[min-max]", column)
    values = values or [f"{median(s.cpu for s in done):,.0f}" for done in slices.values()]
    for (name, done), value in zip(slices.items(), values, strict=True):
        figures = [median(s.tps for s in done), *(median(s.percentile(share) for s in done) for share in (0.5, 0.99))]
        shown.add_row(name, *(f"{figure:,.0f}" for figure in figures), spread(ratios(slices, name)), value)
    say(shown)


def compare(title: str, slices: Slices, of: str) -> None:
    shown = table(title, "", "calls/s", "p50 us", "p99 us", f"of {of} \\[min-max]")
    for name, done in slices.items():
        figures = [median(s.tps for s in done), *(median(s.percentile(share) for s in done) for share in (0.5, 0.99))]
        shown.add_row(name, *(f"{figure:,.0f}" for figure in figures), spread(ratios(slices, name, of=of)))
    say(shown)


def describe(run: Run, directory: Path) -> None:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    load = ", ".join(f"{figure:.2f}" for figure in os.getloadavg())
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:

        def write() -> None:
            file.write(bytes(8192))
            os.fsync(file.fileno())

        sync = median(timed(write, 0.2))
    say(f"machine   {cpu}, {os.cpu_count()} cores, load {load}, Linux {platform.release()}")
    say(f"disk      {directory}: 8 kB written and synced in {sync:.0f} us")
    say(f"server    PostgreSQL {run.value('show server_version')}, over its socket, prepared statements")
    say("settings ", ", ".join(f"{name} {run.value(f'show {name}')}" for name in SETTINGS))
    say(f"method    {run.rounds} rounds; in each, all in turn for {run.seconds} s; ratios are taken within a round")
    say("figures   medians of the rounds; what is no ratio belongs to this machine and its neighbours\n")
    for contestant in (*CONTESTANTS, REVENUECAT, STRIPE):
        say(f"{contestant.name:<11} {contestant.what}")


def updates(dsn: str) -> tuple[int, int]:
    """Updates of balances so far, and how many of them stayed on their page."""
    query = "select sum(n_tup_upd), sum(n_tup_hot_upd) from pg_stat_user_tables where relname = 'user_credits'"
    with psycopg.connect(dsn) as connection:
        done, hot = connection.execute(query).fetchone() or (0, 0)
    return int(done), int(hot)


def spends(run: Run, dsns: dict[str, str]) -> None:
    for contestant in CONTESTANTS:  # caches filled, pages touched
        pgbench(dsns[contestant.name], contestant, "-t", "1000", users=USERS)
    for title, (sessions, users) in CELLS.items():
        loads = {
            c.name: partial(pgbench, dsns[c.name], c, "-T", str(run.seconds), users=users, clients=sessions)
            for c in CONTESTANTS
        }
        before = [updates(dsn) for dsn in dsns.values()]
        slices = take_turns(loads, run.rounds)
        after = [updates(dsn) for dsn in dsns.values()]
        hot = [(now[1] - was[1]) / (now[0] - was[0]) for was, now in zip(before, after, strict=True)]
        show(title, slices, "HOT updates", [f"{share:.4f}" for share in hot])
        if sessions == 8:
            engine = list(dsns).index("engine")
            run.aim("engine, of bare, 8 clients", median(ratios(slices, "engine")), ".2f", least=0.85)
            run.aim("engine, HOT updates, 8 clients", hot[engine], ".4f", least=0.999)


def costs(run: Run, dsns: dict[str, str]) -> None:
    images = run.value("select wal_fpi from pg_stat_wal")
    shown = table(f"Counts of a spend, {run.transactions:,} by 1 client", "", "WAL bytes", "buffers")
    for contestant in CONTESTANTS:
        wal, buffers = run.cost(dsns[contestant.name], contestant, USERS)
        shown.add_row(contestant.name, f"{wal:.0f}", f"{buffers:.1f}")
        if contestant is ENGINE:
            run.aim("engine, bytes of WAL", wal, ".0f", most=680)
    say(shown)
    say(f"Full-page images in all of them: {run.value('select wal_fpi from pg_stat_wal') - images}.")


def growth(run: Run) -> None:
    few, many = (f"{rows:,} rows" for rows in (10_000, run.rows))
    sizes = {few: (run.filled("few", 100, 100), 100), many: (run.filled("many", run.rows // 100, 100), run.rows // 100)}
    with psycopg.connect(sizes[many][0]) as connection:
        name = "'public.credit_transactions'"
        query = f"select pg_table_size({name}), pg_indexes_size({name})"
        heap, indexes = (size / run.rows for size in connection.execute(query.encode()).fetchone() or (0, 0))
    shown = table(f"1 client, {few} of the ledger and {many}", "", few, many, "ratio \\[min-max]", "buffers", "buffers")
    for contestant in (BARE, ENGINE, HISTORY):
        loads = {
            rows: partial(pgbench, dsn, contestant, "-T", str(run.seconds), users=users)
            for rows, (dsn, users) in sizes.items()
        }
        slices = take_turns(loads, run.rounds)
        tps = (f"{median(s.tps for s in done):,.0f}" for done in slices.values())
        buffers = [run.cost(dsn, contestant, users)[1] for dsn, users in sizes.values()]
        shown.add_row(contestant.name, *tps, spread(ratios(slices, many, of=few)), *(f"{b:.1f}" for b in buffers))
        if contestant is ENGINE:
            run.aim(f"engine, buffers, {few}", buffers[0], ".1f", most=15)
            run.aim(f"engine, buffers, {many}", buffers[1], ".1f", most=20)
    say(shown)
    say(f"history is {HISTORY.what}. A row takes {heap:.1f} bytes in the heap, {indexes:.1f} in its indexes.")
    run.aim(f"bytes a ledger row, of {many}", heap + indexes, ".1f", most=280)


def ingest(run: Run) -> None:
    """Purchases told by a store, beside spends, on tables that hold some already."""
    dsn = run.database("ingest")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(PRODUCT)
        for contestant in (SERVICE, REVENUECAT, STRIPE):
            pgbench(dsn, contestant, "-t", "4000", users=USERS)
        connection.execute("vacuum analyze")
    loads = {
        c.name: partial(pgbench, dsn, c, "-T", str(run.seconds), users=USERS, clients=8)
        for c in (SERVICE, REVENUECAT, STRIPE)
    }
    slices = take_turns(loads, run.rounds)
    compare("Ingest, 8 clients: a purchase beside a spend", slices, of="service")
    for contestant in (REVENUECAT, STRIPE):
        run.aim(
            f"{contestant.name}, of consume_credit_for",
            median(ratios(slices, contestant.name, of="service")),
            ".2f",
            least=0.5,
        )


def against(run: Run, revision: str, directory: Path) -> None:
    """A spend of a user without lots by this commit and by another, in turns on one server."""
    then = run.database("then", "template1")
    with life.checkout(revision, directory / "checkout") as source:
        life.push(source, then)
    with psycopg.connect(then, autocommit=True) as connection:
        prepare(connection, USERS, 10)
        connection.execute("vacuum analyze")
    dsns = {"now": run.filled("now", USERS, 10), "then": then}
    run.set("synchronous_commit", "off")  # the work is compared, and not the disk
    for dsn in dsns.values():
        pgbench(dsn, SERVICE, "-t", "2000", users=USERS)
    for sessions in (1, 8):
        loads = {
            name: partial(pgbench, dsn, SERVICE, "-T", str(run.seconds), users=USERS, clients=sessions)
            for name, dsn in dsns.items()
        }
        slices = take_turns(loads, run.rounds)
        compare(f"A spend now and at {revision}, {sessions} clients", slices, of="then")
        run.aim(
            f"spend, of {revision}, {sessions} clients", median(ratios(slices, "now", of="then")), ".2f", least=0.97
        )
    run.set("autovacuum", "off")
    shown = table("Counts of a spend", "", "WAL bytes", "buffers", "server CPU us")
    wal = {name: life.wal(dsn, USERS) for name, dsn in dsns.items()}
    buffers, seconds = dict[str, float](), {name: list[float]() for name in dsns}
    for number in range(run.rounds * 2):
        for name, dsn in list(dsns.items())[:: 1 if number % 2 else -1]:
            before = run.cpu()
            buffers[name] = run.cost(dsn, SERVICE, USERS)[1]
            seconds[name].append((run.cpu() - before) * 1e6 / run.transactions)
    for name in dsns:
        shown.add_row(name, f"{wal[name]:.0f}", f"{buffers[name]:.1f}", f"{median(seconds[name]):.1f}")
    say(shown)
    run.aim(f"spend, server CPU, {revision} of it", median(seconds["then"]) / median(seconds["now"]), ".2f", least=0.97)
    run.aim(f"spend, bytes of WAL, {revision} has {wal['then']:.0f}", wal["now"], ".0f", most=wal["then"])


def lives(run: Run) -> None:
    """What lots cost, how fast maintenance is, and how fast a window of a long history is counted."""
    dsns = {"no lot": run.database("no lot"), "a lot": run.database("a lot")}
    with psycopg.connect(dsns["a lot"], autocommit=True) as connection:
        add = "select count(public.add_credits_for(id, 1000000000000, expires_at => now() + interval '1 year'))"
        connection.execute(f"{add} from auth.users".encode())
        connection.execute("vacuum analyze")
    run.set("synchronous_commit", "off")  # the work is compared, and not the disk
    for dsn in dsns.values():  # caches filled, pages touched
        pgbench(dsn, SERVICE, "-t", "10000", users=USERS)
    for sessions in (1, 8):
        loads = {
            name: partial(pgbench, dsn, SERVICE, "-T", str(run.seconds), users=USERS, clients=sessions)
            for name, dsn in dsns.items()
        }
        slices = take_turns(loads, run.rounds)
        compare(f"A spend of users with a live lot, {sessions} clients", slices, of="no lot")
        run.aim(f"spend with a lot, {sessions} clients", median(ratios(slices, "a lot", of="no lot")), ".2f", least=0.6)
    run.set("synchronous_commit", "on")
    shown = table(
        "Maintenance in batches of 1,000, beside spends of 4 clients", "", "seconds", "its CPU s", "rows", "spends/s"
    )
    due = run.rows // 10
    for what, lots, first, spenders in (
        (f"{due:,} users with a lot, others spend", 1, USERS + 1, USERS),
        (f"{due:,} users with a lot, they spend", 1, 1, due),
        (f"{due // 100:,} users with 100 lots, they spend", 100, 1, due // 100),
    ):
        dsn = run.database(what)
        life.expire(dsn, first, due // lots, lots)
        swept = life.sweep(dsn, spenders)
        shown.add_row(what, f"{swept.seconds:.1f}", f"{swept.cpu:.1f}", f"{swept.rows:,}", f"{swept.tps:,.0f}")
        run.aim(f"sweep, {what}", swept.seconds, ".1f", most=20)
    say(shown)
    history = run.database("history", "template1")
    with migrations.connect(history) as connection:
        migrations.push(connection)
    life.fill_history(history, 1_000_000)
    shown = table("Usage of a user with a million rows", "", "p50 us", "p99 us")
    for contestant in (life.TODAY, life.LONG_AGO):
        done = pgbench(history, contestant, "-T", str(run.seconds), users=1)
        shown.add_row(contestant.what, f"{done.percentile(0.5):,.0f}", f"{done.percentile(0.99):,.0f}")
        run.aim(f"get_usage_for, {contestant.name}, us", done.percentile(0.5), ".0f", most=1000)
    say(shown)


def python(run: Run) -> None:
    dsn = run.database("python")
    run.aim("user in Python, round trips", clients.messages(dsn, clients.user_id(1)), ".0f", most=1)
    with ExitStack() as stack:
        for way, loads in clients.python(dsn, USERS, run.seconds, stack).items():
            slices = take_turns(loads, run.rounds)
            show(f"Python, {way}; bare is psycopg with the bare statement", slices)
            if way == "one connection":
                run.aim("user in Python, of bare", median(ratios(slices, "user")), ".2f", least=0.65)


def http(run: Run) -> None:
    dsn = run.database("http")
    clients.sell(dsn)
    with clients.postgrest(dsn) as port:
        for connections in (1, 8):
            slices = take_turns(clients.http(port, connections, run.seconds), run.rounds)
            show(
                f"HTTP through PostgREST, {connections} kept alive; bare is a function that does the bare minimum",
                slices,
            )
            if connections == 8:
                share = median(ratios(slices, "webhook", of="user"))
                run.aim("revenuecat_webhook over HTTP, of consume_credit", share, ".2f", least=0.5)
    say("Client, tokens and PostgREST are the same on both sides and share the machine with the server.")


def everything(run: Run, only: str | None) -> None:
    run.filled("filled", USERS, 10)
    if only == "life":
        return lives(run)
    dsns = {contestant.name: run.database(contestant.name) for contestant in CONTESTANTS}
    spends(run, dsns)
    ingest(run)
    python(run)
    http(run)
    lives(run)
    run.set("autovacuum", "off")  # from here on, counts
    costs(run, dsns)
    growth(run)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description="What a spend costs, beside the bare minimum.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="about a minute; figures too rough to quote")
    parser.add_argument("--against", metavar="REVISION", help="only a spend beside that of another commit")
    parser.add_argument("--only", choices=["life"], help="only lots, maintenance and usage")
    options = parser.parse_args()
    scale = (1, 1, 2_000, 100_000) if options.quick else (options.rounds, 2, 20_000, 1_000_000)
    with ExitStack() as stack:
        place = "/var/tmp" if os.path.isdir("/var/tmp") else None  # on a disk, where /tmp may be memory
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="credits_bench_", dir=place)))
        directory.chmod(0o755)  # the server of root runs as somebody else
        server = stack.enter_context(local.running(directory / "server", options=OPTIONS))
        run = Run(server, stack.enter_context(psycopg.connect(server.dsn(), autocommit=True)), *scale)
        describe(run, directory)
        if options.against:
            against(run, options.against, directory)
        else:
            everything(run, options.only)
        shown = table("Aims", "", "measured", "aim", "")
        for what, figure, aim, met in run.aims:
            shown.add_row(what, figure, aim, "[green]met[/]" if met else "[yellow]missed[/]")
        say(shown)


if __name__ == "__main__":
    main()
