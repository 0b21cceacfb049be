"""The Python says what the database says: functions, arguments, columns, errors, documents."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID, uuid4

import psycopg
import pytest
from conftest import ROOT, sign_up

import credits_db
from credits_db import Client, PurchaseTransaction, errors, results, webhooks
from credits_db._call import rpc
from credits_db.procedures import GrantType, ServiceProcedures, UserProcedures

COMPUTED_FIELDS = {path.stem for path in (ROOT / "sql").glob("*/fields/*.sql")}
DECLARED: dict[str, rpc[..., Any]] = {
    name: member
    for declaring in (UserProcedures, ServiceProcedures)
    for name, member in vars(declaring).items()
    if isinstance(member, rpc)
}
# refusals of the engine that no caller meets: they become the reason of a store event
REASONS = {"unknown_user", "ambiguous_user", "wrong_shape", "price_mismatch", "sandbox_denied", "unmapped_transaction"}
SQL_FILES = sorted(path for track in ("credits", "app") for path in (ROOT / "sql" / track).rglob("*.sql"))


def functions(db: psycopg.Connection[Any]) -> dict[str, tuple[list[str], int, str]]:
    """Each RPC of the database: argument names, how many have a default, the role that may call it."""
    rows = db.execute(
        """
        select p.proname, coalesce(p.proargnames, '{}'), p.pronargdefaults,
          case when has_function_privilege('anon', p.oid, 'execute') then 'anon'
            when has_function_privilege('authenticated', p.oid, 'execute') then 'authenticated'
            else 'service_role' end
        from pg_proc as p
        where p.pronamespace = 'public'::regnamespace
          and not exists (select from pg_depend as d where d.objid = p.oid and d.deptype = 'e')
          and obj_description(p.oid, 'pg_proc') is not null
        """
    ).fetchall()
    return {name: (names, defaults, role) for name, names, defaults, role in rows if name not in COMPUTED_FIELDS}


def test_every_rpc_is_declared_once_with_the_same_arguments(app_db: psycopg.Connection[Any]) -> None:
    found = {name: function for name, function in functions(app_db).items() if function[2] != "anon"}
    assert set(found) == set(DECLARED)
    for name, (names, defaults, _) in found.items():
        parameters = list(inspect.signature(DECLARED[name].declare).parameters.values())[1:]
        assert [parameter.name for parameter in parameters] == names, name
        assert sum(parameter.default is not inspect.Parameter.empty for parameter in parameters) == defaults, name


def test_users_and_services_have_the_methods_that_their_role_may_call(app_db: psycopg.Connection[Any]) -> None:
    owners: dict[str, type] = {"authenticated": UserProcedures, "service_role": ServiceProcedures}
    found = functions(app_db)
    for name, (_, _, role) in found.items():
        assert role == "anon" or name in vars(owners[role]), f"{name} is for {role}"
    assert {name for name, (_, _, role) in found.items() if role == "anon"} == {"revenuecat_webhook", "stripe_webhook"}


@pytest.mark.parametrize(
    ("relation", "result"),
    [
        ("public.user_credits", results.UserCredits),
        ("public.credit_transactions", results.CreditTransaction),
        ("public.credit_usage", results.CreditUsage),
        ("public.account_deletion", results.AccountDeletion),
        ("public.ledger_violation", results.LedgerViolation),
        ("public.purchase_transactions", results.PurchaseTransaction),
        ("public.user_entitlements", results.UserEntitlement),
        ("public.store_event", results.StoreEvent),
        ("public.maintenance_report", results.MaintenanceReport),
        ("public.credit_holds", results.CreditHold),
        ("public.recurring_grant", results.RecurringGrant),
        ("public.outbox_item", results.OutboxItem),
        ("public.exports", results.Export),
        ("public.user_stats", results.UserStats),
    ],
)
def test_a_result_has_the_columns_of_its_type(app_db: psycopg.Connection[Any], relation: str, result: type) -> None:
    query = "select attname::text from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped"
    columns = [row[0] for row in app_db.execute(query, [relation])]
    assert {field.name for field in dataclasses.fields(result)} == set(columns)


@pytest.mark.parametrize(
    ("type", "words"),
    [
        ("public.credit_transaction_type", results.TransactionType),
        ("public.purchase_status", results.PurchaseStatus),
        ("public.store_event_state", results.StoreEventState),
        ("public.credit_hold_status", results.HoldStatus),
        ("public.grant_period", results.GrantPeriod),
        ("public.export_payment", results.ExportPayment),
    ],
)
def test_the_words_of_a_type_are_those_of_the_enum(app_db: psycopg.Connection[Any], type: str, words: Any) -> None:
    query = "select array_agg(enumlabel::text order by enumsortorder) from pg_enum where enumtypid = %s::regtype"
    assert app_db.execute(query, [type]).fetchone() == (list(get_args(words)),)
    assert set(get_args(GrantType)) < set(get_args(results.TransactionType))


def raised() -> set[tuple[str, str]]:
    pattern = r"errcode = '(\w+)',\s+message = '(\w+)'"
    return {code for path in SQL_FILES for code in re.findall(pattern, path.read_text())}


def test_every_code_that_sql_raises_has_a_class_and_every_class_a_code() -> None:
    assert {code for code in raised() if code[1] not in REASONS} == set(errors._BY_CODE)
    assert {token for _, token in raised()} >= REASONS
    assert sum(path.read_text().count("errcode =") for path in SQL_FILES) == sum(
        len(re.findall(r"errcode = '\w+',\s+message = '[a-z_]+',", path.read_text())) for path in SQL_FILES
    ), "a message is a bare token"


def pay(client: Client, user: UUID, transaction: str = "t", product: str = "pack") -> PurchaseTransaction:
    """A purchase of a product that is on sale."""
    assert isinstance(client._source, psycopg.Connection)
    client._source.execute("insert into public.credit_products (product_id, credits) values ('pack', 5)")
    return client.record_purchase_for(user, "app_store", transaction, product)


def pay_and_leave(client: Client, user: UUID) -> PurchaseTransaction:
    assert isinstance(client._source, psycopg.Connection)
    pay(client, user)
    client.delete_user_account_for(user)
    return client.record_purchase_for(sign_up(client._source), "app_store", "t", "pack")


def reserve_twice(client: Client, user: UUID) -> None:
    assert isinstance(client._source, psycopg.Connection)
    client._source.execute("select credits_private.set_setting('max_active_holds', '1')")
    for _ in range(2):
        client.reserve_credits_for(user, 1)


PROVOKED: dict[type[errors.CreditsError], Callable[[Client, Any], object]] = {
    errors.NotAuthenticated: lambda client, user: client.consume_credit_for(None),  # type: ignore[arg-type]  # on purpose
    errors.InsufficientCredits: lambda client, user: client.consume_credit_for(user, 4),
    errors.LedgerImmutable: lambda client, user: client._source.execute("delete from public.user_credits where true"),  # type: ignore[union-attr]  # a connection here
    errors.AccountNotFound: lambda client, user: client.get_user_credits_for(uuid4()),
    errors.IdempotencyKeyReused: lambda client, user: [
        client.consume_credit_for(user, amount, idempotency_key="k") for amount in (1, 2)
    ],
    errors.BalanceLimit: lambda client, user: [client.add_credits_for(user, 10**12) for _ in range(9008)],
    errors.InvalidAmount: lambda client, user: client.consume_credit_for(user, 0),
    errors.InvalidIdempotencyKey: lambda client, user: client.consume_credit_for(user, idempotency_key="credits:x"),
    errors.InvalidMetadata: lambda client, user: client.consume_credit_for(user, metadata={"a": "b" * 5000}),
    errors.InvalidArgument: lambda client, user: client.get_transaction_history_for(user, 501),
    errors.InvalidSignature: lambda client, user: webhooks.handle_stripe(b"{}", {}, client, secrets="whsec"),
    errors.TransactionNotFound: lambda client, user: client.refund_purchase("stripe", "pi_1", "re_1"),
    errors.EventNotFound: lambda client, user: client.reprocess_store_event("stripe", "evt_1"),
    errors.PurchaseConflict: lambda client, user: [
        pay(client, user),
        client.record_purchase_for(sign_up(client._source), "app_store", "t", "pack"),  # type: ignore[arg-type]  # as above
    ],
    errors.AccountClosed: pay_and_leave,
    errors.PayloadTooLarge: lambda client, user: client.process_stripe_event(" " * 2**20 + "{}"),
    errors.UnknownProduct: lambda client, user: pay(client, user, product="hat"),
    errors.HoldNotFound: lambda client, user: client.release_hold_for(user, uuid4()),
    errors.HoldNotActive: lambda client, user: client.capture_hold_for(
        user, client.release_hold_for(user, client.reserve_credits_for(user, 1).id).id
    ),
    errors.TooManyHolds: reserve_twice,
    errors.RefundExceedsConsumption: lambda client, user: client.refund_consumption_for(
        user, client.consume_credit_for(user).seq, 2
    ),
    errors.ExpiryNotAllowed: lambda client, user: client.add_credits_for(
        user, 1, "purchase", expires_at=datetime(2100, 1, 1, tzinfo=UTC), metadata={"store": "app_store"}
    ),
    errors.ProjectNotFound: lambda client, user: client.consume_credit_and_create_export_for(user, uuid4(), "png"),
    errors.GrantNotFound: lambda client, user: client.end_recurring_grant("nothing"),
}


def test_every_class_of_error_is_provoked_below() -> None:
    assert set(PROVOKED) == set(errors._BY_CODE.values())


@pytest.mark.parametrize("error", PROVOKED, ids=lambda error: error.token)
def test_a_refusal_arrives_as_its_class(app_db: psycopg.Connection[Any], error: type[errors.CreditsError]) -> None:
    user = sign_up(app_db)
    client = Client(app_db)
    if error is errors.BalanceLimit:  # so that the limit is one grant away
        app_db.execute("select credits_private.move_balance(%s, 'bonus', 9007199254740991 - 3)", [user])
        app_db.execute(
            """
            insert into public.credit_transactions (user_id, seq, amount, balance_after, created_at, type)
            values (%s, 2, 9007199254740988, 9007199254740991, now(), 'bonus')
            """,
            [user],
        )
    with pytest.raises((error, psycopg.Error)) as caught, app_db.transaction():
        PROVOKED[error](client, user)
    refusal = errors.translate(caught.value) if isinstance(caught.value, psycopg.Error) else caught.value
    assert isinstance(refusal, error)
    assert refusal.hint.endswith(".")
    assert refusal.token in str(refusal)
    assert refusal.status == (400 if error.sqlstate == "22023" else int(error.sqlstate.removeprefix("PT")))


def test_the_public_names_are_these_and_all_can_be_loaded() -> None:
    classes = {cls.__name__ for cls in errors._BY_CODE.values()} | {"CreditsError"}
    kinds = {cls.__name__ for cls in results.Result.__subclasses__()}
    words = {"TransactionType", "PurchaseStatus", "StoreEventState", "HoldStatus", "GrantPeriod", "ExportPayment"}
    assert set(credits_db.__all__) == classes | kinds | words | {
        "Client",
        "AsyncClient",
        "UserClient",
        "AsyncUserClient",
        "Reservation",
        "CreditsProvider",
        "CreditsState",
    }
    assert all(getattr(credits_db, name) for name in credits_db.__all__)
    with pytest.raises(AttributeError):
        credits_db.nothing  # noqa: B018


def test_the_readme_lists_every_function_and_every_token(app_db: psycopg.Connection[Any]) -> None:
    text = (ROOT / "README.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)\(.*?\)` \| (\w+) \|", text, re.MULTILINE))
    assert rows == {name: role for name, (_, _, role) in functions(app_db).items()}
    for error in errors._BY_CODE.values():
        assert re.search(rf"^\| \d+ {error.sqlstate} .*`{error.token}`.*`{error.__name__}`", text, re.MULTILINE), error


def test_every_tracked_link_in_the_documents_exists() -> None:
    for document in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (ROOT / link).exists(), f"{document.name}: {link}"
