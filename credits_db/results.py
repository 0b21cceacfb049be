"""What the RPCs answer: frozen dataclasses, one for each result type of the SQL.

A field is a column of the same name, so `help()` here and the comments in the database say the same.
Instants are aware datetimes in UTC whatever the time zone of the session; credits are whole numbers.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal, Self, TypeAlias, get_args, get_type_hints
from uuid import UUID

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

TransactionType = Literal[
    "purchase", "signup_bonus", "monthly_bonus", "bonus", "consumption",
    "refund", "clawback", "clawback_reversal", "expiration", "admin_adjustment",
]  # fmt: skip
PurchaseStatus = Literal["pending", "completed", "failed", "refunded"]
StoreEventState = Literal["pending", "parked", "failed", "ignored", "processed"]
HoldStatus = Literal["active", "captured", "released", "expired"]
GrantPeriod = Literal["day", "week", "month"]
ExportPayment = Literal["credits", "entitlement"]
_INTERVAL = re.compile(r"(?:(-?\d+) days?)? ?(?:([-+]?)(\d+):(\d+):(\d+(?:\.\d+)?))?")  # time that passed, by Postgres


def _read(value: Any, types: tuple[Any, ...]) -> Any:
    if isinstance(value, str) and UUID in types:
        return UUID(value)
    if isinstance(value, str) and datetime in types:
        value = datetime.fromisoformat(value)
    if isinstance(value, str) and timedelta in types and (found := _INTERVAL.fullmatch(value)):
        days, sign, hours, minutes, seconds = found.groups(default="0")
        time = timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))
        return timedelta(days=int(days)) + (-time if sign == "-" else time)
    if isinstance(value, list) and list[UUID] in types:
        return [UUID(str(item)) for item in value]
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _write(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        time = (datetime.min + value % timedelta(days=1)).time().isoformat()
        return f"{value.days} days {time.rstrip('0') if '.' in time else time}"  # as Postgres, which drops those zeros
    if isinstance(value, list):
        return [_write(item) for item in value]
    return str(value) if isinstance(value, UUID) else value


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One row of an answer."""

    _types: ClassVar[dict[str, tuple[Any, ...]]]

    def __init_subclass__(cls) -> None:
        hints = {name: hint for name, hint in get_type_hints(cls).items() if name != "_types"}
        cls._types = {name: get_args(hint) or (hint,) for name, hint in hints.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Make it from a row or from the JSON object that PostgREST answers; unknown fields are passed over."""
        return cls(**{name: _read(data[name], types) for name, types in cls._types.items()})

    def to_json(self) -> dict[str, Json]:
        """The JSON object that PostgREST would answer: ids as text, instants in ISO 8601."""
        return {field.name: _write(getattr(self, field.name)) for field in dataclasses.fields(self)}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UserCredits(Result):
    """The balance of a user (public.user_credits)."""

    user_id: UUID
    credits_remaining: int
    credits_held: int
    total_credits: int
    used_credits: int
    monthly_bonus_credits: int
    last_bonus_date: datetime | None
    last_purchase_at: datetime | None
    last_seq: int
    next_due_at: datetime | None
    alert_below: int | None
    created_at: datetime
    updated_at: datetime
    last_hold_at: datetime | None

    @property
    def credits_available(self) -> int:
        """What may be spent now: credits_remaining less credits_held."""
        return self.credits_remaining - self.credits_held


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CreditTransaction(Result):
    """A row of the ledger (public.credit_transactions); amount is negative where credits were taken."""

    user_id: UUID
    seq: int
    amount: int
    balance_after: int
    created_at: datetime
    type: TransactionType
    idempotency_key: str | None
    description: str | None
    metadata: dict[str, Json]

    @property
    def id(self) -> str:
        """The name of the row in support mails: <user_id>/<seq>."""
        return f"{self.user_id}/{self.seq}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CreditHold(Result):
    """Credits that are kept for a job (public.credit_holds); seq is the ledger row of the capture."""

    user_id: UUID
    id: UUID
    amount: int
    status: HoldStatus
    captured_amount: int | None
    seq: int | None
    expires_at: datetime
    created_at: datetime
    ended_at: datetime | None
    description: str | None
    metadata: dict[str, Json]
    idempotency_key: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RecurringGrant(Result):
    """Credits for every period (public.recurring_grant), for one user or for all who hold an entitlement."""

    user_id: UUID | None
    name: str
    entitlement: str | None
    amount: int
    period: GrantPeriod
    rollover: bool
    starts_at: datetime
    ends_at: datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OutboxItem(Result):
    """Something that your application wants to hear of (public.outbox_item); attempts counts its claims."""

    id: UUID
    kind: str
    user_id: UUID | None
    payload: dict[str, Json]
    attempts: int
    created_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseTransaction(Result):
    """A product bought in a transaction of a store (public.purchase_transactions)."""

    user_id: UUID
    store: str
    environment: str
    transaction_id: str
    product_id: str
    provider: str
    status: PurchaseStatus
    credits: int
    refunded_credits: int
    quantity: int
    price_cents: int | None
    currency: str | None
    entitlements: list[str]
    entitled_until: datetime | None
    seq: int | None
    payload: dict[str, Json]
    verified_at: datetime | None
    created_at: datetime
    credits_expire_at: datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UserEntitlement(Result):
    """What a user may use (public.user_entitlements); active_until is None for ever."""

    user_id: UUID
    entitlement: str
    active_until: datetime | None
    source: str
    granted_by: str | None
    granted_until: datetime | None
    updated_at: datetime
    active_since: datetime
    transferred_at: datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoreEvent(Result):
    """An event of a store and what became of it (public.store_event); reason says why, as a token."""

    provider: str
    event_id: str
    type: str | None
    state: StoreEventState
    reason: str | None
    details: dict[str, Json]
    user_id: UUID | None
    store: str | None
    environment: str | None
    transaction_id: str | None
    product_id: str | None
    attempts: int
    received_at: datetime
    processed_at: datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceReport(Result):
    """What one call of run_maintenance did (public.maintenance_report)."""

    store_events: int
    store_events_waiting: int
    accounts: int
    expirations: int
    holds: int
    grants: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CreditUsage(Result):
    """Spending in a window of time (public.credit_usage)."""

    consumed: int
    refunded: int
    operations: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Export(Result):
    """What was asked for of a project (public.exports, track app); seq is the ledger row that paid for it."""

    id: UUID
    project_id: UUID
    type: str
    status: str
    error_message: str | None
    options: dict[str, Json]
    asset_path: str | None
    asset_url: str | None
    created_at: datetime
    updated_at: datetime
    user_id: UUID | None
    layer_ids: list[UUID] | None
    idempotency_key: str | None
    paid_by: ExportPayment | None
    seq: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UserStats(Result):
    """What a user has and did (public.user_stats, track app); lifetime_exports counts deleted ones, too."""

    projects: int
    exports: int
    lifetime_exports: int
    account_age: timedelta | None
    credits: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AccountDeletion(Result):
    """The receipt of a deleted account (public.account_deletion); removed counts rows by table."""

    user_id: UUID
    deleted_at: datetime
    credits_written_off: int
    removed: dict[str, Json]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LedgerViolation(Result):
    """One place where the books do not add up (public.ledger_violation); seq is None for the balance row or a hold."""

    user_id: UUID
    seq: int | None
    rule: str
    expected: int
    found: int
    hold_id: UUID | None
