"""Webhooks through a server of one's own: judged as in SQL, done in two transactions, answered with 200 in the end."""

from __future__ import annotations

import asyncio
import json
import runpy
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from conftest import POOLED, ROOT, Database
from fastapi.testclient import TestClient
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from credits_db import (
    AsyncClient,
    Client,
    InvalidArgument,
    InvalidSignature,
    PayloadTooLarge,
    StoreEvent,
)
from credits_db._call import Call
from credits_db.webhooks import handle_revenuecat, handle_stripe, sign

NOW = 1_790_000_000
NEW, OLD, WRONG = "whsec_new_0123456789", "whsec_old_0123456789", "whsec_bad_0123456789"
STATIC = "Bearer 0123456789"
BODY = '{"id": "evt_1", "object": "event", "type": "price.created", "data": {"object": {"é": "✓"}}}'.encode()
CAT = b'{"event": {"id": "1", "type": "TEST"}}'


def paid(user: UUID | str, payment: str = "pi_1", product: str = "pack", event: str | None = None) -> bytes:
    """A checkout session of Stripe that was paid."""
    session = {
        "id": f"cs_{payment}", "mode": "payment", "payment_status": "paid", "payment_intent": payment,
        "client_reference_id": str(user), "metadata": {"product_id": product}, "amount_total": 990, "currency": "usd",
    }  # fmt: skip
    return stripe_event("checkout.session.completed", session, event or f"evt_{payment}")


def refunded(payment: str = "pi_1", cents: int = 990) -> bytes:
    """A charge of Stripe of which so much went back."""
    charge = {"id": f"ch_{payment}", "payment_intent": payment, "amount": 990, "amount_refunded": cents}
    return stripe_event("charge.refunded", {**charge, "currency": "usd"}, f"evt_refund_{payment}_{cents}")


def stripe_event(type: str, object: dict[str, object], id: str) -> bytes:
    event = {"id": id, "object": "event", "type": type, "livemode": True, "data": {"object": object}}
    return json.dumps(event).encode()


def bought(user: UUID, transaction: str = "1000", product: str = "pack") -> bytes:
    """A pack that RevenueCat says was bought in the App Store."""
    event = {
        "id": f"rc_{transaction}", "type": "NON_RENEWING_PURCHASE", "app_user_id": str(user), "store": "APP_STORE",
        "environment": "PRODUCTION", "transaction_id": transaction, "product_id": product,
    }  # fmt: skip
    return json.dumps({"api_version": "1.0", "event": event}).encode()


def sell(connection: psycopg.Connection[Any], product: str = "pack", credits: int = 100) -> None:
    connection.execute("insert into public.credit_products (product_id, credits) values (%s, %s)", [product, credits])


# signatures ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def frozen(db: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> psycopg.Connection[Any]:
    """It is NOW, in the database and in Python."""
    db.execute(
        f"""
        create or replace function credits_private.now() returns timestamptz
        language sql stable set search_path = '' as $$ select to_timestamp({NOW}) $$
        """.encode()
    )
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    return db


def keep(db: psycopg.Connection[Any], name: str, *secrets: str) -> None:
    for secret in secrets:
        db.execute("select credits_private.set_secret(%s, %s, '1 hour')", [name, secret])


def sql_accepts(db: psycopg.Connection[Any], door: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether the database lets this call in by the door of its own, as PostgREST hands it over."""
    seen = json.dumps({name.lower(): value for name, value in headers.items()})
    try:
        with db.transaction(force_rollback=True):
            db.execute("select set_config('request.headers', %s, true), set_config('role', 'anon', true)", [seen])
            db.execute(f"select public.{door}(%s::json)".encode(), [body.decode()])
    except psycopg.Error as error:
        if error.diag.message_primary != "invalid_signature":
            raise
        return False
    return True


def python_accepts(handle: Any, db: psycopg.Connection[Any], headers: dict[str, str], body: bytes, **how: Any) -> bool:
    try:
        with db.transaction(force_rollback=True):
            assert isinstance(handle(body, headers, Client(db), **how), StoreEvent)
    except InvalidSignature:
        return False
    return True


GOOD = sign(BODY, NEW, NOW)
V1 = GOOD.partition(",")[2]
ZEROS = "v1=" + "0" * 64

SIGNATURES: dict[str, tuple[str | None, bool]] = {
    "right": (GOOD, True),
    "signed with the one before it, which is valid yet": (sign(BODY, OLD, NOW), True),
    "old, but within five minutes": (sign(BODY, NEW, NOW - 300), True),
    "early, but within five minutes": (sign(BODY, NEW, NOW + 300), True),
    "the second of two": (f"t={NOW},{ZEROS},{V1}", True),
    "the first of two": (f"t={NOW},{V1},{ZEROS}", True),
    "with spaces after the commas": (f"t={NOW}, {V1}", True),
    "before its time": (f"{V1},t={NOW}", True),
    "beside a wrong v0": (f"{GOOD},v0=00", True),
    "the twentieth part": (",".join([f"t={NOW}", *["v0=0"] * 18, V1]), True),
    "of a time with a zero before it": (sign(BODY, NEW, NOW).replace("t=", "t=0"), False),
    "wrong secret": (sign(BODY, WRONG, NOW), False),
    "another body": (sign(BODY + b" ", NEW, NOW), False),
    "too old": (sign(BODY, NEW, NOW - 301), False),
    "too early": (sign(BODY, NEW, NOW + 301), False),
    "missing": (None, False),
    "empty": ("", False),
    "no scheme": (V1.removeprefix("v1="), False),
    "v0 alone": (GOOD.replace("v1=", "v0="), False),
    "a right v0 beside a wrong v1": (f"{GOOD.replace('v1=', 'v0=')},{ZEROS}", False),
    "an empty v1": (f"t={NOW},v1=", False),
    "in capitals": (f"t={NOW},v1={V1.removeprefix('v1=').upper()}", False),
    "with something behind it": (f"{GOOD}0", False),
    "half of it": (GOOD[:-32], False),
    "not ASCII": (f"t={NOW},v1=ü", False),
    "no time": (V1, False),
    "a time that is a word": (f"t=now,{V1}", False),
    "a time below zero": (f"t=-{NOW},{V1}", False),
    "a time with a fraction": (f"t={NOW}.0,{V1}", False),
    "a time in other digits": (f"t={str(NOW).translate(str.maketrans('0123456789', '٠١٢٣٤٥٦٧٨٩'))},{V1}", False),
    "a time of ages": (f"t={10**30},{V1}", False),
    "two times, the first of them wrong": (f"t={NOW - 1},t={NOW},{V1}", False),
    "two times, the first of them right": (f"t={NOW},t=0,{V1}", True),
    "the twenty-first part": (",".join([f"t={NOW}", *["v0=0"] * 19, V1]), False),
    "with a tab": (f"t={NOW},\t{V1}", False),
    "with a line break": (f"t={NOW}\n,{V1}", False),
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_sql_and_python_judge_a_signature_alike(frozen: psycopg.Connection[Any], case: str) -> None:
    header, expected = SIGNATURES[case]
    headers = {"Accept": "*/*"} if header is None else {"STRIPE-Signature": header}
    keep(frozen, "stripe", OLD, NEW)
    by_sql = sql_accepts(frozen, "stripe_webhook", headers, BODY)
    by_python = python_accepts(handle_stripe, frozen, headers, BODY, secrets=[NEW, OLD])
    assert (by_sql, by_python) == (expected, expected)


def test_a_secret_that_was_rolled_counts_for_nothing(frozen: psycopg.Connection[Any]) -> None:
    headers = {"Stripe-Signature": sign(BODY, OLD, NOW)}
    keep(frozen, "stripe", OLD)
    assert sql_accepts(frozen, "stripe_webhook", headers, BODY)
    frozen.execute("select credits_private.set_secret('stripe', %s, '0')", [NEW])
    assert not sql_accepts(frozen, "stripe_webhook", headers, BODY)
    assert python_accepts(handle_stripe, frozen, headers, BODY, secrets=OLD)
    assert not python_accepts(handle_stripe, frozen, headers, BODY, secrets=NEW)


def test_without_a_secret_nobody_comes_in(frozen: psycopg.Connection[Any]) -> None:
    signed = sign(BODY, "", NOW)
    for headers in ({"Stripe-Signature": signed}, {"X-RevenueCat-Webhook-Signature": signed, "Authorization": ""}):
        assert not sql_accepts(frozen, "stripe_webhook", headers, BODY)
        assert not sql_accepts(frozen, "revenuecat_webhook", headers, BODY)
        for nothing in ((), "", [""]):
            assert not python_accepts(handle_stripe, frozen, headers, BODY, secrets=nothing)
            assert not python_accepts(handle_revenuecat, frozen, headers, BODY, secrets=nothing)
            assert not python_accepts(handle_revenuecat, frozen, headers, BODY, authorization=nothing)
    # an unset variable does not open what the other proof guards
    headers = {"Authorization": STATIC}
    assert not python_accepts(handle_revenuecat, frozen, headers, BODY, secrets="", authorization=STATIC)


@pytest.mark.parametrize("given_static", [STATIC, STATIC + "x", STATIC.lower(), None])
@pytest.mark.parametrize("given_secret", [NEW, WRONG, None])
@pytest.mark.parametrize("static", [STATIC, None])
@pytest.mark.parametrize("secret", [NEW, None])
def test_every_proof_of_revenuecat_that_was_set_up_is_asked_for(
    frozen: psycopg.Connection[Any],
    secret: str | None,
    static: str | None,
    given_secret: str | None,
    given_static: str | None,
) -> None:
    headers, how = {}, {}
    if secret:
        keep(frozen, "revenuecat", secret)
        how["secrets"] = secret
    if static:
        keep(frozen, "revenuecat_authorization", static)
        how["authorization"] = static
    if given_secret:
        headers["x-revenuecat-webhook-signature"] = sign(CAT, given_secret, NOW)
    if given_static:
        headers["AUTHORIZATION"] = given_static
    expected = bool(secret or static) and secret in (None, given_secret) and static in (None, given_static)
    assert sql_accepts(frozen, "revenuecat_webhook", headers, CAT) == expected
    assert python_accepts(handle_revenuecat, frozen, headers, CAT, **how) == expected


def test_the_header_of_revenuecat_may_have_another_name(frozen: psycopg.Connection[Any]) -> None:
    headers = {"X-Signed": sign(CAT, NEW, NOW)}
    keep(frozen, "revenuecat", NEW)
    assert not sql_accepts(frozen, "revenuecat_webhook", headers, CAT)
    assert not python_accepts(handle_revenuecat, frozen, headers, CAT, secrets=NEW)
    frozen.execute("select credits_private.set_setting('revenuecat_signature_header', 'x-signed')")
    assert sql_accepts(frozen, "revenuecat_webhook", headers, CAT)
    assert python_accepts(handle_revenuecat, frozen, headers, CAT, secrets=NEW, signature_header="X-SIGNED")


def test_the_tolerance_is_what_was_asked_for(frozen: psycopg.Connection[Any]) -> None:
    headers = {"Stripe-Signature": sign(BODY, NEW, NOW - 61)}
    keep(frozen, "stripe", NEW)
    frozen.execute("select credits_private.set_setting('webhook_tolerance', '60')")
    assert not sql_accepts(frozen, "stripe_webhook", headers, BODY)
    assert not python_accepts(handle_stripe, frozen, headers, BODY, secrets=NEW, tolerance=60)
    assert python_accepts(handle_stripe, frozen, headers, BODY, secrets=NEW, tolerance=61)


def test_sign_is_of_now_unless_told_otherwise() -> None:
    stamp, _, signature = sign(b"{}", "secret").partition(",")
    assert abs(int(stamp.removeprefix("t=")) - time.time()) < 60
    assert f"{stamp},{signature}" == sign(b"{}", "secret", int(stamp[2:]))
    # openssl dgst -sha256 -hmac secret, of 0.{}
    assert sign(b"{}", "secret", 0) == "t=0,v1=4bbe8d39de1ffea42cffafb4727e02f761bef8ed2886b51575ce417d542e918f"


# what is done --------------------------------------------------------------------------------------------------------


def headers_for(body: bytes) -> dict[str, str]:
    """What both providers would send with this body."""
    return {"Stripe-Signature": sign(body, NEW), "X-RevenueCat-Webhook-Signature": sign(body, NEW)}


@pytest.fixture(params=("sync", "async"))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def handled(kind: str, dsn: str, *bodies: bytes, handle: Any = handle_stripe, client: Any = None) -> list[StoreEvent]:
    """What becomes of these bodies, in their order, through a pool of either kind."""
    if kind == "sync":
        with ConnectionPool(dsn, min_size=1, kwargs=POOLED, open=True) as pool:
            sync = (client or Client)(pool)
            return [handle(body, headers_for(body), sync, secrets=NEW) for body in bodies]

    async def run() -> list[StoreEvent]:
        async with AsyncConnectionPool(dsn, min_size=1, kwargs=POOLED, open=False) as pool:
            later = (client or AsyncClient)(pool)
            return [await handle(body, headers_for(body), later, secrets=NEW) for body in bodies]

    return asyncio.run(run())


def test_a_purchase_that_is_delivered_twice_is_credited_once(database: Database, kind: str) -> None:
    user = database.sign_up()
    with database.connect() as connection:
        sell(connection)
        first, again = handled(kind, database.dsn(), paid(user), paid(user))
        assert (first.state, first.reason, first.user_id, first.transaction_id) == ("processed", None, user, "pi_1")
        assert again == first
        (other,) = handled(kind, database.dsn(), bought(user), handle=handle_revenuecat)
        assert (other.provider, other.store, other.state) == ("revenuecat", "app_store", "processed")
        assert Client(connection).get_user_credits_for(user).credits_remaining == 203


def test_whatever_becomes_of_an_event_the_store_gets_its_answer(database: Database, kind: str) -> None:
    with database.connect() as connection:
        sell(connection)
    bodies = [paid(uuid4()), paid(database.sign_up(), "pi_2", "hat"), BODY, b"{}", b'[1, "\\u0000"]', b" 7 "]
    done = handled(kind, database.dsn(), *bodies)
    states = [(event.state, event.reason) for event in done]
    assert states[:3] == [("parked", "unknown_user"), ("failed", "unknown_product"), ("ignored", "changes_nothing")]
    assert states[3:] == [("failed", "wrong_shape")] * 3
    with database.connect() as connection:
        kept = connection.execute("select body::text from credits_private.store_events order by received_at").fetchall()
    assert [text.encode() for (text,) in kept] == bodies


def test_a_crash_after_the_body_was_committed_loses_nothing(database: Database, kind: str) -> None:
    class Crash(Exception):
        pass

    class Dying(Client):
        def run(self, call: Call[Any]) -> Any:
            if not call.arguments["deferred"]:
                raise Crash
            return super().run(call)

    class DyingLater(AsyncClient):
        async def run(self, call: Call[Any]) -> Any:
            if not call.arguments["deferred"]:
                raise Crash
            return await super().run(call)

    user = database.sign_up()
    with database.connect() as connection:
        sell(connection)
        with pytest.raises(Crash):
            handled(kind, database.dsn(), paid(user), client=Dying if kind == "sync" else DyingLater)
        client = Client(connection)
        states = connection.execute("select state::text, attempts from credits_private.store_events").fetchall()
        assert states == [("pending", 0)]
        assert client.get_user_credits_for(user).credits_remaining == 3
        assert client.run_maintenance().store_events == 1
        (again,) = handled(kind, database.dsn(), paid(user))
        assert (again.state, again.attempts) == ("processed", 1)
        assert client.get_user_credits_for(user).credits_remaining == 103


def test_what_is_no_json_is_refused_and_not_stored(database: Database, kind: str) -> None:
    bad = [b"", b"{", b"\xff", b"NaN", b'{"a": Infinity}', b'{"a": "\x00"}', b"\xef\xbb\xbf{}", b"[" * 10**6, b"{} {}"]
    for body in bad:
        with pytest.raises(InvalidArgument) as caught:
            handled(kind, database.dsn(), body)
        assert (caught.value.status, caught.value.details) == (400, {"argument": "body"})
    with database.connect() as connection:
        assert connection.execute("select count(*) from credits_private.store_events").fetchone() == (0,)
        for text in ("\ud800", "{", b"{"):
            with pytest.raises(InvalidArgument):
                Client(connection).process_stripe_event(text)


def test_a_body_over_one_mebibyte_is_refused_before_any_work() -> None:
    nowhere = Client(ConnectionPool(open=False))
    for handle in (handle_stripe, handle_revenuecat):
        with pytest.raises(PayloadTooLarge) as caught:
            handle(b"x" * (2**20 + 1), {}, nowhere, secrets=NEW)
        assert (caught.value.status, caught.value.details) == (413, {"bytes": 2**20 + 1})
        with pytest.raises(InvalidSignature):
            handle(b"x" * 2**20, {}, nowhere, secrets=NEW)


def test_a_body_of_one_mebibyte_is_taken(database: Database, kind: str) -> None:
    body = b'{"id": "evt_large", "object": "event", "type": "price.created"'
    body += b', "a": "' + "é".encode() * ((2**20 - len(body) - 10) // 2) + b'"}'
    body += b" " * (2**20 - len(body))
    (event,) = handled(kind, database.dsn(), body)
    assert event.event_id == "evt_large"
    with database.connect() as connection:
        row = connection.execute("select octet_length(body::text) from credits_private.store_events").fetchone()
    assert row == (2**20,)


# the examples --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=("fastapi", "flask"))
def post(request: pytest.FixtureRequest, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """POST to an example as it stands, on a database of its own; returns the status and the answer."""
    monkeypatch.setenv("DATABASE_URL", database.dsn())
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", NEW)
    monkeypatch.setenv("REVENUECAT_WEBHOOK_SECRET", NEW)
    example = runpy.run_path(str(ROOT / "examples" / f"{request.param}_webhooks.py"))
    if request.param == "fastapi":
        with TestClient(example["app"]) as browser:

            def by_fastapi(path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
                answer = browser.post(path, content=body, headers=headers)
                return answer.status_code, answer.json()

            yield by_fastapi
    else:
        app = example["app"].test_client()

        def by_flask(path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
            answer = app.post(path, data=body, headers=headers)
            return answer.status_code, answer.get_json()

        with example["pool"]:
            yield by_flask


def test_an_example_credits_once_and_refuses_with_the_right_status(post: Any, database: Database) -> None:
    user = database.sign_up()
    with database.connect() as connection:
        sell(connection)
    for path, body in (("/webhooks/stripe", paid(user)), ("/webhooks/revenuecat", bought(user))):
        for _ in range(2):
            assert post(path, body, headers_for(body)) == (200, {"state": "processed"})
        assert post(path, body, headers_for(body + b" ")) == (401, {"error": "invalid_signature"})
        assert post(path, body, {}) == (401, {"error": "invalid_signature"})
        assert post(path, b"{", headers_for(b"{")) == (400, {"error": "invalid_argument"})
        assert post(path, b"1" * (2**20 + 1), {}) == (413, {"error": "payload_too_large"})
    stranger = paid(uuid4(), "pi_2")
    assert post("/webhooks/stripe", stranger, headers_for(stranger)) == (200, {"state": "parked"})
    with database.connect() as connection:
        assert Client(connection).get_user_credits_for(user).credits_remaining == 203
