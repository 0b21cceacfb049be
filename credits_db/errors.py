"""What credits-db refuses to do, one class a token.

SQL raises a SQLSTATE (PTnnn is HTTP status nnn), a token as MESSAGE, a JSON object as DETAIL and a sentence
as HINT. `translate` is the one place where that becomes a class of this module; every other database error
reaches the caller as psycopg raised it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import psycopg

_BY_CODE: dict[tuple[str, str], type[CreditsError]] = {}


class CreditsError(Exception):
    """Anything that credits-db refuses to do. Nothing was changed."""

    sqlstate: str = ""
    token: str = ""

    def __init__(self, hint: str = "", details: Mapping[str, object] | None = None) -> None:
        super().__init__(hint, details)
        self.hint = hint
        self.details: Mapping[str, object] = details or {}

    def __init_subclass__(cls, *, sqlstate: str, token: str) -> None:
        cls.sqlstate, cls.token = sqlstate, token
        _BY_CODE[sqlstate, token] = cls

    @property
    def status(self) -> int:
        """The HTTP status that PostgREST answers with, for a server of your own to answer alike."""
        return int(self.sqlstate[2:]) if self.sqlstate.startswith("PT") else 400

    def __str__(self) -> str:
        parts = [self.token or type(self).__name__, self.hint, json.dumps(dict(self.details), default=str)]
        return ": ".join(part for part in parts if part and part != "{}")


class NotAuthenticated(CreditsError, sqlstate="PT401", token="not_authenticated"):
    """The call names no user: no token, a token without a usable sub, or a null user_id."""


class InvalidSignature(CreditsError, sqlstate="PT401", token="invalid_signature"):
    """A webhook does not prove where it comes from: signature missing, wrong or too old, or no secret is set."""


class InsufficientCredits(CreditsError, sqlstate="PT402", token="insufficient_credits"):
    """Fewer credits are available than asked for; details: amount, credits_available, credits_remaining."""


class LedgerImmutable(CreditsError, sqlstate="PT403", token="ledger_immutable"):
    """Somebody tried to change or remove what was posted."""


class AccountNotFound(CreditsError, sqlstate="PT404", token="account_not_found"):
    """There is no such user."""


class TransactionNotFound(CreditsError, sqlstate="PT404", token="transaction_not_found"):
    """No such purchase (details: store, transaction_id), or no such consumption of this user (details: seq)."""


class HoldNotFound(CreditsError, sqlstate="PT404", token="hold_not_found"):
    """This user has no such hold; details: hold_id."""


class ProjectNotFound(CreditsError, sqlstate="PT404", token="project_not_found"):
    """This user has no such project (track app); details: project_id."""


class GrantNotFound(CreditsError, sqlstate="PT404", token="grant_not_found"):
    """There is no recurring grant of this name; details: name."""


class EventNotFound(CreditsError, sqlstate="PT404", token="event_not_found"):
    """There is no such store event; details: provider, event_id."""


class PurchaseConflict(CreditsError, sqlstate="PT409", token="purchase_conflict"):
    """The transaction has been credited to somebody else; details: store, transaction_id."""


class HoldNotActive(CreditsError, sqlstate="PT409", token="hold_not_active"):
    """The hold has ended; details: hold_id, state, which is captured, released or expired."""


class RefundExceedsConsumption(CreditsError, sqlstate="PT409", token="refund_exceeds_consumption"):
    """More would be given back than was taken; details: amount, refundable."""


class AccountClosed(CreditsError, sqlstate="PT410", token="account_closed"):
    """The transaction belonged to an account that was deleted: it is not credited again."""


class PayloadTooLarge(CreditsError, sqlstate="PT413", token="payload_too_large"):
    """An event has at most 1 MiB; details: bytes."""


class IdempotencyKeyReused(CreditsError, sqlstate="PT422", token="idempotency_key_reused"):
    """The key already names another operation of this user; details: idempotency_key, seq of that operation."""


class BalanceLimit(CreditsError, sqlstate="PT422", token="balance_limit"):
    """The balance would leave the range in which JSON numbers are exact, 2^53."""


class UnknownProduct(CreditsError, sqlstate="PT422", token="unknown_product"):
    """This product is not on sale; details: store, product_id."""


class ExpiryNotAllowed(CreditsError, sqlstate="PT422", token="expiry_not_allowed"):
    """What was bought in the App Store may not expire; details: store."""


class TooManyHolds(CreditsError, sqlstate="PT429", token="too_many_holds"):
    """The user has as many active holds as one may have; details: active, maximum."""


class InvalidAmount(CreditsError, sqlstate="22023", token="invalid_amount"):
    """An amount is a whole number of credits from 1 to 10^12."""


class InvalidIdempotencyKey(CreditsError, sqlstate="22023", token="invalid_idempotency_key"):
    """A key has 1 to 255 characters and does not begin with `credits:`."""


class InvalidMetadata(CreditsError, sqlstate="22023", token="invalid_metadata"):
    """Metadata is a JSON object of at most 4 kB that prints to at most 16 kB."""


class InvalidArgument(CreditsError, sqlstate="22023", token="invalid_argument"):
    """Another argument is out of its bounds; details: argument."""


def translate(error: psycopg.Error) -> CreditsError | None:
    """The class for what SQL raised, or None for an error that is not ours."""
    found = _BY_CODE.get((error.sqlstate or "", error.diag.message_primary or ""))
    try:
        details = json.loads(error.diag.message_detail or "{}")
    except ValueError:
        return None
    return found(error.diag.message_hint or "", details) if found and isinstance(details, dict) else None
