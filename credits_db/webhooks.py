"""Webhooks of RevenueCat and Stripe for a server of your own, whatever its framework.

    event = handle_stripe(body, headers, client, secrets=os.environ["STRIPE_WEBHOOK_SECRET"])

The body is the bytes as they came. A call that does not prove where it comes from raises InvalidSignature; what is
authentic is committed first and done in a second transaction, so a crash between the two loses nothing. Whatever
became of it, parked and failed included, the store gets its 200: the event says why, and is tried again later.
Answer a CreditsError with its `status`, and any other error with a 500, so that the store sends again.
(Without a server: the functions stripe_webhook and revenuecat_webhook of the database do the same.)
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeAlias, cast, overload

from credits_db.client import AsyncClient, Client
from credits_db.errors import InvalidSignature, PayloadTooLarge
from credits_db.results import StoreEvent

Secrets: TypeAlias = str | Sequence[str]  # several while one is being rolled
Later: TypeAlias = Coroutine[Any, Any, StoreEvent]


def sign(body: bytes, secret: str, at: int | None = None) -> str:
    """The signature header of a body, as both providers make it; at is in Unix seconds, None is now."""
    stamp = str(int(time.time()) if at is None else at)
    return f"t={stamp},v1={_hmac(body, secret, stamp)}"


@overload
def handle_stripe(
    body: bytes, headers: Mapping[str, str], client: Client, *, secrets: Secrets, tolerance: int = 300
) -> StoreEvent: ...
@overload
def handle_stripe(
    body: bytes, headers: Mapping[str, str], client: AsyncClient, *, secrets: Secrets, tolerance: int = 300
) -> Later: ...
def handle_stripe(
    body: bytes, headers: Mapping[str, str], client: Client | AsyncClient, *, secrets: Secrets, tolerance: int = 300
) -> StoreEvent | Later:
    """Take a webhook of Stripe; secrets are those of the endpoint (whsec_...).

    Raises InvalidSignature, PayloadTooLarge, InvalidArgument (no JSON).
    """
    _refuse_large(body)
    if not _is_signed(body, _header(headers, "Stripe-Signature"), _listed(secrets), tolerance):
        raise _invalid_signature()
    return _take(client.process_stripe_event, body)


@overload
def handle_revenuecat(
    body: bytes,
    headers: Mapping[str, str],
    client: Client,
    *,
    secrets: Secrets = (),
    authorization: Secrets = (),
    signature_header: str = "X-RevenueCat-Webhook-Signature",
    tolerance: int = 300,
) -> StoreEvent: ...
@overload
def handle_revenuecat(
    body: bytes,
    headers: Mapping[str, str],
    client: AsyncClient,
    *,
    secrets: Secrets = (),
    authorization: Secrets = (),
    signature_header: str = "X-RevenueCat-Webhook-Signature",
    tolerance: int = 300,
) -> Later: ...
def handle_revenuecat(
    body: bytes,
    headers: Mapping[str, str],
    client: Client | AsyncClient,
    *,
    secrets: Secrets = (),
    authorization: Secrets = (),
    signature_header: str = "X-RevenueCat-Webhook-Signature",
    tolerance: int = 300,
) -> StoreEvent | Later:
    """Take a webhook of RevenueCat, which proves itself in every way that is given here, and in one at least.

    secrets are its signing secrets, authorization the values that you chose for its Authorization header.
    Raises InvalidSignature, PayloadTooLarge, InvalidArgument (no JSON).
    """
    _refuse_large(body)
    signing, static = _listed(secrets), _listed(authorization)
    is_known = _is_among(_header(headers, "Authorization"), static) if static else bool(signing)
    is_signed = _is_signed(body, _header(headers, signature_header), signing, tolerance) if signing else True
    if not (is_known and is_signed):
        raise _invalid_signature()
    return _take(client.process_revenuecat_event, body)


def _take(process: Callable[..., StoreEvent | Later], body: bytes) -> StoreEvent | Later:
    """Commit the body, then do what it says: two calls, of either kind of client."""
    stored = process(body, deferred=True)
    if isinstance(stored, StoreEvent):
        return process(body)

    async def finish() -> StoreEvent:
        await stored
        return await cast("Later", process(body))

    return finish()


def _refuse_large(body: bytes) -> None:
    if len(body) > 2**20:
        raise PayloadTooLarge("An event has at most 1 MiB.", {"bytes": len(body)})


def _invalid_signature() -> InvalidSignature:
    return InvalidSignature("The signature is missing, wrong or too old, or no secret is set.")


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((value for key, value in headers.items() if key.lower() == name.lower()), "")


def _listed(secrets: Secrets) -> list[str]:
    return [secrets] if isinstance(secrets, str) else list(secrets)


def _hmac(body: bytes, secret: str, stamp: str) -> str:
    return hmac.new(secret.encode(), stamp.encode() + b"." + body, "sha256").hexdigest()


def _is_among(given: str, expected: list[str]) -> bool:
    """Compared in constant time; an empty secret, such as an unset variable, fits nothing."""
    raw = given.encode(errors="surrogatepass")
    return any(hmac.compare_digest(raw, secret.encode()) for secret in expected if secret)


def _is_signed(body: bytes, header: str, secrets: list[str], tolerance: int) -> bool:
    """As credits_private.is_signed has it: t=<unix seconds>,v1=<hex>[,v1=...]; other schemes (v0) count for nothing."""
    parts = [part.strip(" ") for part in header.split(",")[:20]]
    stamp = next((part[2:] for part in parts if part.startswith("t=")), "")
    if not re.fullmatch("[0-9]{1,12}", stamp) or abs(time.time() - int(stamp)) > tolerance:
        return False
    expected = [_hmac(body, secret, stamp) for secret in secrets if secret]
    return any(_is_among(part[3:], expected) for part in parts if part.startswith("v1="))
