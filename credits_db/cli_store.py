"""The commands of the shop: `products` are sold, `events` came from the stores, a `secret` proves where from."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from credits_db._console import AsJson, DbUrl, Local, database, good, table, waiting
from credits_db._csv import UNEVEN, read_csv

if TYPE_CHECKING:
    from psycopg import Connection

    from credits_db.results import StoreEvent

products = typer.Typer(no_args_is_help=True, help="List or change what is sold, and what it is worth in credits.")
events = typer.Typer(no_args_is_help=True, help="What the stores sent, and what became of it.")
secret = typer.Typer(no_args_is_help=True, help="What webhooks are signed with.")

Files = Annotated[list[Path], typer.Argument(exists=True, dir_okay=False)]

# the columns of credit_products: how each becomes an argument of set_product, and its value when it is left out
_COLUMNS = {
    "store": ("text", "any"), "product_id": ("text", None), "credits": ("bigint", None),
    "bonus_credits": ("bigint", "0"), "trial_credits": ("bigint", "0"), "price_cents": ("bigint", None),
    "currency": ("text", None), "entitlement": ("text", None), "expires_after": ("interval", None),
    "active_from": ("timestamptz", None), "active_to": ("timestamptz", None),
}  # fmt: skip


def _rows(connection: Connection, query: str, arguments: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
    from psycopg.rows import dict_row

    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), arguments).fetchall()


def _refuse(text: str) -> NoReturn:
    from credits_db.migrations import Refusal

    raise Refusal(text)


def _set_product(connection: Connection, product: Mapping[str, str | None]) -> None:
    """Add or change a product; its values are texts, read by the database, instants without a zone as UTC."""
    arguments = {name: product.get(name) or default for name, (_, default) in _COLUMNS.items()}
    places = ", ".join(f"%({name})s::{type}" for name, (type, _) in _COLUMNS.items())
    with connection.transaction():
        connection.execute("set local time zone 'UTC'")
        connection.execute(f"select credits_private.set_product({places})".encode(), arguments)


@products.command("list")
def products_list(db_url: DbUrl = None, use_local: Local = False, as_json: AsJson = False) -> None:
    """Show what is sold, and what it is worth in credits."""
    query = "select to_jsonb(p) as product from public.credit_products as p order by p.store, p.product_id"
    with database(db_url, use_local) as connection:
        found = [row["product"] for row in _rows(connection, query)]
    if as_json:
        typer.echo(json.dumps(found))
    else:
        shown = [name for name in _COLUMNS if any(product[name] is not None for product in found)]
        table(shown or list(_COLUMNS), [[product[name] for name in shown] for product in found])


@products.command("set")
def products_set(
    product_id: Annotated[str, typer.Argument(help="What the store calls it.")],
    credits: Annotated[str, typer.Argument(help="Credits for one of it; 0 where it only gives an entitlement.")],
    store: Annotated[str, typer.Option(help="app_store, play_store, stripe, ... or any.")] = "any",
    bonus: Annotated[str | None, typer.Option(help="Credits on top.")] = None,
    trial: Annotated[str | None, typer.Option(help="Credits for a free trial of it, instead.")] = None,
    price_cents: Annotated[str | None, typer.Option(help="What one must have cost at least.")] = None,
    currency: Annotated[str | None, typer.Option(help="The currency of that price, for instance USD.")] = None,
    entitlement: Annotated[str | None, typer.Option(help="What it lets its user use, for instance pro.")] = None,
    expires_after: Annotated[str | None, typer.Option(help="How long its credits last, for instance '1 year'.")] = None,
    active_from: Annotated[str | None, typer.Option("--from", help="Since when it is on sale.")] = None,
    active_to: Annotated[str | None, typer.Option("--to", help="Until when it is on sale.")] = None,
    db_url: DbUrl = None,
    use_local: Local = False,
) -> None:
    """Sell a product, or change what future purchases of it are worth.

    All of it is given anew: an option that is left out is empty afterwards. What was bought keeps its worth.
    """
    product = {
        "store": store,
        "product_id": product_id,
        "credits": credits,
        "bonus_credits": bonus,
        "trial_credits": trial,
        "price_cents": price_cents,
        "currency": currency,
        "entitlement": entitlement,
        "expires_after": expires_after,
        "active_from": active_from,
        "active_to": active_to,
    }
    with database(db_url, use_local) as connection:
        _set_product(connection, product)
    good(f"{product_id} ({store}) is worth {credits} credits")


@products.command("import")
def products_import(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, its first line the columns.")],
    db_url: DbUrl = None,
    use_local: Local = False,
) -> None:
    """Set the products of a CSV file, all of them or none.

    The first line names columns of credit_products; only product_id and credits must be there.
    """
    import psycopg

    found = _products(file)
    with database(db_url, use_local) as connection, connection.transaction():
        for line, product in found:
            try:
                _set_product(connection, product)
            except psycopg.Error as error:
                error.add_note(f"{file} line {line}")
                raise
    good(f"{len(found)} products set")


def _products(file: Path) -> list[tuple[int, dict[str, str]]]:
    """The lines of a CSV file with their numbers, each with as many columns as the first one names."""
    found = []
    for line, product in read_csv(file, list(_COLUMNS), (("product_id",), ("credits",))):
        if product is None:
            _refuse(f"{file} line {line}: {UNEVEN}.")
        found.append((line, product))
    return found


@events.command("list")
def events_list(
    state: Annotated[str | None, typer.Option(help="Only the pending, parked, failed, ignored or processed.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    db_url: DbUrl = None,
    use_local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Show what the stores sent, newest first."""
    from dataclasses import fields

    from credits_db import StoreEvent

    query = f"""
        select {", ".join(field.name for field in fields(StoreEvent))}
        from credits_private.store_events as e
        where e.state = %(state)s::text::public.store_event_state or %(state)s::text is null
        order by e.received_at desc, e.provider, e.event_id
        limit %(limit)s::bigint
        """  # noqa: S608  # names of columns
    with database(db_url, use_local) as connection:
        found = [StoreEvent.from_json(row) for row in _rows(connection, query, {"state": state, "limit": limit})]
    if as_json:
        typer.echo(json.dumps([event.to_json() for event in found]))
    else:
        names = ("provider", "event_id", "type", "state", "reason", "received_at")
        table(names, [[getattr(event, name) for name in names] for event in found])


@events.command("show")
def events_show(event_id: str, db_url: DbUrl = None, use_local: Local = False, as_json: AsJson = False) -> None:
    """Show an event with its body."""
    query = "select to_json(e) as event from credits_private.store_events as e where e.event_id = %(event_id)s"
    with database(db_url, use_local) as connection:
        found = [row["event"] for row in _rows(connection, query, {"event_id": event_id})]
    if not found:
        _refuse("There is no such event: credits-db events list.")
    for event in found:
        if as_json:
            typer.echo(json.dumps(event))
        else:
            body = event.pop("body")
            table(("provider", event.pop("provider")), [row for row in event.items() if row[1] is not None])
            typer.echo(json.dumps(body, indent=2))


@events.command("retry")
def events_retry(
    event_ids: Annotated[list[str] | None, typer.Argument(help="Which ones.")] = None,
    all_failed: Annotated[bool, typer.Option("--all-failed", help="All that are failed.")] = False,
    db_url: DbUrl = None,
    use_local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Try events again, after what stood in their way was mended.

    Exit code 1 when one of them is still not done.
    """
    from credits_db import Client

    if bool(event_ids) == all_failed:
        _refuse("Name events, or say --all-failed.")
    query = """
        select e.provider, e.event_id
        from credits_private.store_events as e
        where e.event_id = any (%(ids)s) or %(ids)s::text[] is null and e.state = 'failed'
        order by e.received_at, e.provider, e.event_id
        """
    with database(db_url, use_local) as connection:
        found = _rows(connection, query, {"ids": event_ids or None})
        if unknown := set(event_ids or ()) - {row["event_id"] for row in found}:
            _refuse(f"There is no event {min(unknown)}: credits-db events list.")
        client = Client(connection)
        _tell([client.reprocess_store_event(row["provider"], row["event_id"]) for row in found], as_json)


@events.command("replay")
def events_replay(files: Files, db_url: DbUrl = None, use_local: Local = False, as_json: AsJson = False) -> None:
    """Put events of RevenueCat and Stripe from files through, as if they had been sent.

    A file is one body, or one a line. No signature is asked for. Exit code 1 when one of them was not done.
    """
    from credits_db import Client, CreditsError

    bodies = [found for file in files for found in _bodies(file)]
    with database(db_url, use_local) as connection:
        client = Client(connection)
        process = {"revenuecat": client.process_revenuecat_event, "stripe": client.process_stripe_event}
        done = []
        for place, provider, body in bodies:
            try:
                done.append(process[provider](body))
            except CreditsError as error:
                error.add_note(place)
                raise
    _tell(done, as_json)


def _bodies(file: Path) -> list[tuple[str, str, str]]:
    """Each event of a file: where it stands, its provider, which its shape tells, and its body."""
    text = file.read_bytes().decode("utf-8-sig")
    if provider := _provider(text):
        return [(str(file), provider, text)]
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{file} line {number}"
        if provider := _provider(line):
            found.append((place, provider, line))
        elif line.strip():
            _refuse(f'{place}: no event of RevenueCat ({{"event": {{...}}}}) or Stripe ("object": "event").')
    return found


def _provider(text: str) -> str | None:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    return "revenuecat" if isinstance(body.get("event"), dict) else "stripe" if body.get("object") == "event" else None


def _tell(done: Sequence[StoreEvent], as_json: bool) -> None:
    """Say what became of each, and leave with 1 when one of them waits for something."""
    finished = [event.state in ("processed", "ignored") for event in done]
    if as_json:
        typer.echo(json.dumps([event.to_json() for event in done]))
    for event, well in zip(done, finished, strict=True):
        if not as_json:
            words = (event.provider, event.event_id, event.type, event.state, event.reason)
            (good if well else waiting)(" ".join(filter(None, words)))
    raise typer.Exit(0 if all(finished) else 1)


@secret.command("set")
def secret_set(
    name: Annotated[str, typer.Argument(help="stripe, revenuecat (it signs) or revenuecat_authorization (a header).")],
    overlap: Annotated[float, typer.Option(min=0, help="For how many hours the one before it stays valid.")] = 24,
    db_url: DbUrl = None,
    use_local: Local = False,
) -> None:
    """Keep a secret that proves where a webhook comes from.

    Its value is asked for, or read from stdin; it is never an argument, and never printed.
    """
    with database(db_url, use_local) as connection:
        prompt = f"Value of {name} (not shown)"
        value = typer.prompt(prompt, hide_input=True) if sys.stdin.isatty() else sys.stdin.read()
        query = "select credits_private.set_secret(%s, %s, %s * interval '1 hour')"
        connection.execute(query, [name, value.strip(), overlap])
    good(f"{name} is set; one before it is valid for {overlap:g} hours yet" if overlap else f"{name} is set, alone")


@secret.command("list")
def secret_list(db_url: DbUrl = None, use_local: Local = False, as_json: AsJson = False) -> None:
    """Show which secrets are set, since when and until when, never their values."""
    query = """
        select s.name, s.added_at, s.valid_until
        from credits_private.secrets as s
        where s.name <> 'identity_key'
        order by s.name, s.added_at
    """
    with database(db_url, use_local) as connection:
        found = _rows(connection, query)
    if as_json:
        typer.echo(json.dumps(found, default=lambda instant: instant.isoformat()))
    else:
        table(("name", "since", "until"), [list(row.values()) for row in found])
