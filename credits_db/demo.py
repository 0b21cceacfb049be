"""The tour: a throw-away database, a push, three users, and what happens to their credits. Nothing is faked.

Every line on the screen comes from a call of the Python client against a real Postgres. Each act is a function
with a one-line docstring, which is printed as its heading.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from rich.console import Console
from rich.table import Table

from credits_db import Client, InsufficientCredits, InvalidSignature, migrations
from credits_db.testing import freeze
from credits_db.webhooks import handle_stripe, sign

console = Console(highlight=False, soft_wrap=True)
say = console.print
Connection: TypeAlias = psycopg.Connection[Any]
People: TypeAlias = dict[str, UUID]
SECRET = "whsec_of_the_demo"  # noqa: S105  # of nothing


def run(server: str) -> None:
    """Take the tour on a new database of this server, and drop it at the end."""
    name, started = f"credits_demo_{uuid4().hex[:8]}", perf_counter()
    with migrations.connect(server) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            with migrations.connect(make_conninfo(server, dbname=name)) as connection:
                say(f"[bold]credits-db[/]: prepaid credits inside Postgres {connection.info.server_version // 10000}.")
                people: People = {}
                for number, act in enumerate(ACTS, 1):
                    say(f"\n[bold cyan]{number}. {act.__doc__}[/]")
                    act(connection, Client(connection), people)
        finally:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    say(f"\n[bold green]Done[/] in {perf_counter() - started:.1f} s; the database is gone again.")
    say("Next: [bold].venv/bin/credits-db push --local[/] for a database that stays, or read README.md.")


def push(connection: Connection, client: Client, people: People) -> None:
    """An empty database gets its schema"""
    migrations.push(connection, report=lambda migration: say(f"   [green]✓[/] {migration.id}"))


def sign_up(connection: Connection, client: Client, people: People) -> None:
    """Three users sign up, and each finds a signup bonus"""
    for name in ("ada", "grace", "linus"):
        query = "insert into auth.users (email) values (%s) returning id"
        row = connection.execute(query, [f"{name}@example.com"]).fetchone()
        assert row is not None
        people[name] = row[0]
        say(f"   {name:<6}{client.get_user_credits_for(people[name]).credits_available:>4} credits")


def set_products(connection: Connection, client: Client, people: People) -> None:
    """What is sold is a row: a pack of 100 credits for 9.90"""
    connection.execute(
        """
        select credits_private.set_product(
          p_store => 'any', p_product_id => 'pack_100', p_credits => 100, p_bonus_credits => 0, p_trial_credits => 0,
          p_price_cents => 990, p_currency => 'USD', p_entitlement => null, p_expires_after => null,
          p_active_from => null, p_active_to => null
        )
        """
    )
    say("   credits-db products set pack_100 100 --price-cents 990 --currency USD")


def deliver(client: Client, id: str, type: str, object: dict[str, object]) -> None:
    """An event as Stripe sends it, signed, through the handler that a server of yours would call."""
    event = {"id": id, "object": "event", "type": type, "livemode": True, "data": {"object": object}}
    body = json.dumps(event).encode()
    done = handle_stripe(body, {"Stripe-Signature": sign(body, SECRET)}, client, secrets=SECRET)
    say(f"   {type:<28}{done.state}")


def pay(client: Client, user: UUID, payment: str) -> None:
    """Stripe says that the user paid for a pack."""
    session: dict[str, object] = {
        "id": f"cs_{payment}", "mode": "payment", "payment_status": "paid", "payment_intent": payment,
        "client_reference_id": str(user), "metadata": {"product_id": "pack_100"}, "amount_subtotal": 990,
        "amount_total": 990, "currency": "usd",
    }  # fmt: skip
    deliver(client, f"evt_{payment}", "checkout.session.completed", session)


def sell(connection: Connection, client: Client, people: People) -> None:
    """Ada buys it: Stripe's signed event comes twice and is credited once, a forged one is refused"""
    for _ in range(2):
        pay(client, people["ada"], "pi_ada")
        say(f"   ada has {client.get_user_credits_for(people['ada']).credits_available}")
    try:
        handle_stripe(b"{}", {"Stripe-Signature": sign(b"{}", "guessed")}, client, secrets=SECRET)
    except InvalidSignature as refusal:
        say(f"   forged: [yellow]{refusal.token}[/], HTTP {refusal.status}")


def spend(connection: Connection, client: Client, people: People) -> None:
    """Ada spends 10 on a picture"""
    spent = client.consume_credit_for(people["ada"], 10, description="Picture of a cat", idempotency_key="job-1")
    say(f"   {spent.type:<12}{spent.amount:>+5}   leaves {spent.balance_after}")


def lose_the_answer(connection: Connection, client: Client, people: People) -> None:
    """The answer was lost, so the app sends job-1 again: nothing is charged twice"""
    again = client.consume_credit_for(people["ada"], 10, description="Picture of a cat", idempotency_key="job-1")
    now = client.get_user_credits_for(people["ada"]).credits_available
    say(f"   the same ledger row again, number {again.seq}; ada still has {now}")


def run_dry(connection: Connection, client: Client, people: People) -> None:
    """Grace asks for more than she has, and a job and its payment fail together"""
    connection.execute("create table jobs (id bigint generated always as identity, user_id uuid, title text)")
    try:
        with connection.transaction():
            connection.execute("insert into jobs (user_id, title) values (%s, 'A film')", [people["grace"]])
            client.consume_credit_for(people["grace"], 10)
    except InsufficientCredits as refusal:
        asked, has = refusal.details["amount"], refusal.details["credits_available"]
        say(f"   [yellow]{refusal.token}[/]: asked {asked}, has {has}")
    jobs = connection.execute("select count(*) from jobs").fetchone()
    say(f"   jobs in the table: {jobs[0] if jobs else 0}; grace lost nothing")


def refund(connection: Connection, client: Client, people: People) -> None:
    """Grace buys, spends and gets her money back: a debt, which her next purchase pays first"""
    grace = people["grace"]

    def balance(what: str) -> None:
        say(f"   {what:<28}grace has {client.get_user_credits_for(grace).credits_available}")

    pay(client, grace, "pi_grace_1")
    client.consume_credit_for(grace, 53, description="A film")
    balance("spent on a film")
    charge: dict[str, object] = {"id": "ch_1", "payment_intent": "pi_grace_1", "amount": 990, "amount_refunded": 990}
    deliver(client, "evt_refund", "charge.refunded", {**charge, "currency": "usd"})
    balance("her money went back")
    try:
        client.consume_credit_for(grace)
    except InsufficientCredits as refusal:
        say(f"   spend 1: [yellow]{refusal.token}[/]")
    pay(client, grace, "pi_grace_2")
    balance("the debt is paid")


def reserve(connection: Connection, client: Client, people: People) -> None:
    """A job whose price shows at the end: Ada's 40 are held, 25 are captured, the rest goes free"""
    with client.reserve(people["ada"], 40, description="A story of at most 4000 words") as hold:
        say(f"   while it runs, she can spend {client.get_user_credits_for(people['ada']).credits_available}")
        hold.amount = 25
    say(f"   afterwards she can spend     {client.get_user_credits_for(people['ada']).credits_available}")


def let_time_pass(connection: Connection, client: Client, people: People) -> None:
    """Linus gets 5 credits a day, and time passes: nobody sweeps, and the balance is right at the instant"""
    with freeze(connection, datetime(2030, 1, 31, 23, 59, tzinfo=UTC)) as clock:
        client.set_recurring_grant("daily", 5, "day", people["linus"])
        for minutes in (0, 1, 24 * 60):
            clock.advance(timedelta(minutes=minutes))
            client.consume_credit_for(people["linus"], 4)
            left = client.get_user_credits_for(people["linus"]).credits_available
            say(f"   {clock.now:%d %B, %H:%M}: 5 more, spends 4, has {left}")
        client.end_recurring_grant("daily", people["linus"])


def as_the_user(connection: Connection, client: Client, people: People) -> None:
    """Linus spends from his own app, and cannot touch anybody else's credits"""
    linus = client.as_user(people["linus"])
    say(f"   consume_credit: {linus.consume_credit(description='Thumbnail').balance_after} left")
    try:
        with connection.transaction():
            connection.execute("set local role authenticated")
            connection.execute(
                "update user_credits set credits_remaining = 1000000 where user_id = %s", [people["linus"]]
            )
    except psycopg.errors.InsufficientPrivilege as refusal:
        say(f"   update user_credits: [yellow]{refusal.diag.message_primary}[/]")


def export(connection: Connection, client: Client, people: People) -> None:
    """The app track joins: an export costs Ada a credit, the same key again nothing, and a Pro nothing at all"""
    migrations.push(connection, more=["app"], report=lambda migration: say(f"   [green]✓[/] {migration.id}"))
    query = "insert into projects (user_id, source_image_path) values (%s, 'ada/cat.png') returning id"
    row = connection.execute(query, [people["ada"]]).fetchone()
    assert row is not None
    ada = client.as_user(people["ada"])

    def ask(type: str, key: str) -> None:
        made = ada.consume_credit_and_create_export(row[0], type, idempotency_key=key)
        left = client.get_user_credits_for(people["ada"]).credits_available
        say(f"   {key} is {made.type} {made.id.hex[:8]}, paid by {made.paid_by:<14}ada has {left}")

    ask("png", "export-1")
    ask("png", "export-1")
    client.grant_entitlement_for(people["ada"], "pro")
    ask("psd", "export-2")


def history(connection: Connection, client: Client, people: People) -> None:
    """Where did my credits go? Ada's ledger, and the proof that all books add up"""
    table = Table("seq", "type", "amount", "balance", "what", box=None, padding=(0, 2), pad_edge=True)
    for column in (0, 2, 3):
        table.columns[column].justify = "right"
    for entry in client.get_transaction_history_for(people["ada"]):
        table.add_row(f"{entry.seq}", entry.type, f"{entry.amount:+}", f"{entry.balance_after}", entry.description)
    say(table)
    say(f"   verify_ledger: {client.verify_ledger() or '[green]clean[/]'}")


def leave(connection: Connection, client: Client, people: People) -> None:
    """Linus leaves: all that names him goes in one transaction, and the books of every month still add up"""

    def books() -> list[Any]:
        query = "select month, sum(credits), sum(operations) from credits_private.monthly_totals group by 1 order by 1"
        return connection.execute(query).fetchall()

    before = books()
    receipt = client.as_user(people["linus"]).delete_user_account()
    for name, count in receipt.removed.items():
        if count:
            say(f"   {count:>4} from {name}")
    say(f"   {receipt.credits_written_off:>4} credits written off\n")
    for month, credits, operations in books():
        say(f"   {month:%B %Y}".ljust(20) + f"{credits:>+5} in {operations:>2} operations")
    total = sum(credits for _, credits, _ in before)
    held = sum(client.get_user_credits_for(people[name]).credits_available for name in ("ada", "grace"))
    say(f"   the same as before: {'[green]yes[/]' if books() == before else '[red]no[/]'}")
    say(f"   {total} in the books, less {receipt.credits_written_off}: ada and grace have {held}")
    say(f"   verify_ledger: {client.verify_ledger() or '[green]clean[/]'}")


def come_back(connection: Connection, client: Client, people: People) -> None:
    """Linus signs up again, with a plus-tag: one address, one signup bonus"""
    row = connection.execute("insert into auth.users (email) values ('Linus+2@example.com') returning id").fetchone()
    assert row is not None
    say(f"   linus {client.get_user_credits_for(row[0]).credits_available:>4} credits")


ACTS = (
    push, sign_up, set_products, sell, spend, lose_the_answer, run_dry, refund, reserve, let_time_pass, as_the_user,
    export, history, leave, come_back,
)  # fmt: skip
