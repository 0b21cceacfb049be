"""What each event in tests/fixtures comes to, played as a story: one row a file, nothing of it left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import sign_up

FIXTURES = Path(__file__).parent / "fixtures"
USER, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
PRODUCTS = """
  select credits_private.set_product(
    p.store, p.product, p.credits, 0, p.trial, p.cents, p.currency, p.entitlement, null, null, null
  )
  from (values
    ('any', 'com.example.credits_100', 100, 0, null, null, null),
    ('any', 'com.example.pro.monthly', 500, 50, null, null, 'pro'),
    ('stripe', 'pack_100', 100, 0, 1000, 'USD', null),
    ('stripe', 'price_pro_monthly', 500, 0, 2000, 'USD', 'pro')
  ) as p (store, product, credits, trial, cents, currency, entitlement)
"""
NOTHING = ("ignored", "changes_nothing", 0)
# file: state, reason, and by how much both balances together moved
REVENUECAT: dict[str, tuple[str, str | None, int]] = {
    "01_test": ("ignored", "test", 0),
    "02_temporary_entitlement_grant": NOTHING,
    "03_initial_purchase": ("processed", None, 500),
    "04_initial_purchase_trial": ("processed", None, 50),
    "05_experiment_enrollment": NOTHING,
    "06_paywall_impression": NOTHING,
    "07_paywall_close": NOTHING,
    "08_non_renewing_purchase": ("processed", None, 100),
    "09_virtual_currency_transaction": ("processed", None, 0),
    "10_subscription_extended": ("processed", None, 0),
    "11_price_increase_consent_required": NOTHING,
    "12_price_increase_consent_approved": NOTHING,
    "13_product_change": NOTHING,
    "14_cancellation_unsubscribe": NOTHING,
    "15_uncancellation": NOTHING,
    "16_billing_issue": ("processed", None, 0),
    "17_subscription_paused": NOTHING,
    "18_invoice_issuance": NOTHING,
    "19_renewal": ("processed", None, 500),
    "20_cancellation_customer_support": ("processed", None, -500),
    "21_refund_reversed": ("processed", None, 500),
    "22_purchase_redeemed": NOTHING,
    "23_subscriber_alias": NOTHING,
    "24_transfer": ("processed", None, 0),
    "25_expiration": ("processed", None, 0),
}
STRIPE: dict[str, tuple[str, str | None, int]] = {
    "01_customer_created": NOTHING,
    "02_checkout_session_completed_unpaid": ("processed", None, 0),
    "03_checkout_session_async_payment_succeeded": ("processed", None, 100),
    "04_payment_intent_succeeded": ("processed", None, 0),
    "05_checkout_session_completed_paid": ("processed", None, 100),
    "06_checkout_session_async_payment_failed": ("processed", None, 0),
    "07_checkout_session_completed_subscription": NOTHING,
    "08_invoice_paid": ("processed", None, 500),
    "09_invoice_paid_2025": ("processed", None, 500),
    "10_invoice_payment_paid": ("processed", None, 0),
    "11_charge_refunded_partial": ("processed", None, -40),
    "12_charge_refunded_full": ("processed", None, -60),
    "13_refund_created": ("processed", None, -25),
    "14_refund_updated": ("processed", None, 0),
    "15_refund_failed": ("processed", None, 25),
    "16_charge_dispute_created_inquiry": ("processed", None, 0),
    "17_charge_dispute_updated": ("processed", None, 0),
    "18_charge_dispute_closed_warning": ("processed", None, 0),
    "19_charge_dispute_created": ("processed", None, -500),
    "20_charge_dispute_funds_withdrawn": ("processed", None, 0),
    "21_charge_dispute_closed_won": ("processed", None, 500),
    "22_charge_dispute_funds_reinstated": ("processed", None, 0),
    "23_charge_dispute_closed_lost": ("processed", None, -500),
}
STORIES = {"revenuecat": REVENUECAT, "stripe": STRIPE}
# product, status, credits, taken back: what is left on the shelf when the story is over
SHELVES = {
    "revenuecat": [
        ("com.example.credits_100", "completed", 100, 0),
        ("com.example.pro.monthly", "completed", 50, 0),
        ("com.example.pro.monthly", "completed", 500, 0),
        ("com.example.pro.monthly", "completed", 500, 0),
    ],
    "stripe": [
        ("pack_100", "completed", 100, 0),
        ("pack_100", "failed", 100, 0),
        ("pack_100", "refunded", 100, 100),
        ("price_pro_monthly", "completed", 500, 0),
        ("price_pro_monthly", "refunded", 500, 500),
    ],
}


def play(db: psycopg.Connection[Any], provider: str, name: str) -> tuple[str, str | None, int]:
    """State and reason of one event, and by how much the balances moved."""
    balances = "select sum(credits_remaining)::int from public.user_credits"
    body = (FIXTURES / provider / f"{name}.json").read_text()
    before = db.execute(balances).fetchone()
    row = db.execute(
        f"select (e).state::text, (e).reason from public.process_{provider}_event(%s) as e".encode(), [body]
    ).fetchone()
    after = db.execute(balances).fetchone()
    assert row
    assert before
    assert after
    return row[0], row[1], after[0] - before[0]


@pytest.fixture
def shop(db: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    db.execute(PRODUCTS)
    for user in (USER, OTHER):
        sign_up(db, id=user)
    return db


@pytest.mark.parametrize("provider", STORIES)
def test_every_fixture_has_a_row_here(provider: str) -> None:
    assert sorted(STORIES[provider]) == sorted(path.stem for path in (FIXTURES / provider).iterdir())


@pytest.mark.parametrize("provider", STORIES)
def test_a_story_comes_to_what_each_of_its_events_comes_to(shop: psycopg.Connection[Any], provider: str) -> None:
    assert {name: play(shop, provider, name) for name in STORIES[provider]} == STORIES[provider]
    assert shelf(shop) == SHELVES[provider]


@pytest.mark.parametrize("provider", STORIES)
def test_a_story_told_again_or_backwards_moves_nothing_more(shop: psycopg.Connection[Any], provider: str) -> None:
    for name in reversed(STORIES[provider]):
        play(shop, provider, name)
    assert {play(shop, provider, name)[2] for name in STORIES[provider]} == {0}
    assert shelf(shop) == SHELVES[provider]


def test_a_transfer_ends_with_the_entitlement_where_it_went(shop: psycopg.Connection[Any]) -> None:
    for name in REVENUECAT:
        play(shop, "revenuecat", name)
    rows = shop.execute("select user_id::text, entitlement from public.user_entitlements").fetchall()
    assert rows == [(OTHER, "pro")]


def shelf(db: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return db.execute(
        "select product_id, status::text, credits, refunded_credits from public.purchase_transactions"
        " order by product_id, status::text, credits"
    ).fetchall()
