"""The RPCs, each declared once for the sync and the async clients.

Names, order and meaning of the arguments are those of the SQL functions, which keep every rule. Amounts are
whole credits, instants are aware datetimes. Each method raises `CreditsError` subclasses (credits_db.errors)
and, for what is not ours, psycopg errors. A call that changes something always carries an idempotency key:
yours, or a fresh one made once for the call and kept through its retries. What comes from a store needs none: its
transactions, refunds and events have names of their own, and count once.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import update_wrapper
from inspect import Signature, signature
from typing import Concatenate, Literal, ParamSpec, TypeVar
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from credits_db._call import Call, many, maybe, one, rpc, scalar
from credits_db.errors import InvalidAmount, InvalidArgument, PayloadTooLarge
from credits_db.results import (
    AccountDeletion,
    CreditHold,
    CreditTransaction,
    CreditUsage,
    Export,
    GrantPeriod,
    Json,
    LedgerViolation,
    MaintenanceReport,
    OutboxItem,
    PurchaseTransaction,
    RecurringGrant,
    StoreEvent,
    TransactionType,
    UserCredits,
    UserEntitlement,
    UserStats,
)

P = ParamSpec("P")
T = TypeVar("T")
GrantType = Literal["purchase", "signup_bonus", "monthly_bonus", "bonus", "admin_adjustment"]
Environment = Literal["PRODUCTION", "SANDBOX"]
Provider = Literal["revenuecat", "stripe"]
Metadata = Mapping[str, object] | None


def whole(amount: int) -> int:
    """Refuse what Postgres would round (1.5), read as a number (True) or have no type for (2**70)."""
    if isinstance(amount, bool):
        raise TypeError("amount is a whole number of credits, not a bool")
    amount = operator.index(amount)
    if not -(2**63) <= amount < 2**63:
        raise InvalidAmount("An amount is a whole number of credits from 1 to 1000000000000.", {"amount": amount})
    return amount


def _fits(bits: int, argument: str, value: int | None, hint: str) -> dict[str, object]:
    """The argument by its name, unless the integer of Postgres has no room for it."""
    if not -(2 ** (bits - 1)) <= (value or 0) < 2 ** (bits - 1):
        raise InvalidArgument(hint, {"argument": argument, "value": value})
    return {argument: value}


def _page(page_size: int, before_seq: int | None, type: TransactionType | None) -> dict[str, object]:
    return {
        **_fits(32, "page_size", page_size, "A page has 1 to 500 rows."),
        **_fits(64, "before_seq", before_seq, "There is no such ledger row."),
        "type": type,
    }


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _event(body: str | bytes, deferred: bool) -> dict[str, object]:
    """The body as its exact text, which is what is stored; what is no JSON would be an error of Postgres's own."""
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
    if len(raw) > 2**20:
        raise PayloadTooLarge("An event has at most 1 MiB.", {"bytes": len(raw)})
    try:
        text = raw.decode()
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise InvalidArgument("The body is what the provider sent, as JSON.", {"argument": "body"}) from None
    return {"body": text, "deferred": deferred}


def _entry(description: str | None, metadata: Metadata, idempotency_key: str | None) -> dict[str, object]:
    return {
        "description": description,
        "metadata": Jsonb(dict(metadata or {})),
        "idempotency_key": str(uuid4()) if idempotency_key is None else idempotency_key,
    }


class ServiceProcedures:
    """What a service may call, for any user. The user comes first."""

    @rpc
    def consume_credit_for(
        self,
        user_id: UUID,
        amount: int = 1,
        *,
        description: str | None = None,
        metadata: Metadata = None,
        idempotency_key: str | None = None,
    ) -> Call[CreditTransaction]:
        """Take credits from a user and return the ledger row; the same key returns the same row again.

        Raises InsufficientCredits, NotAuthenticated (user_id None), AccountNotFound, IdempotencyKeyReused,
        InvalidAmount, InvalidIdempotencyKey, InvalidMetadata, InvalidArgument.
        """
        arguments = {"user_id": user_id, "amount": whole(amount), **_entry(description, metadata, idempotency_key)}
        return Call("consume_credit_for", arguments, one(CreditTransaction))

    @rpc
    def add_credits_for(
        self,
        user_id: UUID,
        amount: int,
        type: GrantType = "bonus",
        *,
        expires_at: datetime | None = None,
        description: str | None = None,
        metadata: Metadata = None,
        idempotency_key: str | None = None,
    ) -> Call[CreditTransaction]:
        """Give a user credits and return the ledger row; the same key returns the same row again.

        With expires_at they are a lot, which is spent before what expires later or never. Raises NotAuthenticated
        (user_id None), AccountNotFound, IdempotencyKeyReused, BalanceLimit, ExpiryNotAllowed (bought in the App Store),
        InvalidAmount, InvalidIdempotencyKey, InvalidMetadata, InvalidArgument (an expiry that has passed, or a type
        that is no grant).
        """
        entry = _entry(description, metadata, idempotency_key)
        arguments = {"user_id": user_id, "amount": whole(amount), "type": type, "expires_at": expires_at, **entry}
        return Call("add_credits_for", arguments, one(CreditTransaction))

    @rpc
    def refund_consumption_for(
        self,
        user_id: UUID,
        seq: int,
        amount: int | None = None,
        *,
        description: str | None = None,
        metadata: Metadata = None,
        idempotency_key: str | None = None,
    ) -> Call[CreditTransaction]:
        """Give back what a consumption took, all that is left of it for None, and return the ledger row.

        The credits go back into the lots they came from, with their own expiry. Raises NotAuthenticated (user_id
        None), AccountNotFound, TransactionNotFound (no consumption of this user), RefundExceedsConsumption,
        IdempotencyKeyReused, InvalidAmount, InvalidIdempotencyKey, InvalidMetadata, InvalidArgument.
        """
        arguments = {
            "user_id": user_id,
            **_fits(64, "seq", seq, "There is no such ledger row."),
            "amount": None if amount is None else whole(amount),
            **_entry(description, metadata, idempotency_key),
        }
        return Call("refund_consumption_for", arguments, one(CreditTransaction))

    @rpc
    def reserve_credits_for(
        self,
        user_id: UUID,
        amount: int,
        expires_in: timedelta = timedelta(minutes=15),
        *,
        description: str | None = None,
        metadata: Metadata = None,
        idempotency_key: str | None = None,
    ) -> Call[CreditHold]:
        """Keep credits for a job and return the hold, which ends by itself after expires_in, 1 second to 30 days.

        The same key returns the same hold again, as it is by then. `Client.reserve` also ends it. Raises
        InsufficientCredits, TooManyHolds, NotAuthenticated (user_id None), AccountNotFound, IdempotencyKeyReused,
        InvalidAmount, InvalidIdempotencyKey, InvalidMetadata, InvalidArgument.
        """
        arguments = {
            "user_id": user_id,
            "amount": whole(amount),
            "expires_in": expires_in,
            **_entry(description, metadata, idempotency_key),
        }
        return Call("reserve_credits_for", arguments, one(CreditHold))

    @rpc
    def capture_hold_for(
        self,
        user_id: UUID,
        hold_id: UUID,
        amount: int | None = None,
        *,
        description: str | None = None,
        metadata: Metadata = None,
        idempotency_key: str | None = None,
    ) -> Call[CreditTransaction]:
        """Spend what a hold keeps, all of it for None, and return the ledger row; the rest goes free.

        Without a key the same call again is the same capture: a hold is captured once.
        Raises HoldNotFound, HoldNotActive (captured with another key, released or expired), NotAuthenticated (user_id
        None), AccountNotFound, IdempotencyKeyReused, InvalidAmount (more than is held), InvalidIdempotencyKey,
        InvalidMetadata, InvalidArgument.
        """
        arguments = {
            "user_id": user_id,
            "hold_id": hold_id,
            "amount": None if amount is None else whole(amount),
            **_entry(description, metadata, idempotency_key),
            "idempotency_key": idempotency_key,
        }
        return Call("capture_hold_for", arguments, one(CreditTransaction))

    @rpc
    def release_hold_for(self, user_id: UUID, hold_id: UUID) -> Call[CreditHold]:
        """Let go of what a hold keeps and return it; one that was released or has expired is returned as it is.

        Raises HoldNotFound, HoldNotActive (captured), NotAuthenticated (user_id None), AccountNotFound.
        """
        return Call("release_hold_for", {"user_id": user_id, "hold_id": hold_id}, one(CreditHold))

    @rpc
    def set_alert_for(self, user_id: UUID, alert_below: int | None = None) -> Call[UserCredits]:
        """Say below which balance an item is put into the outbox, None for never, and return the balance.

        Raises NotAuthenticated (user_id None), AccountNotFound, InvalidArgument.
        """
        below = _fits(64, "alert_below", alert_below, "alert_below is a balance in credits, or None.")
        return Call("set_alert_for", {"user_id": user_id, **below}, one(UserCredits))

    @rpc
    def set_recurring_grant(
        self,
        name: str,
        amount: int,
        period: GrantPeriod,
        user_id: UUID | None = None,
        entitlement: str | None = None,
        *,
        rollover: bool = False,
    ) -> Call[RecurringGrant]:
        """Give credits every day, week or month (UTC) to one user, or to all who hold an entitlement.

        They end with their period, unless they roll over. The same again changes nothing; another amount, period or
        rollover begins with the next period. Raises AccountNotFound, InvalidAmount, InvalidArgument.
        """
        arguments = {
            "name": name,
            "amount": whole(amount),
            "period": period,
            "user_id": user_id,
            "entitlement": entitlement,
            "rollover": rollover,
        }
        return Call("set_recurring_grant", arguments, one(RecurringGrant))

    @rpc
    def end_recurring_grant(self, name: str, user_id: UUID | None = None) -> Call[RecurringGrant]:
        """End a recurring grant: what is due stays due, no later period is granted.

        Raises GrantNotFound (none of this name is in force), AccountNotFound.
        """
        return Call("end_recurring_grant", {"name": name, "user_id": user_id}, one(RecurringGrant))

    @rpc
    def get_user_credits_for(self, user_id: UUID) -> Call[UserCredits]:
        """The balance of a user now; writes nothing. Raises AccountNotFound."""
        return Call("get_user_credits_for", {"user_id": user_id}, one(UserCredits))

    @rpc
    def get_transaction_history_for(
        self, user_id: UUID, page_size: int = 50, before_seq: int | None = None, type: TransactionType | None = None
    ) -> Call[list[CreditTransaction]]:
        """Ledger rows of a user below before_seq, newest first, 1 to 500 a page. Raises InvalidArgument."""
        arguments = {"user_id": user_id, **_page(page_size, before_seq, type)}
        return Call("get_transaction_history_for", arguments, many(CreditTransaction))

    @rpc
    def get_operation_for(self, user_id: UUID, idempotency_key: str) -> Call[CreditTransaction | None]:
        """The row that this key wrote. None is not final: the first call may be on its way; send it again."""
        arguments = {"user_id": user_id, "idempotency_key": idempotency_key}
        return Call("get_operation_for", arguments, maybe(CreditTransaction))

    @rpc
    def get_usage_for(self, user_id: UUID, since: datetime, until: datetime | None = None) -> Call[CreditUsage]:
        """Spending of a user from since until until (not included; None is now). Raises InvalidArgument."""
        return Call("get_usage_for", {"user_id": user_id, "since": since, "until": until}, one(CreditUsage))

    @rpc
    def get_balance_at_for(self, user_id: UUID, at: datetime) -> Call[int]:
        """The balance at an instant, 0 before the first ledger row. Raises InvalidArgument."""
        return Call("get_balance_at_for", {"user_id": user_id, "at": at}, scalar(int))

    @rpc
    def explain_balance_for(self, user_id: UUID) -> Call[dict[str, Json]]:
        """Where a balance comes from: figures, totals by type, the newest rows. Raises AccountNotFound."""
        return Call("explain_balance_for", {"user_id": user_id}, scalar(dict[str, Json]))

    @rpc
    def verify_ledger(self, user_id: UUID | None = None) -> Call[list[LedgerViolation]]:
        """Every place where the books of a user, or of all, do not add up. An empty list is the good answer."""
        return Call("verify_ledger", {"user_id": user_id}, many(LedgerViolation))

    @rpc
    def record_purchase_for(
        self,
        user_id: UUID,
        store: str,
        transaction_id: str,
        product_id: str,
        *,
        price_cents: int | None = None,
        currency: str | None = None,
        environment: Environment = "PRODUCTION",
        payload: Metadata = None,
        quantity: int = 1,
    ) -> Call[PurchaseTransaction]:
        """Record a purchase that you vouch for and credit what its product is worth, once for the whole database.

        The same transaction again, from you or from a webhook, returns the purchase as it is. Raises NotAuthenticated
        (user_id None), AccountNotFound, PurchaseConflict (somebody else's), AccountClosed, UnknownProduct,
        BalanceLimit, InvalidAmount, InvalidArgument (also: paid too little, or a test purchase that is not allowed).
        """
        arguments = {
            "user_id": user_id,
            "store": store,
            "transaction_id": transaction_id,
            "product_id": product_id,
            **_fits(64, "price_cents", price_cents, "A price is a whole number of the smallest unit, 0 or more."),
            "currency": currency,
            "environment": environment,
            "payload": Jsonb(dict(payload or {})),
            **_fits(32, "quantity", quantity, "A quantity is a whole number from 1 to 999999."),
        }
        return Call("record_purchase_for", arguments, one(PurchaseTransaction))

    @rpc
    def refund_purchase(
        self,
        store: str,
        transaction_id: str,
        refund_id: str,
        credits: int | None = None,
        *,
        environment: Environment = "PRODUCTION",
    ) -> Call[PurchaseTransaction]:
        """Take back the credits of a purchase, all of them for None, and return it. What was spent becomes a debt.

        refund_id is the refund's own name: again it changes nothing. Raises TransactionNotFound, InvalidAmount,
        InvalidArgument, IdempotencyKeyReused (the refund is known with another amount).
        """
        arguments = {
            "store": store,
            "transaction_id": transaction_id,
            "refund_id": refund_id,
            "credits": None if credits is None else whole(credits),
            "environment": environment,
        }
        return Call("refund_purchase", arguments, one(PurchaseTransaction))

    @rpc
    def grant_entitlement_for(
        self, user_id: UUID, entitlement: str, active_until: datetime | None = None
    ) -> Call[UserEntitlement]:
        """Let a user use something until an instant, or for ever. An instant that has passed ends the grant.

        Raises NotAuthenticated (user_id None), AccountNotFound, InvalidArgument.
        """
        arguments = {"user_id": user_id, "entitlement": entitlement, "active_until": active_until}
        return Call("grant_entitlement_for", arguments, one(UserEntitlement))

    @rpc
    def has_entitlement_for(self, user_id: UUID, entitlement: str) -> Call[bool]:
        """Whether a user may use something now."""
        return Call("has_entitlement_for", {"user_id": user_id, "entitlement": entitlement}, scalar(bool))

    @rpc
    def consume_credit_and_create_export_for(
        self,
        user_id: UUID,
        project_id: UUID,
        type: str,
        options: Metadata = None,
        layer_ids: Sequence[UUID] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Call[Export]:
        """Make an export of a project (track app) and take one credit, or none from a Pro: paid_by says which.

        layer_ids None is all layers. The same key returns the same export again, as it is by then. Raises
        InsufficientCredits, ProjectNotFound (also somebody else's), NotAuthenticated (user_id None), AccountNotFound,
        AccountClosed, IdempotencyKeyReused (also: the export was deleted), InvalidIdempotencyKey, InvalidArgument.
        """
        arguments = {
            "user_id": user_id,
            "project_id": project_id,
            "type": type,
            "options": Jsonb(dict(options or {})),
            "layer_ids": None if layer_ids is None else list(layer_ids),
            "idempotency_key": str(uuid4()) if idempotency_key is None else idempotency_key,
        }
        return Call("consume_credit_and_create_export_for", arguments, one(Export))

    @rpc
    def get_user_stats_for(self, user_id: UUID) -> Call[UserStats]:
        """Projects, exports, age and balance of a user (track app); writes nothing.

        Raises AccountNotFound and AccountClosed.
        """
        return Call("get_user_stats_for", {"user_id": user_id}, one(UserStats))

    @rpc
    def process_revenuecat_event(self, body: str | bytes, deferred: bool = False) -> Call[StoreEvent]:
        """Store an event of RevenueCat, do what it says, and return what became of it; deferred only stores it.

        Verify its signature first, or let `credits_db.webhooks` do both. Send the same event as often as you like.
        Raises PayloadTooLarge and InvalidArgument (no JSON); whatever else is wrong is its state and reason.
        """
        return Call("process_revenuecat_event", _event(body, deferred), one(StoreEvent))

    @rpc
    def process_stripe_event(self, body: str | bytes, deferred: bool = False) -> Call[StoreEvent]:
        """Store an event of Stripe, do what it says, and return what became of it; deferred only stores it.

        Verify its signature first, or let `credits_db.webhooks` do both. Send the same event as often as you like.
        Raises PayloadTooLarge and InvalidArgument (no JSON); whatever else is wrong is its state and reason.
        """
        return Call("process_stripe_event", _event(body, deferred), one(StoreEvent))

    @rpc
    def reprocess_store_event(self, provider: Provider, event_id: str) -> Call[StoreEvent]:
        """Try a stored event again, after what stood in its way was mended. Raises EventNotFound."""
        return Call("reprocess_store_event", {"provider": provider, "event_id": event_id}, one(StoreEvent))

    @rpc
    def claim_outbox(self, max_items: int = 100, lease: timedelta = timedelta(minutes=5)) -> Call[list[OutboxItem]]:
        """Take up to max_items things to do from the outbox; nobody else is handed them while the lease runs.

        Acknowledge what is done with ack_outbox; what is not comes again. Raises InvalidArgument.
        """
        arguments = {**_fits(32, "max_items", max_items, "One call takes 1 to 1000 items."), "lease": lease}
        return Call("claim_outbox", arguments, many(OutboxItem))

    @rpc
    def ack_outbox(self, ids: Sequence[UUID]) -> Call[int]:
        """Take what is done out of the outbox, by OutboxItem.id, and return how much of it was still there."""
        return Call("ack_outbox", {"ids": list(ids)}, scalar(int))

    @rpc
    def run_maintenance(self, max_items: int = 1000) -> Call[MaintenanceReport]:
        """Do what is due, at most max_items of it; call it from cron. Raises InvalidArgument."""
        arguments = _fits(32, "max_items", max_items, "One call takes 1 to 100000 items.")
        return Call("run_maintenance", arguments, one(MaintenanceReport))

    @rpc
    def delete_user_account_for(self, user_id: UUID) -> Call[AccountDeletion]:
        """Delete a user with balance, ledger and auth user, in one transaction; zeros when nothing was left."""
        return Call("delete_user_account_for", {"user_id": user_id}, one(AccountDeletion))

    @rpc
    def export_user_data_for(self, user_id: UUID) -> Call[dict[str, Json]]:
        """Everything held about a user, rows by table, without secrets: what the law lets them ask for.

        Raises NotAuthenticated for None, and AccountNotFound.
        """
        return Call("export_user_data_for", {"user_id": user_id}, scalar(dict[str, Json]))


def _mine(service: rpc[Concatenate[UUID, P], T]) -> rpc[P, T]:
    """The signed-in user's form of a service RPC: no user_id, no `_for`, and NotAuthenticated without a user."""

    def declare(client: object, /, *args: P.args, **kwargs: P.kwargs) -> Call[T]:
        call = service.declare(client, UUID(int=0), *args, **kwargs)
        arguments = {name: value for name, value in call.arguments.items() if name != "user_id"}
        return Call(call.function.removesuffix("_for"), arguments, call.read)

    update_wrapper(declare, service.declare)
    declare.__name__ = service.declare.__name__.removesuffix("_for")
    parameters = [p for p in signature(service.declare).parameters.values() if p.name != "user_id"]
    setattr(declare, "__signature__", Signature(parameters))  # noqa: B010  # functions have no such field for mypy
    return rpc(declare)


class UserProcedures:
    """What a signed-in user may call: the same as the service's, always for themselves."""

    consume_credit = _mine(ServiceProcedures.consume_credit_for)
    get_user_credits = _mine(ServiceProcedures.get_user_credits_for)
    get_transaction_history = _mine(ServiceProcedures.get_transaction_history_for)
    get_operation = _mine(ServiceProcedures.get_operation_for)
    get_usage = _mine(ServiceProcedures.get_usage_for)
    has_entitlement = _mine(ServiceProcedures.has_entitlement_for)
    consume_credit_and_create_export = _mine(ServiceProcedures.consume_credit_and_create_export_for)
    get_user_stats = _mine(ServiceProcedures.get_user_stats_for)
    delete_user_account = _mine(ServiceProcedures.delete_user_account_for)
