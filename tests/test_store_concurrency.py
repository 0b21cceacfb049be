"""Events of stores many at once, beside whatever else touches the account, and over a server that is killed.

A purchase is credited once at every isolation level. A transaction that cannot see the present is refused by Postgres
(40001, or 40P01 for a deadlock), and whoever sent it sends it again, as a store does; here `deliver` does that.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from conftest import Database, Templates, assert_books_add_up, sign_up
from test_concurrency import ANY_LEVEL, LEVELS, OWN_SETTINGS, at, together
from test_store_fuzz import (
    BOUGHT,
    INTENT,
    PAID,
    PRICE,
    RETURNED,
    SETUP,
    Event,
    bought,
    charge_refunded,
    dispute,
    expected,
    refund,
    revenuecat,
    reversed_,
)

from credits_db import local, migrations

AGAIN = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
PACK = bought("bought", "NON_RENEWING_PURCHASE", product="pack")


@pytest.fixture(scope="module")
def shop(templates: Templates) -> Iterator[Database]:
    """One database for the file, a plain one: who waits for whom is the same on any. Each test brings its own users."""
    with templates.clone("plain") as database:
        with database.connect() as connection:
            connection.execute(SETUP)
        yield database
        with database.connect() as connection:
            assert_books_add_up(connection)


def tag() -> str:
    return uuid4().hex[:12]


def call(shop: Database, statement: str, *values: object, level: str = "read committed") -> Any:
    """One statement on a connection of its own, again after a conflict; its first value."""
    with shop.connect(options=at(level)) as connection:
        for _ in range(200):
            with suppress(*AGAIN):
                row = connection.execute(statement.encode(), values).fetchone()
                return row and row[0]
    raise AssertionError("two hundred conflicts in a row")


def deliver(
    shop: Database, event: Event, user: UUID, tag: str, number: object = 1, *, level: str = "read committed"
) -> str:
    """What became of an event, as state or state:reason."""
    body = event.sent(user, tag, str(number))
    return str(call(shop, "select fuzz.send(%s, %s, %s)", event.provider, body, user, level=level))


def look(shop: Database, user: UUID) -> Any:
    return call(shop, "select fuzz.look(%s)", user)


def settle(shop: Database) -> None:
    """Finishes what five conflicts in a row have left."""
    call(shop, "update credits_private.store_events set retry_at = now() where state = 'pending' returning 1")
    call(shop, "select public.run_maintenance(100000)")


@pytest.mark.parametrize("level", ANY_LEVEL)
@pytest.mark.parametrize("event", [PAID, PACK], ids=["stripe", "revenuecat"])
def test_one_event_delivered_twenty_times_at_once_credits_once(shop: Database, event: Event, level: str) -> None:
    user, purchase = shop.sign_up(), tag()
    answers = together([partial(deliver, shop, event, user, purchase, level=level)] * 20)
    assert set(answers) == {"processed"}
    assert look(shop, user) == expected(True, [("pack", [event])])


@pytest.mark.parametrize("level", ANY_LEVEL)
@pytest.mark.parametrize(
    ("product", "events"),
    [("pack", [PAID, INTENT]), ("sub", [BOUGHT, bought("renewal", "RENEWAL")])],
    ids=["stripe", "revenuecat"],
)
def test_one_purchase_told_by_twenty_events_at_once_credits_once(
    shop: Database, product: str, events: list[Event], level: str
) -> None:
    user, purchase = shop.sign_up(), tag()
    answers = together(
        [partial(deliver, shop, event, user, purchase, n, level=level) for n in range(10) for event in events]
    )
    assert set(answers) == {"processed"}
    assert look(shop, user) == expected(True, [(product, events)])


@pytest.mark.parametrize("level", ANY_LEVEL)
@pytest.mark.parametrize(
    ("event", "store", "name"), [(PAID, "stripe", "pi_{}"), (PACK, "app_store", "t{}")], ids=["stripe", "revenuecat"]
)
def test_a_webhook_and_a_service_that_tell_of_one_purchase_at_once_credit_once(
    shop: Database, event: Event, store: str, name: str, level: str
) -> None:
    user, purchase = shop.sign_up(), tag()
    record = "select (public.record_purchase_for(%s, %s, %s, 'pack', 999, 'USD')).status"
    answers = together(
        [
            partial(deliver, shop, event, user, purchase, level=level),
            partial(call, shop, record, user, store, name.format(purchase), level=level),
        ]
        * 10
    )
    assert set(answers) == {"processed", "completed"}
    assert look(shop, user) == expected(True, [("pack", [event])])


@pytest.mark.parametrize("level", ANY_LEVEL)
@pytest.mark.parametrize("event", [PAID, PACK], ids=["stripe", "revenuecat"])
def test_of_two_users_who_claim_one_transaction_at_once_one_has_it(shop: Database, event: Event, level: str) -> None:
    users, purchase = [shop.sign_up(), shop.sign_up()], tag()
    answers = together(
        [partial(deliver, shop, event, user, purchase, f"{user}-{n}", level=level) for n in range(10) for user in users]
    )
    assert sorted(look(shop, user)[0] for user in users) == [3, 103]
    assert {answer: answers.count(answer) for answer in answers} == {"processed": 10, "failed:purchase_conflict": 10}


def test_a_deletion_beside_events_leaves_nothing_and_nothing_is_credited_afterwards(shop: Database) -> None:
    traces = """
      select array_agg(t.what) from (
        select user_id, 'user_credits' as what from public.user_credits
        union all select user_id, 'credit_transactions' from public.credit_transactions
        union all select user_id, 'purchase_transactions' from public.purchase_transactions
        union all select user_id, 'user_entitlements' from public.user_entitlements
        union all select user_id, 'purchase_claims' from credits_private.purchase_claims
        union all select user_id, 'store_customers' from credits_private.store_customers
        union all select user_id, 'store_events: ' || concat_ws(' ', e.type, e.state, e.reason)
          from credits_private.store_events as e
      ) as t where t.user_id = %s
    """
    luck, outcomes, left = random.Random(3), set[str](), Counter[str]()
    began = time.monotonic()
    for _ in range(25):
        user, first, second = shop.sign_up(), tag(), tag()
        deliver(shop, BOUGHT, user, first, "before")
        calls: list[Any] = [
            partial(deliver, shop, BOUGHT, user, first, 1),
            partial(deliver, shop, RETURNED, user, first),
            partial(deliver, shop, PAID, user, second),
            partial(deliver, shop, charge_refunded("full", PRICE), user, second),
            partial(deliver, shop, revenuecat("on", "UNCANCELLATION"), user, first),
            partial(call, shop, "select (public.delete_user_account_for(%s)).user_id", user),
        ]
        luck.shuffle(calls)
        answers = together(calls)
        assert user in answers
        outcomes |= {str(answer) for answer in answers if answer != user}
        left.update(call(shop, traces, user) or [])
        # the body of an event that came before its user was gone may wait to be tried, but credits nobody
        deliver(shop, BOUGHT, user, first, "late")
        deliver(shop, PAID, user, second, "late")
        assert look(shop, user) == []
    assert left == Counter(), outcomes
    assert not {o for o in outcomes if "Error" in o or "violates" in o}, outcomes
    assert time.monotonic() - began < 60, "somebody waited for somebody"


def transfer(shop: Database, a: UUID, b: UUID) -> str:
    body = '{"event": {"id": "%s", "type": "TRANSFER", "store": "APP_STORE", "environment": "PRODUCTION",'
    body += ' "transferred_from": ["%s"], "transferred_to": ["%s"]}}'
    return str(call(shop, "select fuzz.send('revenuecat', %s, %s)", body % (uuid4(), a, b), a))


def test_transfers_in_both_directions_at_once_lose_no_entitlement_and_move_no_credit(shop: Database) -> None:
    for _ in range(10):
        a, b = shop.sign_up(), shop.sign_up()
        for user in (a, b):
            assert deliver(shop, BOUGHT, user, tag()) == "processed"
        answers = together([partial(transfer, shop, a, b), partial(transfer, shop, b, a)] * 4)
        assert set(answers) == {"processed"}
        states = [look(shop, user) for user in (a, b)]
        assert [state[0] for state in states] == [503, 503]
        assert max(state[2] for state in states) > 0


@pytest.mark.parametrize(
    ("level", "lasts"),
    [
        (LEVELS[0], None),
        (LEVELS[0], "30 days"),
        *(pytest.param(level, "30 days", marks=OWN_SETTINGS) for level in LEVELS[1:]),
    ],
)
def test_a_purchase_beside_its_refunds_disputes_and_spends_adds_up(
    shop: Database, level: str, lasts: str | None
) -> None:
    lasting = "update public.credit_products set expires_after = %s where (store, product_id) = ('stripe', 'pack')"
    with shop.connect() as connection:
        connection.execute(lasting, [lasts])
    events = [
        PAID, INTENT, charge_refunded("part", 200), refund("r1", "1", 200), refund("r2", "2", 250),
        refund("r2_failed", "2", 250, "failed"), dispute("opened", "opened", 400), dispute("won", "won", 400),
        dispute("second", "lost", 100, name="second"),
    ]  # fmt: skip
    luck = random.Random(5)
    spend = "select -(public.consume_credit_for(%s, 1)).amount"
    for _ in range(6):
        user, purchase = shop.sign_up(), tag()
        calls: list[Any] = [partial(deliver, shop, event, user, purchase, level=level) for event in events]
        calls += [partial(call, shop, spend, user, level=level) for _ in range(3)]
        luck.shuffle(calls)
        answers = together(calls)
        assert not [a for a in answers if isinstance(a, Exception) and "insufficient_credits" not in str(a)]
        settle(shop)
        wanted = expected(True, [("pack", events)])
        assert wanted
        assert look(shop, user) == [wanted[0] - answers.count(1), *wanted[1:]]
    with shop.connect() as connection:
        connection.execute(lasting, [None])
        lots = connection.execute("select count(*) from credits_private.credit_lots where user_id = %s", [user])
        assert lots.fetchone() == (1 if lasts else 0,)


@pytest.mark.parametrize("level", ANY_LEVEL)
def test_a_refund_and_its_reversal_beside_the_purchase_are_never_overlooked(shop: Database, level: str) -> None:
    """The transaction is known, and nobody has it yet: its events must still wait for, or see, each other."""
    for events in ([BOUGHT, RETURNED], [BOUGHT, RETURNED, reversed_("reversed")]):
        for _ in range(8):
            user, purchase = shop.sign_up(), tag()
            deliver(shop, revenuecat("grace", "BILLING_ISSUE", grace_period_expiration_at_ms=0), user, purchase)
            together([partial(deliver, shop, event, user, purchase, level=level) for event in events])
            settle(shop)
            wanted = expected(True, [("sub", events)])
            assert wanted
            assert look(shop, user)[:2] == wanted[:2]


# a server that is killed ----------------------------------------------------------------------------------------------


@pytest.fixture
def home() -> Iterator[Path]:
    shm = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="credits", dir=shm if shm.is_dir() else None))
    folder.chmod(0o755)  # the server of root runs as somebody else
    yield folder / "pg"
    local.down(folder / "pg")
    shutil.rmtree(folder)


def kill(home: Path) -> None:
    """The whole server at once: the postmaster, then each of its children."""
    postmaster = local.status(home).pid
    assert postmaster
    os.kill(postmaster, signal.SIGSTOP)  # or a child that it makes meanwhile keeps clients waiting
    children = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # somebody's that has just ended
            if path.read_text().rpartition(")")[2].split()[1] == str(postmaster):
                children.append(int(path.parent.name))
    for pid in (postmaster, *children):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in (postmaster, *children):  # a signal is delivered a little later; a zombie is dead enough
        with suppress(FileNotFoundError, ProcessLookupError):
            while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.01)


def opened(home: Path) -> Database:
    for _ in range(50):  # the first answer may be that of a server which is just dying
        server = local.up(home)
        database = Database("postgres", str(server.socket_dir), str(server.port), "postgres")
        with suppress(psycopg.OperationalError), database.connect():
            return database
        time.sleep(0.1)
    raise AssertionError("the server does not come back")


@pytest.fixture
def durable(home: Path) -> Database:
    """A server that keeps what it has committed."""
    database = opened(home)
    with migrations.connect(database.dsn()) as connection:
        migrations.push(connection)
        connection.execute(SETUP)
    return database


@pytest.mark.session("a server of its own, which is killed")
def test_an_event_that_was_stored_when_the_server_was_killed_is_done_after_it(durable: Database, home: Path) -> None:
    user, purchases = durable.sign_up(), [tag(), tag()]
    for purchase in purchases:
        body = PAID.sent(user, purchase, "1")
        assert call(durable, "select (public.process_stripe_event(%s, true)).state", body) == "pending"
    kill(home)
    durable = opened(home)
    assert look(durable, user)[0] == 3
    assert deliver(durable, PAID, user, purchases[0]) == "processed"  # Stripe sends again ...
    settle(durable)  # ... or does not
    assert look(durable, user) == expected(True, [("pack", [PAID]), ("pack", [PAID])])
    assert deliver(durable, PAID, user, purchases[1]) == "processed"
    assert look(durable, user)[0] == 203


@pytest.mark.session("a server of its own, which is killed")
def test_a_server_killed_at_random_points_loses_nothing_and_credits_once(durable: Database, home: Path) -> None:
    luck = random.Random(7)
    events = [PAID, INTENT, charge_refunded("part", 200), refund("r1", "1", 200), dispute("won", "won")]
    wanted = expected(True, [("pack", events)])
    found: set[int] = set()
    for _ in range(6):
        users = {durable.sign_up(): tag() for _ in range(40)}
        waiting = [(event, user, purchase) for user, purchase in users.items() for event in events]
        luck.shuffle(waiting)
        answered: list[tuple[Event, UUID, str]] = []

        def send(mine: list[tuple[Event, UUID, str]], to: Database = durable, done: list[Any] = answered) -> None:
            with suppress(psycopg.OperationalError), to.connect() as connection:
                for event, user, purchase in mine:
                    body = event.sent(user, purchase, "1")
                    connection.execute("select public.process_stripe_event(%s, true)", [body])
                    connection.execute("select public.process_stripe_event(%s)", [body])
                    done.append((event, user, purchase))

        with ThreadPoolExecutor(3) as threads:
            running = [threads.submit(send, waiting[n::3]) for n in range(3)]
            time.sleep(luck.uniform(0.02, 0.4))
            kill(home)
            for sent in running:
                sent.result(30)
        found.add(len(answered))
        durable = opened(home)
        with durable.connect() as connection:
            known = {
                r[0]
                for r in connection.execute("select event_id from credits_private.store_events where body is not null")
            }
            assert {f"evt_{event.label}-{purchase}-1" for event, _, purchase in answered} <= known
            assert_books_add_up(connection)
        for delivery in set(waiting) - set(answered):  # the store had no answer
            deliver(durable, *delivery)
        settle(durable)
        assert {user: look(durable, user) for user in users} == dict.fromkeys(users, wanted)
    assert len(found) > 1, "the kills did not fall among the events"
    with durable.connect() as connection:
        assert_books_add_up(connection)
        assert sign_up(connection)
