"""Every RPC as data: who may call it, what it answers, and each way in which it refuses.

Ada has 2 credits: the signup bonus of 3, less one spent with the key "first". Bob bought a pack, of which RevenueCat
told as the event and transaction "sold"; a refund "r1" then took back 20 of its 120 credits. He gets 7 credits of
pocket money a month, holds 10 as "held", and held 5 as "spent", which were captured with the key "film". A caller or an
argument "ada" stands for the id of such a user, "stranger" for an id that no user has, "nobody" for a token that names
no user; "sale" and "session" are ids that no store has used yet, "closed" is a transaction of an account that was
deleted; "now" is any instant, "new" an id that was just made up, "age" any interval. Ada has the project "picture" with
the layer "ink", Bob "poster" with "chalk". "left" was deleted softly: the row of auth.users is still there. The status
and SQLSTATE of a token are those of the README.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Arguments = dict[str, Any]


class Case(NamedTuple):
    caller: str
    function: str
    arguments: Arguments
    data: Any


class Refusal(NamedTuple):
    caller: str
    function: str
    arguments: Arguments
    token: str
    hint: str
    details: Arguments | None = None


WORDS = {"idempotency_key": None, "description": None, "metadata": dict[str, Any]()}


def row(seq: int, amount: int, balance_after: int, **columns: Any) -> dict[str, Any]:
    """A ledger row of ada's, a consumption if nothing else is said."""
    figures = {"user_id": "ada", "seq": seq, "amount": amount, "balance_after": balance_after, "created_at": "now"}
    return figures | {"type": "consumption"} | WORDS | columns


def hold(amount: int, **columns: Any) -> dict[str, Any]:
    """A hold of ada's that was just made, if nothing else is said."""
    figures = {"user_id": "ada", "id": "new", "amount": amount, "expires_at": "now", "created_at": "now"}
    end = {"status": "active", "captured_amount": None, "seq": None, "ended_at": None}
    return figures | end | WORDS | columns


def recurring_grant(**columns: Any) -> dict[str, Any]:
    """The pocket money of bob, if nothing else is said."""
    return {
        "user_id": "bob", "name": "pocket_money", "entitlement": None, "amount": 7, "period": "month",
        "rollover": False, "starts_at": "now", "ends_at": None,
    } | columns  # fmt: skip


ROWS = [
    row(2, -1, 2, idempotency_key="first", description="A picture"),
    row(1, 3, 3, type="signup_bonus", idempotency_key="credits:signup_bonus", description="Signup bonus"),
]
ACCOUNT = {
    "user_id": "ada", "credits_remaining": 2, "credits_held": 0, "total_credits": 3, "used_credits": 1,
    "monthly_bonus_credits": 0, "last_bonus_date": None, "last_purchase_at": None, "last_seq": 2, "next_due_at": None,
    "alert_below": None, "created_at": "now", "updated_at": "now", "last_hold_at": None,
}  # fmt: skip
EXPLANATION = {
    "user_id": "ada", "as_of": "now", "credits_available": 2, "credits_remaining": 2, "credits_held": 0,
    "total_credits": 3, "used_credits": 1, "operations": 2, "unwritten": 0, "adds_up": True, "lots": [], "holds": [],
    "recurring_grants": [], "debts": [],
    "by_type": {"signup_bonus": {"credits": 3, "operations": 1}, "consumption": {"credits": -1, "operations": 1}},
    "latest": [{name: value for name, value in row.items() if name != "user_id"} for row in ROWS],
    "summary": [
        "On now the balance is 2 credits.", "Consumption: -1 in 1 operation.", "Signup Bonus: +3 in 1 operation.",
    ],
}  # fmt: skip
PRODUCTS = [
    {
        "store": "any", "product_id": product_id, "credits": credits, "bonus_credits": bonus, "trial_credits": 0,
        "price_cents": 999, "currency": "USD", "entitlement": entitlement, "expires_after": expires_after,
        "active_from": None, "active_to": active_to, "updated_at": "now",
    }
    for product_id, credits, bonus, entitlement, expires_after, active_to in (
        ("mint", 10**12, 0, None, None, None),
        ("pack", 100, 20, "pro", None, None),
        ("relic", 1, 0, None, None, "2020-01-01T00:00:00Z"),
        ("season", 50, 0, None, "90 days", None),
    )
]  # fmt: skip
USAGE = {"consumed": 1, "refunded": 0, "operations": 1}
REMOVED = {
    "auth.users": 1, "public.user_credits": 1, "public.credit_transactions": 2, "public.credit_holds": 0,
    "public.purchase_transactions": 0, "public.user_entitlements": 0, "credits_private.credit_lots": 0,
    "credits_private.lot_allocations": 0, "credits_private.hold_lots": 0, "credits_private.recurring_grants": 0,
    "credits_private.due_accounts": 0, "credits_private.outbox": 0, "credits_private.store_customers": 0,
    "credits_private.store_event_names": 0, "credits_private.deleted_exports": 0,
    "credits_private.export_keys": 0, "public.profiles": 1,
    "public.projects": 1, "public.project_layers": 1, "public.exports": 0,
}  # fmt: skip
RECEIPT = {"user_id": "ada", "deleted_at": "now", "credits_written_off": 2, "removed": REMOVED}

ADA = {"user_id": "ada"}
BOB = {"user_id": "bob"}
GRANT = ADA | {"amount": 1}
FIRST = {"idempotency_key": "first"}
PAST = "2020-01-01T00:00:00Z"
SINCE = {"since": PAST}
LATER = "2100-01-01T00:00:00Z"
ENTRY = {"description": "A film", "metadata": {"frames": [24, "fps"]}, "idempotency_key": "second"}
SALE = {"type": "purchase"} | ENTRY
IN_TIME = {"expires_at": LATER}
HELD = BOB | {"hold_id": "held"}
SPENT = BOB | {"hold_id": "spent"}
FILM = {"idempotency_key": "film"}
HOLDS = [
    hold(10, user_id="bob", id="held"),
    hold(5, user_id="bob", id="spent", status="captured", captured_amount=5, seq=5, ended_at="now"),
]
POCKET_MONEY = {"name": "pocket_money", "amount": 7, "period": "month"}
VIP = {"name": "vip-daily", "amount": 5, "period": "day", "entitlement": "vip", "rollover": True}
MAINTAINED = dict.fromkeys(("store_events", "store_events_waiting", "accounts", "expirations", "holds", "grants"), 0)


def purchase(**columns: Any) -> dict[str, Any]:
    """A pack that a service recorded for ada, if nothing else is said."""
    return {
        "user_id": "ada", "store": "app_store", "environment": "PRODUCTION", "transaction_id": "sale",
        "product_id": "pack", "provider": "manual", "status": "completed", "credits": 120, "refunded_credits": 0,
        "quantity": 1, "price_cents": None, "currency": None, "entitlements": ["pro"], "entitled_until": None, "seq": 3,
        "payload": dict[str, Any](), "verified_at": "now", "created_at": "now", "credits_expire_at": None,
    } | columns  # fmt: skip


def entitlement(**columns: Any) -> dict[str, Any]:
    """What a pack gave to bob, if nothing else is said."""
    figures = {"user_id": "bob", "entitlement": "pro", "active_until": None, "source": "app_store", "updated_at": "now"}
    return (
        figures | {"granted_by": None, "granted_until": None, "active_since": "now", "transferred_at": None} | columns
    )


def revenuecat_event(user: str = "ada", **fields: Any) -> dict[str, Any]:
    """What RevenueCat sends when a user buys a pack in the App Store, if nothing else is said."""
    return {
        "api_version": "1.0",
        "event": {
            "type": "NON_RENEWING_PURCHASE", "id": "sale", "event_timestamp_ms": 1658726522314, "app_user_id": user,
            "original_app_user_id": user, "aliases": [user], "product_id": "pack", "period_type": "NORMAL",
            "purchased_at_ms": 1658726519000, "expiration_at_ms": None, "environment": "PRODUCTION",
            "store": "APP_STORE", "transaction_id": "sale", "original_transaction_id": "sale",
            "entitlement_ids": ["pro"], "is_family_share": False, "currency": "USD", "price": 9.99,
            "price_in_purchased_currency": 9.99,
        } | fields,
    }  # fmt: skip


def stripe_event(**fields: Any) -> dict[str, Any]:
    """What Stripe sends when ada has paid for a pack, if nothing else is said."""
    return {
        "id": "sale", "object": "event", "created": 1658726522, "livemode": True, "type": "checkout.session.completed",
        "data": {
            "object": {
                "id": "session", "object": "checkout.session", "mode": "payment", "payment_status": "paid",
                "payment_intent": "sale", "client_reference_id": "ada", "customer": None, "amount_subtotal": 999,
                "amount_total": 999, "currency": "usd", "metadata": {"product_id": "pack"},
            }
        },
    } | fields  # fmt: skip


def event(provider: str, kind: str, **columns: Any) -> dict[str, Any]:
    """The event "sale", done for ada, if nothing else is said."""
    return {
        "provider": provider, "event_id": "sale", "type": kind, "state": "processed", "reason": None, "details": {},
        "user_id": "ada", "store": "app_store", "environment": "PRODUCTION", "transaction_id": "sale",
        "product_id": "pack", "attempts": 1, "received_at": "now", "processed_at": "now",
    } | columns  # fmt: skip


BOUGHT = event("revenuecat", "NON_RENEWING_PURCHASE")
PAID = event("stripe", "checkout.session.completed", store="stripe")
SOLD = BOUGHT | {"event_id": "sold", "transaction_id": "sold", "user_id": "bob"}
UNKNOWN_YET = ("user_id", "store", "environment", "transaction_id", "product_id", "processed_at")
STORED = PAID | dict.fromkeys(UNKNOWN_YET) | {"state": "pending", "attempts": 0}
ORDER = ADA | {"store": "app_store", "transaction_id": "sale", "product_id": "pack"}
RECEIPTS = {"price_cents": 1998, "currency": "usd", "payload": {"receipt": "x"}, "quantity": 2}
REFUND = {"store": "app_store", "transaction_id": "sold"}
TAKEN = purchase(
    user_id="bob", transaction_id="sold", provider="revenuecat", refunded_credits=20, seq=2, price_cents=999,
    currency="USD", payload={"event_id": "sold", "type": "NON_RENEWING_PURCHASE"},
)  # fmt: skip
PRO = {"entitlement": "pro"}


def export(**columns: Any) -> dict[str, Any]:
    """An export of ada's picture that she has just paid for, if nothing else is said."""
    return {
        "id": "new", "user_id": "ada", "project_id": "picture", "type": "png", "options": dict[str, Any](),
        "layer_ids": None, "status": "pending", "error_message": None, "asset_path": None, "asset_url": None,
        "idempotency_key": None, "paid_by": "credits", "seq": 3, "created_at": "now", "updated_at": "now",
    } | columns  # fmt: skip


UNSAID = (
    "aud", "role", "email", "phone", "deleted_at", "invited_at", "updated_at", "instance_id", "banned_until",
    "confirmed_at", "email_change", "is_super_admin", "last_sign_in_at", "recovery_sent_at", "raw_app_meta_data",
    "email_confirmed_at", "phone_confirmed_at", "raw_user_meta_data", "confirmation_sent_at", "email_change_sent_at",
    "phone_change_sent_at", "reauthentication_sent_at",
)  # fmt: skip
SAID = {
    "id": "ada", "created_at": "now", "is_sso_user": False, "is_anonymous": False, "phone_change": "",
    "email_change_confirm_status": 0,
}  # fmt: skip
DRAWN = {
    "id": "picture", "user_id": "ada", "source_image_path": None, "status": "draft", "params": dict[str, Any](),
    "manifest_path": None, "thumbnail_path": None, "created_at": "now", "updated_at": "now",
}  # fmt: skip
INK = {
    "id": "ink", "project_id": "picture", "name": "ink", "png_path": None, "png_url": None, "width": None,
    "height": None, "z_index": 0, "visible": True, "bbox": None, "transform": None, "created_at": "now",
}  # fmt: skip
KEPT = ("credits_private.settings", "credits_private.store_events", "credits_private.purchase_claims")
HELD_ABOUT_ADA = {
    "user_id": "ada",
    "exported_at": "now",
    "tables": {table: list[Any]() for table in (*REMOVED, *KEPT)}
    | {
        "auth.users": [dict.fromkeys(UNSAID) | SAID],
        "public.user_credits": [ACCOUNT],
        "public.credit_transactions": ROWS[::-1],
        "public.profiles": [{"id": "ada", "email": None, "created_at": "now", "updated_at": "now"}],
        "public.projects": [DRAWN],
        "public.project_layers": [INK],
    },
}
PICTURE = {"project_id": "picture", "type": "png"}
POSTER = {"user_id": "bob", "project_id": "poster", "type": "png"}
LAYERS = {"options": {"scale": [2, "x"]}, "layer_ids": ["ink"], "idempotency_key": "second"}
EXPORTED = row(
    3, -1, 1, description="Export", metadata={"project_id": "picture", "export_id": "new"}, idempotency_key="second"
)
STATS = {"projects": 1, "exports": 0, "lifetime_exports": 0, "account_age": "age", "credits": 2}

READS = [
    Case("ada", "get_user_credits", {}, ACCOUNT),
    Case("service_role", "get_user_credits_for", ADA, ACCOUNT),
    Case("ada", "get_transaction_history", {"page_size": 2}, ROWS),
    Case("ada", "get_transaction_history", {"before_seq": 2}, ROWS[1:]),
    Case("service_role", "get_transaction_history_for", ADA | {"type": "consumption"}, ROWS[:1]),
    Case("ada", "get_operation", FIRST, ROWS[:1]),
    Case("service_role", "get_operation_for", ADA | FIRST, ROWS[:1]),
    Case("service_role", "get_operation_for", ADA | {"idempotency_key": "second"}, []),
    Case("ada", "get_usage", SINCE, USAGE),
    Case("service_role", "get_usage_for", ADA | SINCE | {"until": LATER}, USAGE),
    Case("service_role", "get_balance_at_for", ADA | {"at": LATER}, 2),
    Case("service_role", "explain_balance_for", ADA, EXPLANATION),
    Case("service_role", "export_user_data_for", ADA, HELD_ABOUT_ADA),
    Case("service_role", "verify_ledger", ADA, []),
    Case("service_role", "verify_ledger", {}, []),
    Case("ada", "has_entitlement", PRO, False),
    Case("service_role", "has_entitlement_for", ADA | PRO, False),
    Case("service_role", "has_entitlement_for", BOB | PRO, True),
    Case("ada", "get_user_stats", {}, STATS),
    Case("service_role", "get_user_stats_for", ADA, STATS),
    Case("service_role", "get_user_stats_for", BOB, STATS | {"account_age": None, "credits": 105}),
]
SALES = [
    Case("service_role", "record_purchase_for", ORDER, purchase()),
    Case(
        "service_role", "record_purchase_for", ORDER | RECEIPTS, purchase(credits=240, **RECEIPTS | {"currency": "USD"})
    ),
    Case(
        "service_role",
        "record_purchase_for",
        ORDER | {"store": "play_store", "product_id": "season"},
        purchase(store="play_store", product_id="season", credits=50, entitlements=[], credits_expire_at="now"),
    ),
    Case("service_role", "refund_purchase", REFUND | {"refund_id": "r1", "credits": 20}, TAKEN),
    Case(
        "service_role", "refund_purchase", REFUND | {"refund_id": "r2", "credits": 10}, TAKEN | {"refunded_credits": 30}
    ),
    Case(
        "service_role",
        "refund_purchase",
        REFUND | {"refund_id": "r2"},
        TAKEN | {"refunded_credits": 120, "status": "refunded"},
    ),
    Case(
        "service_role",
        "grant_entitlement_for",
        ADA | PRO,
        entitlement(user_id="ada", source="manual", granted_by="manual"),
    ),
    Case("service_role", "process_revenuecat_event", {"body": revenuecat_event()}, BOUGHT),
    Case("service_role", "process_stripe_event", {"body": stripe_event()}, PAID),
]
WRITES = [
    *SALES,
    Case(
        "service_role", "reprocess_store_event", {"provider": "revenuecat", "event_id": "sold"}, SOLD | {"attempts": 2}
    ),
    Case("service_role", "run_maintenance", {}, MAINTAINED),
    Case("ada", "consume_credit", {}, row(3, -1, 1)),
    Case("ada", "consume_credit", {"amount": 2} | ENTRY, row(3, -2, 0, **ENTRY)),
    Case("service_role", "consume_credit_for", ADA | ENTRY, row(3, -1, 1, **ENTRY)),
    Case("service_role", "add_credits_for", ADA | {"amount": 5}, row(3, 5, 7, type="bonus")),
    Case("service_role", "add_credits_for", ADA | {"amount": 10**12} | SALE, row(3, 10**12, 10**12 + 2, **SALE)),
    Case("service_role", "add_credits_for", GRANT | IN_TIME | ENTRY, row(3, 1, 3, type="bonus", **ENTRY)),
    Case("service_role", "refund_consumption_for", ADA | {"seq": 2}, row(3, 1, 3, type="refund")),
    Case("service_role", "refund_consumption_for", GRANT | {"seq": 2} | ENTRY, row(3, 1, 3, type="refund", **ENTRY)),
    Case("service_role", "reserve_credits_for", GRANT, hold(1)),
    Case("service_role", "reserve_credits_for", GRANT | {"expires_in": "15 minutes"} | ENTRY, hold(1, **ENTRY)),
    Case(
        "service_role", "capture_hold_for", HELD, row(6, -10, 95, user_id="bob", idempotency_key="credits:capture:held")
    ),
    Case("service_role", "capture_hold_for", HELD | {"amount": 4} | ENTRY, row(6, -4, 101, user_id="bob", **ENTRY)),
    Case("service_role", "release_hold_for", HELD, HOLDS[0] | {"status": "released", "ended_at": "now"}),
    Case("service_role", "set_recurring_grant", BOB | POCKET_MONEY, recurring_grant()),
    Case("service_role", "set_recurring_grant", VIP, recurring_grant(user_id=None, **VIP)),
    Case("service_role", "end_recurring_grant", BOB | {"name": "pocket_money"}, recurring_grant(ends_at="now")),
    Case("service_role", "set_alert_for", ADA | {"alert_below": 2}, ACCOUNT | {"alert_below": 2}),
    Case("service_role", "set_alert_for", ADA, ACCOUNT),
    Case("service_role", "claim_outbox", {"max_items": 1, "lease": "1 minute"}, []),
    Case("service_role", "ack_outbox", {"ids": []}, 0),
    Case("ada", "consume_credit_and_create_export", PICTURE, export()),
    Case("ada", "consume_credit_and_create_export", PICTURE | LAYERS, export(**LAYERS)),
    Case("service_role", "consume_credit_and_create_export_for", ADA | PICTURE | LAYERS, export(**LAYERS)),
    Case(
        "service_role",
        "consume_credit_and_create_export_for",
        POSTER | {"idempotency_key": "second"},
        export(idempotency_key="second", paid_by="entitlement", seq=None, **POSTER),
    ),
    Case("ada", "delete_user_account", {}, RECEIPT),
    Case("service_role", "delete_user_account_for", ADA, RECEIPT),
    Case(
        "service_role",
        "delete_user_account_for",
        {"user_id": "left"},
        RECEIPT
        | {"user_id": "left", "credits_written_off": 0, "removed": dict.fromkeys(REMOVED, 0) | {"auth.users": 1}},
    ),
]

SIGN_IN = ("not_authenticated", "Sign in first: this call needs a token whose sub is the id of a user.")
NULL_USER = ("not_authenticated", "The user id is null: nobody is signed in.")
NO_USER = ("account_not_found", "There is no such user.")
DELETED = ("account_closed", "This account was deleted.")
BROKE = ("insufficient_credits", "Add credits, or spend fewer.")
LIMIT = ("balance_limit", "A balance stays below 9007199254740992 credits.")
USED = "This key already names another operation of this user: use a new key for a new operation."
AMOUNT = "An amount is a whole number of credits from 1 to 1000000000000."
KEY = "An idempotency key has 1 to 255 characters and does not begin with credits: (those are ours)."
OBJECT = "Metadata is a JSON object; {} when there is nothing to say."
SMALL = "Metadata is an object of at most 4 kB that prints to at most 16 kB, with numbers up to 1e308."
WRONG = "invalid_argument"
NAMED = "The type of an export is a word of 1 to 100 characters."
OPTIONS = "Options are a JSON object of at most 4 kB that prints to at most 16 kB, with numbers up to 1e308."
LONG = "A description has at most 500 characters."
TYPE = "Credits are added as purchase, bonus, signup_bonus, monthly_bonus or admin_adjustment."
EXPIRY = "Credits expire at an instant to come; leave expires_at out for credits that never do."
APPLE = (
    "expiry_not_allowed",
    "Credits bought through the App Store may not expire (App Review Guidelines 3.1.1).",
)
TERM = "A hold lasts from 1 second to 30 days."
NO_HOLD = ("hold_not_found", "This user has no such hold.")
ENDED = ("hold_not_active", "A hold is captured or released once, while it is active.")
CROWD = ("too_many_holds", "Capture or release holds first, or wait until one expires.")
MORE = ("invalid_amount", "No more can be captured than is held.")
NO_SPEND = (
    "transaction_not_found",
    "This user has no consumption with this number; only a consumption can be given back.",
)
TOO_MUCH = ("refund_exceeds_consumption", "No more can be given back than is left of the consumption.")
NO_GRANT = ("grant_not_found", "No such recurring grant is in force.")
ALERT = "alert_below is a balance in credits, or null for no notice."
CLAIM = "One call takes 1 to 1000 items, for 1 second to 1 day."
PAGE = "A page has 1 to 500 rows."
UNKNOWN = ("unknown_product", "This product is not on sale here: credits-db products set.")
CONFLICT = ("purchase_conflict", "This transaction has been credited already.")
CLOSED = (
    "account_closed",
    "This transaction belonged to an account that was deleted: it is not credited again.",
)
WORTH = ("invalid_amount", "A purchase is worth at most 1000000000000 credits.")
NO_SALE = ("transaction_not_found", "No purchase is known under this transaction.")
OTHER_REFUND = (
    "idempotency_key_reused",
    "This refund is known with another amount: use a new id for another refund.",
)
NO_EVENT = ("event_not_found", "There is no such event: credits-db events list.")
UNSIGNED = (
    "invalid_signature",
    "The signature is missing, wrong or too old, or no secret is set: credits-db secret set.",
)
LARGE = ("payload_too_large", "An event has at most 1 MiB.")
BODY = "The body is what the provider sent, as JSON."
REFUND_ID = "A refund has an id of 1 to 255 characters, so that it is not applied twice."
WORD = "An entitlement is a word of 1 to 100 characters."
ITEMS = "One call takes 1 to 100000 items."
WINDOW = "since is an instant, and until does not come before it."


def argument(name: str, value: object) -> Arguments:
    """The details of an invalid argument."""
    return {"argument": name, "value": value}


# what every function that writes a ledger row refuses
BAD_ENTRIES: list[tuple[Arguments, str, str, Arguments | None]] = [
    ({"amount": 0}, "invalid_amount", AMOUNT, {"amount": 0}),
    ({"amount": None}, "invalid_amount", AMOUNT, {"amount": None}),
    ({"amount": 10**12 + 1}, "invalid_amount", AMOUNT, {"amount": 10**12 + 1}),
    ({"idempotency_key": ""}, "invalid_idempotency_key", KEY, {"length": 0}),
    ({"idempotency_key": "credits:mine"}, "invalid_idempotency_key", KEY, {"length": 12}),
    ({"metadata": ["a", "list"]}, "invalid_metadata", OBJECT, None),
    ({"metadata": None}, "invalid_metadata", OBJECT, None),
    ({"metadata": {"a": "b" * 5000}}, "invalid_metadata", SMALL, None),
    ({"description": "d" * 501}, WRONG, LONG, {"argument": "description", "length": 501}),
    ({"amount": 2} | FIRST, "idempotency_key_reused", USED, FIRST | {"seq": 2}),
]
BAD_EXPORTS: list[tuple[Arguments, str, str, Arguments | None]] = [
    *(entry for entry in BAD_ENTRIES if entry[1] == "invalid_idempotency_key"),
    (FIRST, "idempotency_key_reused", USED, FIRST | {"seq": 2}),
    *(
        ({"project_id": project}, "project_not_found", "This user has no such project.", {"project_id": project})
        for project in ("poster", "sale", None)
    ),
    ({"type": ""}, WRONG, NAMED, {"argument": "type", "length": 0}),
    ({"type": None}, WRONG, NAMED, {"argument": "type", "length": None}),
    ({"options": ["a"]}, WRONG, OPTIONS, {"argument": "options"}),
    ({"options": {"a": "b" * 5000}}, WRONG, OPTIONS, {"argument": "options"}),
    ({"layer_ids": []}, WRONG, "Name 1 to 1000 layers, or none for all.", {"argument": "layer_ids", "length": 0}),
    ({"layer_ids": ["ink", "chalk"]}, WRONG, "Each of the layers is one of this project.", {"argument": "layer_ids"}),
]
BAD_HOLDS: list[tuple[str | None, str | None]] = [("0 seconds", "00:00:00"), ("31 days", "31 days"), (None, None)]
BAD_GRANTS: list[tuple[Arguments, str, str]] = [
    ({"name": "Pocket money"}, "name", "A name is a word in lowercase, up to 50 characters: daily, pro-monthly, ..."),
    ({"period": None}, "period", "A period is day, week or month."),
    ({"entitlement": "vip"}, "user_id", "A grant is for one user or for an entitlement: give one of the two."),
    ({"user_id": None}, "user_id", "A grant is for one user or for an entitlement: give one of the two."),
    ({"user_id": None, "entitlement": ""}, "entitlement", "An entitlement is a word of 1 to 100 characters."),
    ({"rollover": None}, "rollover", "rollover is true or false."),
]
BAD_PURCHASES: list[tuple[Arguments, str, str]] = [
    ({"store": "any"}, "store", "A store is a word in lowercase: app_store, play_store, stripe, ..."),
    ({"transaction_id": ""}, "transaction_id", "An id has 1 to 255 characters."),
    ({"product_id": None}, "product_id", "An id has 1 to 255 characters."),
    (
        {"price_cents": -1, "currency": "USD"},
        "price_cents",
        "A price is a whole number of the smallest unit, 0 or more.",
    ),
    ({"price_cents": 999}, "currency", "A price has a currency, three letters, and a currency has a price."),
    ({"environment": "TEST"}, "environment", "An environment is PRODUCTION or SANDBOX."),
    ({"quantity": 0}, "quantity", "A quantity is a whole number from 1 to 999999."),
    ({"payload": ["a"]}, "payload", "A payload is a JSON object of at most 64 kB, with numbers up to 1e308."),
]
CHEAP = "Less was paid than this product costs, or in another currency."
TESTING = "A test purchase is credited where the setting sandbox allows it."
WRITERS: list[tuple[str, str, Arguments]] = [
    ("ada", "consume_credit", {}),
    ("service_role", "consume_credit_for", ADA),
    ("service_role", "add_credits_for", GRANT),
    ("service_role", "reserve_credits_for", GRANT),
    ("service_role", "refund_consumption_for", GRANT | {"seq": 2}),
    ("service_role", "capture_hold_for", HELD | {"amount": 1}),
]
EXPORTERS: list[tuple[str, str, Arguments]] = [
    ("ada", "consume_credit_and_create_export", PICTURE),
    ("service_role", "consume_credit_and_create_export_for", ADA | PICTURE),
]
ANSWERERS: list[tuple[str, Arguments]] = [
    *((name, valid) for caller, name, valid in WRITERS + EXPORTERS if caller == "service_role"),
    ("release_hold_for", HELD),
    ("set_alert_for", ADA),
    ("set_recurring_grant", POCKET_MONEY),
    ("end_recurring_grant", {"name": "pocket_money"}),
    ("get_user_credits_for", ADA),
    ("get_user_stats_for", ADA),
    ("explain_balance_for", ADA),
    ("record_purchase_for", ORDER),
    ("grant_entitlement_for", PRO),
]
NULL = {"user_id": None}
GONE = {"user_id": "stranger"}
LEFT = {"user_id": "left"}
REUSED = ("idempotency_key_reused", USED)
APPLES = GRANT | {"type": "purchase", "metadata": {"store": "app_store"}}
SHORT = {"amount": 3, "credits_available": 2, "credits_remaining": 2}
EMPTY = {"amount": 1, "credits_available": 0, "credits_remaining": 0}  # after ada has spent the rest
BACKWARDS = {"since": LATER, "until": SINCE["since"]}

REFUSALS = [
    *(Refusal("nobody", name, arguments, *SIGN_IN) for caller, name, arguments, _ in READS + WRITES if caller == "ada"),
    *(
        Refusal(caller, name, valid | wrong, token, hint, details)
        for caller, name, valid in WRITERS
        for wrong, token, hint, details in BAD_ENTRIES
        if not (valid.keys() & {"seq", "hold_id"} and wrong == {"amount": None})  # there it means all
        and not ("hold_id" in valid and token == "idempotency_key_reused")  # bob has keys of his own
    ),
    *(
        Refusal("service_role", name, valid | user, *refusal)
        for name, valid in ANSWERERS
        for user, refusal in ((GONE, NO_USER), (LEFT, DELETED))
    ),
    *(
        Refusal(caller, name, {}, *refusal)
        for name in ("get_user_credits", "get_user_stats", "consume_credit")
        for caller, refusal in (("stranger", NO_USER), ("left", DELETED))
    ),
    *(
        Refusal(caller, "consume_credit_and_create_export", PICTURE, *refusal)
        for caller, refusal in (("stranger", NO_USER), ("left", DELETED))
    ),
    *(
        Refusal(caller, name, valid | NULL, *NULL_USER)
        for caller, name, valid in (WRITERS + EXPORTERS)[1:]
        if caller != "ada"
    ),
    *(
        Refusal("service_role", name, valid | NULL, *NULL_USER)
        for name, valid in (("release_hold_for", HELD), ("set_alert_for", ADA))
    ),
    *(
        Refusal(caller, name, valid | wrong, token, hint, details)
        for caller, name, valid in EXPORTERS
        for wrong, token, hint, details in BAD_EXPORTS
    ),
    Refusal("service_role", "delete_user_account_for", NULL, *NULL_USER),
    Refusal("service_role", "export_user_data_for", NULL, *NULL_USER),
    Refusal("service_role", "export_user_data_for", GONE, *NO_USER),
    Refusal("ada", "consume_credit", {"amount": 3}, *BROKE, SHORT),
    Refusal("service_role", "consume_credit_for", ADA | {"amount": 3}, *BROKE, SHORT),
    Refusal("service_role", "add_credits_for", GRANT, *LIMIT, {"amount": 1, "credits_remaining": 2**53 - 1}),
    Refusal("service_role", "add_credits_for", GRANT | {"type": "refund"}, WRONG, TYPE, argument("type", "refund")),
    *(
        Refusal(
            "service_role", "add_credits_for", GRANT | {"expires_at": at}, WRONG, EXPIRY, argument("expires_at", shown)
        )
        for at, shown in ((PAST, "now"), ("infinity", "infinity"))
    ),
    Refusal("service_role", "add_credits_for", APPLES | IN_TIME, *APPLE, {"store": "app_store"}),
    Refusal("service_role", "reserve_credits_for", ADA | {"amount": 3}, *BROKE, SHORT),
    *(Refusal(caller, name, valid, *BROKE, EMPTY) for caller, name, valid in EXPORTERS),
    Refusal("service_role", "reserve_credits_for", BOB | {"amount": 1}, *CROWD, {"active": 1, "maximum": 1}),
    Refusal("service_role", "reserve_credits_for", BOB | {"amount": 1} | FILM, *REUSED, FILM | {"seq": 5}),
    *(
        Refusal(
            "service_role",
            "reserve_credits_for",
            GRANT | {"expires_in": term},
            WRONG,
            TERM,
            argument("expires_in", shown),
        )
        for term, shown in BAD_HOLDS
    ),
    Refusal("service_role", "capture_hold_for", HELD | FILM, *REUSED, FILM | {"seq": 5}),
    Refusal("service_role", "capture_hold_for", HELD | {"amount": 11}, *MORE, {"amount": 11, "held": 10}),
    *(
        Refusal("service_role", name, ADA | {"hold_id": "held"}, *NO_HOLD, {"hold_id": "held"})
        for name in ("capture_hold_for", "release_hold_for")
    ),
    *(
        Refusal("service_role", name, SPENT, *ENDED, {"hold_id": "spent", "state": "captured"})
        for name in ("capture_hold_for", "release_hold_for")
    ),
    *(
        Refusal("service_role", "refund_consumption_for", user | {"seq": seq}, *NO_SPEND, {"seq": seq})
        for user, seq in ((ADA, 1), (ADA, 9), (BOB, 2), (ADA, None))
    ),
    Refusal(
        "service_role",
        "refund_consumption_for",
        ADA | {"seq": 2, "amount": 2},
        *TOO_MUCH,
        {"amount": 2, "refundable": 1},
    ),
    Refusal(
        "service_role",
        "refund_consumption_for",
        ADA | {"seq": 2},
        *LIMIT,
        {"amount": 1, "credits_remaining": 2**53 - 1},
    ),
    *(
        Refusal("service_role", "set_recurring_grant", BOB | POCKET_MONEY | wrong, WRONG, hint, {"argument": name})
        for wrong, name, hint in BAD_GRANTS
    ),
    *(
        Refusal(
            "service_role",
            "set_recurring_grant",
            BOB | POCKET_MONEY | {"amount": amount},
            "invalid_amount",
            AMOUNT,
            {"amount": amount},
        )
        for amount in (0, None, 10**12 + 1)
    ),
    *(
        Refusal(
            "service_role", "end_recurring_grant", {"name": "pocket_money"} | user, *NO_GRANT, {"name": "pocket_money"}
        )
        for user in (ADA, {})
    ),
    Refusal(
        "service_role", "set_alert_for", ADA | {"alert_below": 2**53}, WRONG, ALERT, argument("alert_below", 2**53)
    ),
    *(
        Refusal("service_role", "claim_outbox", {name: value}, WRONG, CLAIM, {"argument": name})
        for name, value in (
            ("max_items", 0),
            ("max_items", 1001),
            ("max_items", None),
            ("lease", "2 days"),
            ("lease", None),
        )
    ),
    Refusal("ada", "get_transaction_history", {"page_size": None}, WRONG, PAGE, argument("page_size", None)),
    Refusal("ada", "get_transaction_history", {"page_size": 501}, WRONG, PAGE, argument("page_size", 501)),
    Refusal(
        "service_role", "get_transaction_history_for", ADA | {"page_size": 0}, WRONG, PAGE, argument("page_size", 0)
    ),
    Refusal("ada", "get_usage", BACKWARDS, WRONG, WINDOW, argument("since", "now")),
    Refusal("service_role", "get_usage_for", ADA | BACKWARDS, WRONG, WINDOW, argument("since", "now")),
    Refusal("service_role", "get_balance_at_for", ADA | {"at": None}, WRONG, "at is an instant.", argument("at", None)),
    *(
        Refusal("service_role", "record_purchase_for", ORDER | wrong, WRONG, hint, {"argument": name})
        for wrong, name, hint in BAD_PURCHASES
    ),
    Refusal(
        "service_role",
        "record_purchase_for",
        ORDER | {"price_cents": 998, "currency": "USD"},
        WRONG,
        CHEAP,
        {"argument": "price_cents", "reason": "price_mismatch"},
    ),
    Refusal(
        "service_role",
        "record_purchase_for",
        ORDER | {"environment": "SANDBOX"},
        WRONG,
        TESTING,
        {"argument": "environment", "reason": "sandbox_denied"},
    ),
    Refusal("service_role", "record_purchase_for", ORDER | NULL, *NULL_USER),
    *(
        Refusal(
            "service_role",
            "record_purchase_for",
            ORDER | {"product_id": name},
            *UNKNOWN,
            {"store": "app_store", "product_id": name},
        )
        for name in ("a_dream", "relic")
    ),
    Refusal("service_role", "record_purchase_for", ORDER | {"transaction_id": "sold"}, *CONFLICT, REFUND),
    Refusal("service_role", "record_purchase_for", ORDER | {"transaction_id": "closed"}, *CLOSED),
    Refusal(
        "service_role",
        "record_purchase_for",
        ORDER | {"product_id": "mint", "quantity": 2},
        *WORTH,
        {"product_id": "mint", "quantity": 2},
    ),
    Refusal("service_role", "record_purchase_for", ORDER, *LIMIT, {"amount": 120, "credits_remaining": 2**53 - 1}),
    *(
        Refusal("service_role", "refund_purchase", unknown | {"refund_id": "r1"}, *NO_SALE, unknown)
        for unknown in (
            {"store": "app_store", "transaction_id": "sale"},
            {"store": "stripe", "transaction_id": "sold"},
        )
    ),
    Refusal(
        "service_role",
        "refund_purchase",
        REFUND | {"transaction_id": "closed", "refund_id": "r1"},
        "account_closed",
        "This purchase is of an account that was deleted: nothing is left to take back.",
    ),
    Refusal(
        "service_role",
        "refund_purchase",
        REFUND | {"refund_id": "r1", "credits": 30},
        *OTHER_REFUND,
        {"refund_id": "r1", "credits": 20},
    ),
    Refusal(
        "service_role",
        "refund_purchase",
        REFUND | {"refund_id": ""},
        WRONG,
        REFUND_ID,
        {"argument": "refund_id", "length": 0},
    ),
    Refusal(
        "service_role",
        "refund_purchase",
        REFUND | {"refund_id": "r2", "credits": 0},
        "invalid_amount",
        "An amount is a whole number of credits from 1 to 1000000000000.",
        {"amount": 0},
    ),
    Refusal("service_role", "grant_entitlement_for", PRO | NULL, *NULL_USER),
    Refusal(
        "service_role",
        "grant_entitlement_for",
        ADA | {"entitlement": ""},
        WRONG,
        WORD,
        {"argument": "entitlement", "length": 0},
    ),
    *(
        Refusal("service_role", name, {"body": None}, WRONG, BODY, argument("body", None))
        for name in ("process_revenuecat_event", "process_stripe_event")
    ),
    *(
        Refusal("service_role", name, {"body": "x" * 2**20}, *LARGE, {"bytes": 2**20 + 2})
        for name in ("process_revenuecat_event", "process_stripe_event")
    ),
    *(Refusal("anon", name, stripe_event(), *UNSIGNED) for name in ("revenuecat_webhook", "stripe_webhook")),
    *(
        Refusal("anon", name, {"x": "x" * 2**20}, *LARGE, {"bytes": 2**20 + 8})
        for name in ("revenuecat_webhook", "stripe_webhook")
    ),
    Refusal(
        "service_role",
        "reprocess_store_event",
        {"provider": "stripe", "event_id": "sold"},
        *NO_EVENT,
        {"provider": "stripe", "event_id": "sold"},
    ),
    Refusal("service_role", "run_maintenance", {"max_items": 0}, WRONG, ITEMS, argument("max_items", 0)),
]
