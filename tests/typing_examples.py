"""What a type checker knows about the clients. Checked by mypy --strict and basedpyright, not run.

A line that must be rejected says so with both of their comments, so that a checker which stops rejecting it
complains about a comment that it does not need.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from datetime import datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from credits_db import (
    AccountDeletion,
    AsyncClient,
    AsyncUserClient,
    Client,
    CreditHold,
    CreditsError,
    CreditsProvider,
    CreditsState,
    CreditTransaction,
    CreditUsage,
    HoldStatus,
    InsufficientCredits,
    LedgerViolation,
    MaintenanceReport,
    OutboxItem,
    PurchaseStatus,
    PurchaseTransaction,
    RecurringGrant,
    Reservation,
    StoreEvent,
    StoreEventState,
    TransactionType,
    UserClient,
    UserCredits,
    UserEntitlement,
)
from credits_db.results import Json
from credits_db.webhooks import handle_revenuecat, handle_stripe, sign


def sync(connection: psycopg.Connection[Any], pool: ConnectionPool, user: UUID, now: datetime) -> None:
    client = Client(connection)
    Client(pool)
    assert_type(client.consume_credit_for(user), CreditTransaction)
    assert_type(client.consume_credit_for(user, 10, metadata={"a": 1}, idempotency_key="k"), CreditTransaction)
    assert_type(client.add_credits_for(user, 1, "purchase", description="x"), CreditTransaction)
    assert_type(client.add_credits_for(user, 1, expires_at=now), CreditTransaction)
    assert_type(client.refund_consumption_for(user, 2, 1, description="x"), CreditTransaction)
    assert_type(client.reserve_credits_for(user, 9, timedelta(minutes=1), idempotency_key="k"), CreditHold)
    assert_type(client.capture_hold_for(user, user, 3, metadata={"a": 1}), CreditTransaction)
    assert_type(client.release_hold_for(user, user), CreditHold)
    assert_type(client.set_alert_for(user, 10), UserCredits)
    assert_type(client.set_recurring_grant("daily", 5, "day", user, rollover=True), RecurringGrant)
    assert_type(client.set_recurring_grant("pro", 5, "month", entitlement="pro"), RecurringGrant)
    assert_type(client.end_recurring_grant("daily", user), RecurringGrant)
    items = assert_type(client.claim_outbox(10, timedelta(minutes=1)), list[OutboxItem])
    assert_type(client.ack_outbox([item.id for item in items]), int)
    with client.reserve(user, 100, timedelta(hours=1), description="x", idempotency_key="k") as hold:
        assert_type(hold, Reservation)
        hold.amount = 37
    assert_type(hold.transaction, CreditTransaction | None)
    for row in client.watch(user):
        assert_type(row, UserCredits)
    assert_type(client.watch(user, timedelta(seconds=5)), Generator[UserCredits, None, None])
    assert_type(client.get_user_credits_for(user), UserCredits)
    assert_type(client.get_user_credits_for(user).credits_available, int)
    assert_type(client.get_transaction_history_for(user, 10, before_seq=5), list[CreditTransaction])
    assert_type(client.get_operation_for(user, "k"), CreditTransaction | None)
    assert_type(client.get_usage_for(user, now), CreditUsage)
    assert_type(client.get_balance_at_for(user, now), int)
    assert_type(client.explain_balance_for(user), dict[str, Json])
    assert_type(client.verify_ledger(), list[LedgerViolation])
    assert_type(client.record_purchase_for(user, "stripe", "pi_1", "pack", quantity=2), PurchaseTransaction)
    assert_type(client.refund_purchase("stripe", "pi_1", "re_1", 5), PurchaseTransaction)
    assert_type(client.grant_entitlement_for(user, "pro", now), UserEntitlement)
    assert_type(client.has_entitlement_for(user, "pro"), bool)
    assert_type(client.process_revenuecat_event("{}"), StoreEvent)
    assert_type(client.process_stripe_event(b"{}", deferred=True), StoreEvent)
    assert_type(client.reprocess_store_event("stripe", "evt_1"), StoreEvent)
    assert_type(client.run_maintenance(), MaintenanceReport)
    assert_type(client.export_user_data_for(user), dict[str, Json])
    assert_type(client.delete_user_account_for(user), AccountDeletion)

    me = client.as_user(user, {"email": "a@b.c"})
    assert_type(me, UserClient)
    assert_type(me.consume_credit(), CreditTransaction)
    assert_type(client.as_user(user).consume_credit(2, idempotency_key=None), CreditTransaction)
    assert_type(me.get_user_credits(), UserCredits)
    assert_type(me.get_transaction_history(type="consumption"), list[CreditTransaction])
    assert_type(me.get_operation("k"), CreditTransaction | None)
    assert_type(me.get_usage(now, until=now), CreditUsage)
    assert_type(me.has_entitlement("pro"), bool)
    assert_type(me.watch(), Generator[UserCredits, None, None])
    assert_type(me.delete_user_account(), AccountDeletion)


async def asynchronous(
    connection: psycopg.AsyncConnection[Any], pool: AsyncConnectionPool, user: UUID, now: datetime
) -> None:
    client = AsyncClient(connection)
    AsyncClient(pool)
    spend = assert_type(client.consume_credit_for(user), Coroutine[Any, Any, CreditTransaction])
    assert_type(await spend, CreditTransaction)
    assert_type(await client.consume_credit_for(user, 10, metadata={"a": 1}, idempotency_key="k"), CreditTransaction)
    assert_type(await client.add_credits_for(user, 1, "purchase", description="x"), CreditTransaction)
    assert_type(await client.add_credits_for(user, 1, expires_at=now), CreditTransaction)
    assert_type(await client.refund_consumption_for(user, 2, 1, description="x"), CreditTransaction)
    assert_type(await client.reserve_credits_for(user, 9, timedelta(minutes=1), idempotency_key="k"), CreditHold)
    assert_type(await client.capture_hold_for(user, user, 3, metadata={"a": 1}), CreditTransaction)
    assert_type(await client.release_hold_for(user, user), CreditHold)
    assert_type(await client.set_alert_for(user, 10), UserCredits)
    assert_type(await client.set_recurring_grant("daily", 5, "day", user, rollover=True), RecurringGrant)
    assert_type(await client.set_recurring_grant("pro", 5, "month", entitlement="pro"), RecurringGrant)
    assert_type(await client.end_recurring_grant("daily", user), RecurringGrant)
    items = assert_type(await client.claim_outbox(10, timedelta(minutes=1)), list[OutboxItem])
    assert_type(await client.ack_outbox([item.id for item in items]), int)
    async with client.reserve(user, 100, timedelta(hours=1), description="x", idempotency_key="k") as hold:
        assert_type(hold, Reservation)
        hold.amount = 37
    assert_type(hold.transaction, CreditTransaction | None)
    async for row in client.watch(user, every=timedelta(seconds=5)):
        assert_type(row, UserCredits)
    assert_type(await client.get_user_credits_for(user), UserCredits)
    assert_type(await client.get_transaction_history_for(user, 10, before_seq=5), list[CreditTransaction])
    assert_type(await client.get_operation_for(user, "k"), CreditTransaction | None)
    assert_type(await client.get_usage_for(user, now), CreditUsage)
    assert_type(await client.get_balance_at_for(user, now), int)
    assert_type(await client.explain_balance_for(user), dict[str, Json])
    assert_type(await client.verify_ledger(user), list[LedgerViolation])
    assert_type(await client.record_purchase_for(user, "stripe", "pi_1", "pack", quantity=2), PurchaseTransaction)
    assert_type(await client.refund_purchase("stripe", "pi_1", "re_1", 5), PurchaseTransaction)
    assert_type(await client.grant_entitlement_for(user, "pro", now), UserEntitlement)
    assert_type(await client.has_entitlement_for(user, "pro"), bool)
    assert_type(await client.process_revenuecat_event("{}"), StoreEvent)
    assert_type(await client.process_stripe_event(b"{}", deferred=True), StoreEvent)
    assert_type(await client.reprocess_store_event("stripe", "evt_1"), StoreEvent)
    assert_type(await client.run_maintenance(), MaintenanceReport)
    assert_type(await client.export_user_data_for(user), dict[str, Json])
    assert_type(await client.delete_user_account_for(user), AccountDeletion)

    me = client.as_user(user)
    assert_type(me, AsyncUserClient)
    mine = assert_type(me.consume_credit(), Coroutine[Any, Any, CreditTransaction])
    assert_type(await mine, CreditTransaction)
    assert_type(await client.as_user(user).consume_credit(2), CreditTransaction)
    assert_type(await me.get_user_credits(), UserCredits)
    assert_type(await me.get_transaction_history(type="consumption"), list[CreditTransaction])
    assert_type(await me.get_operation("k"), CreditTransaction | None)
    assert_type(await me.get_usage(now), CreditUsage)
    assert_type(await me.has_entitlement("pro"), bool)
    assert_type(me.watch(timedelta(seconds=5)), AsyncGenerator[UserCredits, None])
    assert_type(await me.delete_user_account(), AccountDeletion)


async def screen(me: AsyncUserClient, mine: UserClient) -> None:
    provider = CreditsProvider(me)
    state = assert_type(provider.state, CreditsState)
    assert_type((state.credits_remaining, state.total_exports, state.is_loading), tuple[int, int, bool])
    assert_type(state.error, Exception | None)
    assert_type(provider.has_credits, bool)
    assert_type(provider.listen(lambda state: print(state.credits_held)), Callable[[], None])
    await provider.load()
    await provider.follow(timedelta(seconds=5))
    assert_type(await provider.consume(2, "a film", {"job": 1}, "key"), CreditTransaction)
    provider.reset()
    state.is_loading = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    CreditsProvider(mine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def webhooks(client: Client, later: AsyncClient, body: bytes, headers: dict[str, str]) -> None:
    assert_type(handle_stripe(body, headers, client, secrets="whsec"), StoreEvent)
    taken = assert_type(handle_stripe(body, headers, later, secrets=["a", "b"]), Coroutine[Any, Any, StoreEvent])
    assert_type(await taken, StoreEvent)
    assert_type(handle_revenuecat(body, headers, client, authorization="x"), StoreEvent)
    assert_type(await handle_revenuecat(body, headers, later, secrets=("a",)), StoreEvent)
    assert_type(sign(body, "secret"), str)


def results(
    row: CreditTransaction,
    error: InsufficientCredits,
    purchase: PurchaseTransaction,
    event: StoreEvent,
    hold: Reservation,
) -> None:
    assert_type(row.user_id, UUID)
    assert_type(row.created_at, datetime)
    assert_type(row.type, TransactionType)
    assert_type(row.idempotency_key, str | None)
    assert_type(row.metadata, dict[str, Json])
    assert_type(row.to_json(), dict[str, Json])
    assert_type(CreditTransaction.from_json({}), CreditTransaction)
    assert_type(error.details.get("amount"), object | None)
    assert_type(error.status, int)
    assert_type(error.hint, str)
    base: CreditsError = error
    assert_type(base.token, str)
    assert_type(purchase.status, PurchaseStatus)
    assert_type(purchase.entitlements, list[str])
    assert_type(event.state, StoreEventState)
    assert_type(hold.row.status, HoldStatus)
    assert_type((hold.id, hold.amount, hold.expires_at), tuple[UUID, int, datetime])
    row.amount = 1  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def methods_are_callables(client: Client, later: AsyncClient) -> None:
    read: Callable[[UUID], UserCredits] = client.get_user_credits_for
    fetch: Callable[[UUID], Coroutine[Any, Any, UserCredits]] = later.get_user_credits_for
    print(read, fetch)


def rejected(
    connection: psycopg.Connection[Any], later: psycopg.AsyncConnection[Any], client: Client, user: UUID
) -> None:
    Client(later)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncClient(connection)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.consume_credit_for()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.consume_credit_for(user, 1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.consume_credit_for(user, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.consume_credit_for(user, 1, "a note")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.consume_credit_for(user, price=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.add_credits_for(user)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.add_credits_for(user, 1, "refund")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.get_transaction_history_for(user, type="gift")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.consume_credit(1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    client.as_user(user).add_credits_for(user, 1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    client.as_user(user).consume_credit(user, 1)  # type: ignore[call-arg,arg-type]  # pyright: ignore[reportCallIssue]
    client.record_purchase_for(user, "stripe", "pi_1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.record_purchase_for(user, "stripe", "pi_1", "pack", environment="TEST")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.process_stripe_event({})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.as_user(user).run_maintenance()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    client.reserve_credits_for(user)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.reserve_credits_for(user, 1, 60)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.set_recurring_grant("a", 1, "year", user)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.watch()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.watch(user, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.as_user(user).watch(user)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.as_user(user).reserve(user, 1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    with client.reserve(user, 1) as hold:
        hold.id = user  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    handle_stripe(b"", {}, client)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    print(client.get_operation_for(user, "k").seq)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
