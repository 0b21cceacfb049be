"""credits-db: prepaid credits inside your application's own Postgres.

The SQL is the product; this package applies it (`credits-db push`) and calls it (`Client`, `AsyncClient`).
"""

from importlib import import_module
from typing import TYPE_CHECKING

# fmt: off
if TYPE_CHECKING:
    from credits_db.client import AsyncClient, AsyncUserClient, Client, Reservation, UserClient
    from credits_db.errors import (
        AccountClosed,
        AccountNotFound,
        BalanceLimit,
        CreditsError,
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
        NotAuthenticated,
        PayloadTooLarge,
        ProjectNotFound,
        PurchaseConflict,
        RefundExceedsConsumption,
        TooManyHolds,
        TransactionNotFound,
        UnknownProduct,
    )
    from credits_db.provider import CreditsProvider, CreditsState
    from credits_db.results import (
        AccountDeletion,
        CreditHold,
        CreditTransaction,
        CreditUsage,
        Export,
        ExportPayment,
        GrantPeriod,
        HoldStatus,
        LedgerViolation,
        MaintenanceReport,
        OutboxItem,
        PurchaseStatus,
        PurchaseTransaction,
        RecurringGrant,
        StoreEvent,
        StoreEventState,
        TransactionType,
        UserCredits,
        UserEntitlement,
        UserStats,
    )

__all__ = [
    "AccountClosed", "AccountDeletion", "AccountNotFound", "AsyncClient", "AsyncUserClient", "BalanceLimit", "Client",
    "CreditHold", "CreditTransaction", "CreditUsage", "CreditsError", "CreditsProvider", "CreditsState",
    "EventNotFound", "ExpiryNotAllowed", "Export", "ExportPayment", "GrantNotFound", "GrantPeriod", "HoldNotActive",
    "HoldNotFound", "HoldStatus", "IdempotencyKeyReused", "InsufficientCredits", "InvalidAmount", "InvalidArgument",
    "InvalidIdempotencyKey", "InvalidMetadata", "InvalidSignature", "LedgerImmutable", "LedgerViolation",
    "MaintenanceReport", "NotAuthenticated", "OutboxItem", "PayloadTooLarge", "ProjectNotFound", "PurchaseConflict",
    "PurchaseStatus", "PurchaseTransaction", "RecurringGrant", "RefundExceedsConsumption", "Reservation", "StoreEvent",
    "StoreEventState", "TooManyHolds", "TransactionNotFound", "TransactionType", "UnknownProduct", "UserClient",
    "UserCredits", "UserEntitlement", "UserStats",
]
# fmt: on


def __getattr__(name: str) -> object:
    """Load a public name on first use, so that `credits-db --help` does not wait for a database driver."""
    if name in __all__:
        for module in map(
            import_module, ("credits_db.results", "credits_db.errors", "credits_db.client", "credits_db.provider")
        ):
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
