"""Who is measured: the bare minimum, what applications usually write, and the layers of credits-db.

Each contestant is a pgbench script. Bare tables stand beside ours: the same columns, keys and fillfactor, and nothing
else. Every spend takes 1 credit, names a fresh key of 36 characters and returns its ledger row. A user is the md5 of a
number, so that their order is random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

_MOVE = """update bare.user_credits
set credits_remaining = credits_remaining - 1, used_credits = used_credits + 1, last_seq = last_seq + 1,
  updated_at = clock_timestamp()
where user_id = {user}"""

BARE_SPEND = f"""with b as ({_MOVE} returning *)
insert into bare.credit_transactions
select b.user_id, b.last_seq, -1, b.credits_remaining, b.updated_at, 'consumption', {{key}}, null, '{{{{}}}}' from b
returning *"""

_SCHEMA = f"""
create schema bare;
create table bare.user_credits (like public.user_credits, primary key (user_id))
  with (fillfactor = 90);
create table bare.credit_transactions (
  like public.credit_transactions, primary key (user_id, seq), unique (user_id, idempotency_key)
);
create function public.bare_spend(p_user_id uuid, p_key text) returns bare.credit_transactions
  language plpgsql as $$
declare v_row bare.credit_transactions;
begin
  {BARE_SPEND.format(user="p_user_id", key="p_key")} into v_row;
  return v_row;
end $$;
grant usage on schema bare to authenticated;
grant select, insert, update on all tables in schema bare to authenticated;
"""

# Users with 10^12 credits and so many ledger rows each, which take turns in the ledger as they do in life.
_FILL = """
insert into auth.users (id) select md5(n::text)::uuid from generate_series(1, %(users)s) as n;
select count(public.add_credits_for(id, 1000000000000)) from auth.users;
insert into public.credit_transactions
select a.user_id, n, -1, a.credits_remaining - n + a.last_seq, clock_timestamp(), 'consumption',
  gen_random_uuid()::text, null, '{}'
from generate_series(3, %(rows)s) as n, public.user_credits as a
order by n;
update public.user_credits as a
set last_seq = t.seq, credits_remaining = t.balance_after, used_credits = a.total_credits - t.balance_after,
  updated_at = t.created_at
from public.credit_transactions as t
where t.user_id = a.user_id and t.seq = %(rows)s and a.last_seq < t.seq;
insert into bare.user_credits select * from public.user_credits;
insert into bare.credit_transactions select * from public.credit_transactions;
"""

_USER, _KEY = "md5(:user::text)::uuid", "gen_random_uuid()::text"
_CLAIMS = f"""format('{{"role": "authenticated", "sub": "%s"}}', {_USER})"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A pgbench script, in which :user is a random number, and the session that runs it."""

    name: str
    what: str
    script: str
    role: str = "none"
    login: str = "postgres"


BARE = Contestant(
    "bare",
    "one prepared statement on the bare tables: update, insert; no function, no check",
    f"{BARE_SPEND.format(user=_USER, key=_KEY)};",
)
NAIVE = Contestant(
    "naive",
    "application code on the bare tables: begin, select for update, update, insert, commit",
    f"""begin;
select credits_remaining from bare.user_credits where user_id = {_USER} for update \\gset
\\if :credits_remaining < 1
rollback;
\\else
{_MOVE.format(user=_USER)} returning last_seq, credits_remaining \\gset
insert into bare.credit_transactions
values ({_USER}, :last_seq, -1, :credits_remaining, clock_timestamp(), 'consumption', {_KEY}, null, '{{}}');
commit;
\\endif""",
)
ENGINE = Contestant(
    "engine",
    "credits_private.spend, called by the owner",
    f"select * from credits_private.spend({_USER}, 1, null, '{{}}', {_KEY});",
)
SERVICE = Contestant(
    "service",
    "public.consume_credit_for, as service_role",
    f"select * from public.consume_credit_for({_USER}, idempotency_key => {_KEY});",
    role="service_role",
)
USER = Contestant(  # lateral and left(), so that the claims are set before the call
    "user",
    "public.consume_credit, in a session of authenticated; the claims are set in the same statement",
    f"""select c.*
from set_config('request.jwt.claims', {_CLAIMS}, true) as s (claims),
  lateral public.consume_credit(idempotency_key => {_KEY} || left(s.claims, 0)) as c;""",
    role="authenticated",
)
REQUEST = Contestant(
    "request",
    "the same as PostgREST sends it: a transaction with role, claims, path and headers; here in one message",
    f"""\\startpipeline
begin;
select set_config('search_path', 'public', true), set_config('role', 'authenticated', true),
  set_config('request.jwt.claims', {_CLAIMS}, true), set_config('request.method', 'POST', true),
  set_config('request.path', '/rpc/consume_credit', true), set_config('request.cookies', '{{}}', true),
  set_config('request.headers', '{{"content-type": "application/json", "host": "localhost"}}', true);
select * from public.consume_credit(idempotency_key => {_KEY});
commit;
\\endpipeline""",
    login="authenticator",
)
CONTESTANTS = (BARE, NAIVE, ENGINE, SERVICE, USER, REQUEST)
# pgbench takes a colon before a word for a variable, so the JSON has a space after each
_EVENT = """{"api_version": "1.0", "event": {"type": "NON_RENEWING_PURCHASE", "id": "%1$s", "app_id": "1234567890",
 "event_timestamp_ms": 1658726522314, "app_user_id": "%2$s", "original_app_user_id": "$RCAnonymousID: %2$s",
 "aliases": ["$RCAnonymousID: %2$s"], "product_id": "pack_100", "period_type": "NORMAL",
 "purchased_at_ms": 1658726519000, "expiration_at_ms": null, "environment": "PRODUCTION", "store": "APP_STORE",
 "transaction_id": "%1$s", "original_transaction_id": "%1$s", "entitlement_id": null, "entitlement_ids": null,
 "presented_offering_id": "coins", "is_family_share": false, "country_code": "CA", "currency": "CAD", "price": 25.487,
 "price_in_purchased_currency": 32.99, "tax_percentage": 0.0, "commission_percentage": 0.15}}"""
_SESSION = """{"id": "evt_%1$s", "object": "event", "type": "checkout.session.completed", "livemode": true,
 "data": {"object": {"id": "cs_%1$s", "object": "checkout.session", "mode": "payment", "payment_status": "paid",
 "payment_intent": "pi_%1$s", "client_reference_id": "%2$s", "customer": "cus_%2$s", "amount_subtotal": 1000,
 "amount_total": 1200, "currency": "usd", "metadata": {"product_id": "pack_100"}}}}"""
REVENUECAT = Contestant(
    "revenuecat",
    "process_revenuecat_event: a new purchase is stored, claimed and credited, as service_role",
    f"select * from public.process_revenuecat_event(format('{_EVENT}', {_KEY}, {_USER})::json);".replace("\n", ""),
    role="service_role",
)
STRIPE = Contestant(
    "stripe",
    "process_stripe_event: the same of a checkout session",
    f"select * from public.process_stripe_event(format('{_SESSION}', {_KEY}, {_USER})::json);".replace("\n", ""),
    role="service_role",
)
PRODUCT = "select credits_private.set_product('any', 'pack_100', 100, 0, 0, null, null, null, null, null, null)"
HISTORY = Contestant(
    "history",
    "the 50 newest rows of a user, by get_transaction_history_for",
    f"select * from public.get_transaction_history_for({_USER});",
    role="service_role",
)


def prepare(connection: psycopg.Connection[Any], users: int, rows: int = 2) -> None:
    """Put bare tables beside ours, and sign up users 1, 2, ..., who then have so many ledger rows each in both."""
    connection.execute(_SCHEMA.encode())
    psycopg.ClientCursor(connection).execute(_FILL.encode(), {"users": users, "rows": rows})
