"""Data for local development: five users with a month behind them, made by the RPCs that an application calls.

The past is real: the clock of the database is frozen at each instant of it, inside the one transaction that makes it
all, so nobody else ever sees it stand and what is committed has the clock that ships.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID, uuid4

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
PRODUCTS = {"seed_pack_100": (100, 990), "seed_pack_500": (500, 3990)}  # credits, cents
ROBOT, CASTLE = (UUID(f"5eed0000-0000-4000-8000-0000000000a{number}") for number in range(1, 3))


def strangers(connection: Connection, only_users: bool = False) -> list[str]:
    """What is there that no seed has made, as words: users, and what a shop has before its first one."""
    queries = {"users": ("auth.users", "t.id <> all (%(users)s)")}
    if not only_users:
        queries |= {
            "products": ("public.credit_products", "not (t.store = 'any' and t.product_id = any (%(products)s))"),
            "secrets": ("credits_private.secrets", "t.name <> 'identity_key'"),
            "store events": ("credits_private.store_events", "true"),
        }
    found = []
    for what, (relation, predicate) in queries.items():
        if connection.execute("select to_regclass(%s) is null", [relation]).fetchone() != (True,):
            query = f"select count(*) from {relation} as t where {predicate}"  # noqa: S608
            row = connection.execute(query.encode(), {"users": list(USERS), "products": list(PRODUCTS)}).fetchone()
            if row and row[0]:
                found.append(f"{row[0]} {what}")
    return found


def run(connection: Connection) -> list[str]:
    """Make what is not there, or not any more, and say what was made: nothing, the second time."""
    made = []
    with connection.transaction():
        query = "select u.id from auth.users as u where u.id = any (%s) and u.deleted_at is null"
        missing = set(USERS) - {id for (id,) in connection.execute(query, [list(USERS)])}
        if missing:
            _reopen(connection, missing)
            _live(connection, missing)
            made.append(f"{len(missing)} user{'s' * (len(missing) > 1)} with a month of history")
        has_app = any(id.startswith(f"{migrations.TRACKS[1]}_") for id in migrations.history(connection))
        if has_app and Client(connection).get_operation_for(ADA, "seed-export-1") is None:
            _draw(connection)
            made.append("2 projects with layers and exports")
    return made


def _reopen(connection: Connection, users: Collection[UUID]) -> None:
    """Forget that these users were here and left, which nobody else could: their ids would stay closed for ever."""
    who = {"ids": list(users), "addresses": [USERS[user][0] for user in users]}
    connection.execute("delete from auth.users as u where u.id = any (%(ids)s)", who)  # of a soft deletion
    for table in ("closed_identities", "bonus_claims"):
        connection.execute(
            f"""
            delete from credits_private.{table} as t
            where t.identity_hash in (
              select credits_private.identity_hash('user', i.id::text) from unnest(%(ids)s::uuid[]) as i (id)
              union all
              select credits_private.identity_hash('address', a.address)
              from unnest(%(addresses)s::text[]) as a (address)
            )
            """.encode(),  # noqa: S608
            who,
        )


def _live(connection: Connection, users: Collection[UUID]) -> None:
    """A month in the life of these users, up to now."""
    client, now = Client(connection), datetime.now(UTC)
    with freeze(connection, now - timedelta(days=31)) as clock:
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
        for days, user, live in sorted(_past(connection, client, now), key=lambda event: -event[0]):
            if user in users:
                clock.move_to(now - timedelta(days=days))
                live()
        clock.move_to(now)
        while client.run_maintenance().accounts:
            pass
        if LINUS in users:
            client.reserve_credits_for(LINUS, 5, timedelta(days=1), description="A story that is being written")


def _past(connection: Connection, client: Client, now: datetime) -> list[tuple[float, UUID, Callable[[], object]]]:
    """How many days ago which user did what."""
    payments = uuid4().hex[:8]  # those of a user who left stay theirs

    def arrive(user: UUID, days: float) -> Callable[[], object]:
        return lambda: sign_up(connection, USERS[user][0], id=user, created_at=now - timedelta(days=days))

    def spend(user: UUID, amount: int, what: str, key: str) -> Callable[[], object]:
        return lambda: client.consume_credit_for(user, amount, description=what, idempotency_key=key)

    def buy(user: UUID, product_id: str, number: int) -> Callable[[], object]:
        payment, cents = f"pi_seed_{payments}_{number}", PRODUCTS[product_id][1]
        return lambda: client.record_purchase_for(
            user, "stripe", payment, product_id, price_cents=cents, currency="USD"
        )

    def fail() -> None:
        failed = client.consume_credit_for(ADA, 8, description="Film", idempotency_key="seed-film")
        client.refund_consumption_for(ADA, failed.seq, description="The film failed")

    def give(days: float, credits: int, what: str) -> Callable[[], object]:
        return lambda: client.add_credits_for(MARY, credits, expires_at=now + timedelta(days=days), description=what)

    return [
        *((30 - number, user, arrive(user, 30 - number)) for number, user in enumerate(USERS)),
        (25, ALAN, spend(ALAN, 3, "Poster", "seed-1")),
        (25, LINUS, lambda: client.set_recurring_grant("monthly", 20, "month", LINUS)),
        (25, ADA, buy(ADA, "seed_pack_100", 1)),
        *((24 - 2 * number, ADA, spend(ADA, 5 + number % 3, "Picture", f"seed-{number}")) for number in range(12)),
        (16, ADA, fail),
        (16, GRACE, buy(GRACE, "seed_pack_100", 2)),
        (16, MARY, give(-5, 25, "Summer gift")),
        (12, GRACE, spend(GRACE, 40, "Film", "seed-film")),
        (12, LINUS, spend(LINUS, 15, "Story", "seed-story")),
        (8, GRACE, lambda: client.refund_purchase("stripe", f"pi_seed_{payments}_2", f"re_seed_{payments}")),
        (8, MARY, give(7, 50, "Autumn gift")),
        (8, MARY, spend(MARY, 10, "Picture", "seed-1")),
        (8, ADA, buy(ADA, "seed_pack_500", 3)),
    ]


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
