"""The webhooks without a server: PostgREST takes what RevenueCat and Stripe send, as they send and sign it.

Nobody is signed in, and a call carries no key: a hosted project takes the key of the app from the URL (?apikey=...) and
does not pass it on.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import psycopg
import pytest
import stack
from cases import PRODUCTS, UNSIGNED, revenuecat_event, stripe_event
from conftest import Database, Templates, assert_books_add_up, sign_up

JWT_SECRET = "a secret of PostgREST that has more than 32 bytes"
SIGNING = {"stripe": "whsec_a_signing_secret_of_stripe", "revenuecat": "a_signing_secret_of_revenuecat"}
HEADERS = {"stripe": "Stripe-Signature", "revenuecat": "X-RevenueCat-Webhook-Signature"}
STATIC = "an_authorization_of_revenuecat"
REFUSED = (401, "PT401", UNSIGNED[0])
JSON = {"Content-Type": "application/json"}
BODIES = {
    "accents": '{"name": "Zoë 𝄞 日本語"}'.encode(),
    "escapes": rb'{"name": "Zo\u00eb \ud834\udd1e \/ \b", "\u0069d": 1}',
    "a null character": rb'{"id": "a\u0000b"}',
    "order and repetition of keys": b'{"z": 1, "a": 2, "z": 3}',
    "numbers": b'{"price": 0.10, "large": 12345678901234567890, "e": 1e3, "E": -1.50E+2, "zero": -0, "huge": 1e400}',
    "white space": b'\n {"a"\t:\r\n[ 1 ,2]\t}  ',
    "a newline at the end": b'{"a": 1}\n',
}


@dataclass(slots=True)
class Shop:
    """A database that takes webhooks, somebody who buys, and the call of a store."""

    owner: psycopg.Connection[Any]
    rest: httpx.Client
    ada: UUID

    def send(self, provider: str, body: bytes, **headers: str | None) -> httpx.Response:
        """Send a body with its signature; headers are added, replaced, or left out where they are None."""
        wanted: dict[str, str | None] = {**JSON, HEADERS[provider]: stack.sign(SIGNING[provider], body)}
        wanted |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in wanted.items() if value is not None}
        return self.rest.post(f"/rpc/{provider}_webhook", content=body, headers=sent)

    def event(self, provider: str, **fields: Any) -> bytes:
        """Ada has bought a pack, of which nobody has heard yet, if nothing else is said."""
        sale = str(uuid4())
        if provider == "revenuecat":
            event = revenuecat_event(str(self.ada), **{"id": sale, "transaction_id": sale} | fields)
        else:
            event = stripe_event(id=sale)
            names = {"id": f"cs_{sale}", "payment_intent": f"pi_{sale}", "client_reference_id": str(self.ada)}
            event["data"]["object"] |= names
            event |= fields
        return json.dumps(event).encode()

    @property
    def balance(self) -> int:
        return int(self.one("select credits_remaining from public.user_credits where user_id = %s", self.ada))

    def one(self, query: str, *values: object) -> Any:
        row = self.owner.execute(query.encode(), values).fetchone()
        assert row
        return row[0]

    def stored(self) -> int:
        return int(self.one("select count(*) from credits_private.store_events"))


@pytest.fixture(scope="module", params=["supabase", "supabase_closed"])
def served(
    request: pytest.FixtureRequest, templates: Templates
) -> Iterator[tuple[psycopg.Connection[Any], httpx.Client]]:
    """A database in which there is something to buy, behind PostgREST."""
    with (
        templates.clone(request.param, pushed="app") as database,
        stack.postgrest(database, JWT_SECRET) as rest,
        database.connect() as owner,
    ):
        stack.offer(owner, PRODUCTS)
        yield owner, rest


@pytest.fixture
def shop(served: tuple[psycopg.Connection[Any], httpx.Client]) -> Iterator[Shop]:
    owner, rest = served
    yield open_shop(owner, rest)
    assert_books_add_up(owner)


def open_shop(owner: psycopg.Connection[Any], rest: httpx.Client) -> Shop:
    """Both providers have their signing secret, and somebody is there who buys."""
    owner.execute("delete from credits_private.secrets where true")
    for name, secret in SIGNING.items():
        set_secret(owner, name, secret)
    return Shop(owner, rest, sign_up(owner))


def set_secret(owner: psycopg.Connection[Any], name: str, secret: str, overlap: str = "0") -> None:
    owner.execute("select credits_private.set_secret(%s, %s, %s::text::interval)", [name, secret, overlap])


def token(role: str) -> str:
    return jwt.encode({"role": role}, JWT_SECRET, "HS256")


def id_of(provider: str, body: bytes) -> str:
    event = json.loads(body)
    return str((event["event"] if provider == "revenuecat" else event)["id"])


def refusal(answer: httpx.Response) -> tuple[int, Any, Any]:
    return answer.status_code, answer.json().get("code"), answer.json().get("message")


@pytest.mark.parametrize("provider", SIGNING)
def test_a_purchase_is_credited_by_the_call_that_tells_of_it(shop: Shop, provider: str) -> None:
    body = shop.event(provider)
    answer = shop.send(provider, body)
    assert answer.status_code == 200
    event_id = id_of(provider, body)
    assert answer.json() == {"event_id": event_id, "state": "processed", "reason": None}
    assert shop.balance == 123


@pytest.mark.parametrize("provider", SIGNING)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_arrives_and_is_kept_to_the_last_byte(shop: Shop, provider: str, body: bytes) -> None:
    answer = shop.send(provider, body)
    event_id = "sha256:" + hashlib.sha256(body).hexdigest()
    assert (answer.status_code, answer.json()["event_id"]) == (200, event_id)
    kept = "select body::text from credits_private.store_events where (provider, event_id) = (%s, %s)"
    assert shop.one(kept, provider, event_id).encode() == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"id=evt_1",
        b'{"id": "evt_1"',
        b'{"id": "evt_1"} {}',
        b'{"id": "evt_\xe9"}',
        rb'{"id": "evt_\ud834"}',
        b'\xef\xbb\xbf{"id": "evt_1"}',
    ],
    ids=["empty", "a form", "cut off", "two", "latin-1", "half a pair", "a byte order mark"],
)
@pytest.mark.parametrize("provider", SIGNING)
def test_what_is_no_json_is_a_bad_request_and_not_stored(shop: Shop, provider: str, body: bytes) -> None:
    before = shop.stored()
    assert shop.send(provider, body).status_code == 400
    assert shop.stored() == before


@pytest.mark.parametrize(
    ("content_type", "status", "code"),
    [
        ("application/json", 200, None),
        ("application/json; charset=utf-8", 200, None),
        ("application/json;charset=UTF-8", 200, None),
        (None, 200, None),
        ("text/json", 400, "PGRST102"),
        ("text/plain", 404, "PGRST202"),
        ("application/octet-stream", 404, "PGRST202"),
        ("application/x-www-form-urlencoded", 404, "PGRST202"),
    ],
)
@pytest.mark.parametrize("provider", SIGNING)
def test_a_body_is_json_by_its_content_type_or_where_nothing_is_said(
    shop: Shop, provider: str, content_type: str | None, status: int, code: str | None
) -> None:
    answer = shop.send(provider, shop.event(provider), Content_Type=content_type)
    assert (answer.status_code, answer.json().get("code")) == (status, code)
    assert shop.balance == (123 if status == 200 else 3)


@pytest.mark.parametrize("provider", SIGNING)
def test_a_signature_passes_only_with_the_body_the_secret_and_the_time(shop: Shop, provider: str) -> None:
    body, secret, header = shop.event(provider), SIGNING[provider], HEADERS[provider]
    now = int(time.time())
    right, wrong = stack.digest(secret, now, body), stack.digest("another secret", now, body)
    before = shop.stored()
    for signature in (
        None,
        "",
        stack.sign("another secret", body),
        stack.sign(secret, body + b"\n"),
        stack.sign(secret, body.replace(b"pack", b"mint")),
        stack.sign(secret, body, age=320),
        stack.sign(secret, body, age=-320),
        f"t={now},v0={right}",
        f"t={now},v1={wrong},v0={right}",
        f"t={now - 1},v1={right}",
        f"t={now}",
        f"v1={right}",
        f"t=,v1={stack.digest(secret, 0, body)}",
        right,
    ):
        assert refusal(shop.send(provider, body, **{header: signature})) == REFUSED, signature
    assert (shop.stored(), shop.balance) == (before, 3)
    for signature in (
        stack.sign(secret, body, age=280),
        stack.sign(secret, body, age=-280),
        f"t={now},v1={wrong},v1={right},v0={wrong}",
        f"v1={right}, t={now}",
    ):
        assert shop.send(provider, body, **{header: signature}).status_code == 200, signature
    assert shop.balance == 123


@pytest.mark.parametrize("provider", SIGNING)
def test_the_tolerance_of_the_clock_is_a_setting(shop: Shop, provider: str) -> None:
    body = shop.event(provider)
    late = {HEADERS[provider]: stack.sign(SIGNING[provider], body, age=320)}
    assert refusal(shop.send(provider, body, **late)) == REFUSED
    shop.owner.execute("select credits_private.set_setting('webhook_tolerance', '600')")
    try:
        assert shop.send(provider, body, **late).status_code == 200
    finally:
        shop.owner.execute("select credits_private.set_setting('webhook_tolerance', '300')")


@pytest.mark.parametrize("provider", SIGNING)
def test_a_rolled_secret_is_valid_for_the_overlap_beside_the_new_one(shop: Shop, provider: str) -> None:
    header, new = HEADERS[provider], "a_new_secret_of_the_store"
    set_secret(shop.owner, provider, new, overlap="1 day")
    for secret in (SIGNING[provider], new):
        body = shop.event(provider)
        assert shop.send(provider, body, **{header: stack.sign(secret, body)}).status_code == 200
    expire = "update credits_private.secrets set valid_until = valid_until - interval '1 day' where name = %s"
    shop.owner.execute(expire.encode(), [provider])
    body = shop.event(provider)
    assert refusal(shop.send(provider, body)) == REFUSED
    assert shop.send(provider, body, **{header: stack.sign(new, body)}).status_code == 200
    assert shop.balance == 3 * 120 + 3


@pytest.mark.parametrize("provider", SIGNING)
def test_without_a_secret_nobody_is_believed(shop: Shop, provider: str) -> None:
    shop.owner.execute("delete from credits_private.secrets where name = %s", [provider])
    body = shop.event(provider)
    for secret in (SIGNING[provider], ""):
        signed = {HEADERS[provider]: stack.sign(secret, body), "Authorization": STATIC}
        assert refusal(shop.send(provider, body, **signed)) == REFUSED
    assert shop.balance == 3


def test_revenuecat_may_prove_itself_by_its_authorization_alone(shop: Shop) -> None:
    shop.owner.execute("delete from credits_private.secrets where name = 'revenuecat'")
    set_secret(shop.owner, "revenuecat_authorization", STATIC)
    body = shop.event("revenuecat")
    unsigned = {HEADERS["revenuecat"]: None}
    for wrong in (None, "", STATIC.upper(), STATIC[:-1], f"Basic {STATIC}"):
        assert refusal(shop.send("revenuecat", body, Authorization=wrong, **unsigned)) == REFUSED
    assert shop.send("revenuecat", body, Authorization=STATIC, **unsigned).status_code == 200
    assert shop.balance == 123


def test_an_authorization_that_begins_with_bearer_is_read_as_a_token_and_gets_no_further(shop: Shop) -> None:
    set_secret(shop.owner, "revenuecat_authorization", f"Bearer {STATIC}")
    for scheme in ("Bearer", "bearer", "BEARER"):
        status, code, message = refusal(
            shop.send("revenuecat", shop.event("revenuecat"), Authorization=f"{scheme} {STATIC}")
        )
        assert (status, code, message[:8]) == (401, "PGRST301", "JWSError")
    for plain in (f"Bearer{STATIC}", f"Bearer:{STATIC}", f"Token {STATIC}"):
        set_secret(shop.owner, "revenuecat_authorization", plain)
        assert shop.send("revenuecat", shop.event("revenuecat"), Authorization=plain).status_code == 200
    assert shop.balance == 3 * 120 + 3


def test_where_both_proofs_are_set_up_revenuecat_needs_both(shop: Shop) -> None:
    set_secret(shop.owner, "revenuecat_authorization", STATIC)
    body = shop.event("revenuecat")
    signature = HEADERS["revenuecat"]
    assert refusal(shop.send("revenuecat", body)) == REFUSED
    assert refusal(shop.send("revenuecat", body, Authorization=STATIC, **{signature: None})) == REFUSED
    assert shop.send("revenuecat", body, Authorization=STATIC).status_code == 200
    set_secret(shop.owner, "revenuecat_authorization", "another_authorization", overlap="1 hour")
    for either in (STATIC, "another_authorization"):
        assert shop.send("revenuecat", shop.event("revenuecat"), Authorization=either).status_code == 200
    assert shop.balance == 3 * 120 + 3


def test_the_header_in_which_revenuecat_signs_is_a_setting(shop: Shop) -> None:
    setting = "select credits_private.set_setting('revenuecat_signature_header', %s)"
    shop.owner.execute(setting, ["x-revenuecat-signature"])
    try:
        body = shop.event("revenuecat")
        assert refusal(shop.send("revenuecat", body)) == REFUSED
        other = {"X-RevenueCat-Signature": stack.sign(SIGNING["revenuecat"], body), HEADERS["revenuecat"]: None}
        assert shop.send("revenuecat", body, **other).status_code == 200
    finally:
        shop.owner.execute(setting, ["x-revenuecat-webhook-signature"])


@pytest.mark.parametrize("provider", SIGNING)
def test_what_a_gateway_adds_to_a_call_does_not_disturb(shop: Shop, provider: str) -> None:
    anonymous = f"Bearer {token('anon')}"
    for added in (
        {"apikey": "sb_publishable_key"},
        {"apikey": token("anon"), "Authorization": anonymous},
        {"Authorization": ""},
        {"Authorization": "Basic dXNlcjpwYXNzd29yZA=="},
        {"Prefer": "tx=rollback, params=multiple-objects, return=minimal"},
    ):
        assert shop.send(provider, shop.event(provider), **added).status_code == 200, added
    assert shop.balance == 5 * 120 + 3


@pytest.mark.parametrize("provider", SIGNING)
def test_a_key_in_the_url_is_for_the_gateway_to_take_off(shop: Shop, provider: str) -> None:
    body = shop.event(provider)
    headers = JSON | {HEADERS[provider]: stack.sign(SIGNING[provider], body)}
    answer = shop.rest.post(f"/rpc/{provider}_webhook?apikey=sb_publishable_key", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST100")  # a filter, for PostgREST
    assert shop.balance == 3


@pytest.mark.parametrize("provider", SIGNING)
@pytest.mark.parametrize("role", ["authenticated", "service_role"])
def test_no_signed_in_role_may_call(shop: Shop, provider: str, role: str) -> None:
    answer = shop.send(provider, shop.event(provider), Authorization=f"Bearer {token(role)}")
    assert refusal(answer) == (403, "42501", f"permission denied for function {provider}_webhook")
    assert shop.balance == 3


@pytest.mark.parametrize("provider", SIGNING)
def test_an_event_comes_by_post_alone(shop: Shop, provider: str) -> None:
    for method, status in (("GET", 404), ("HEAD", 404), ("PUT", 405), ("PATCH", 405), ("DELETE", 405)):
        headers = JSON | {HEADERS[provider]: stack.sign(SIGNING[provider], b""), "Connection": "close"}
        assert shop.rest.request(method, f"/rpc/{provider}_webhook", headers=headers).status_code == status, method


@pytest.mark.parametrize("provider", SIGNING)
def test_a_body_has_at_most_a_mebibyte_signed_or_not(shop: Shop, provider: str) -> None:
    most = b'{"a": "%b"}' % (b"a" * (2**20 - 9))
    assert shop.send(provider, most).status_code == 200
    for more in (most + b"\n", b'{"a": "%b"}' % ("é" * 2**19).encode()):
        for signed in ({}, {HEADERS[provider]: None}):
            answer = shop.send(provider, more, **signed)
            assert refusal(answer) == (413, "PT413", "payload_too_large")
            assert json.loads(answer.json()["details"]) == {"bytes": len(more)}


@pytest.mark.parametrize("provider", SIGNING)
def test_a_body_is_not_nested_without_end(shop: Shop, provider: str) -> None:
    before = shop.stored()
    answer = shop.send(provider, b'{"a": %b1%b}' % (b"[" * 10**5, b"]" * 10**5))
    assert (answer.status_code, answer.json()["code"]) == (413, "54001")
    assert shop.stored() == before


STATES: list[tuple[str, dict[str, Any], str, str]] = [
    ("revenuecat", {"product_id": "a_dream"}, "failed", "unknown_product"),
    ("revenuecat", {"price_in_purchased_currency": 0.01}, "failed", "price_mismatch"),
    ("revenuecat", {"transaction_id": None}, "failed", "wrong_shape"),
    ("revenuecat", {"environment": "MOON"}, "failed", "wrong_shape"),
    ("revenuecat", {"type": None}, "failed", "wrong_shape"),
    (
        "revenuecat",
        {"app_user_id": "nobody", "original_app_user_id": "nobody", "aliases": []},
        "parked",
        "unknown_user",
    ),
    ("revenuecat", {"type": "NEW_TYPE"}, "ignored", "unknown_type"),
    ("revenuecat", {"type": "TEST"}, "ignored", "test"),
    ("revenuecat", {"type": "CANCELLATION", "cancel_reason": "UNSUBSCRIBE"}, "ignored", "changes_nothing"),
    ("revenuecat", {"environment": "SANDBOX"}, "ignored", "sandbox_denied"),
    ("revenuecat", {"is_family_share": True}, "ignored", "family_share"),
    ("stripe", {"data": {"object": {"mode": "payment"}}}, "failed", "wrong_shape"),
    ("stripe", {"data": {"object": []}}, "failed", "wrong_shape"),
    ("stripe", {"livemode": None}, "failed", "wrong_shape"),
    ("stripe", {"livemode": False}, "ignored", "sandbox_denied"),
    ("stripe", {"type": "customer.created"}, "ignored", "changes_nothing"),
    ("stripe", {"type": "terminal.reader.action_failed"}, "ignored", "unknown_type"),
]


@pytest.mark.parametrize(("provider", "fields", "state", "reason"), STATES)
def test_what_is_authentic_is_accepted_whatever_becomes_of_it(
    shop: Shop, provider: str, fields: dict[str, Any], state: str, reason: str
) -> None:
    body = shop.event(provider, **fields)
    answer = shop.send(provider, body)
    event_id = id_of(provider, body)
    assert answer.status_code == 200
    assert answer.json() == {"event_id": event_id, "state": state, "reason": reason}
    found = "select state || ' ' || reason from credits_private.store_events where (provider, event_id) = (%s, %s)"
    assert shop.one(found, provider, event_id) == f"{state} {reason}"
    assert shop.balance == 3


@pytest.mark.parametrize("provider", SIGNING)
@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"event": null}', b'{"event": [], "data": "x"}', b'{"id": 7}'])
def test_a_body_without_an_id_is_stored_under_its_hash(shop: Shop, provider: str, body: bytes) -> None:
    answer = shop.send(provider, body)
    assert answer.status_code == 200
    event_id = "sha256:" + hashlib.sha256(body).hexdigest()
    assert answer.json() == {"event_id": event_id, "state": "failed", "reason": "wrong_shape"}


@pytest.mark.parametrize("provider", SIGNING)
def test_an_event_that_comes_again_and_at_the_same_time_is_credited_once(shop: Shop, provider: str) -> None:
    body = shop.event(provider)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: shop.send(provider, body), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    again = shop.send(provider, body)
    assert (again.json()["state"], shop.balance) == ("processed", 123)


@pytest.mark.parametrize("provider", SIGNING)
def test_a_purchase_under_another_event_id_is_credited_once(shop: Shop, provider: str) -> None:
    body = shop.event(provider)
    event = json.loads(body)
    (event["event"] if provider == "revenuecat" else event)["id"] = str(uuid4())
    for told in (body, json.dumps(event).encode()):
        assert shop.send(provider, told).json()["state"] == "processed"
    assert shop.balance == 123


@pytest.fixture
def hurried(templates: Templates) -> Iterator[tuple[Database, Shop]]:
    """A shop that gives its visitors half a second; a hosted project gives anon three, in the same way."""
    role = f"anon_{uuid4().hex}"
    with templates.clone("supabase", pushed="app") as database, database.connect("postgres") as superuser:
        superuser.execute(f"create role {role} in role anon".encode())
        superuser.execute(f"grant {role} to authenticator".encode())
        superuser.execute(f"alter role {role} set statement_timeout to '500ms'".encode())
        try:
            with stack.postgrest(database, JWT_SECRET, visitor=role) as rest, database.connect() as owner:
                stack.offer(owner, PRODUCTS)
                yield database, open_shop(owner, rest)
                assert_books_add_up(owner)
        finally:
            superuser.execute(f"drop role {role}".encode())


@pytest.mark.parametrize("provider", SIGNING)
def test_an_effect_that_takes_too_long_leaves_an_event_to_be_done_later(
    hurried: tuple[Database, Shop], provider: str
) -> None:
    database, shop = hurried
    bodies = [shop.event(provider) for _ in range(3)]
    with database.connect(autocommit=False) as busy:
        busy.execute("select from public.user_credits where user_id = %s for update", [shop.ada])
        for body in bodies:
            answer = shop.send(provider, body)
            assert answer.status_code == 200
            assert (answer.json()["state"], answer.json()["reason"]) == ("pending", "error")
        busy.rollback()
    why = "select details ->> 'sqlstate' from credits_private.store_events where state = 'pending' limit 1"
    assert (shop.one(why), shop.balance) == ("57014", 3)

    assert shop.send(provider, bodies[0]).json()["state"] == "processed"  # the store asks again
    assert shop.balance == 123
    again = "select (public.reprocess_store_event(%s, %s)).state"
    assert shop.one(again, provider, id_of(provider, bodies[1])) == "processed"
    shop.owner.execute("update credits_private.store_events set retry_at = received_at where state = 'pending'")
    assert shop.one("select (public.run_maintenance()).store_events") == 1
    assert shop.balance == 3 * 120 + 3
