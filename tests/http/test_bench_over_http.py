"""The benchmark's load over HTTP: every request spends one credit, ours and the bare one."""

from __future__ import annotations

from conftest import Templates, assert_books_add_up

from bench import clients
from bench.contestants import prepare


def test_a_request_writes_one_ledger_row(templates: Templates) -> None:
    with templates.clone("plain") as database, database.connect() as connection:
        prepare(connection, users=100)
        with clients.postgrest(database.dsn()) as port:
            loads = clients.http(port, connections=2, seconds=0.2)
            for name, table in (("bare", "bare.credit_transactions"), ("user", "public.credit_transactions")):
                count = f"select count(*) from {table}".encode()
                (before,) = connection.execute(count).fetchone() or (0,)
                requests = len(loads[name]().latencies)
                assert connection.execute(count).fetchone() == (before + requests,)
        assert_books_add_up(connection)
