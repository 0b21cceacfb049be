"""Every RPC as data: who may call it, what it answers, and each way in which it refuses.

Ada has 2 credits: the signup bonus of 3, less one spent with the key "first". A caller or an argument "ada" stands for
the id of such a user, "stranger" for an id that no user has, "nobody" for a token that names no user; "now" is any
instant. The status and SQLSTATE of a token are those of the README.
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


def row(seq: int, amount: int, balance_after: int, **columns: Any) -> dict[str, Any]:
    """A ledger row of ada's, a consumption if nothing else is said."""
    figures = {"user_id": "ada", "seq": seq, "amount": amount, "balance_after": balance_after, "created_at": "now"}
    words = {"type": "consumption", "idempotency_key": None, "description": None, "metadata": dict[str, Any]()}
    return figures | words | columns


ROWS = [
    row(2, -1, 2, idempotency_key="first", description="A picture"),
    row(1, 3, 3, type="signup_bonus", idempotency_key="credits:signup_bonus", description="Signup bonus"),
]
ACCOUNT = {
    "user_id": "ada", "credits_remaining": 2, "credits_held": 0, "total_credits": 3, "used_credits": 1,
    "monthly_bonus_credits": 0, "last_bonus_date": None, "last_purchase_at": None, "last_seq": 2, "next_due_at": None,
    "alert_below": None, "created_at": "now", "updated_at": "now",
}  # fmt: skip
EXPLANATION = {
    "user_id": "ada", "credits_available": 2, "credits_remaining": 2, "credits_held": 0, "total_credits": 3,
    "used_credits": 1, "operations": 2, "adds_up": True,
    "by_type": {"signup_bonus": {"credits": 3, "operations": 1}, "consumption": {"credits": -1, "operations": 1}},
    "latest": [{name: value for name, value in row.items() if name != "user_id"} for row in ROWS],
}  # fmt: skip
USAGE = {"consumed": 1, "refunded": 0, "operations": 1}
REMOVED = {"auth.users": 1, "public.user_credits": 1, "public.credit_transactions": 2}
RECEIPT = {"user_id": "ada", "deleted_at": "now", "credits_written_off": 2, "removed": REMOVED}

ADA = {"user_id": "ada"}
GRANT = ADA | {"amount": 1}
FIRST = {"idempotency_key": "first"}
SINCE = {"since": "2020-01-01T00:00:00Z"}
LATER = "2100-01-01T00:00:00Z"
ENTRY = {"description": "A film", "metadata": {"frames": [24, "fps"]}, "idempotency_key": "second"}
SALE = {"type": "purchase"} | ENTRY

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
    Case("service_role", "verify_ledger", ADA, []),
    Case("service_role", "verify_ledger", {}, []),
]
WRITES = [
    Case("ada", "consume_credit", {}, row(3, -1, 1)),
    Case("ada", "consume_credit", {"amount": 2} | ENTRY, row(3, -2, 0, **ENTRY)),
    Case("service_role", "consume_credit_for", ADA | ENTRY, row(3, -1, 1, **ENTRY)),
    Case("service_role", "add_credits_for", ADA | {"amount": 5}, row(3, 5, 7, type="bonus")),
    Case("service_role", "add_credits_for", ADA | {"amount": 10**12} | SALE, row(3, 10**12, 10**12 + 2, **SALE)),
    Case("ada", "delete_user_account", {}, RECEIPT),
    Case("service_role", "delete_user_account_for", ADA, RECEIPT),
]

SIGN_IN = ("not_authenticated", "Sign in first: this call needs a token whose sub is the id of a user.")
NULL_USER = ("not_authenticated", "The user id is null: nobody is signed in.")
NO_USER = ("account_not_found", "There is no such user.")
BROKE = ("insufficient_credits", "Add credits, or spend fewer.")
LIMIT = ("balance_limit", "A balance stays below 9007199254740992 credits.")
USED = "This key already names another operation of this user: use a new key for a new operation."
AMOUNT = "An amount is a whole number of credits from 1 to 1000000000000."
KEY = "An idempotency key has 1 to 255 characters and does not begin with credits: (those are ours)."
OBJECT = "Metadata is a JSON object; {} when there is nothing to say."
SMALL = "Metadata is an object of at most 4 kB that prints to at most 16 kB, with numbers up to 1e308."
WRONG = "invalid_argument"
LONG = "A description has at most 500 characters."
TYPE = "Credits are added as purchase, bonus, signup_bonus, monthly_bonus or admin_adjustment."
EXPIRY = "This version keeps no expiry: leave expires_at out."
PAGE = "A page has 1 to 500 rows."
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
WRITERS: list[tuple[str, str, Arguments]] = [
    ("ada", "consume_credit", {}),
    ("service_role", "consume_credit_for", ADA),
    ("service_role", "add_credits_for", GRANT),
]
NULL = {"user_id": None}
GONE = {"user_id": "stranger"}
SHORT = {"amount": 3, "credits_available": 2, "credits_remaining": 2}
BACKWARDS = {"since": LATER, "until": SINCE["since"]}

REFUSALS = [
    *(Refusal("nobody", name, arguments, *SIGN_IN) for caller, name, arguments, _ in READS + WRITES if caller == "ada"),
    *(
        Refusal(caller, name, valid | wrong, token, hint, details)
        for caller, name, valid in WRITERS
        for wrong, token, hint, details in BAD_ENTRIES
    ),
    *(Refusal(caller, name, valid | NULL, *NULL_USER) for caller, name, valid in WRITERS[1:]),
    *(Refusal(caller, name, valid | GONE, *NO_USER) for caller, name, valid in WRITERS[1:]),
    Refusal("service_role", "delete_user_account_for", NULL, *NULL_USER),
    Refusal("service_role", "get_user_credits_for", GONE, *NO_USER),
    Refusal("service_role", "explain_balance_for", GONE, *NO_USER),
    Refusal("stranger", "get_user_credits", {}, *NO_USER),
    Refusal("stranger", "consume_credit", {}, *NO_USER),
    Refusal("ada", "consume_credit", {"amount": 3}, *BROKE, SHORT),
    Refusal("service_role", "consume_credit_for", ADA | {"amount": 3}, *BROKE, SHORT),
    Refusal("service_role", "add_credits_for", GRANT, *LIMIT, {"amount": 1, "credits_remaining": 2**53 - 1}),
    Refusal("service_role", "add_credits_for", GRANT | {"type": "refund"}, WRONG, TYPE, argument("type", "refund")),
    Refusal(
        "service_role", "add_credits_for", GRANT | {"expires_at": LATER}, WRONG, EXPIRY, argument("expires_at", "now")
    ),
    Refusal("ada", "get_transaction_history", {"page_size": None}, WRONG, PAGE, argument("page_size", None)),
    Refusal("ada", "get_transaction_history", {"page_size": 501}, WRONG, PAGE, argument("page_size", 501)),
    Refusal(
        "service_role", "get_transaction_history_for", ADA | {"page_size": 0}, WRONG, PAGE, argument("page_size", 0)
    ),
    Refusal("ada", "get_usage", BACKWARDS, WRONG, WINDOW, argument("since", "now")),
    Refusal("service_role", "get_usage_for", ADA | BACKWARDS, WRONG, WINDOW, argument("since", "now")),
    Refusal("service_role", "get_balance_at_for", ADA | {"at": None}, WRONG, "at is an instant.", argument("at", None)),
]
