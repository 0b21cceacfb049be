"""The clients keep their promises: every RPC through both of them, identity, transactions, retries, one round trip.

`Driver` gives the sync and the async client one face, so that each test is written once and runs on both. Where
a promise is about a network that fails, a socket that really fails stands between client and server.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import pickle
import re
import select
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest
from conftest import POOLED, Database, Templates, assert_books_add_up, sign_up
from psycopg.pq import Trace, TransactionStatus
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolClosed, PoolTimeout
from tenacity import wait_random_exponential

import credits_db
from credits_db import (
    AccountClosed,
    AccountDeletion,
    AccountNotFound,
    AsyncClient,
    BalanceLimit,
    Client,
    CreditHold,
    CreditsError,
    CreditTransaction,
    CreditUsage,
    EventNotFound,
    ExpiryNotAllowed,
    GrantNotFound,
    HoldNotActive,
    HoldNotFound,
    IdempotencyKeyReused,
    InsufficientCredits,
    InvalidAmount,
    InvalidArgument,
    InvalidIdempotencyKey,
    InvalidMetadata,
    InvalidSignature,
    LedgerImmutable,
    LedgerViolation,
    MaintenanceReport,
    NotAuthenticated,
    OutboxItem,
    PayloadTooLarge,
    ProjectNotFound,
    PurchaseConflict,
    PurchaseTransaction,
    RecurringGrant,
    RefundExceedsConsumption,
    StoreEvent,
    TooManyHolds,
    TransactionNotFound,
    UnknownProduct,
    UserCredits,
    UserEntitlement,
)
from credits_db._call import Call, rpc
from credits_db.errors import _BY_CODE
from credits_db.procedures import ServiceProcedures, UserProcedures
from credits_db.results import Result
from credits_db.testing import freeze

T = TypeVar("T")
Rows = list[tuple[Any, ...]]

SOURCES = ("autocommit", "manual", "transaction", "pool", "manual pool", "unprepared")
OWN_TRANSACTION = tuple(source for source in SOURCES if source not in ("transaction", "manual"))
WHO = "select current_setting('role'), coalesce(current_setting('request.jwt.claims', true), '')"
NOBODY = ("none", "")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
EPOCH, LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
RICH = uuid4()
HOLDS: dict[str, UUID] = {}  # of RICH, in the present database
LARGE = f'"{"x" * 2**20}"'  # a body over 1 MiB
READY_IDLE = b"Z\x00\x00\x00\x05I"
IN_TEST_APP = {"consume_credit_and_create_export", "get_user_stats"}
UUID_TEXT = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Driver:
    """The sync or the async client, each operation a plain call."""

    def __init__(self, kind: str, runner: asyncio.Runner) -> None:
        self.kind, self.runner = kind, runner

    def wait(self, value: T | Coroutine[Any, Any, T]) -> T:
        return self.runner.run(value) if inspect.iscoroutine(value) else value  # type: ignore[return-value]

    def client(self, source: Any) -> Any:
        return Client(source) if self.kind == "sync" else AsyncClient(source)

    def execute(self, connection: Any, query: str, parameters: object = None) -> Rows:
        cursor = self.wait(connection.execute(query, parameters))
        return list(self.wait(cursor.fetchall())) if cursor.description else []

    @contextmanager
    def opened(self, manager: Any) -> Iterator[Any]:
        """A context manager of either kind."""
        if self.kind == "sync":
            with manager as value:
                yield value
            return
        value = self.wait(manager.__aenter__())
        try:
            yield value
        except BaseException as error:
            if not self.wait(manager.__aexit__(type(error), error, error.__traceback__)):
                raise
        else:
            self.wait(manager.__aexit__(None, None, None))

    @contextmanager
    def connected(self, dsn: str, **kwargs: Any) -> Iterator[Any]:
        kwargs = {"autocommit": True, **POOLED, **kwargs}
        connect: Any = psycopg.Connection.connect if self.kind == "sync" else psycopg.AsyncConnection.connect
        with self.opened(self.wait(connect(dsn, **kwargs))) as connection:
            yield connection

    @contextmanager
    def pool(self, dsn: str, size: int = 1, timeout: float = 30, **kwargs: Any) -> Iterator[Any]:
        kwargs = {"autocommit": True, **POOLED, **kwargs}
        make: Any = ConnectionPool if self.kind == "sync" else AsyncConnectionPool
        pool = make(dsn, min_size=size, max_size=size, timeout=timeout, kwargs=kwargs, open=False)
        with self.opened(pool):
            yield pool

    @contextmanager
    def borrowed(self, source: Any) -> Iterator[Any]:
        """A connection of the source: the only one of a pool, or itself."""
        if hasattr(source, "getconn"):
            with self.opened(source.connection()) as connection:
                yield connection
        else:
            yield source

    @contextmanager
    def source(self, database: Database, kind: str, **kwargs: Any) -> Iterator[Any]:
        """What a client may be given: a connection or a pool, in each state that they may be in."""
        dsn = database.dsn()
        if kind == "unprepared":
            kwargs["prepare_threshold"] = None
        if kind.startswith("manual"):
            kwargs["autocommit"] = False
        if kind.endswith("pool"):
            with self.pool(dsn, **kwargs) as pool:
                yield pool
            return
        with self.connected(dsn, **kwargs) as connection, ExitStack() as stack:
            if kind == "transaction":
                stack.enter_context(self.opened(connection.transaction()))
            yield connection


@pytest.fixture(scope="module", params=("sync", "async"))
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    with asyncio.Runner() as runner:
        yield Driver(request.param, runner)


@pytest.fixture(scope="module")
def bank(templates: Templates, flavour: str) -> Iterator[Database]:
    """One database for the file; each test brings its own users."""
    with templates.clone(flavour) as database:
        with database.connect() as connection:
            connection.execute(
                """
                create function public.whoami() returns table (who text, role text, claims text, uid uuid)
                language sql as $$
                  select current_user::text, current_setting('role'), current_setting('request.jwt.claims'), auth.uid()
                $$;
                create function public.refuse(code text, token text, detail text) returns setof public.credit_usage
                language plpgsql as $$ begin
                  raise exception using errcode = code, message = token, detail = detail;
                end $$;
                """
            )
            connection.execute("insert into public.credit_products (product_id, credits) values ('pack', 10)")
            leaver = sign_up(connection)
            Client(connection).record_purchase_for(sign_up(connection), "app_store", "taken", "pack")
            Client(connection).record_purchase_for(leaver, "app_store", "closed", "pack")
            Client(connection).delete_user_account_for(leaver)
            sign_up(connection, id=RICH)
            connection.execute("select credits_private.set_setting('max_active_holds', '3')")
            for name in ("released", "held", "second", "third"):
                HOLDS[name] = Client(connection).reserve_credits_for(RICH, 1, DAY).id
                if name == "released":
                    Client(connection).release_hold_for(RICH, HOLDS[name])
        enrich(database, RICH, 2**53 - 1 - 3)
        yield database
        with database.connect() as connection:
            assert_books_add_up(connection)


def rows(call: Call[Any]) -> Call[list[dict[str, Any]]]:
    return Call(call.function, call.arguments, lambda found: [dict(row) for row in found])


WHOAMI: Call[list[dict[str, Any]]] = rows(Call("whoami", {}, list))


def spends(client: Any, user: UUID) -> list[Callable[..., Any]]:
    """The two ways to spend: by the service for the user, and by the user."""
    return [partial(client.consume_credit_for, user), client.as_user(user).consume_credit]


def ledger(database: Database, user: UUID, type: str = "consumption") -> list[CreditTransaction]:
    """The rows of a user, oldest first, read by a connection of its own."""
    with database.connect() as connection:
        history = Client(connection).get_transaction_history_for(user, 500)
    return [row for row in reversed(history) if row.type == type]


def enrich(database: Database, user: UUID, amount: int) -> None:
    """A balance that no grant could make in one go: a numbered row, as a restore brings it."""
    with database.connect() as connection, connection.transaction():
        connection.execute(
            """
            with a as (
              update public.user_credits
              set credits_remaining = credits_remaining + %(amount)s, total_credits = total_credits + %(amount)s,
                last_seq = last_seq + 1
              where user_id = %(user)s returning *
            )
            insert into public.credit_transactions (user_id, seq, amount, balance_after, type, created_at)
            select user_id, last_seq, %(amount)s, credits_remaining, 'bonus', updated_at from a
            """,
            {"user": user, "amount": amount},
        )


# every RPC -----------------------------------------------------------------------------------------------------------

USER_CALLS: dict[str, tuple[tuple[Any, ...], Any]] = {
    "consume_credit": ((1,), CreditTransaction),
    "get_user_credits": ((), UserCredits),
    "get_transaction_history": ((10, None, "consumption"), [CreditTransaction]),
    "get_operation": (("first",), CreditTransaction),
    "get_usage": ((EPOCH, None), CreditUsage),
    "has_entitlement": (("pro",), bool),
    "delete_user_account": ((), AccountDeletion),
}
SERVICE_CALLS: dict[str, tuple[tuple[Any, ...], Any]] = {
    "consume_credit_for": ((1,), CreditTransaction),
    "add_credits_for": ((5, "purchase"), CreditTransaction),
    "refund_consumption_for": ((2, 1), CreditTransaction),
    "reserve_credits_for": ((2, HOUR), CreditHold),
    "capture_hold_for": (("{hold}", 1), CreditTransaction),
    "release_hold_for": (("{other}",), CreditHold),
    "set_alert_for": ((5,), UserCredits),
    "get_user_credits_for": ((), UserCredits),
    "get_transaction_history_for": ((10, 100, None), [CreditTransaction]),
    "get_operation_for": (("first",), CreditTransaction),
    "get_usage_for": ((EPOCH, EPOCH + 100 * 365 * DAY), CreditUsage),
    "get_balance_at_for": ((EPOCH + 100 * 365 * DAY,), int),
    "explain_balance_for": ((), dict),
    "export_user_data_for": ((), dict),
    "verify_ledger": ((), []),
    "record_purchase_for": (("app_store", "{id}", "pack"), PurchaseTransaction),
    "grant_entitlement_for": (("pro", EPOCH + 100 * 365 * DAY), UserEntitlement),
    "has_entitlement_for": (("pro",), bool),
    "delete_user_account_for": ((), AccountDeletion),
}

SHOP_CALLS: dict[str, tuple[tuple[Any, ...], Any]] = {
    "refund_purchase": (("app_store", "{id}", "refund", 4), PurchaseTransaction),
    "process_revenuecat_event": (('{"event": {"id": "{id}", "type": "TEST"}}',), StoreEvent),
    "process_stripe_event": ((b'{"id": "{id}", "object": "event", "type": "payout.paid"}',), StoreEvent),
    "reprocess_store_event": (("stripe", "{id}"), StoreEvent),
    "set_recurring_grant": (("g-{id}", 5, "day", None, "vip"), RecurringGrant),
    "end_recurring_grant": (("g-{id}",), RecurringGrant),
    "claim_outbox": ((100, HOUR), [OutboxItem]),
    "ack_outbox": ((["{hold}"],), int),
    "run_maintenance": ((), MaintenanceReport),
}


def named(argument: Any, **ids: UUID) -> Any:
    """The argument, or each of several, with an id of its own where it leaves room for one."""
    if isinstance(argument, tuple | list):
        return [named(part, **ids) for part in argument]
    if isinstance(argument, bytes):
        return named(argument.decode(), **ids).encode()
    if argument in ("{hold}", "{other}"):
        return ids[argument.strip("{}")]
    return argument.replace("{id}", str(ids["id"])) if isinstance(argument, str) else argument


def instants(answer: Any) -> list[datetime]:
    found = answer if isinstance(answer, list) else [answer]
    values = [getattr(row, f.name) for row in found if isinstance(row, Result) for f in dataclasses.fields(row)]
    return [value for value in values if isinstance(value, datetime)]


def check_answer(answer: Any, expected: Any) -> None:
    if isinstance(expected, list):
        assert isinstance(answer, list)
        assert all(type(row) is expected[0] for row in answer)
        assert bool(answer) == bool(expected)
    else:
        assert type(answer) is expected
    assert all(value.tzinfo is UTC for value in instants(answer))


def test_every_rpc_that_is_declared_is_called_here() -> None:
    for procedures, calls in ((UserProcedures, USER_CALLS), (ServiceProcedures, SERVICE_CALLS | SHOP_CALLS)):
        declared = {name for name, value in vars(procedures).items() if isinstance(value, rpc)}
        assert set(calls) == {name for name in declared if name.removesuffix("_for") not in IN_TEST_APP}


@pytest.mark.parametrize("source", SOURCES)
def test_every_rpc_answers_with_its_dataclass_and_in_utc(bank: Database, driver: Driver, source: str) -> None:
    user, leaver = bank.sign_up(), bank.sign_up()
    with driver.source(bank, source, options="-c TimeZone=Asia/Kathmandu") as where:
        client = driver.client(where)
        first = driver.wait(client.consume_credit_for(user, idempotency_key="first", metadata={"é": [1, None]}))
        assert first.metadata == {"é": [1, None]}
        assert first.id == f"{user}/2"
        driver.wait(client.set_alert_for(user, 12))
        driver.wait(client.add_credits_for(user, 10))
        hold, other = (driver.wait(client.reserve_credits_for(user, 1)).id for _ in range(2))
        for calls, subject in ((USER_CALLS, client.as_user(user)), (SERVICE_CALLS, client)):
            for name, (arguments, expected) in calls.items():
                whom = leaver if "delete" in name else user
                if calls is SERVICE_CALLS:
                    answer = driver.wait(
                        getattr(subject, name)(whom, *named(arguments, hold=hold, other=other, id=user))
                    )
                elif whom is leaver:
                    answer = driver.wait(getattr(client.as_user(leaver), name)(*arguments))
                else:
                    answer = driver.wait(getattr(subject, name)(*arguments))
                check_answer(answer, expected)
                if name.startswith("get_operation"):
                    assert answer == first
        for name, (arguments, expected) in SHOP_CALLS.items():
            check_answer(driver.wait(getattr(client, name)(*named(arguments, hold=hold, id=user))), expected)
        assert driver.wait(client.get_operation_for(user, "unused")) is None
        now = driver.wait(client.get_user_credits_for(user))
        assert (now.credits_remaining, now.credits_available, now.used_credits, now.last_seq) == (21, 19, 3, 10)
        assert abs(now.updated_at - datetime.now(UTC)) < DAY / 24


def test_methods_have_the_signature_and_the_docstring_of_their_declaration(driver: Driver) -> None:
    client = driver.client(object())
    for subject, procedures in ((client, ServiceProcedures), (client.as_user(uuid4()), UserProcedures)):
        for name in (name for name, value in vars(procedures).items() if isinstance(value, rpc)):
            declared = vars(procedures)[name].declare
            method = getattr(subject, name)
            assert (method.__name__, method.__doc__) == (name, declared.__doc__)
            assert method.__doc__


def test_history_comes_in_pages_that_neither_overlap_nor_skip(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        for amount in range(1, 8):
            driver.wait(client.add_credits_for(user, amount))
        pages, before = [], None
        while page := driver.wait(client.as_user(user).get_transaction_history(3, before)):
            pages.append([row.seq for row in page])
            before = page[-1].seq
        assert pages == [[8, 7, 6], [5, 4, 3], [2, 1]]
        assert len(driver.wait(client.get_transaction_history_for(user, type="signup_bonus"))) == 1


@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns", "Pacific/Kiritimati"])
def test_results_are_the_same_from_a_row_and_from_the_json_of_postgrest(
    bank: Database, driver: Driver, zone: str
) -> None:
    user, leaver = bank.sign_up(), bank.sign_up()
    with bank.connect() as connection:  # an instant with fewer digits than six
        connection.execute(
            """
            with a as (
              update public.user_credits
              set credits_remaining = 10, total_credits = 10, last_seq = 2, updated_at = '2026-02-03 04:05:06.5+00',
                last_purchase_at = '2026-02-03 04:05:06+00', last_bonus_date = '1969-12-31 23:59:59.000001+00'
              where user_id = %s returning *
            )
            insert into public.credit_transactions (user_id, seq, amount, balance_after, type, created_at, metadata)
            select user_id, 2, 7, 10, 'purchase', updated_at, '{"a": [1, 2.5, null, true, "x"], "b": {}}' from a
            """,
            [user],
        )
    body = f'{{"id": "{user}", "type": "payout.paid", "livemode": true, "data": {{"object": {{}}}}}}'
    questions: list[tuple[str, type[Result], Callable[[Any], Any]]] = [
        (f"public.get_user_credits_for('{user}')", UserCredits, lambda c: c.get_user_credits_for(user)),
        (f"public.get_transaction_history_for('{user}', 1)", CreditTransaction,
         lambda c: c.get_transaction_history_for(user, 1)),
        (f"public.get_usage_for('{user}', '-infinity')", CreditUsage, lambda c: c.get_usage_for(user, EPOCH)),
        (f"public.record_purchase_for('{user}', 'paddle', '{user}', 'pack')", PurchaseTransaction,
         lambda c: c.record_purchase_for(user, "paddle", str(user), "pack", payload={"a": 1})),
        (f"(select * from public.user_entitlements where user_id = '{user}')", UserEntitlement,
         lambda c: c.grant_entitlement_for(user, "pro")),
        (f"public.reserve_credits_for('{user}', 1, idempotency_key => 'hold')", CreditHold,
         lambda c: c.reserve_credits_for(user, 1, idempotency_key="hold")),
        (f"public.set_recurring_grant('json', 5, 'week', '{user}')", RecurringGrant,
         lambda c: c.set_recurring_grant("json", 5, "week", user)),
        (f"public.process_stripe_event('{body}')", StoreEvent, lambda c: c.process_stripe_event(body)),
    ]  # fmt: skip
    with driver.connected(bank.dsn(), options=f"-c TimeZone={zone}") as connection:
        client = driver.client(connection)
        for query, result, ask in questions:
            answer = driver.wait(ask(client))
            answer = answer[0] if isinstance(answer, list) else answer
            ((text,),) = driver.execute(connection, f"select row_to_json(r)::text from {query} as r")
            data = json.loads(text)
            assert result.from_json(data) == answer
            assert result.from_json({**data, "added_later": 1}) == answer
            written = json.loads(json.dumps(answer.to_json()))
            assert result.from_json(written) == answer
            assert written.keys() == data.keys()
        receipt = driver.wait(client.delete_user_account_for(leaver))
        assert AccountDeletion.from_json(json.loads(json.dumps(receipt.to_json()))) == receipt
        assert {table: count for table, count in receipt.removed.items() if count} == {
            "auth.users": 1, "public.user_credits": 1, "public.credit_transactions": 1
        }  # fmt: skip
        ((text,),) = driver.execute(
            connection,
            "select row_to_json(row(%s::uuid, null, 'x', 1, 2, null)::public.ledger_violation)::text",
            [user],
        )
        violation = LedgerViolation.from_json(json.loads(text))
        assert violation == LedgerViolation(user_id=user, seq=None, rule="x", expected=1, found=2, hold_id=None)
        assert violation.to_json() == json.loads(text)


@pytest.mark.corrupts
def test_verify_ledger_names_what_is_wrong(database: Database, driver: Driver) -> None:
    user = database.sign_up()
    with database.connect() as connection:
        connection.execute("update public.user_credits set credits_remaining = 4, total_credits = 4")
    with driver.connected(database.dsn()) as connection:
        expected = LedgerViolation(user_id=user, seq=None, rule="balance_is_not_sum", expected=3, found=4, hold_id=None)
        assert driver.wait(driver.client(connection).verify_ledger()) == [expected]


# errors --------------------------------------------------------------------------------------------------------------

TOO_FEW = {"amount", "credits_available", "credits_remaining"}
REUSED = {"idempotency_key", "seq"}
REFUSALS: list[tuple[type[CreditsError], set[str], Callable[[Any, UUID], Any]]] = [
    (NotAuthenticated, set(), lambda c, u: c.consume_credit_for(None)),
    (NotAuthenticated, set(), lambda c, u: c.as_user("nobody").get_user_credits()),
    (InsufficientCredits, TOO_FEW, lambda c, u: c.consume_credit_for(u, 4)),
    (InsufficientCredits, TOO_FEW, lambda c, u: c.as_user(u).consume_credit(4)),
    (AccountNotFound, set(), lambda c, u: c.add_credits_for(uuid4(), 1)),
    (AccountNotFound, set(), lambda c, u: c.as_user(uuid4()).consume_credit()),
    (IdempotencyKeyReused, REUSED, lambda c, u: c.consume_credit_for(u, 2, idempotency_key="first")),
    (IdempotencyKeyReused, REUSED, lambda c, u: c.add_credits_for(u, 1, idempotency_key="first")),
    (BalanceLimit, {"amount", "credits_remaining"}, lambda c, u: c.add_credits_for(RICH, 1)),
    (InvalidAmount, {"amount"}, lambda c, u: c.consume_credit_for(u, 0)),
    (InvalidAmount, {"amount"}, lambda c, u: c.as_user(u).consume_credit(-1)),
    (InvalidAmount, {"amount"}, lambda c, u: c.add_credits_for(u, 10**12 + 1)),
    (InvalidIdempotencyKey, {"length"}, lambda c, u: c.consume_credit_for(u, idempotency_key="")),
    (InvalidIdempotencyKey, {"length"}, lambda c, u: c.as_user(u).consume_credit(idempotency_key="credits:x")),
    (InvalidIdempotencyKey, {"length"}, lambda c, u: c.add_credits_for(u, 1, idempotency_key="k" * 256)),
    (InvalidMetadata, set(), lambda c, u: c.consume_credit_for(u, metadata={"a": "x" * 5000})),
    (InvalidArgument, {"argument", "length"}, lambda c, u: c.as_user(u).consume_credit(description="x" * 501)),
    (InvalidArgument, {"argument", "value"}, lambda c, u: c.add_credits_for(u, 1, "refund")),
    (InvalidArgument, {"argument", "value"}, lambda c, u: c.add_credits_for(u, 1, expires_at=EPOCH)),
    (InvalidArgument, {"argument", "value"}, lambda c, u: c.as_user(u).get_transaction_history(0)),
    (InvalidArgument, {"argument", "value"}, lambda c, u: c.get_usage_for(u, EPOCH, EPOCH - DAY)),
    (InvalidArgument, {"argument", "value"}, lambda c, u: c.get_balance_at_for(u, None)),
    (InvalidArgument, {"argument"}, lambda c, u: c.record_purchase_for(u, "no word", "t", "pack")),
    (InvalidArgument, {"argument"}, lambda c, u: c.record_purchase_for(u, "app_store", "t", "pack", currency="USD")),
    (InvalidArgument, {"argument", "reason"},
     lambda c, u: c.record_purchase_for(u, "app_store", "t", "pack", environment="SANDBOX")),
    (InvalidArgument, {"argument", "length"}, lambda c, u: c.grant_entitlement_for(u, "")),
    (InvalidArgument, {"argument", "value"}, lambda c, u: c.run_maintenance(0)),
    (NotAuthenticated, set(), lambda c, u: c.record_purchase_for(None, "app_store", "t", "pack")),
    (NotAuthenticated, set(), lambda c, u: c.as_user("nobody").has_entitlement("pro")),
    (AccountNotFound, set(), lambda c, u: c.grant_entitlement_for(uuid4(), "pro")),
    (UnknownProduct, {"store", "product_id"}, lambda c, u: c.record_purchase_for(u, "app_store", "t", "hat")),
    (PurchaseConflict, {"store", "transaction_id"},
     lambda c, u: c.record_purchase_for(u, "app_store", "taken", "pack")),
    (AccountClosed, set(), lambda c, u: c.record_purchase_for(u, "app_store", "closed", "pack")),
    (TransactionNotFound, {"store", "transaction_id"}, lambda c, u: c.refund_purchase("stripe", "pi_0", "re_0")),
    (InvalidAmount, {"amount"}, lambda c, u: c.refund_purchase("app_store", "taken", "re_0", 0)),
    (TransactionNotFound, {"seq"}, lambda c, u: c.refund_consumption_for(u, 1)),
    (TransactionNotFound, {"seq"}, lambda c, u: c.refund_consumption_for(RICH, 2)),
    (RefundExceedsConsumption, {"amount", "refundable"}, lambda c, u: c.refund_consumption_for(u, 2, 2)),
    (InvalidAmount, {"amount"}, lambda c, u: c.refund_consumption_for(u, 2, 0)),
    (InsufficientCredits, TOO_FEW, lambda c, u: c.reserve_credits_for(u, 3)),
    (InvalidAmount, {"amount"}, lambda c, u: c.reserve_credits_for(u, 0)),
    (InvalidArgument, {"argument", "value"}, lambda c, u: c.reserve_credits_for(u, 1, timedelta.max)),
    (InvalidArgument, {"argument", "value"}, lambda c, u: c.reserve_credits_for(u, 1, timedelta(0))),
    (IdempotencyKeyReused, REUSED, lambda c, u: c.reserve_credits_for(u, 1, idempotency_key="first")),
    (HoldNotFound, {"hold_id"}, lambda c, u: c.capture_hold_for(u, uuid4())),
    (HoldNotFound, {"hold_id"}, lambda c, u: c.release_hold_for(u, HOLDS["held"])),
    (HoldNotActive, {"hold_id", "state"}, lambda c, u: c.capture_hold_for(RICH, HOLDS["released"])),
    (InvalidAmount, {"amount", "held"}, lambda c, u: c.capture_hold_for(RICH, HOLDS["held"], 2)),
    (TooManyHolds, {"active", "maximum"}, lambda c, u: c.reserve_credits_for(RICH, 1)),
    (ExpiryNotAllowed, {"store"},
     lambda c, u: c.add_credits_for(u, 1, "purchase", expires_at=LATER, metadata={"store": "app_store"})),
    (InvalidArgument, {"argument", "value"}, lambda c, u: c.set_alert_for(u, 2**53)),
    (InvalidArgument, {"argument"}, lambda c, u: c.set_recurring_grant("daily", 5, "day")),
    (InvalidAmount, {"amount"}, lambda c, u: c.set_recurring_grant("daily", 0, "day", u)),
    (AccountNotFound, set(), lambda c, u: c.set_recurring_grant("daily", 5, "day", uuid4())),
    (GrantNotFound, {"name"}, lambda c, u: c.end_recurring_grant("nothing", u)),
    (InvalidArgument, {"argument"}, lambda c, u: c.claim_outbox(0)),
    (InvalidArgument, {"argument"}, lambda c, u: c.claim_outbox(1, timedelta(0))),
    (EventNotFound, {"provider", "event_id"}, lambda c, u: c.reprocess_store_event("stripe", "evt_0")),
    (PayloadTooLarge, {"bytes"}, lambda c, u: c.run(Call("process_stripe_event", {"body": LARGE}, list))),
]  # fmt: skip


def check_error(error: CreditsError, expected: type[CreditsError], details: set[str]) -> None:
    assert type(error) is expected
    assert set(error.details) == details
    assert error.hint.endswith(".")
    assert (error.sqlstate, error.token) == (expected.sqlstate, expected.token)
    assert str(error).startswith(f"{error.token}: {error.hint}")
    cause = error.__cause__
    assert isinstance(cause, psycopg.Error)
    assert (cause.sqlstate, cause.diag.message_primary) == (error.sqlstate, error.token)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is expected
    assert (copy.hint, copy.details, str(copy)) == (error.hint, error.details, str(error))


@pytest.mark.parametrize("source", SOURCES)
def test_every_refusal_is_the_class_of_its_token(bank: Database, driver: Driver, source: str) -> None:
    user = bank.sign_up()
    with bank.connect() as connection:
        Client(connection).consume_credit_for(user, idempotency_key="first")
    with driver.source(bank, source) as where:
        client = driver.client(where)
        for expected, details, provoke in REFUSALS:
            with pytest.raises(CreditsError) as caught:
                driver.wait(provoke(client, user))
            check_error(caught.value, expected, details)
        assert driver.wait(client.get_user_credits_for(user)).last_seq == 2
    # below, in test_webhook_handlers.py, in test_app.py
    elsewhere: set[type[CreditsError]] = {LedgerImmutable, InvalidSignature, ProjectNotFound}
    assert {expected for expected, _, _ in REFUSALS} | elsewhere == set(_BY_CODE.values())


def test_a_change_of_the_ledger_is_ledger_immutable(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with bank.connect() as connection:
        connection.execute(
            """
            create or replace function public.tamper(victim uuid) returns setof public.credit_transactions
            language sql security definer
            as $$ update public.credit_transactions set amount = 9 where user_id = victim returning * $$
            """
        )
    with driver.connected(bank.dsn()) as connection, pytest.raises(LedgerImmutable) as caught:
        driver.wait(driver.client(connection).run(Call("tamper", {"victim": user}, list)))
    check_error(caught.value, LedgerImmutable, {"operation"})


def test_every_error_of_the_package_is_public_and_documented() -> None:
    for error in _BY_CODE.values():
        assert getattr(credits_db, error.__name__) is error
        assert error.__doc__


@pytest.mark.parametrize("source", SOURCES)
def test_errors_that_are_not_ours_pass_unchanged(bank: Database, driver: Driver, source: str) -> None:
    user = bank.sign_up()

    def refuse(code: str, token: str) -> Call[Any]:
        return Call("refuse", {"code": code, "token": token, "detail": "{}"}, list)

    as_service: list[tuple[Call[Any], type[psycopg.Error]]] = [
        (Call("nothing", {}, list), psycopg.errors.UndefinedFunction),
        (Call("get_user_credits_for", {"user_id": "x"}, list), psycopg.errors.InvalidTextRepresentation),
        (refuse("22023", "something_else"), psycopg.errors.InvalidParameterValue),
        (refuse("PT402", "something_else"), psycopg.ProgrammingError),
        (refuse("23505", "insufficient_credits"), psycopg.errors.UniqueViolation),
    ]
    as_user: list[tuple[Call[Any], type[psycopg.Error]]] = [
        (Call("verify_ledger", {}, list), psycopg.errors.InsufficientPrivilege),
        (Call("consume_credit_for", {"user_id": user}, list), psycopg.errors.InsufficientPrivilege),
    ]
    with driver.source(bank, source) as where:
        client = driver.client(where)
        calls = [(client, *call) for call in as_service] + [(client.as_user(user), *call) for call in as_user]
        for subject, call, expected in calls:
            with pytest.raises(psycopg.Error) as caught:
                driver.wait(subject.run(call))
            assert type(caught.value) is expected
            assert caught.value.__cause__ is None
        assert driver.wait(client.get_user_credits_for(user)).credits_remaining == 3


@pytest.mark.parametrize("detail", ["not JSON", "", "[1]", "7"])
def test_an_error_that_only_looks_like_ours_is_still_an_error_of_the_database(
    bank: Database, driver: Driver, detail: str
) -> None:
    call: Call[Any] = Call("refuse", {"code": "22023", "token": "invalid_argument", "detail": detail}, list)
    with driver.connected(bank.dsn()) as connection, pytest.raises((CreditsError, psycopg.Error)) as caught:
        driver.wait(driver.client(connection).run(call))
    assert getattr(caught.value, "sqlstate", None) == "22023"
    assert isinstance(getattr(caught.value, "details", {}), dict)


# arguments -----------------------------------------------------------------------------------------------------------


class Seven:
    """What numpy's integers are to Python."""

    def __index__(self) -> int:
        return 7


@pytest.mark.parametrize("amount", [1.0, 1.5, Decimal(1), True, False, "1", None, [1], float("nan")])
def test_an_amount_that_is_no_whole_number_is_refused_before_the_wire(
    bank: Database, driver: Driver, amount: Any
) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        for call in (client.consume_credit_for, client.add_credits_for):
            with pytest.raises(TypeError):
                driver.wait(call(user, amount))
        with pytest.raises(TypeError):
            driver.wait(client.as_user(user).consume_credit(amount))
    assert len(ledger(bank, user)) == 0


def test_an_amount_may_be_anything_that_is_an_index(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        assert driver.wait(client.add_credits_for(user, Seven())).amount == 7
        assert driver.wait(client.as_user(user).consume_credit(Seven())).amount == -7


@pytest.mark.parametrize("amount", [2**63, 2**70, -(2**63) - 1, 2**63 - 1, -(2**63), 10**12 + 1])
def test_an_amount_out_of_bounds_is_invalid_whatever_its_size(bank: Database, driver: Driver, amount: int) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        for call in (client.consume_credit_for, client.add_credits_for):
            with pytest.raises(InvalidAmount) as caught:
                driver.wait(call(user, amount))
            assert caught.value.details == {"amount": amount}
            assert pickle.loads(pickle.dumps(caught.value)).details == {"amount": amount}


@pytest.mark.parametrize(("page_size", "before_seq"), [(2**31, None), (2**40, None), (2**70, None), (10, 2**70)])
def test_a_page_out_of_bounds_is_invalid_whatever_its_size(
    bank: Database, driver: Driver, page_size: int, before_seq: int | None
) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection, pytest.raises(InvalidArgument):
        driver.wait(driver.client(connection).get_transaction_history_for(user, page_size, before_seq))


@pytest.mark.parametrize("size", [2**31, 2**63, 2**70, -(2**70)])
def test_a_number_of_a_purchase_out_of_bounds_is_invalid_whatever_its_size(
    bank: Database, driver: Driver, size: int
) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        buy = partial(client.record_purchase_for, user, "app_store", "t", "pack")
        calls: list[Callable[[], Any]] = [
            lambda: buy(price_cents=size * 10**6, currency="USD"),
            lambda: buy(quantity=size),
            lambda: client.run_maintenance(size),
        ]
        for call in calls:
            with pytest.raises(InvalidArgument):
                driver.wait(call())
        with pytest.raises(InvalidAmount):
            driver.wait(client.refund_purchase("app_store", "t", "r", size * 10**6))
        with pytest.raises(TypeError):
            driver.wait(client.refund_purchase("app_store", "t", "r", 1.5))


def test_a_purchase_is_credited_once_refunded_once_and_leaves_a_debt(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        buy = partial(client.record_purchase_for, user, "paddle", f"{user}/1", "pack")
        first = driver.wait(buy(price_cents=990, currency="usd", payload={"receipt": ["x"]}, quantity=2))
        assert (first.status, first.credits, first.quantity, first.seq) == ("completed", 20, 2, 2)
        assert (first.price_cents, first.currency, first.payload) == (990, "USD", {"receipt": ["x"]})
        assert driver.wait(buy(price_cents=990, currency="usd", quantity=2)) == first
        driver.wait(client.consume_credit_for(user, 23))
        part = driver.wait(client.refund_purchase("paddle", f"{user}/1", "a", 5))
        assert (part.status, part.refunded_credits) == ("completed", 5)
        assert driver.wait(client.refund_purchase("paddle", f"{user}/1", "a", 5)) == part
        with pytest.raises(IdempotencyKeyReused):
            driver.wait(client.refund_purchase("paddle", f"{user}/1", "a", 6))
        whole = driver.wait(client.refund_purchase("paddle", f"{user}/1", "b"))
        assert (whole.status, whole.refunded_credits) == ("refunded", 20)
        assert driver.wait(client.get_user_credits_for(user)).credits_available == -20
        driver.wait(client.record_purchase_for(user, "paddle", f"{user}/2", "pack", quantity=3))
        assert driver.wait(client.as_user(user).get_user_credits()).credits_available == 10


def test_an_entitlement_lasts_until_its_instant(bank: Database, driver: Driver) -> None:
    user, now = bank.sign_up(), datetime.now(UTC)
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        assert driver.wait(client.has_entitlement_for(user, "pro")) is False
        granted = driver.wait(client.grant_entitlement_for(user, "pro", now + DAY))
        assert (granted.active_until, granted.source) == (now + DAY, "manual")
        assert driver.wait(client.as_user(user).has_entitlement("pro")) is True
        assert driver.wait(client.as_user(bank.sign_up()).has_entitlement("pro")) is False
        driver.wait(client.grant_entitlement_for(user, "pro", now - DAY))
        assert driver.wait(client.has_entitlement_for(user, "pro")) is False
        assert driver.wait(client.grant_entitlement_for(user, "pro")).active_until is None
        assert driver.wait(client.has_entitlement_for(user, "pro")) is True


def test_a_consumption_is_given_back_in_parts_and_no_further(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        spent = driver.wait(client.consume_credit_for(user, 3))
        give_back = partial(client.refund_consumption_for, user, spent.seq)
        part = driver.wait(give_back(2, description="Half a film", metadata={"ticket": 7}, idempotency_key="back"))
        assert (part.type, part.amount, part.balance_after) == ("refund", 2, 2)
        assert (part.description, part.metadata) == ("Half a film", {"ticket": 7})
        assert (
            driver.wait(give_back(2, description="Half a film", metadata={"ticket": 7}, idempotency_key="back")) == part
        )
        with pytest.raises(RefundExceedsConsumption) as caught:
            driver.wait(give_back(2))
        assert dict(caught.value.details) == {"amount": 2, "refundable": 1}
        assert driver.wait(give_back()).amount == 1
        with pytest.raises(TransactionNotFound):
            driver.wait(client.refund_consumption_for(user, part.seq))


def test_a_low_balance_is_told_once_and_no_more_when_it_is_acknowledged(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()

    def told(lease: timedelta) -> list[OutboxItem]:
        return [item for item in driver.wait(client.claim_outbox(1000, lease)) if item.user_id == user]

    with driver.connected(bank.dsn()) as connection, bank.connect() as owner, freeze(owner, datetime.now(UTC)) as clock:
        client = driver.client(connection)
        assert driver.wait(client.set_alert_for(user, 3)).alert_below == 3
        spent = driver.wait(client.consume_credit_for(user))
        driver.wait(client.consume_credit_for(user))
        (item,) = told(HOUR)
        assert (item.kind, item.attempts) == ("low_balance", 1)
        assert item.payload == {"credits_remaining": 2, "alert_below": 3, "seq": spent.seq}
        assert told(HOUR) == []
        clock.advance(HOUR)
        (again,) = told(HOUR)
        assert (again.id, again.attempts) == (item.id, 2)
        assert driver.wait(client.ack_outbox([item.id, uuid4()])) == 1
        assert driver.wait(client.ack_outbox((item.id,))) == 0
        clock.advance(HOUR)
        assert told(HOUR) == []
        assert driver.wait(client.set_alert_for(user)).alert_below is None


def test_a_recurring_grant_comes_with_its_period_until_it_is_ended(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection, bank.connect() as owner, freeze(owner, LATER) as clock:
        client = driver.client(connection)
        daily = driver.wait(client.set_recurring_grant("daily", 5, "day", user))
        assert (daily.user_id, daily.entitlement, daily.period, daily.rollover) == (user, None, "day", False)
        assert (daily.starts_at, daily.ends_at) == (LATER, None)
        assert driver.wait(client.set_recurring_grant("daily", 5, "day", user)) == daily
        assert driver.wait(client.get_user_credits_for(user)).credits_available == 8
        driver.wait(client.consume_credit_for(user, 6))
        clock.advance(DAY)
        assert driver.wait(client.get_user_credits_for(user)).credits_available == 7
        clock.advance(HOUR)
        assert driver.wait(client.end_recurring_grant("daily", user)).ends_at == clock.now
        clock.advance(DAY)
        assert driver.wait(client.get_user_credits_for(user)).credits_available == 2
        with pytest.raises(GrantNotFound):
            driver.wait(client.end_recurring_grant("daily", user))


def test_credits_that_expire_are_spent_first_and_then_gone(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection, bank.connect() as owner, freeze(owner, datetime.now(UTC)) as clock:
        client = driver.client(connection)
        driver.wait(client.add_credits_for(user, 10, expires_at=clock.now + HOUR))
        driver.wait(client.consume_credit_for(user, 4))
        clock.advance(HOUR)
        assert driver.wait(client.get_user_credits_for(user)).credits_available == 3
        assert driver.wait(client.run_maintenance()).expirations >= 1
        (newest, *_) = driver.wait(client.get_transaction_history_for(user))
        assert (newest.type, newest.amount, newest.created_at) == ("expiration", -6, clock.now)


def test_the_body_of_an_event_is_stored_to_the_last_byte(bank: Database, driver: Driver) -> None:
    body = f' {{"id" : "{uuid4()}",\t"é\\u0041": 1.50e+00, "%s": "%(a)s", "id2": 1, "id2": 2 }}\r\n'
    id = json.loads(body)["id"]
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        stored = driver.wait(client.process_stripe_event(body.encode(), deferred=True))
        assert (stored.event_id, stored.state, stored.attempts) == (id, "pending", 0)
        ((kept,),) = driver.execute(
            connection, "select body::text from credits_private.store_events where event_id = %s", [id]
        )
        assert kept == body
        done = driver.wait(client.process_stripe_event(body))
        assert (done.state, done.reason, done.received_at) == ("failed", "wrong_shape", stored.received_at)


TEXTS = [
    "it's",
    '"quoted"',
    "back\\slash \\' \\x27",
    "'; drop table public.user_credits; --",
    "%s %(amount)s %% {} $1 :name ?",
    "line\nbreak\ttab\x01",
    "ünï ✓ 🪙 \u202e\u200b",
    "e\u0301",
]


@pytest.mark.parametrize(("source", "conforming"), [("autocommit", "off"), ("transaction", "on")])
def test_text_of_any_kind_arrives_as_it_was_sent(bank: Database, driver: Driver, source: str, conforming: str) -> None:
    options = f"-c standard_conforming_strings={conforming} -c escape_string_warning=off"
    user = bank.sign_up()
    with driver.source(bank, source, options=options) as where:
        client = driver.client(where)
        driver.wait(client.add_credits_for(user, 100))
        for text in TEXTS:
            for number, spend in enumerate(spends(client, user)):
                key = f"{text}{number}"
                row = driver.wait(spend(description=text, metadata={text: [text]}, idempotency_key=key))
                assert (row.description, row.metadata, row.idempotency_key) == (text, {text: [text]}, key)
                assert driver.wait(client.as_user(user).get_operation(key)) == row
                assert driver.wait(client.get_operation_for(user, key)) == row


def test_a_user_may_be_named_by_text(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        assert driver.wait(client.consume_credit_for(str(user))).user_id == user
        assert driver.wait(client.as_user(str(user).upper()).consume_credit()).user_id == user


def test_metadata_may_be_any_mapping(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        assert driver.wait(client.consume_credit_for(user, metadata={"a": {"b": 1}})).metadata == {"a": {"b": 1}}
        assert driver.wait(client.consume_credit_for(user, metadata=MappingProxyType({"a": 1}))).metadata == {"a": 1}


@pytest.mark.parametrize("source", SOURCES)
def test_an_argument_that_cannot_be_sent_leaves_everything_as_it_was(
    bank: Database, driver: Driver, source: str
) -> None:
    user = bank.sign_up()
    with driver.source(bank, source) as where:
        client = driver.client(where)
        for spend in spends(client, user):
            with pytest.raises(TypeError):
                driver.wait(spend(metadata={"a": object()}))
            with pytest.raises((psycopg.DataError, ValueError)):
                driver.wait(spend(description="a\x00b"))
            with pytest.raises((psycopg.DataError, ValueError)):
                driver.wait(spend(description="\ud800"))
        assert driver.wait(client.as_user(user).get_user_credits()).credits_remaining == 3
        with driver.borrowed(where) as connection:
            assert driver.execute(connection, WHO) == [NOBODY]


# identity ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
def test_a_user_client_is_role_authenticated_with_the_claims_of_its_user(
    bank: Database, driver: Driver, source: str
) -> None:
    user, other = bank.sign_up(), bank.sign_up()
    with driver.source(bank, source) as where:
        client = driver.client(where)
        claims = {"email": "a@b.c", "sub": str(other), "role": "service_role", "app_metadata": {"n": 1}}
        (who,) = driver.wait(client.as_user(user, claims).run(WHOAMI))
        assert (who["who"], who["role"], who["uid"]) == ("authenticated", "authenticated", user)
        assert json.loads(who["claims"]) == {**claims, "sub": str(user), "role": "authenticated"}
        (who,) = driver.wait(client.as_user(other).run(WHOAMI))
        assert who["uid"] == other
        assert driver.wait(client.as_user(user).consume_credit()).user_id == user
        assert driver.wait(client.as_user(other).get_user_credits()).credits_remaining == 3


def provoke_all(driver: Driver, client: Any, user: UUID) -> None:
    """A call that answers, a refusal, an error of Postgres and one of Python, all as a user."""
    me = client.as_user(user)
    assert driver.wait(me.consume_credit()).user_id == user
    with pytest.raises(InsufficientCredits):
        driver.wait(me.consume_credit(1000))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        driver.wait(me.run(Call("verify_ledger", {}, list)))
    with pytest.raises(TypeError):
        driver.wait(me.consume_credit(metadata={"a": object()}))


@pytest.mark.parametrize("source", OWN_TRANSACTION)
def test_role_and_claims_are_gone_after_a_call_of_a_user(bank: Database, driver: Driver, source: str) -> None:
    user = bank.sign_up()
    with driver.source(bank, source) as where:
        provoke_all(driver, driver.client(where), user)
        with driver.borrowed(where) as connection:
            assert connection.info.transaction_status == TransactionStatus.IDLE
            assert connection.autocommit is not source.startswith("manual")
            assert driver.execute(connection, WHO) == [NOBODY]
            assert driver.execute(connection, "select auth.uid()") == [(None,)]


@pytest.mark.session("role and claims of a session")
@pytest.mark.parametrize("autocommit", [True, False])
def test_role_and_claims_of_the_session_are_there_again_after_a_call_of_a_user(
    bank: Database, driver: Driver, autocommit: bool
) -> None:
    user, other = bank.sign_up(), bank.sign_up()
    claims = json.dumps({"sub": str(other)})
    with driver.connected(bank.dsn()) as connection:
        driver.execute(connection, "set role service_role")
        driver.execute(connection, "select set_config('request.jwt.claims', %s, false)", [claims])
        driver.wait(connection.set_autocommit(autocommit))
        provoke_all(driver, driver.client(connection), user)
        assert driver.execute(connection, WHO) == [("service_role", claims)]


def test_a_user_client_leaves_no_role_and_no_claims_in_the_callers_transaction(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        with driver.opened(connection.transaction()):
            provoke_all(driver, driver.client(connection), user)
            assert driver.execute(connection, WHO) == [NOBODY]
        assert driver.execute(connection, WHO) == [NOBODY]
    assert len(ledger(bank, user)) == 1


@pytest.mark.session("role of a session")
def test_role_and_claims_of_the_callers_transaction_are_put_back(bank: Database, driver: Driver) -> None:
    user, other = bank.sign_up(), bank.sign_up()
    theirs = json.dumps({"sub": str(other), "x": 1})
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        driver.execute(connection, "set role service_role")
        with driver.opened(connection.transaction()):
            driver.execute(connection, "set local role authenticated")
            driver.execute(connection, "select set_config('request.jwt.claims', %s, true)", [theirs])
            assert driver.wait(client.as_user(user).consume_credit()).user_id == user
            assert driver.execute(connection, WHO) == [("authenticated", theirs)]
            assert driver.execute(connection, "select auth.uid()") == [(other,)]
            with pytest.raises(InsufficientCredits):
                driver.wait(client.as_user(user).consume_credit(1000))
            assert driver.execute(connection, WHO) == [("authenticated", theirs)]
        assert driver.execute(connection, WHO) == [("service_role", "")]
    assert len(ledger(bank, user)) == 1


@pytest.mark.session("claims of a session")
def test_the_older_claim_of_a_session_does_not_make_a_user_client_somebody_else(bank: Database, driver: Driver) -> None:
    user, other = bank.sign_up(), bank.sign_up()
    older = "select current_setting('request.jwt.claim.sub', true)"
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        driver.execute(connection, "select set_config('request.jwt.claim.sub', %s, false)", [str(other)])
        assert driver.wait(client.as_user(user).consume_credit()).user_id == user
        with driver.opened(connection.transaction()):
            assert driver.wait(client.as_user(user).get_user_credits()).user_id == user
            assert driver.execute(connection, older) == [(str(other),)]
        assert driver.execute(connection, older) == [(str(other),)]


@pytest.mark.parametrize("source", ["pool", "manual pool"])
def test_nothing_of_a_user_reaches_the_next_who_borrows_the_connection(
    bank: Database, driver: Driver, source: str
) -> None:
    user, other = bank.sign_up(), bank.sign_up()
    with driver.source(bank, source) as pool:
        client = driver.client(pool)
        backends = set()
        for turn in (user, other, user):
            provoke_all(driver, client, turn)
            with driver.borrowed(pool) as connection:
                backends.add(connection.info.backend_pid)
                assert driver.execute(connection, WHO) == [NOBODY]
        assert len(backends) == 1
        assert driver.wait(client.verify_ledger(user)) == []


# transactions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_call_in_the_callers_transaction_is_undone_by_its_rollback(
    bank: Database, driver: Driver, autocommit: bool
) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn(), autocommit=autocommit) as connection:
        client = driver.client(connection)
        driver.execute(connection, "begin" if autocommit else "select 1")
        assert driver.wait(client.consume_credit_for(user, idempotency_key="k")).seq == 2
        assert driver.wait(client.as_user(user).consume_credit()).seq == 3
        assert connection.info.transaction_status == TransactionStatus.INTRANS
        assert ledger(bank, user) == []
        driver.wait(connection.rollback())
        assert ledger(bank, user) == []
        assert driver.wait(client.consume_credit_for(user, 2, idempotency_key="k")).seq == 2
    assert [row.amount for row in ledger(bank, user)] == [-2]


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_refusal_leaves_the_callers_transaction_usable(bank: Database, driver: Driver, autocommit: bool) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn(), autocommit=autocommit) as connection:
        client = driver.client(connection)
        with driver.opened(connection.transaction()):
            driver.wait(client.consume_credit_for(user))
            for spend in spends(client, user):
                with pytest.raises(InsufficientCredits):
                    driver.wait(spend(9))
            driver.wait(client.as_user(user).consume_credit())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                driver.wait(client.as_user(user).run(Call("verify_ledger", {}, list)))
            driver.wait(client.consume_credit_for(user))
    assert [row.balance_after for row in ledger(bank, user)] == [2, 1, 0]


def test_a_transaction_that_has_failed_already_stays_the_callers_to_end(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        driver.execute(connection, "begin")
        with pytest.raises(psycopg.errors.DivisionByZero):
            driver.execute(connection, "select 1 / 0")
        for spend in spends(client, user):
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                driver.wait(spend())
        assert connection.info.transaction_status == TransactionStatus.INERROR
        driver.execute(connection, "rollback")
        assert driver.wait(client.consume_credit_for(user)).seq == 2


def test_a_call_on_an_idle_connection_in_autocommit_is_committed_at_once(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        for number, spend in enumerate(spends(client, user), 1):
            driver.wait(spend())
            assert connection.info.transaction_status == TransactionStatus.IDLE
            assert len(ledger(bank, user)) == number


@pytest.mark.parametrize("first", ["service", "user"])
def test_without_autocommit_the_caller_commits_also_when_the_call_comes_first(
    bank: Database, driver: Driver, first: str
) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn(), autocommit=False) as connection:
        spend = spends(driver.client(connection), user)[first == "user"]
        driver.wait(spend())
        assert driver.execute(connection, WHO) == [NOBODY]
        driver.execute(connection, "select 1 as work")
        driver.wait(connection.rollback())
        assert ledger(bank, user) == []
        driver.wait(spend())
        assert ledger(bank, user) == []
        driver.wait(connection.commit())
        assert len(ledger(bank, user)) == 1


def test_calls_work_inside_a_pipeline_of_the_caller(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        with driver.opened(connection.pipeline()):
            assert driver.wait(client.consume_credit_for(user)).seq == 2
            assert driver.wait(client.as_user(user).consume_credit()).seq == 3
        with driver.opened(connection.pipeline()), driver.opened(connection.transaction()):
            with pytest.raises(InsufficientCredits):
                driver.wait(client.as_user(user).consume_credit(2))
            assert driver.wait(client.as_user(user).consume_credit()).seq == 4
        assert driver.execute(connection, WHO) == [NOBODY]
    assert len(ledger(bank, user)) == 3


@pytest.mark.parametrize("kind", ["autocommit", "manual", "transaction"])
def test_calls_that_share_one_connection_are_each_their_own_users(bank: Database, driver: Driver, kind: str) -> None:
    users = [bank.sign_up() for _ in range(4)]
    with driver.source(bank, kind) as connection:
        makers = [
            (user, call)
            for user in users
            for call in (
                partial(driver.client(connection).add_credits_for, user, 1),
                driver.client(connection).as_user(user).consume_credit,
                driver.client(connection).as_user(user).get_user_credits,
            )
        ]
        if driver.kind == "sync":
            with ThreadPoolExecutor(len(makers)) as threads:
                answers = [future.result() for future in [threads.submit(call) for _, call in makers]]
        else:

            async def together() -> list[Any]:
                return await asyncio.gather(*(call() for _, call in makers))

            answers = driver.wait(together())
        assert [answer.user_id for answer in answers] == [user for user, _ in makers]
        assert connection.autocommit is not kind.startswith("manual")
        assert driver.execute(connection, WHO) == [NOBODY]
        if kind == "manual":
            driver.wait(connection.commit())
    assert [len(ledger(bank, user)) for user in users] == [1] * 4


def test_a_call_while_the_callers_transaction_is_busy_is_part_of_it_and_puts_its_role_back(
    bank: Database, driver: Driver
) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        spend = driver.client(connection).as_user(user).consume_credit
        with driver.opened(connection.transaction(force_rollback=True)):
            if driver.kind == "sync":
                with ThreadPoolExecutor(1) as thread:
                    busy = thread.submit(connection.execute, "select pg_sleep(0.1)")
                    while connection.info.transaction_status != TransactionStatus.ACTIVE:
                        time.sleep(0.001)
                    spend()
                    busy.result()
            else:

                async def at_once() -> Any:
                    return await asyncio.gather(connection.execute("select pg_sleep(0.1)"), spend())

                driver.wait(at_once())
            assert driver.execute(connection, WHO) == [NOBODY]
    assert ledger(bank, user) == []


@pytest.mark.parametrize("source", ["pool", "manual pool"])
def test_a_call_that_is_given_up_changes_nothing_and_leaves_nothing(bank: Database, source: str) -> None:
    user = bank.sign_up()

    async def give_up() -> None:
        kwargs = {"autocommit": source == "pool", **POOLED}
        async with AsyncConnectionPool(bank.dsn(), min_size=1, max_size=1, kwargs=kwargs, open=False) as pool:
            client = AsyncClient(pool)
            with bank.connect() as holder, holder.transaction():
                holder.execute("select from public.user_credits where user_id = %s for update", [user])
                for call in (client.consume_credit_for(user), client.as_user(user).consume_credit()):
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(call, 0.05)
            async with pool.connection() as connection:
                assert await (await connection.execute(WHO)).fetchall() == [NOBODY]
            assert (await client.get_user_credits_for(user)).credits_remaining == 3

    asyncio.run(give_up())


# one round trip ------------------------------------------------------------------------------------------------------


@contextmanager
def traced(connection: Any) -> Iterator[list[str]]:
    """The messages of the protocol, one line each: F what went to the server, B what came back."""
    lines: list[str] = []
    with tempfile.NamedTemporaryFile() as file:
        connection.pgconn.trace(file.fileno())
        connection.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        try:
            yield lines
        finally:
            connection.pgconn.untrace()
            lines += Path(file.name).read_text().splitlines()


def round_trips(lines: list[str]) -> int:
    """How often the client spoke again after it had listened."""
    sides = "".join(line[0] for line in lines)
    return len(re.findall("F+B+", sides))


@pytest.mark.parametrize("source", [kind for kind in OWN_TRANSACTION if kind != "unprepared"])
@pytest.mark.parametrize("who", ["service", "user"])
def test_a_call_on_an_idle_connection_is_one_round_trip(bank: Database, driver: Driver, source: str, who: str) -> None:
    user = bank.sign_up()
    with driver.source(bank, source) as where:
        with driver.borrowed(where) as connection:
            pass
        client = driver.client(where)
        with traced(connection) as lines:
            driver.wait(spends(client, user)[who == "user"]())
        assert round_trips(lines) == 1, "\n".join(line[:100] for line in lines)


# retries -------------------------------------------------------------------------------------------------------------


class Proxy:
    """A socket in front of the server that keeps what clients send and loses what it is told to lose."""

    def __init__(self, database: Database) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.database = dataclasses.replace(database, host=self.folder.name, port="5432")
        self.host, self.port = database.host, int(database.port)
        self.lose = ""
        self.word = b"consume_credit"
        self.sent = bytearray()
        self.threads: list[threading.Thread] = []
        self.listener = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        self.listener.bind(f"{self.folder.name}/.s.PGSQL.5432")
        self.listener.listen()
        self.start(self.accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()
        self.folder.cleanup()

    def start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args)
        self.threads.append(thread)
        thread.start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.start(self.carry, client)

    def to_server(self) -> socket.socket:
        if not self.host.startswith("/"):
            return socket.create_connection((self.host, self.port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self.host}/.s.PGSQL.{self.port}")
        return server

    def carry(self, client: socket.socket) -> None:
        with client, suppress(OSError), self.to_server() as server:
            asked = False
            while True:
                for side in select.select([client, server], [], [])[0]:
                    data = side.recv(1 << 16)
                    if not data:
                        return
                    if side is client:
                        self.sent += data
                        asked = asked or self.word in data
                        if self.lose == "request" and asked:
                            self.lose = ""
                            return
                        server.sendall(data)
                    elif self.lose == "answer" and asked and data.endswith(READY_IDLE):
                        self.lose = ""
                        return
                    else:
                        client.sendall(data)

    def keys(self, user: UUID) -> list[str]:
        """Every uuid in text that was sent but the user's: the keys of the calls, once for each attempt."""
        return [found for match in UUID_TEXT.findall(bytes(self.sent)) if (found := match.decode()) != str(user)]


@contextmanager
def when_blocked(database: Database, act: Callable[[int], object]) -> Iterator[None]:
    """Do something in another thread as soon as a backend of this database waits for a lock."""
    problems: list[BaseException] = []

    def watch() -> None:
        try:
            with database.watch() as monitor:
                for _ in range(2000):
                    found = monitor.execute(
                        """
                        select pid from pg_stat_activity
                        where datname = %s and cardinality(pg_blocking_pids(pid)) > 0
                        """,
                        [database.name],
                    ).fetchone()
                    if found:
                        act(found[0])
                        return
                    time.sleep(0.005)
                raise AssertionError("nobody waited")
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if problems:
        raise problems[0]


def lock(holder: psycopg.Connection[Any], user: UUID) -> None:
    holder.execute("select from public.user_credits where user_id = %s for update", [user])


OPTIONS = {
    "55P03": "-c lock_timeout=60ms",
    "57014": "-c statement_timeout=90ms",
    "40001": r"-c default_transaction_isolation=repeatable\ read",
    "57P01": "",
}
OWN_SETTINGS = pytest.mark.session("timeouts or an isolation level of its own")


@contextmanager
def failing_once(database: Database, user: UUID, reason: str) -> Iterator[None]:
    """Whoever spends for this user meanwhile fails for this reason, and would not if they tried again."""
    with database.connect("postgres") as holder:
        holder.execute("begin")
        lock(holder, user)
        if reason == "40001":
            Client(holder).add_credits_for(user, 1)

        def act(pid: int) -> None:
            if reason == "57P01":
                with database.watch() as admin:
                    admin.execute("select pg_terminate_backend(%s)", [pid])
            elif reason != "40001":
                time.sleep(0.1)
            holder.commit()

        with when_blocked(database, act):
            yield


@pytest.mark.parametrize(("source", "who"), [("pool", "service"), ("manual pool", "user")])
@pytest.mark.parametrize(
    "reason",
    [pytest.param(reason, marks=OWN_SETTINGS if options else ()) for reason, options in OPTIONS.items()],
)
def test_a_call_that_failed_for_a_passing_reason_is_sent_again_with_its_key(
    bank: Database, driver: Driver, reason: str, source: str, who: str
) -> None:
    user = bank.sign_up()
    with Proxy(bank) as proxy, driver.source(proxy.database, source, options=OPTIONS[reason]) as pool:
        client = driver.client(pool)
        with failing_once(bank, user, reason):
            row = driver.wait(spends(client, user)[who == "user"]())
        keys = proxy.keys(user)
        assert len(keys) >= 2
        assert set(keys) == {row.idempotency_key}
    assert ledger(bank, user) == [row]


@pytest.mark.session("a deadlock_timeout of its own")
def test_a_deadlock_that_the_caller_caused_is_a_passing_reason(database: Database, driver: Driver) -> None:
    user = database.sign_up()
    with database.connect("postgres") as connection:
        connection.execute(
            """
            create function public.dawdle() returns trigger language plpgsql as $$ begin
              perform pg_advisory_xact_lock(4711);
              return new;
            end $$;
            create trigger dawdle before insert on public.credit_transactions
              for each row execute function public.dawdle();
            """
        )
    superuser = dataclasses.replace(database, owner="postgres")
    with Proxy(superuser) as proxy, database.connect("postgres", autocommit=False) as holder:
        holder.execute("select pg_advisory_xact_lock(4711)")

        def close_the_circle(pid: int) -> None:
            lock(holder, user)
            holder.commit()

        with driver.source(proxy.database, "pool", options="-c deadlock_timeout=200ms") as pool:
            with when_blocked(database, close_the_circle):
                row = driver.wait(driver.client(pool).consume_credit_for(user))
            keys = proxy.keys(user)
            assert len(keys) > 1  # more than 2 where the next attempt overtook the holder, and the circle closed again
            assert set(keys) == {row.idempotency_key}
    assert ledger(database, user) == [row]


@pytest.mark.parametrize("lose", ["request", "answer"])
@pytest.mark.parametrize(("source", "who"), [("pool", "user"), ("manual pool", "service")])
def test_a_call_whose_request_or_answer_was_lost_spends_once(
    bank: Database, driver: Driver, source: str, who: str, lose: str
) -> None:
    user = bank.sign_up()
    with Proxy(bank) as proxy, driver.source(proxy.database, source) as pool:
        client = driver.client(pool)
        proxy.lose = lose
        row = driver.wait(spends(client, user)[who == "user"](2))
        assert proxy.lose == ""
        assert proxy.keys(user) == [row.idempotency_key] * 2
    assert ledger(bank, user) == [row]
    assert row.balance_after == 1


@pytest.mark.parametrize("lose", ["request", "answer"])
def test_the_same_key_settles_what_became_of_a_call_on_a_connection_that_was_lost(
    bank: Database, driver: Driver, lose: str
) -> None:
    user = bank.sign_up()
    with Proxy(bank) as proxy, driver.connected(proxy.database.dsn()) as connection:
        proxy.lose = lose
        start = time.monotonic()
        with pytest.raises(psycopg.OperationalError) as caught:
            driver.wait(driver.client(connection).consume_credit_for(user, 2, idempotency_key="once"))
        took = time.monotonic() - start
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        settled = driver.wait(client.get_operation_for(user, "once"))
        assert (settled is None) == (lose == "request")
        again = driver.wait(client.consume_credit_for(user, 2, idempotency_key="once"))
        assert settled in (None, again)
    assert ledger(bank, user) == [again]
    assert "the connection is closed" not in str(caught.value)  # but why it was lost
    assert took < 1  # a connection does not come back, so there is nothing to wait for


def test_every_call_without_a_key_has_a_key_of_its_own(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with driver.connected(bank.dsn()) as connection:
        client = driver.client(connection)
        calls = [
            client.consume_credit_for(user),
            client.as_user(user).consume_credit(),
            client.add_credits_for(user, 1),
        ]
        keys = {driver.wait(call).idempotency_key for call in calls}
    assert len(keys) == 3
    assert all(UUID(key).version == 4 for key in keys)


@OWN_SETTINGS
@pytest.mark.parametrize("reason", ["55P03", "57014", "40001"])
def test_nothing_is_sent_again_inside_the_callers_transaction(bank: Database, driver: Driver, reason: str) -> None:
    user = bank.sign_up()
    with Proxy(bank) as proxy, driver.connected(proxy.database.dsn(), options=OPTIONS[reason]) as connection:
        client = driver.client(connection)
        with failing_once(bank, user, reason), driver.opened(connection.transaction(force_rollback=True)):
            driver.execute(connection, "select 1")
            with pytest.raises(psycopg.OperationalError) as caught:
                driver.wait(client.consume_credit_for(user))
            assert driver.execute(connection, "select 2") == [(2,)]
        assert caught.value.sqlstate == reason
        assert len(proxy.keys(user)) == 1
    assert ledger(bank, user) == []


def test_a_refusal_and_an_error_that_stays_are_not_sent_again(bank: Database, driver: Driver) -> None:
    user = bank.sign_up()
    with Proxy(bank) as proxy, driver.source(proxy.database, "pool") as pool:
        client = driver.client(pool)
        for spend in spends(client, user):
            proxy.sent.clear()
            with pytest.raises(InsufficientCredits):
                driver.wait(spend(4))
            assert len(proxy.keys(user)) == 1
        proxy.sent.clear()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            driver.wait(client.as_user(user).run(Call("consume_credit_for", {"user_id": user}, list)))
        assert proxy.sent.count(b"consume_credit_for") == 1


@pytest.mark.session("a lock_timeout of its own")
def test_trying_again_ends_with_the_error_itself(
    bank: Database, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = bank.sign_up()
    monkeypatch.setattr(wait_random_exponential, "__call__", lambda *_: 0)
    with bank.connect(autocommit=False) as holder:
        lock(holder, user)
        with Proxy(bank) as proxy, driver.source(proxy.database, "pool", options="-c lock_timeout=5ms") as pool:
            with pytest.raises(psycopg.errors.LockNotAvailable):
                driver.wait(driver.client(pool).consume_credit_for(user))
            keys = proxy.keys(user)
    assert 3 <= len(keys) <= 20
    assert len(set(keys)) == 1


def test_a_source_that_is_closed_or_exhausted_says_so_at_once(bank: Database, driver: Driver) -> None:
    def quickly(source: Any, expected: type[Exception]) -> float:
        start = time.monotonic()
        with pytest.raises(expected):
            driver.wait(driver.client(source).verify_ledger())
        return time.monotonic() - start

    with driver.pool(bank.dsn()) as pool:
        pass
    took = {"closed pool": quickly(pool, PoolClosed)}
    with driver.connected(bank.dsn()) as connection:
        pass
    took["closed connection"] = quickly(connection, psycopg.OperationalError)
    with driver.pool(bank.dsn(), timeout=0.1) as pool, driver.borrowed(pool):
        took["exhausted pool"] = quickly(pool, PoolTimeout)
    assert {what: seconds for what, seconds in took.items() if seconds > 0.5} == {}


def test_a_connection_that_cannot_be_made_is_an_error_of_the_pool(driver: Driver) -> None:
    with tempfile.TemporaryDirectory() as nowhere:
        start = time.monotonic()
        with pytest.raises(PoolTimeout), driver.pool(f"host={nowhere} dbname=x", timeout=0.1) as pool:
            driver.wait(driver.client(pool).verify_ledger())
        assert time.monotonic() - start < 1
