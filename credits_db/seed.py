"""Data for local development: five users with a month behind them, made by the RPCs that an application calls.

The past is real: the clock of the database is frozen at each instant of it, inside the one transaction that makes it
all, so nobody else ever sees it stand and what is committed has the clock that ships.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

import psycopg

from credits_db import Client, migrations
from credits_db.testing import freeze, sign_up

Connection: TypeAlias = psycopg.Connection[Any]

ADA, GRACE, LINUS, MARY, ALAN = (UUID(f"5eed0000-0000-4000-8000-00000000000{number}") for number in range(1, 6))
USERS = {
    ADA: ("ada@example.com", "buys packs and spends"),
    GRACE: ("grace@example.com", "got her money back after she had spent: a debt"),
    LINUS: ("linus@example.com", "20 credits every month, and a job that runs: a hold"),
    MARY: ("mary@example.com", "a gift that expires in a week"),
    ALAN: ("alan@example.com", "has spent it all"),
}
PRODUCTS = {"pack_100": (100, 990), "pack_500": (500, 3990)}  # credits, cents
ROBOT, CASTLE = (UUID(f"5eed0000-0000-4000-8000-0000000000a{number}") for number in range(1, 3))


def strangers(connection: Connection) -> int:
    """How many users there are whom a seed did not make."""
    if connection.execute("select to_regclass('auth.users') is null").fetchone() == (True,):
        return 0
    query = "select count(*) from auth.users as u where u.id <> all (%s)"
    row = connection.execute(query, [list(USERS)]).fetchone()
    return int(row[0]) if row else 0


def run(connection: Connection) -> list[str]:
    """Make what is not there yet, and say what was made: nothing, the second time."""
    made = []
    with connection.transaction():
        query = "select from auth.users as u where u.id = any (%s)"
        if connection.execute(query, [list(USERS)]).fetchone() is None:
            _live(connection)
            made.append(f"{len(USERS)} users with a month of history")
        has_app = any(id.startswith(f"{migrations.TRACKS[1]}_") for id in migrations.history(connection))
        if has_app and Client(connection).get_operation_for(ADA, "seed-export-1") is None:
            _draw(connection)
            made.append("2 projects with layers and exports")
    return made


def _live(connection: Connection) -> None:
    """A month in the life of five users, up to now."""
    client, now = Client(connection), datetime.now(UTC)
    with freeze(connection, now - timedelta(days=31)) as clock:

        def at(days: float) -> None:
            clock.move_to(now - timedelta(days=days))

        for product_id, (credits, cents) in PRODUCTS.items():
            connection.execute(
                """
                select credits_private.set_product(
                  p_store => 'any', p_product_id => %(id)s, p_credits => %(credits)s, p_bonus_credits => 0,
                  p_trial_credits => 0, p_price_cents => %(cents)s, p_currency => 'USD', p_entitlement => null,
                  p_expires_after => null, p_active_from => null, p_active_to => null
                )
                where not exists (
                  select from public.credit_products as p where p.store = 'any' and p.product_id = %(id)s
                )
                """,
                {"id": product_id, "credits": credits, "cents": cents},
            )
        for number, (user, (address, _)) in enumerate(USERS.items()):
            at(30 - number)
            sign_up(connection, address, id=user, created_at=clock.now)

        def buy(user: UUID, product_id: str, payment: str) -> None:
            cents = PRODUCTS[product_id][1]
            client.record_purchase_for(user, "stripe", payment, product_id, price_cents=cents, currency="USD")

        at(25)
        client.consume_credit_for(ALAN, 3, description="Poster", idempotency_key="seed-1")
        client.set_recurring_grant("monthly", 20, "month", LINUS)
        buy(ADA, "pack_100", "pi_seed_1")
        for number in range(12):
            at(24 - 2 * number)
            client.consume_credit_for(ADA, 5 + number % 3, description="Picture", idempotency_key=f"seed-{number}")
            if number == 4:
                failed = client.consume_credit_for(ADA, 8, description="Film", idempotency_key="seed-film")
                client.refund_consumption_for(ADA, failed.seq, description="The film failed")
                buy(GRACE, "pack_100", "pi_seed_2")
                client.add_credits_for(MARY, 25, expires_at=now - timedelta(days=5), description="Summer gift")
            if number == 6:
                client.consume_credit_for(GRACE, 40, description="Film", idempotency_key="seed-film")
                client.consume_credit_for(LINUS, 15, description="Story", idempotency_key="seed-story")
            if number == 8:
                client.refund_purchase("stripe", "pi_seed_2", "re_seed_1")
                client.add_credits_for(MARY, 50, expires_at=now + timedelta(days=7), description="Autumn gift")
                client.consume_credit_for(MARY, 10, description="Picture", idempotency_key="seed-1")
                buy(ADA, "pack_500", "pi_seed_3")
        at(0)
        while client.run_maintenance().accounts:
            pass
        client.reserve_credits_for(LINUS, 5, timedelta(days=1), description="A story that is being written")


def _draw(connection: Connection) -> None:
    """Two projects of Ada, with layers and exports, each of which cost her a credit."""
    for project, name in ((ROBOT, "robot"), (CASTLE, "castle")):
        connection.execute(
            """
            insert into public.projects (id, user_id, source_image_path, status, thumbnail_path, created_at)
            values (%s, %s, %s, 'ready', %s, now() - interval '9 days')
            """,
            [project, ADA, f"{ADA}/{name}/source.png", f"{ADA}/{name}/thumbnail.png"],
        )
        connection.execute(
            """
            insert into public.project_layers (project_id, name, png_path, width, height, z_index, visible)
            select %s, l.name, %s || l.name || '.png', 1024, 768, l.number, true
            from unnest(array['background', 'figure', 'light']) with ordinality as l (name, number)
            """,
            [project, f"{ADA}/{name}/"],
        )
    for number, (project, type) in enumerate(((ROBOT, "png"), (ROBOT, "psd"), (CASTLE, "png")), 1):
        connection.execute(
            """
            select public.consume_credit_and_create_export_for(
              user_id => %s, project_id => %s, type => %s, idempotency_key => %s
            )
            """,
            [ADA, project, type, f"seed-export-{number}"],
        )
