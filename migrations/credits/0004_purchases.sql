-- Purchases: products, webhooks of RevenueCat and Stripe, refunds, entitlements.
--
-- Locks nothing that was there before. What row level security lets users see comes next.
--
-- depends: 0003_open_existing_accounts

-- by hand: sql/credits/schemas.sql 95feaba8c438fced
grant usage on schema credits_private to anon;

-- by hand: sql/credits/types/ledger_violation.sql 622a3482a18e3c91
-- the words of ledger_violation
comment on column public.ledger_violation.seq is
  'The ledger row that is wrong (of a purchase: its first), or null when it is the balance row.';
comment on column public.ledger_violation.rule is
  'The rule that is broken: seq_has_gap, balance_breaks_chain, amount_breaks_type, balance_is_not_sum, used_is_not_consumption, last_seq_is_not_last, ledger_without_account, purchase_is_not_its_rows.';

-- from sql/credits/types/purchase_status.sql
-- purchase_status: how far a purchase has come.
--
-- Not set by whichever event arrived last, but folded from all that is known of the purchase
-- (settle_transaction): paid beats failed, failed beats pending, and refunded is paid with all of it taken back.

create type public.purchase_status as enum (
  'pending',
  'completed',
  'failed',
  'refunded'
);

comment on type public.purchase_status is
  'pending: not paid yet. completed: paid and credited, perhaps refunded in part. failed: never paid. refunded: all of it went back.';

revoke all on type public.purchase_status from public, anon, authenticated, service_role;
grant usage on type public.purchase_status to authenticated, service_role;
-- end

-- from sql/credits/types/store_event_state.sql
-- store_event_state: what became of an event of a store.

create type public.store_event_state as enum (
  'pending',
  'parked',
  'failed',
  'ignored',
  'processed'
);

comment on type public.store_event_state is
  'pending: stored, to be tried again. parked: waits for its user. failed: waits for an operator, the reason says for what. ignored: changes nothing. processed: done.';

revoke all on type public.store_event_state from public, anon, authenticated, service_role;
grant usage on type public.store_event_state to service_role;
-- end

-- from sql/credits/types/store_event.sql
-- store_event: an event of a store and what became of it, without its body.

create type public.store_event as (
  provider text,
  event_id text,
  type text,
  state public.store_event_state,
  reason text,
  details jsonb,
  user_id uuid,
  store text,
  environment text,
  transaction_id text,
  product_id text,
  attempts integer,
  received_at timestamptz,
  processed_at timestamptz
);

comment on type public.store_event is
  'An event of a store and what became of it. The body stays in credits_private.store_events.';
comment on column public.store_event.provider is
  'Who told us: revenuecat or stripe.';
comment on column public.store_event.event_id is
  'The id that the provider gave it, or sha256: and the hash of the body where it has none.';
comment on column public.store_event.type is
  'The provider''s word, for instance INITIAL_PURCHASE or charge.refunded.';
comment on column public.store_event.state is
  'What became of it.';
comment on column public.store_event.reason is
  'Why it is in this state, as a token: unknown_user, unknown_product, wrong_shape, sandbox_denied, ... Null where there is nothing to say.';
comment on column public.store_event.details is
  'The values that the reason is about, a JSON object.';
comment on column public.store_event.user_id is
  'Whose event it is, or null.';
comment on column public.store_event.store is
  'Where the money was paid: app_store, play_store, stripe, ...';
comment on column public.store_event.environment is
  'PRODUCTION or SANDBOX.';
comment on column public.store_event.transaction_id is
  'The store''s name of the transaction.';
comment on column public.store_event.product_id is
  'The store''s name of what was bought.';
comment on column public.store_event.attempts is
  'How often it was tried.';
comment on column public.store_event.received_at is
  'When it first arrived.';
comment on column public.store_event.processed_at is
  'When it reached this state.';

revoke all on type public.store_event from public, anon, authenticated, service_role;
grant usage on type public.store_event to service_role;
-- end

-- from sql/credits/types/store_fact.sql
-- store_fact: one thing that a store says, in one form for all stores.
--
-- The readers (read_revenuecat_event, read_stripe_event) turn a body into these, and everything after them knows
-- no provider any more. A fact says what is so, never what to change, so it may arrive twice, late, or before its cause.

create type credits_private.store_fact as (
  kind text,
  store text,
  environment text,
  transaction_ids text[],
  product_id text,
  names text[],
  stage integer,
  quantity integer,
  is_trial boolean,
  price_cents bigint,
  list_cents bigint,
  currency text,
  entitlements text[],
  until timestamptz,
  ref text,
  cents bigint,
  basis_cents bigint,
  former_names text[],
  source text
);

comment on type credits_private.store_fact is
  'One thing that a store says: payment, refund, refunded, dispute, reversal, period, link, transfer, alias or nothing.';
comment on column credits_private.store_fact.kind is
  'payment: of a product. refund: one, by its id. refunded: all of a charge so far. dispute: of a charge. reversal: a refund taken back. period: until when an entitlement lasts. link: names of one transaction. transfer: to another user. alias: names of one user. nothing.';
comment on column credits_private.store_fact.store is
  'Where the money was paid, in lowercase.';
comment on column credits_private.store_fact.environment is
  'PRODUCTION or SANDBOX.';
comment on column credits_private.store_fact.transaction_ids is
  'The names of the transaction, the preferred one first.';
comment on column credits_private.store_fact.product_id is
  'What was bought; null where the fact is about the whole transaction.';
comment on column credits_private.store_fact.names is
  'Who it may be: ids of users and names of customers, the most telling first.';
comment on column credits_private.store_fact.stage is
  'How far it has come; more wins. payment: 0 pending, 1 failed, 2 paid. refund: 0 not yet, 1 given, 2 failed. dispute: 0 inquiry, 1 opened, 2 money withdrawn, 3 lost, 4 money back or refunded instead, 5 won.';
comment on column credits_private.store_fact.quantity is
  'How many of the product, from 1.';
comment on column credits_private.store_fact.is_trial is
  'Whether the payment opens a free trial.';
comment on column credits_private.store_fact.price_cents is
  'What was paid for the product, in the smallest unit of the currency, without tax on top.';
comment on column credits_private.store_fact.list_cents is
  'What it cost before discounts, to be checked against the product.';
comment on column credits_private.store_fact.currency is
  'The currency of the amounts, three letters in uppercase.';
comment on column credits_private.store_fact.entitlements is
  'Entitlements that the store says come with it.';
comment on column credits_private.store_fact.until is
  'Until when those last, or did; null for ever.';
comment on column credits_private.store_fact.ref is
  'What the fact is named by within its transaction: a refund, charge or dispute. Of nothing: the reason.';
comment on column credits_private.store_fact.cents is
  'How much went back, in the smallest unit; null for all of it.';
comment on column credits_private.store_fact.basis_cents is
  'Of how much that is a part; of a payment: what the whole transaction came to, where that is more than our products.';
comment on column credits_private.store_fact.former_names is
  'Of a transfer: whose it was.';
comment on column credits_private.store_fact.source is
  'Of a payment: what says so, as in purchase_claims.';

revoke all on type credits_private.store_fact from public, anon, authenticated, service_role;
-- end

-- from sql/credits/types/maintenance_report.sql
-- maintenance_report: what one call of run_maintenance did.

create type public.maintenance_report as (
  store_events integer,
  store_events_waiting integer
);

comment on type public.maintenance_report is
  'What one call of run_maintenance did. Nothing done and nothing waiting is the good answer.';
comment on column public.maintenance_report.store_events is
  'Store events that were pending or parked and are no more.';
comment on column public.maintenance_report.store_events_waiting is
  'Store events that were tried and wait on.';

revoke all on type public.maintenance_report from public, anon, authenticated, service_role;
grant usage on type public.maintenance_report to service_role;
-- end

-- by hand: sql/credits/tables/settings.sql d46ffe17c0c1765f
-- settings: texts that match a pattern
alter table credits_private.settings
  add column pattern text;
alter table credits_private.settings
  -- squawk-ignore ban-drop-constraint
  drop constraint settings_value_fits_kind;
alter table credits_private.settings
  -- squawk-ignore constraint-missing-not-valid
  add constraint settings_value_fits_kind check (
    case kind
      when 'integer' then value ~ '^[0-9]{1,15}$' and value::bigint between minimum and maximum
      when 'switch' then value in ('on', 'off')
      when 'text' then value ~ pattern and length(value) <= 10000
      else false
    end
  );
comment on column credits_private.settings.value is
  'The present choice, as text: digits for an integer, on or off for a switch, what the pattern allows for a text.';
comment on column credits_private.settings.kind is
  'integer, switch or text.';
comment on column credits_private.settings.pattern is
  'The regular expression that a text matches.';

insert into credits_private.settings (name, value, kind, minimum, maximum, pattern, description)
values
  ('sandbox', 'deny', 'text', null, null, '^(deny|allow_listed|allow)$', 'Who gets credits for test purchases: nobody (deny), the users in sandbox_users (allow_listed), or everybody (allow).'),
  ('sandbox_users', '', 'text', null, null, '^([0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}(,|$))*$', 'Ids of the users who get credits for test purchases while sandbox is allow_listed, separated by commas.'),
  ('webhook_tolerance', '300', 'integer', 1, 86400, null, 'How many seconds the timestamp of a signed webhook may be off, either way.'),
  ('revenuecat_signature_header', 'x-revenuecat-webhook-signature', 'text', null, null, '^[a-z0-9-]{1,100}$', 'The header in which RevenueCat signs, in lowercase.')
on conflict (name) do nothing;

-- from sql/credits/private/set_setting.sql
-- set_setting: changes one setting and does at once what it means.
--
-- For the owner (credits-db settings set). user_spending is a privilege, not a flag that somebody would
-- have to look at: off takes EXECUTE on consume_credit from authenticated, on gives it. rpc/consume_credit.sql
-- ends by setting it to what it is, so a migration that replaces the function does not overrule the operator.

create or replace function credits_private.set_setting(
  p_name text,
  p_value text
)
  returns credits_private.settings
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_setting credits_private.settings;
begin
  select s.* into v_setting from credits_private.settings as s where s.name = p_name for update;
  if not found then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'name', 'value', p_name),
      hint = 'There is no such setting: credits-db settings list shows all.';
  end if;
  if (
    case v_setting.kind
      when 'integer' then p_value ~ '^[0-9]{1,15}$' and p_value::bigint between v_setting.minimum and v_setting.maximum
      when 'switch' then p_value in ('on', 'off')
      else p_value ~ v_setting.pattern and length(p_value) <= 10000
    end
  ) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'value', 'value', p_value),
      hint = case v_setting.kind
        when 'integer' then format('%s is a whole number from %s to %s.', p_name, v_setting.minimum, v_setting.maximum)
        when 'switch' then format('%s is on or off.', p_name)
        else format('%s matches %s.', p_name, v_setting.pattern)
      end;
  end if;
  update credits_private.settings as s
  set value = p_value
  where s.name = p_name
  returning s.* into v_setting;
  if p_name = 'user_spending' then
    if p_value = 'on' then
      grant execute on function public.consume_credit(bigint, text, jsonb, text) to authenticated;
      grant execute on function credits_private.consume_credit(bigint, text, jsonb, text) to authenticated;
    else
      revoke execute on function public.consume_credit(bigint, text, jsonb, text) from authenticated;
      revoke execute on function credits_private.consume_credit(bigint, text, jsonb, text) from authenticated;
    end if;
  end if;
  return v_setting;
end;
$$;

comment on function credits_private.set_setting(text, text) is
  'Changes a setting and returns it. Raises 22023 invalid_argument for an unknown name or a value out of bounds.';

revoke all on function credits_private.set_setting(text, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/credit_products.sql
-- credit_products: what is sold, and what it is worth in credits.
--
-- Written by set_product (credits-db products set). A product is looked up by its store first and as 'any' next,
-- so one row can serve all stores. Changing or removing it changes nothing that was bought: a purchase keeps the
-- figures of its day.

create table public.credit_products (
  store text not null default 'any',
  product_id text not null,
  credits bigint not null,
  bonus_credits bigint not null default 0,
  trial_credits bigint not null default 0,
  price_cents bigint,
  currency text,
  entitlement text,
  expires_after interval,
  active_from timestamptz,
  active_to timestamptz,
  updated_at timestamptz not null default credits_private.now(),
  constraint credit_products_pkey primary key (store, product_id),
  constraint credit_products_credits_in_range check (
    -- no between: a dump and restore would write it down in other words
    least(credits, bonus_credits, trial_credits) >= 0
    and greatest(credits, bonus_credits, trial_credits) <= 1000000000000
  ),
  constraint credit_products_price_has_currency check ((price_cents is null) = (currency is null) and price_cents >= 0)
);

comment on table public.credit_products is
  'What is sold, and what it is worth in credits. Users see what is on sale.';
comment on column public.credit_products.store is
  'app_store, play_store, amazon, stripe, rc_billing, paddle, a word of your own, or any.';
comment on column public.credit_products.product_id is
  'What the store calls it: a product of App Store Connect, a price of Stripe, ...';
comment on column public.credit_products.credits is
  'Credits for one of it; 0 where it only gives an entitlement.';
comment on column public.credit_products.bonus_credits is
  'Credits on top.';
comment on column public.credit_products.trial_credits is
  'Credits for a free trial of it, instead of the others.';
comment on column public.credit_products.price_cents is
  'What one must have cost at least, before discounts, in the smallest unit of the currency; null for no check, as for app stores, whose prices differ by country.';
comment on column public.credit_products.currency is
  'The currency of price_cents, three letters in uppercase.';
comment on column public.credit_products.entitlement is
  'The entitlement that comes with it, or null.';
comment on column public.credit_products.expires_after is
  'How long its credits last; null for ever.';
comment on column public.credit_products.active_from is
  'Since when it is on sale; null for always.';
comment on column public.credit_products.active_to is
  'Until when it is on sale, that instant not included; null for no end.';
comment on column public.credit_products.updated_at is
  'When it was last changed.';

alter table public.credit_products enable row level security;

revoke all on table public.credit_products from public, anon, authenticated, service_role;
grant select on table public.credit_products to anon, authenticated, service_role;
-- end

-- from sql/credits/tables/purchase_transactions.sql
-- purchase_transactions: one row for each product bought in a transaction of a store.
--
-- Read by its user and by services; written by record_payment and settle_transaction alone, under the lock of the
-- balance. Keeps its own figures: what the product was worth on that day, what was paid, what went back. credits less
-- refunded_credits is the sum of its ledger rows (verify_ledger proves it). Goes with its account (remove_purchases).

create table public.purchase_transactions (
  user_id uuid not null,
  store text not null,
  environment text not null,
  transaction_id text not null,
  product_id text not null,
  provider text not null,
  status public.purchase_status not null,
  credits bigint not null,
  refunded_credits bigint not null default 0,
  -- squawk-ignore prefer-bigint-over-int
  quantity integer not null default 1,
  price_cents bigint,
  currency text,
  entitlements text[] not null default '{}',
  entitled_until timestamptz,
  seq bigint,
  payload jsonb not null default '{}',
  verified_at timestamptz,
  created_at timestamptz not null,
  constraint purchase_transactions_pkey primary key (user_id, store, environment, transaction_id, product_id),
  constraint purchase_transactions_refund_in_range check (refunded_credits between 0 and credits)
);

comment on table public.purchase_transactions is
  'What users bought, one row for each product of a store''s transaction. Users read their own rows, all columns but payload.';
comment on column public.purchase_transactions.user_id is
  'Who claimed the transaction, and got its credits.';
comment on column public.purchase_transactions.store is
  'Where the money was paid: app_store, play_store, stripe, ...';
comment on column public.purchase_transactions.environment is
  'PRODUCTION or SANDBOX.';
comment on column public.purchase_transactions.transaction_id is
  'The store''s name of the transaction: credited once for the whole database.';
comment on column public.purchase_transactions.product_id is
  'What was bought.';
comment on column public.purchase_transactions.provider is
  'Who told us first: revenuecat, stripe or manual.';
comment on column public.purchase_transactions.status is
  'How far it has come.';
comment on column public.purchase_transactions.credits is
  'What it is worth in credits, bonus and quantity counted in, as of the day it was recorded.';
comment on column public.purchase_transactions.refunded_credits is
  'How many of those the store has taken back, by refunds and disputes.';
comment on column public.purchase_transactions.quantity is
  'How many of the product.';
comment on column public.purchase_transactions.price_cents is
  'What was paid for it, in the smallest unit of the currency, without tax on top; null where nobody said.';
comment on column public.purchase_transactions.currency is
  'The currency of price_cents, three letters in uppercase.';
comment on column public.purchase_transactions.entitlements is
  'The entitlements that came with it.';
comment on column public.purchase_transactions.entitled_until is
  'Until when those last; null for ever.';
comment on column public.purchase_transactions.seq is
  'The ledger row of type purchase; null while unpaid, or where it is worth no credits.';
comment on column public.purchase_transactions.payload is
  'Where it came from: {"event_id": ...}, or what record_purchase_for was given. Not readable by users.';
comment on column public.purchase_transactions.verified_at is
  'When the payment was confirmed; null while unpaid.';
comment on column public.purchase_transactions.created_at is
  'When it was first recorded.';

alter table public.purchase_transactions enable row level security;

revoke all on table public.purchase_transactions from public, anon, authenticated, service_role;
grant select on table public.purchase_transactions to service_role;
grant select (
  user_id, store, environment, transaction_id, product_id, provider, status, credits, refunded_credits, quantity,
  price_cents, currency, entitlements, entitled_until, seq, verified_at, created_at
) on table public.purchase_transactions to authenticated;
-- end

-- from sql/credits/tables/purchase_claims.sql
-- purchase_claims: whose a transaction of a store is, once for the whole database.
--
-- Taken before anything is credited, and the lock under which all that is known of a transaction is put together.
-- It may come before its user: a refund can arrive first. Stripe has several names for one payment; all but one are
-- rows that lead to it (alias_of). When an account goes its claims stay, closed and without its name, or buying,
-- leaving and restoring would credit twice.

create table credits_private.purchase_claims (
  store text not null,
  environment text not null,
  transaction_id text not null,
  alias_of text,
  user_id uuid,
  source text,
  is_closed boolean not null default false,
  claimed_at timestamptz,
  entitled_user_id uuid,
  looks bigint not null default 0,
  constraint purchase_claims_pkey primary key (store, environment, transaction_id)
);

create index purchase_claims_user_id on credits_private.purchase_claims (user_id) where user_id is not null;
create index purchase_claims_entitled_user_id on credits_private.purchase_claims (entitled_user_id)
  where entitled_user_id is not null;

comment on table credits_private.purchase_claims is
  'Whose a transaction of a store is, once for the whole database. Outlives the account, without its name.';
comment on column credits_private.purchase_claims.store is
  'Where the money was paid.';
comment on column credits_private.purchase_claims.environment is
  'PRODUCTION or SANDBOX.';
comment on column credits_private.purchase_claims.transaction_id is
  'The store''s name of the transaction.';
comment on column credits_private.purchase_claims.alias_of is
  'The transaction that this is another name of; null for the name that counts.';
comment on column credits_private.purchase_claims.user_id is
  'Who has it; null before anybody has, and after the account was closed.';
comment on column credits_private.purchase_claims.source is
  'Who told us of the payment first: revenuecat, manual, or the kind of Stripe''s object. What another source names in the same transaction is the same purchase, under whatever product name.';
comment on column credits_private.purchase_claims.is_closed is
  'Whether the account that had it is gone: nobody else gets its credits.';
comment on column credits_private.purchase_claims.claimed_at is
  'When it was claimed.';
comment on column credits_private.purchase_claims.entitled_user_id is
  'Who has its entitlements after a transfer; null for who claimed it, and the id of zeros once that account is gone.';
comment on column credits_private.purchase_claims.looks is
  'How often it was locked to be looked at. Locking writes, so that a transaction with an older snapshot fails (40001) and does not decide on what it cannot see.';

revoke all on table credits_private.purchase_claims from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/purchase_facts.sql
-- purchase_facts: what stores have said about the money of a transaction after it was paid.
--
-- One row a fact, named by what the store names it by, and it only ever grows: stages and sums take the greater.
-- So any order and any repetition of the same events leaves the same rows, and refunded_share folds them into how much
-- of a purchase has gone back. Facts may be here before their purchase.

create table credits_private.purchase_facts (
  store text not null,
  environment text not null,
  transaction_id text not null,
  kind text not null,
  ref text not null,
  product_id text,
  -- squawk-ignore prefer-bigint-over-int
  stage integer not null,
  cents bigint,
  basis_cents bigint,
  currency text,
  credits bigint,
  until timestamptz,
  constraint purchase_facts_pkey primary key (store, environment, transaction_id, kind, ref)
);

comment on table credits_private.purchase_facts is
  'What stores have said about the money of a transaction after it was paid: one row a fact, which only grows.';
comment on column credits_private.purchase_facts.store is
  'Where the money was paid.';
comment on column credits_private.purchase_facts.environment is
  'PRODUCTION or SANDBOX.';
comment on column credits_private.purchase_facts.transaction_id is
  'The transaction, as in purchase_claims.';
comment on column credits_private.purchase_facts.kind is
  'refund, refunded, dispute, reversal or period, as in store_fact; total: what the whole transaction came to.';
comment on column credits_private.purchase_facts.ref is
  'What the store names it by: the id of the refund, charge or dispute.';
comment on column credits_private.purchase_facts.product_id is
  'The product that it is about; null for all of the transaction.';
comment on column credits_private.purchase_facts.stage is
  'The furthest stage that was told, as in store_fact.';
comment on column credits_private.purchase_facts.cents is
  'How much money went back, in the smallest unit; null for all.';
comment on column credits_private.purchase_facts.basis_cents is
  'Of how much that is a part, where the store says so.';
comment on column credits_private.purchase_facts.currency is
  'The currency of cents.';
comment on column credits_private.purchase_facts.credits is
  'How many credits went back, of a refund that was told in credits (refund_purchase).';
comment on column credits_private.purchase_facts.until is
  'Of a period: its end.';

revoke all on table credits_private.purchase_facts from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/user_entitlements.sql
-- user_entitlements: what a user may use, and until when.
--
-- Folded from the purchases that carry an entitlement and are not refunded (refresh_entitlements), one's own or
-- transferred, and from what was granted by hand, whichever lasts longer. Whether it is active is a question of the clock:
-- ask has_entitlement.

create table public.user_entitlements (
  user_id uuid not null,
  entitlement text not null,
  active_until timestamptz,
  source text not null,
  granted_by text,
  granted_until timestamptz,
  updated_at timestamptz not null,
  constraint user_entitlements_pkey primary key (user_id, entitlement)
);

comment on table public.user_entitlements is
  'What a user may use, and until when. Users read their own rows.';
comment on column public.user_entitlements.user_id is
  'Who may.';
comment on column public.user_entitlements.entitlement is
  'What: the store''s or the product''s word, for instance pro.';
comment on column public.user_entitlements.active_until is
  'Until when, that instant not included; null for ever.';
comment on column public.user_entitlements.source is
  'What makes it last so long: manual, transfer, or the store of a purchase.';
comment on column public.user_entitlements.granted_by is
  'How it came apart from purchases: manual, or transfer where the account that had bought it is gone; null where it did not.';
comment on column public.user_entitlements.granted_until is
  'Until when that lasts; null for ever.';
comment on column public.user_entitlements.updated_at is
  'When the row was last changed.';

alter table public.user_entitlements enable row level security;

revoke all on table public.user_entitlements from public, anon, authenticated, service_role;
grant select on table public.user_entitlements to authenticated, service_role;
-- end

-- from sql/credits/tables/store_customers.sql
-- store_customers: which user a provider's customer is.
--
-- Learned from events that name both: an anonymous id of RevenueCat beside the id of a user, a customer of Stripe
-- beside a client_reference_id. Later events may name the customer alone. First come, first kept.

create table credits_private.store_customers (
  provider text not null,
  name text not null,
  user_id uuid not null,
  constraint store_customers_pkey primary key (provider, name)
);

create index store_customers_user_id on credits_private.store_customers (user_id);

comment on table credits_private.store_customers is
  'Which user a provider''s customer is, learned from events that name both.';
comment on column credits_private.store_customers.provider is
  'revenuecat or stripe.';
comment on column credits_private.store_customers.name is
  'The provider''s name: $RCAnonymousID:..., cus_...';
comment on column credits_private.store_customers.user_id is
  'The user.';

revoke all on table credits_private.store_customers from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/store_events.sql
-- store_events: the inbox, every event of a provider as it came.
--
-- The body is kept whatever its effect did, so nothing is lost and anything can be run again (reprocess_store_event).
-- An event that did not do its work says why. json, not jsonb: the text to the last byte. When its user goes, the body
-- goes too and leaves its SHA-256 (remove_purchases).

create table credits_private.store_events (
  provider text not null,
  event_id text not null,
  type text,
  state public.store_event_state not null,
  reason text,
  details jsonb not null default '{}',
  user_id uuid,
  store text,
  environment text,
  transaction_id text,
  product_id text,
  -- squawk-ignore prefer-bigint-over-int
  attempts integer not null default 0,
  received_at timestamptz not null,
  processed_at timestamptz,
  retry_at timestamptz,
  body json,
  body_sha256 text,
  constraint store_events_pkey primary key (provider, event_id)
);

create index store_events_user_id on credits_private.store_events (user_id) where user_id is not null;
create index store_events_retry_at on credits_private.store_events (retry_at) where retry_at is not null;

comment on table credits_private.store_events is
  'The inbox: every event of a provider as it came, and what became of it.';
comment on column credits_private.store_events.provider is
  'revenuecat or stripe.';
comment on column credits_private.store_events.event_id is
  'The provider''s id of it, or sha256: and the hash of the body where it has none.';
comment on column credits_private.store_events.type is
  'The provider''s word for it.';
comment on column credits_private.store_events.state is
  'What became of it.';
comment on column credits_private.store_events.reason is
  'Why it is in this state, as a token.';
comment on column credits_private.store_events.details is
  'The values that the reason is about.';
comment on column credits_private.store_events.user_id is
  'Whose event it is, once that is known.';
comment on column credits_private.store_events.store is
  'Where the money was paid.';
comment on column credits_private.store_events.environment is
  'PRODUCTION or SANDBOX.';
comment on column credits_private.store_events.transaction_id is
  'The transaction that it is about.';
comment on column credits_private.store_events.product_id is
  'The product that it is about.';
comment on column credits_private.store_events.attempts is
  'How often it was tried.';
comment on column credits_private.store_events.received_at is
  'When it first arrived.';
comment on column credits_private.store_events.processed_at is
  'When it reached its present state.';
comment on column credits_private.store_events.retry_at is
  'When maintenance tries it again; null when it does not.';
comment on column credits_private.store_events.body is
  'The body as it came; null once its user is gone.';
comment on column credits_private.store_events.body_sha256 is
  'SHA-256 of a body that was removed, in hex.';

revoke all on table credits_private.store_events from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/store_event_names.sql
-- store_event_names: whom events name, beside their own users.
--
-- A sign-up looks here for the id of the new user, and an event that teaches a new name for that name, so that a purchase
-- made before the account is credited the moment somebody is there to have it. A deletion looks here for bodies that
-- name the user without being theirs.

create table credits_private.store_event_names (
  name text not null,
  provider text not null,
  event_id text not null,
  constraint store_event_names_pkey primary key (name, provider, event_id)
);

create index store_event_names_event_id on credits_private.store_event_names (provider, event_id);

comment on table credits_private.store_event_names is
  'Whom events name, beside their own users: parked events wait under these names.';
comment on column credits_private.store_event_names.name is
  'The id of a user, or a provider''s name for one.';
comment on column credits_private.store_event_names.provider is
  'revenuecat or stripe.';
comment on column credits_private.store_event_names.event_id is
  'The event.';

revoke all on table credits_private.store_event_names from public, anon, authenticated, service_role;
-- end

-- from sql/credits/tables/secrets.sql
-- secrets: what proves that a webhook comes from its provider.
--
-- Set by set_secret (credits-db secret set) and read by is_signed alone; no API role reads them, and nothing prints
-- them. A new secret leaves the old one valid for a while, as the providers do when a secret is rolled.

create table credits_private.secrets (
  name text not null,
  value text not null,
  added_at timestamptz not null,
  valid_until timestamptz,
  constraint secrets_pkey primary key (name, value)
);

comment on table credits_private.secrets is
  'What proves that a webhook comes from its provider. Set with credits-db secret set.';
comment on column credits_private.secrets.name is
  'stripe, revenuecat (signing secrets) or revenuecat_authorization (the static header).';
comment on column credits_private.secrets.value is
  'The secret.';
comment on column credits_private.secrets.added_at is
  'When it was set.';
comment on column credits_private.secrets.valid_until is
  'When it stops being accepted, because a newer one was set; null for the newest.';

revoke all on table credits_private.secrets from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/erase_account.sql
-- erase_account: removes a user whole, in one transaction.
--
-- Locks the user, then the balance: the order of a deletion in auth.users, of a sign-up and of a first spend,
-- so a spend beside it came before or finds no account. (A transaction that moves one balance twice looks at the
-- user again, for the foreign key, and may so meet a deletion in a deadlock; Postgres ends one of the two.)
-- Deleting the auth user does the rest: the balance goes by its foreign key, ledger and purchases with the balance.
-- Called again it removes nothing and answers with a receipt of zeros.

create or replace function credits_private.erase_account(p_user_id uuid)
  returns public.account_deletion
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_transactions bigint := 0::bigint;
  v_purchases bigint := 0::bigint;
  v_entitlements bigint := 0::bigint;
  v_accounts bigint := 0::bigint;
  v_users bigint := 0::bigint;
  v_receipt public.account_deletion;
begin
  if p_user_id is null then
    raise exception using
      errcode = 'PT401',
      message = 'not_authenticated',
      detail = '{}',
      hint = 'The user id is null: nobody is signed in.';
  end if;
  perform from auth.users as u where u.id = p_user_id for update;
  if found then
    select a.* into v_account from public.user_credits as a where a.user_id = p_user_id for update;
    get diagnostics v_accounts = row_count;
    select count(*) into v_transactions from public.credit_transactions as t where t.user_id = p_user_id;
    select count(*) into v_purchases from public.purchase_transactions as p where p.user_id = p_user_id;
    select count(*) into v_entitlements from public.user_entitlements as e where e.user_id = p_user_id;
    delete from auth.users as u where u.id = p_user_id;
    get diagnostics v_users = row_count;
  end if;
  v_receipt.user_id := p_user_id;
  v_receipt.deleted_at := credits_private.now();
  v_receipt.credits_written_off := coalesce(v_account.credits_remaining, 0);
  v_receipt.removed := jsonb_build_object(
    'auth.users', v_users,
    'public.user_credits', v_accounts,
    'public.credit_transactions', v_transactions,
    'public.purchase_transactions', v_purchases,
    'public.user_entitlements', v_entitlements
  );
  return v_receipt;
end;
$$;

comment on function credits_private.erase_account(uuid) is
  'Deletes a user with balance and ledger, and returns the receipt. Raises PT401 not_authenticated for null.';

revoke all on function credits_private.erase_account(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/verify_ledger.sql
-- verify_ledger: proves that every balance is what its ledger says, row by row.
--
-- One statement, so one snapshot: it may run beside spending and reports no half of a movement. It takes
-- no lock and writes nothing. Every rule is recomputed from the rows, in numeric, so that no planted figure
-- makes it fail instead of report; nothing that the engine stored to help itself is believed.

create or replace function credits_private.verify_ledger(p_user_id uuid)
  returns setof public.ledger_violation
  language plpgsql
  stable
  rows 10
  set search_path = ''
as $$
begin
  return query
  with entries as (
    select
      t.user_id,
      t.seq,
      t.amount::numeric as amount,
      t.balance_after,
      case
        when t.type in ('consumption', 'clawback', 'expiration') then -1
        when t.type = 'admin_adjustment' then sign(t.amount::numeric)
        else 1
      end as expected_sign,
      case when t.type in ('consumption', 'refund') then -t.amount::numeric else 0 end as used,
      row_number() over w as expected_seq,
      sum(t.amount) over w as running_sum
    from public.credit_transactions as t
    where p_user_id is null or t.user_id = p_user_id
    window w as (partition by t.user_id order by t.seq)
  ),
  sums as (
    select e.user_id, max(e.seq) as last_seq, sum(e.amount) as balance, sum(e.used) as used
    from entries as e
    group by e.user_id
  ),
  accounts as (
    select
      coalesce(a.user_id, s.user_id) as user_id,
      a.user_id is not null as exists,
      a.last_seq as stored_last_seq,
      a.credits_remaining as stored_balance,
      a.used_credits as stored_used,
      coalesce(s.last_seq, 0) as last_seq,
      coalesce(s.balance, 0) as balance,
      coalesce(s.used, 0) as used
    from (select c.* from public.user_credits as c where p_user_id is null or c.user_id = p_user_id) as a
    full join sums as s on s.user_id = a.user_id
  ),
  violations (user_id, seq, rule, expected, found) as (
    select e.user_id, e.seq, 'seq_has_gap'::pg_catalog.text, e.expected_seq::numeric, e.seq::numeric
    from entries as e
    where e.seq <> e.expected_seq
    union all
    select e.user_id, e.seq, 'balance_breaks_chain', e.running_sum, e.balance_after
    from entries as e
    where e.balance_after <> e.running_sum
    union all
    select e.user_id, e.seq, 'amount_breaks_type', e.expected_sign * abs(e.amount), e.amount
    from entries as e
    where sign(e.amount) <> e.expected_sign
    union all
    select c.user_id, null, 'balance_is_not_sum', c.balance, c.stored_balance
    from accounts as c
    where c.exists and c.stored_balance <> c.balance
    union all
    select c.user_id, null, 'used_is_not_consumption', c.used, c.stored_used
    from accounts as c
    where c.exists and c.stored_used <> c.used
    union all
    select c.user_id, null, 'last_seq_is_not_last', c.last_seq, c.stored_last_seq
    from accounts as c
    where c.exists and c.stored_last_seq <> c.last_seq
    union all
    select c.user_id, null, 'ledger_without_account', 0, c.last_seq
    from accounts as c
    where not c.exists
    union all
    select
      coalesce(p.user_id, l.user_id),
      coalesce(p.seq, l.first_seq),
      'purchase_is_not_its_rows',
      coalesce(p.credits - p.refunded_credits, 0),
      coalesce(l.amount, 0)
    from (
      select b.*
      from public.purchase_transactions as b
      where b.seq is not null and (p_user_id is null or b.user_id = p_user_id)
    ) as p
    full join (
      select
        t.user_id,
        t.metadata ->> 'store' as store,
        t.metadata ->> 'environment' as environment,
        t.metadata ->> 'transaction_id' as transaction_id,
        t.metadata ->> 'product_id' as product_id,
        min(t.seq) as first_seq,
        sum(t.amount) as amount
      from public.credit_transactions as t
      where (p_user_id is null or t.user_id = p_user_id)
        and t.metadata ?& array['store', 'environment', 'transaction_id', 'product_id']
        and (t.idempotency_key like 'credits:purchase:%' or t.type in ('clawback', 'clawback_reversal'))
      group by 1, 2, 3, 4, 5
    ) as l
      on (l.user_id, l.store, l.environment, l.transaction_id, l.product_id)
        = (p.user_id, p.store, p.environment, p.transaction_id, p.product_id)
    where coalesce(l.amount, 0) <> coalesce(p.credits - p.refunded_credits, 0)
  )
  select
    v.user_id,
    v.seq,
    v.rule,
    least(greatest(v.expected, -9223372036854775808), 9223372036854775807)::bigint,
    v.found::bigint
  from violations as v
  order by v.user_id, v.seq, v.rule;
end;
$$;

comment on function credits_private.verify_ledger(uuid) is
  'Every place where the books of a user, or of all when null, do not add up. No rows is the good answer.';

revoke all on function credits_private.verify_ledger(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refuse_shape.sql
-- refuse_shape: says which field of a body is not what the provider documents.

create or replace function credits_private.refuse_shape(
  p_field text
)
  returns void
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  raise exception using
    errcode = '22023',
    message = 'wrong_shape',
    detail = json_build_object('field', p_field),
    hint = 'The body is not of a shape that this provider documents.';
end;
$$;

comment on function credits_private.refuse_shape(text) is
  'Raises 22023 wrong_shape with the field.';

revoke all on function credits_private.refuse_shape(text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/require_text.sql
-- require_text: a field of a body that must be there, as text.

create or replace function credits_private.require_text(
  p_object jsonb,
  p_field text
)
  returns text
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_value pg_catalog.text := p_object ->> p_field;
begin
  if (jsonb_typeof(p_object -> p_field) in ('string', 'number') and length(v_value) between 1 and 255) is not true then
    perform credits_private.refuse_shape(p_field);
  end if;
  return v_value;
end;
$$;

comment on function credits_private.require_text(jsonb, text) is
  'A field as text of 1 to 255 characters. Raises 22023 wrong_shape.';

revoke all on function credits_private.require_text(jsonb, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/read_quantity.sql
-- read_quantity: how many of a product were bought; metadata of Stripe says it as text.

create or replace function credits_private.read_quantity(
  p_value jsonb
)
  returns integer
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  if p_value is null or p_value = 'null' then
    return 1;
  end if;
  if (p_value #>> '{}' ~ '^[1-9][0-9]{0,5}$') is not true then
    perform credits_private.refuse_shape('quantity');
  end if;
  return (p_value #>> '{}')::integer;
end;
$$;

comment on function credits_private.read_quantity(jsonb) is
  'A quantity from 1 to 999999, 1 where nothing is said. Raises 22023 wrong_shape.';

revoke all on function credits_private.read_quantity(jsonb) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/to_cents.sql
-- to_cents: an amount of money in the smallest unit of its currency.
--
-- RevenueCat says 32.99 CAD, Stripe 3299: both are 3299 here. Yen have no smaller unit, dinars have a thousand of them;
-- the lists are Stripe's (docs.stripe.com/currencies).

create or replace function credits_private.to_cents(
  p_amount numeric,
  p_currency text
)
  returns bigint
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return round(
    abs(p_amount) * case
      when upper(p_currency) in (
        'BIF', 'CLP', 'DJF', 'GNF', 'JPY', 'KMF', 'KRW', 'MGA', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'
      ) then 1
      when upper(p_currency) in ('BHD', 'JOD', 'KWD', 'OMR', 'TND') then 1000
      else 100
    end
  )::bigint;
end;
$$;

comment on function credits_private.to_cents(numeric, text) is
  'An amount in the smallest unit of its currency, never negative; null for null.';

revoke all on function credits_private.to_cents(numeric, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/clean_names.sql
-- clean_names: the usable ones of the names by which a provider knows somebody.
--
-- Ids of users in lowercase (Swift prints a UUID in uppercase), no empty ones, and none of those that stand for nobody:
-- RevenueCat refuses them too, since an app that sends "guest" for everybody would share one customer among all.

create or replace function credits_private.clean_names(
  p_names text[]
)
  returns text[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_names pg_catalog.text[] := '{}'::pg_catalog.text[];
  v_name pg_catalog.text;
begin
  foreach v_name in array p_names[:100] loop
    if v_name like '________-____-____-____-____________' then
      v_name := lower(v_name);
    end if;
    if length(v_name) between 1 and 255
      and v_name <> all (v_names)
      and lower(v_name) not in (
        'null', 'none', 'nil', 'guest', '-1', '0', 'undefined', 'unknown', 'anonymous', '[]', '{}', 'no_user', 'unidentified'
      )
    then
      v_names := v_names || v_name;
    end if;
  end loop;
  return v_names;
end;
$$;

comment on function credits_private.clean_names(text[]) is
  'Names without those that stand for nobody and without repetitions, ids of users in lowercase, in the same order; of the first 100.';

revoke all on function credits_private.clean_names(text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/read_revenuecat_event.sql
-- read_revenuecat_event: what an event of RevenueCat says, as facts.
--
-- One place knows RevenueCat's words. Only the types that are paid make a payment; what a refund is, the cancel reason
-- decides, never the sign of a price. A transaction of Stripe that RevenueCat tells of keeps Stripe's own name, so that it
-- meets Stripe's events. Field names: RevenueCat, "Event types and fields".

create or replace function credits_private.read_revenuecat_event(
  p_body jsonb
)
  returns credits_private.store_fact[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_event pg_catalog.jsonb := p_body -> 'event';
  v_type pg_catalog.text := v_event ->> 'type';
  v_aliases pg_catalog.jsonb := case jsonb_typeof(v_event -> 'aliases') when 'array' then v_event -> 'aliases' else '[]' end;
  v_expiration pg_catalog.jsonb := v_event -> 'expiration_at_ms';
  v_fact credits_private.store_fact;
begin
  if jsonb_typeof(v_event) is distinct from 'object' then
    perform credits_private.refuse_shape('event');
  end if;
  perform credits_private.require_text(v_event, 'type');
  v_fact.names := credits_private.clean_names(
    array[v_event ->> 'app_user_id', v_event ->> 'original_app_user_id']
    || array(select a.name from jsonb_array_elements_text(v_aliases) as a (name))
  );
  v_fact.store := lower(v_event ->> 'store');
  v_fact.environment := coalesce(v_event ->> 'environment', v_event ->> 'purchase_environment');
  if v_fact.store = 'test_store' then
    v_fact.environment := 'SANDBOX';
  end if;
  v_fact.product_id := v_event ->> 'product_id';
  v_fact.ref := 'changes_nothing';
  v_fact.kind := case
    when v_type in ('INITIAL_PURCHASE', 'RENEWAL', 'NON_RENEWING_PURCHASE') then 'payment'
    when v_type = 'VIRTUAL_CURRENCY_TRANSACTION'
      and v_event ->> 'source' = 'in_app_purchase'
      and jsonb_path_exists(v_event, '$.adjustments[*].amount ? (@ > 0)')
    then 'payment'
    when v_type = 'CANCELLATION' and v_event ->> 'cancel_reason' = 'CUSTOMER_SUPPORT' then 'refund'
    when v_type = 'REFUND_REVERSED' then 'reversal'
    when v_type = 'EXPIRATION' then 'period'
    when v_type = 'SUBSCRIPTION_EXTENDED' then 'period'
    when v_type = 'BILLING_ISSUE' and jsonb_typeof(v_event -> 'grace_period_expiration_at_ms') = 'number' then 'period'
    when v_type = 'TRANSFER' then 'transfer'
    when v_type = 'SUBSCRIBER_ALIAS' then 'alias'
    else 'nothing'
  end;

  if v_fact.kind = 'nothing' then
    v_fact.transaction_ids := array_remove(array[v_event ->> 'transaction_id'], null);
    v_fact.ref := case
      when v_type = 'TEST' then 'test'
      when v_type in (
        'CANCELLATION', 'UNCANCELLATION', 'BILLING_ISSUE', 'PRODUCT_CHANGE', 'SUBSCRIPTION_PAUSED',
        'TEMPORARY_ENTITLEMENT_GRANT', 'INVOICE_ISSUANCE', 'VIRTUAL_CURRENCY_TRANSACTION', 'EXPERIMENT_ENROLLMENT',
        'PURCHASE_REDEEMED', 'PRICE_INCREASE_CONSENT_REQUIRED', 'PRICE_INCREASE_CONSENT_APPROVED'
      ) or starts_with(v_type, 'PAYWALL_') then 'changes_nothing'
      else 'unknown_type'
    end;
    if v_type = 'TEST' then
      v_fact.names := '{}';
    end if;
    return array[v_fact];
  end if;

  if v_fact.kind = 'alias' then
    return array[v_fact];
  end if;

  if v_fact.kind = 'transfer' then
    if jsonb_typeof(v_event -> 'transferred_to') is distinct from 'array'
      or jsonb_typeof(v_event -> 'transferred_from') is distinct from 'array'
    then
      perform credits_private.refuse_shape('transferred_to');
    end if;
    v_fact.names := credits_private.clean_names(
      array(select n.name from jsonb_array_elements_text(v_event -> 'transferred_to') as n (name))
    );
    v_fact.former_names := credits_private.clean_names(
      array(select n.name from jsonb_array_elements_text(v_event -> 'transferred_from') as n (name))
    );
    return array[v_fact];
  end if;

  -- from here on the event is about a transaction
  if v_event -> 'is_family_share' = 'true' then
    v_fact.kind := 'nothing';
    v_fact.ref := 'family_share';
    return array[v_fact];
  end if;
  perform credits_private.require_text(v_event, 'store');
  v_fact.transaction_ids := array[credits_private.require_text(v_event, 'transaction_id')];
  if v_fact.store = 'stripe' and v_fact.transaction_ids[1] !~ '^(pi|in|cs|ch|py)_' then
    raise exception using
      errcode = '22023',
      message = 'unmapped_transaction',
      detail = json_build_object('transaction_id', v_fact.transaction_ids[1]),
      hint = 'RevenueCat tells of a payment by Stripe under a name that Stripe does not use for payments.';
  end if;
  v_fact.product_id := credits_private.require_text(v_event, 'product_id');
  v_fact.stage := 1;
  v_fact.ref := 'store:' || v_fact.product_id;
  if jsonb_typeof(v_expiration) = 'number' then
    v_fact.until := to_timestamp(least(greatest(v_expiration::numeric / 1000, 0), 253402300799)::double precision);
  end if;

  if v_fact.kind = 'payment' then
    v_fact.stage := 2;
    v_fact.source := 'revenuecat';
    v_fact.quantity := 1;
    if v_type = 'VIRTUAL_CURRENCY_TRANSACTION' then
      v_fact.until := to_timestamp(0);  -- it does not say until when; the purchase event does
    end if;
    v_fact.is_trial := v_event ->> 'period_type' = 'TRIAL';
    v_fact.currency := upper(v_event ->> 'currency');
    if jsonb_typeof(v_event -> 'price_in_purchased_currency') = 'number' then
      v_fact.price_cents := credits_private.to_cents((v_event -> 'price_in_purchased_currency')::numeric, v_fact.currency);
    end if;
    v_fact.list_cents := v_fact.price_cents;
    v_fact.entitlements := case
      when jsonb_typeof(v_event -> 'entitlement_ids') = 'array'
        then array(
          select distinct e.name
          from jsonb_array_elements_text(v_event -> 'entitlement_ids') as e (name)
          where length(e.name) between 1 and 100
          order by e.name
          limit 20
        )
      else array_remove(array[v_event ->> 'entitlement_id'], null)
    end;
  elsif v_type = 'EXPIRATION' then
    v_fact.ref := 'expired:' || v_fact.product_id;
    if v_fact.until is null then
      perform credits_private.refuse_shape('expiration_at_ms');
    end if;
  elsif v_fact.kind = 'period' then
    v_fact.ref := 'extended:' || v_fact.product_id;
    if v_type = 'BILLING_ISSUE' then
      v_fact.until := to_timestamp(
        least(greatest((v_event -> 'grace_period_expiration_at_ms')::numeric / 1000, 0), 253402300799)::double precision
      );
    end if;
  end if;
  return array[v_fact];
end;
$$;

comment on function credits_private.read_revenuecat_event(jsonb) is
  'What an event of RevenueCat says. Raises 22023 wrong_shape or unmapped_transaction.';

revoke all on function credits_private.read_revenuecat_event(jsonb) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/add_line.sql
-- add_line: a line of an invoice or a session, put to those before it; two lines of one product are one purchase of both.

create or replace function credits_private.add_line(
  p_facts credits_private.store_fact[],
  p_line credits_private.store_fact
)
  returns credits_private.store_fact[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_facts credits_private.store_fact[] := p_facts;
begin
  for v_n in 1 .. cardinality(v_facts) loop
    if v_facts[v_n].product_id = p_line.product_id then
      v_facts[v_n].quantity := v_facts[v_n].quantity + p_line.quantity;
      v_facts[v_n].price_cents := v_facts[v_n].price_cents + p_line.price_cents;
      v_facts[v_n].list_cents := v_facts[v_n].list_cents + p_line.list_cents;
      v_facts[v_n].is_trial := v_facts[v_n].is_trial and p_line.is_trial;
      v_facts[v_n].until := greatest(v_facts[v_n].until, p_line.until);
      return v_facts;
    end if;
  end loop;
  return v_facts || p_line;
end;
$$;

comment on function credits_private.add_line(credits_private.store_fact[], credits_private.store_fact) is
  'The facts with one more line, added to that of the same product.';

revoke all on function credits_private.add_line(credits_private.store_fact[], credits_private.store_fact) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/read_stripe_event.sql
-- read_stripe_event: what an event of Stripe says, as facts.
--
-- One place knows Stripe's words. A payment is named by its payment intent, else its invoice, else its session, and every
-- event names what it knows. Amounts that went back are told three ways (a charge's growing total, refunds by id, disputes
-- by id) and are kept apart here; refunded_share puts them together. An inquiry (warning_*) moves no money.
-- Field names: docs.stripe.com/api; invoices before and after its version of March 2025.

create or replace function credits_private.read_stripe_event(
  p_body jsonb
)
  returns credits_private.store_fact[]
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_type pg_catalog.text := credits_private.require_text(p_body, 'type');
  v_object pg_catalog.jsonb := p_body #> '{data,object}';
  v_metadata pg_catalog.jsonb := coalesce(v_object -> 'metadata', '{}');
  v_lines pg_catalog.jsonb;
  v_line pg_catalog.jsonb;
  v_refund pg_catalog.jsonb;
  v_status pg_catalog.text := v_object ->> 'status';
  v_name pg_catalog.text;
  v_fact credits_private.store_fact;
  v_facts credits_private.store_fact[] := '{}'::credits_private.store_fact[];
begin
  if jsonb_typeof(v_object) is distinct from 'object' then
    perform credits_private.refuse_shape('data.object');
  end if;
  v_fact.store := 'stripe';
  v_fact.environment := case p_body -> 'livemode' when 'true' then 'PRODUCTION' when 'false' then 'SANDBOX' end;
  -- a reference that is no id of a user (a partner's code, say) is nobody's name
  foreach v_name in array credits_private.clean_names(array[
    v_object ->> 'client_reference_id', v_metadata ->> 'user_id',
    v_object #>> '{subscription_details,metadata,user_id}', v_object #>> '{parent,subscription_details,metadata,user_id}'
  ]) loop
    if v_name like '________-____-____-____-____________' then
      v_fact.names := v_fact.names || v_name;
    end if;
  end loop;
  v_fact.names := v_fact.names || credits_private.clean_names(
    array[coalesce(v_object #>> '{customer,id}', v_object ->> 'customer')]
  );
  v_fact.currency := upper(v_object ->> 'currency');
  v_fact.ref := 'changes_nothing';

  if v_type in (
    'checkout.session.completed', 'checkout.session.async_payment_succeeded', 'checkout.session.async_payment_failed'
  ) then
    if v_object ->> 'mode' is distinct from 'payment' then
      v_fact.kind := 'alias';  -- an invoice brings the credits; the session tells whose customer it is
      return array[v_fact];
    end if;
    v_fact.kind := 'payment';
    v_fact.source := 'checkout';
    v_fact.transaction_ids := array_remove(
      array[
        coalesce(v_object #>> '{payment_intent,id}', v_object ->> 'payment_intent'),
        coalesce(v_object #>> '{invoice,id}', v_object ->> 'invoice'),
        credits_private.require_text(v_object, 'id')
      ],
      null
    );
    v_fact.stage := case
      when v_type = 'checkout.session.async_payment_failed' then 1
      when v_object ->> 'payment_status' in ('paid', 'no_payment_required') then 2
      when v_object ->> 'payment_status' = 'unpaid' then 0
    end;
    if v_fact.stage is null then
      perform credits_private.refuse_shape('payment_status');
    end if;
    v_lines := v_object #> '{line_items,data}';
    if v_metadata ? 'product_id' or jsonb_typeof(v_lines) is distinct from 'array' or v_lines = '[]' then
      v_fact.product_id := v_metadata ->> 'product_id';
      v_fact.quantity := credits_private.read_quantity(v_metadata -> 'quantity');
      v_fact.list_cents := (v_object ->> 'amount_subtotal')::bigint;
      v_fact.price_cents := least(v_fact.list_cents, (v_object ->> 'amount_total')::bigint);
      return array[v_fact];
    end if;
    for v_line in select l.line from jsonb_array_elements(v_lines) as l (line) limit 100 loop
      v_fact.product_id := coalesce(v_line #>> '{price,metadata,product_id}', v_line #>> '{price,id}');
      v_fact.quantity := credits_private.read_quantity(v_line -> 'quantity');
      v_fact.list_cents := (v_line ->> 'amount_subtotal')::bigint;
      v_fact.price_cents := least(v_fact.list_cents, (v_line ->> 'amount_total')::bigint);
      v_facts := credits_private.add_line(v_facts, v_fact);
    end loop;

  elsif v_type = 'payment_intent.succeeded' then
    v_fact.transaction_ids := array_remove(
      array[
        credits_private.require_text(v_object, 'id'),
        coalesce(v_object #>> '{invoice,id}', v_object ->> 'invoice'),
        coalesce(v_object #>> '{latest_charge,id}', v_object ->> 'latest_charge')
      ],
      null
    );
    v_fact.product_id := v_metadata ->> 'product_id';
    if v_fact.product_id is null then
      -- its session or invoice says what was bought; this may say that both are one
      v_fact.kind := case when cardinality(v_fact.transaction_ids) > 1 then 'link' else 'nothing' end;
      return array[v_fact];
    end if;
    v_fact.kind := 'payment';
    v_fact.source := 'payment_intent';
    v_fact.stage := 2;
    v_fact.quantity := credits_private.read_quantity(v_metadata -> 'quantity');
    v_fact.price_cents := (v_object ->> 'amount_received')::bigint;
    v_fact.list_cents := v_fact.price_cents;
    v_facts := v_facts || v_fact;

  elsif v_type in ('invoice.paid', 'invoice.payment_succeeded') then
    v_fact.kind := 'payment';
    v_fact.source := 'invoice';
    v_fact.stage := 2;
    v_fact.transaction_ids := array_remove(
      array[
        coalesce(
          v_object #>> '{payment_intent,id}', v_object ->> 'payment_intent',
          v_object #>> '{payments,data,0,payment,payment_intent}'
        ),
        credits_private.require_text(v_object, 'id')
      ],
      null
    );
    v_lines := v_object #> '{lines,data}';
    if jsonb_typeof(v_lines) is distinct from 'array' then
      perform credits_private.refuse_shape('lines.data');
    end if;
    for v_line in select l.line from jsonb_array_elements(v_lines) as l (line) limit 100 loop
      -- a change of plan within a period is prorated: it moves money, and sells no pack
      continue when coalesce(v_line -> 'proration', v_line #> '{parent,subscription_item_details,proration}') = 'true'
        or (v_line ->> 'amount')::bigint < 0
        or v_line -> 'quantity' = '0';
      v_fact.product_id := coalesce(
        v_line #>> '{metadata,product_id}', v_line #>> '{price,id}', v_line #>> '{pricing,price_details,price}',
        v_line #>> '{plan,id}'
      );
      -- metered things come in any number, and are not ours: what is sold is at most 10^12 credits (find_product)
      v_fact.quantity := case
        when jsonb_typeof(v_line -> 'quantity') = 'number' and (v_line -> 'quantity')::numeric between 1000000 and 2147483647
          then (v_line -> 'quantity')::integer
        else credits_private.read_quantity(v_line -> 'quantity')
      end;
      v_fact.list_cents := (v_line ->> 'amount')::bigint;
      v_fact.price_cents := least(v_fact.list_cents, (v_object ->> 'amount_paid')::bigint);
      v_fact.is_trial := v_fact.list_cents = 0
        and coalesce((v_line #>> '{price,unit_amount}')::bigint, (v_line #>> '{plan,amount}')::bigint, 1) > 0;
      -- an item that is billed once has a period of no length
      v_fact.until := case
        when v_line #>> '{period,end}' is distinct from v_line #>> '{period,start}'
          then to_timestamp(least((v_line #>> '{period,end}')::bigint, 253402300799))
      end;
      if jsonb_array_length(v_lines) > 1 then
        v_fact.basis_cents := least((v_object ->> 'subtotal')::bigint, (v_object ->> 'total')::bigint);
      end if;
      v_facts := credits_private.add_line(v_facts, v_fact);
    end loop;

  elsif v_type = 'invoice_payment.paid' then
    v_fact.kind := 'link';
    v_fact.transaction_ids := array_remove(
      array[v_object #>> '{payment,payment_intent}', credits_private.require_text(v_object, 'invoice')], null
    );
    v_facts := v_facts || v_fact;

  elsif v_type in ('charge.refunded', 'refund.created', 'refund.updated', 'refund.failed', 'charge.refund.updated') then
    v_fact.names := '{}';
    v_fact.transaction_ids := array_remove(
      array[
        coalesce(v_object #>> '{payment_intent,id}', v_object ->> 'payment_intent'),
        coalesce(v_object #>> '{charge,id}', v_object ->> 'charge'),
        case when v_type = 'charge.refunded' then credits_private.require_text(v_object, 'id') end
      ],
      null
    );
    if v_type = 'charge.refunded' then
      v_fact.kind := 'refunded';
      v_fact.ref := v_object ->> 'id';
      v_fact.stage := 1;
      v_fact.cents := (v_object ->> 'amount_refunded')::bigint;
      v_fact.basis_cents := (v_object ->> 'amount')::bigint;
      if v_fact.cents is null or v_fact.basis_cents is null then
        perform credits_private.refuse_shape('amount_refunded');
      end if;
      if v_object -> 'refunded' = 'true' then
        v_fact.cents := greatest(v_fact.cents, v_fact.basis_cents);
      end if;
      v_facts := v_facts || v_fact;
      v_lines := v_object #> '{refunds,data}';  -- older versions of the API tell the refunds too
    else
      v_lines := jsonb_build_array(v_object);
    end if;
    if jsonb_typeof(v_lines) = 'array' then
      for v_refund in select l.line from jsonb_array_elements(v_lines) as l (line) limit 100 loop
        v_fact.kind := 'refund';
        v_fact.ref := credits_private.require_text(v_refund, 'id');
        v_fact.cents := (v_refund ->> 'amount')::bigint;
        v_fact.stage := case
          when v_type = 'refund.failed' or v_refund ->> 'status' in ('failed', 'canceled') then 2
          when v_refund ->> 'status' = 'requires_action' then 0
          else 1
        end;
        v_facts := v_facts || v_fact;
      end loop;
    end if;

  elsif starts_with(v_type, 'charge.dispute.') then
    v_fact.names := '{}';
    v_fact.kind := 'dispute';
    v_fact.transaction_ids := array_remove(
      array[
        coalesce(v_object #>> '{payment_intent,id}', v_object ->> 'payment_intent'),
        coalesce(v_object #>> '{charge,id}', v_object ->> 'charge')
      ],
      null
    );
    v_fact.ref := credits_private.require_text(v_object, 'id');
    v_fact.cents := (v_object ->> 'amount')::bigint;
    v_fact.stage := case
      when v_status = 'won' then 5
      when v_type = 'charge.dispute.funds_reinstated' or v_status = 'charge_refunded' then 4
      when v_status = 'lost' then 3
      when v_type = 'charge.dispute.funds_withdrawn' then 2
      when starts_with(v_status, 'warning_') then 0
      else 1
    end;
    v_facts := v_facts || v_fact;

  else
    v_fact.kind := 'nothing';
    v_fact.ref := case
      when v_type ~ '^(account|balance|billing|charge|checkout|customer|invoice|payment|payout|price|product|setup_intent|subscription)'
        then 'changes_nothing'
      else 'unknown_type'
    end;
    v_facts := v_facts || v_fact;
  end if;
  if v_fact.kind not in ('nothing', 'alias') and coalesce(cardinality(v_fact.transaction_ids), 0) = 0 then
    perform credits_private.refuse_shape('payment_intent');
  end if;
  return v_facts;
end;
$$;

comment on function credits_private.read_stripe_event(jsonb) is
  'What an event of Stripe says. Raises 22023 wrong_shape.';

revoke all on function credits_private.read_stripe_event(jsonb) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/read_json.sql
-- read_json: a body as jsonb, or null where it holds what Postgres has no value for.
--
-- JSON may name a NUL, half a surrogate, or a number of a million digits: that is no reason to lose the event.

create or replace function credits_private.read_json(
  p_body json
)
  returns jsonb
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return p_body::pg_catalog.text::pg_catalog.jsonb;
exception
  when others then
    return null;
end;
$$;

comment on function credits_private.read_json(json) is
  'A body as jsonb, null where that cannot be.';

revoke all on function credits_private.read_json(json) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/learn_names.sql
-- learn_names: remembers whose names these are, and runs what was parked under them. Each name once, to who had it first.

create or replace function credits_private.learn_names(
  p_user_id uuid,
  p_provider text,
  p_names text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_learned pg_catalog.text[] := '{}'::pg_catalog.text[];
  v_name pg_catalog.text;
begin
  foreach v_name in array p_names loop
    insert into credits_private.store_customers (provider, name, user_id)
    values (p_provider, v_name, p_user_id)
    on conflict (provider, name) do nothing;
    if found then
      v_learned := v_learned || v_name;
    end if;
  end loop;
  if v_learned <> '{}' then
    perform credits_private.run_parked_events(v_learned);
  end if;
end;
$$;

comment on function credits_private.learn_names(uuid, text, text[]) is
  'Remembers whose names these are, and runs the events that were parked under them.';

revoke all on function credits_private.learn_names(uuid, text, text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/find_user.sql
-- find_user: which account do these names belong to?
--
-- A name is the id of a user, or one that an earlier event taught us (store_customers). Stripe's events name people in an
-- order of trust, and the first account counts; for RevenueCat all names are of one person, so two accounts among them
-- are a question for an operator, not a guess (or nobody, where p_is_asked is false). Names beside theirs that nobody has yet become theirs, and what was parked under
-- those is done.

create or replace function credits_private.find_user(
  p_provider text,
  p_names text[],
  p_is_asked boolean
)
  returns uuid
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_ids pg_catalog.uuid[] := '{}'::pg_catalog.uuid[];
  v_others pg_catalog.text[] := '{}'::pg_catalog.text[];
  v_accounts pg_catalog.uuid[] := '{}'::pg_catalog.uuid[];
  v_user_id pg_catalog.uuid;
  v_known integer := 0;
  v_name pg_catalog.text;
begin
  foreach v_name in array p_names loop
    if v_name like '________-____-____-____-____________' and translate(v_name, '0123456789abcdef', '') = '----' then
      v_ids := v_ids || v_name::pg_catalog.uuid;
    else
      v_others := v_others || v_name;
    end if;
  end loop;
  if v_ids <> '{}' then
    v_accounts := array(select u.id from auth.users as u where u.id = any (v_ids) order by array_position(v_ids, u.id));
  end if;
  -- whom Stripe's event names by id is meant, here or not yet; its customer is asked only where it names nobody
  if v_others <> '{}' and (p_provider <> 'stripe' or v_ids = '{}' or v_accounts <> '{}') then
    for v_user_id in
      select c.user_id
      from credits_private.store_customers as c
      where c.provider = p_provider and c.name = any (v_others)
      order by array_position(v_others, c.name)
    loop
      v_accounts := v_accounts || v_user_id;
      v_known := v_known + 1;
    end loop;
  end if;
  if p_provider <> 'stripe' and v_accounts[1] <> any (v_accounts) then
    if not p_is_asked then
      return null;
    end if;
    raise exception using
      errcode = '22023',
      message = 'ambiguous_user',
      detail = '{}',
      hint = 'The names in this event belong to more than one account.';
  end if;
  if not p_is_asked and v_accounts[1] is not null then
    -- nobody else will lock the account: it must not go while something is written of it
    perform from auth.users as u where u.id = v_accounts[1] for key share;
    if not found then
      return null;
    end if;
  end if;
  if v_accounts[1] is not null and v_known < cardinality(v_others) then
    perform credits_private.learn_names(v_accounts[1], p_provider, v_others);
  end if;
  return v_accounts[1];
end;
$$;

comment on function credits_private.find_user(text, text[], boolean) is
  'The account that a provider''s names belong to, or null; remembers the names that are new. Raises 22023 ambiguous_user.';

revoke all on function credits_private.find_user(text, text[], boolean) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/find_claim.sql
-- find_claim: who has this transaction already, under any of its names?
--
-- Asked before any lock is taken, so that the balance can be locked before the claim: every path takes them in that order.

create or replace function credits_private.find_claim(
  p_store text,
  p_environment text,
  p_transaction_ids text[]
)
  returns credits_private.purchase_claims
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims;
begin
  with recursive claims as (
    select c.*
    from credits_private.purchase_claims as c
    where c.store = p_store and c.environment = p_environment and c.transaction_id = any (p_transaction_ids)
    union
    select c.*
    from claims as a
    join credits_private.purchase_claims as c
      on c.store = p_store and c.environment = p_environment and c.transaction_id = a.alias_of
  )
  select c.* into v_claim from claims as c where c.user_id is not null or c.is_closed limit 1;
  return v_claim;
end;
$$;

comment on function credits_private.find_claim(text, text, text[]) is
  'The claim of a transaction that somebody has or had, or a null row.';

revoke all on function credits_private.find_claim(text, text, text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/join_claims.sql
-- join_claims: several names turn out to be of one transaction.
--
-- The caller holds all of them. The name that has a purchase counts, else the one that the store prefers; facts move there. Where
-- two were credited to one user already, it was one payment told under two names: the second purchase is taken back. To two
-- users, it is a conflict for an operator.

create or replace function credits_private.join_claims(
  p_store text,
  p_environment text,
  p_roots text[],
  p_preferred text[]
)
  returns credits_private.purchase_claims
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims;
  v_other credits_private.purchase_claims;
  v_purchase public.purchase_transactions;
begin
  for v_other in
    select c.*
    from credits_private.purchase_claims as c
    where c.store = p_store and c.environment = p_environment and c.transaction_id = any (p_roots)
    order by
      not c.is_closed,
      not exists (
        select
        from public.purchase_transactions as p
        where p.user_id = c.user_id
          and p.store = c.store
          and p.environment = c.environment
          and p.transaction_id = c.transaction_id
      ),
      c.user_id is null,
      array_position(p_preferred, c.transaction_id),
      c.transaction_id
  loop
    if v_claim.transaction_id is null then
      v_claim := v_other;
      continue;
    end if;
    for v_purchase in
      delete from public.purchase_transactions as p
      where p.user_id = v_other.user_id
        and p.store = v_other.store
        and p.environment = v_other.environment
        and p.transaction_id = v_other.transaction_id
      returning p.*
    loop
      if v_other.user_id is distinct from v_claim.user_id then
        raise exception using
          errcode = 'PT409',
          message = 'purchase_conflict',
          detail = json_build_object('store', p_store, 'transaction_id', v_claim.transaction_id),
          hint = 'Two names of one transaction were credited to two accounts.';
      end if;
      if v_purchase.seq is not null and v_purchase.credits > v_purchase.refunded_credits then
        perform credits_private.post(
          v_purchase.user_id, 'clawback', v_purchase.refunded_credits - v_purchase.credits,
          'Second record of ' || v_purchase.product_id, credits_private.name_purchase(v_purchase), null
        );
      end if;
      perform credits_private.refresh_entitlements(
        coalesce(v_other.entitled_user_id, v_other.user_id), v_purchase.entitlements
      );
    end loop;
    insert into credits_private.purchase_facts as f (
      store, environment, transaction_id, kind, ref, product_id, stage, cents, basis_cents, currency, credits, until
    )
    select
      o.store, o.environment, v_claim.transaction_id, o.kind, o.ref, o.product_id, o.stage, o.cents, o.basis_cents,
      o.currency, o.credits, o.until
    from credits_private.purchase_facts as o
    where o.store = p_store and o.environment = p_environment and o.transaction_id = v_other.transaction_id
    on conflict (store, environment, transaction_id, kind, ref) do update
    set
      stage = greatest(f.stage, excluded.stage),
      cents = greatest(f.cents, excluded.cents),
      basis_cents = greatest(f.basis_cents, excluded.basis_cents),
      credits = greatest(f.credits, excluded.credits),
      until = greatest(f.until, excluded.until);
    delete from credits_private.purchase_facts as f
    where f.store = p_store and f.environment = p_environment and f.transaction_id = v_other.transaction_id;
    update credits_private.purchase_claims as c
    set alias_of = v_claim.transaction_id, user_id = null, source = null, claimed_at = null
    where c.store = p_store and c.environment = p_environment and c.transaction_id = v_other.transaction_id;
  end loop;
  return v_claim;
end;
$$;

comment on function credits_private.join_claims(text, text, text[], text[]) is
  'Makes several locked claims one, and returns it. Raises PT409 purchase_conflict.';

revoke all on function credits_private.join_claims(text, text, text[], text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/open_transaction.sql
-- open_transaction: locks a transaction by all of its names, and returns the one claim that counts.
--
-- What is not there yet is made, for p_user_id where one is given, so two events of one purchase wait for each other whichever
-- came first. Names that turn out to be of one transaction are joined: the one that has a user counts, the others lead to it,
-- and what was known under them moves over. What was credited under two names is join_claims' to mend.

create or replace function credits_private.open_transaction(
  p_user_id uuid,
  p_source text,
  p_store text,
  p_environment text,
  p_transaction_ids text[]
)
  returns credits_private.purchase_claims
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims;
  v_roots pg_catalog.text[] := '{}'::pg_catalog.text[];
  v_names pg_catalog.text[] := p_transaction_ids;
  v_name pg_catalog.text;
begin
  if cardinality(v_names) > 1 then
    v_names := array(select distinct n.name from unnest(v_names) as n (name) order by n.name);
  end if;
  foreach v_name in array v_names loop
    -- a new name leads to the preferred one, which is among these
    insert into credits_private.purchase_claims as c (
      store, environment, transaction_id, alias_of, user_id, source, claimed_at
    )
    values (
      p_store, p_environment, v_name,
      case when v_name <> p_transaction_ids[1] then p_transaction_ids[1] end,
      case when v_name = p_transaction_ids[1] then p_user_id end,
      case when v_name = p_transaction_ids[1] then p_source end,
      case when v_name = p_transaction_ids[1] and p_user_id is not null then credits_private.now() end
    )
    on conflict (store, environment, transaction_id) do nothing
    returning c.* into v_claim;
    continue when found and v_claim.alias_of is not null;
    if not found then
      loop
        update credits_private.purchase_claims as c
        set looks = c.looks + 1
        where c.store = p_store and c.environment = p_environment and c.transaction_id = v_name
        returning c.* into v_claim;
        exit when v_claim.alias_of is null;
        v_name := v_claim.alias_of;
      end loop;
    end if;
    if v_claim.transaction_id <> all (v_roots) then
      v_roots := v_roots || v_claim.transaction_id;
    end if;
  end loop;
  if cardinality(v_roots) > 1 then
    v_claim := credits_private.join_claims(p_store, p_environment, v_roots, p_transaction_ids);
  elsif v_claim.transaction_id <> v_roots[1] then
    select c.* into v_claim
    from credits_private.purchase_claims as c
    where c.store = p_store and c.environment = p_environment and c.transaction_id = v_roots[1];
  end if;
  if v_claim.user_id is null and not v_claim.is_closed and p_user_id is not null then
    update credits_private.purchase_claims as c
    set user_id = p_user_id, source = p_source, claimed_at = credits_private.now()
    where c.store = p_store and c.environment = p_environment and c.transaction_id = v_claim.transaction_id
    returning c.* into v_claim;
  end if;
  return v_claim;
end;
$$;

comment on function credits_private.open_transaction(uuid, text, text, text, text[]) is
  'Locks the claim of a transaction, made where there is none, claimed for a user where one is given. Raises PT409 purchase_conflict.';

revoke all on function credits_private.open_transaction(uuid, text, text, text, text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/keep_fact.sql
-- keep_fact: writes down what a store said about a transaction; told again or further on, the fact grows.

create or replace function credits_private.keep_fact(
  p_claim credits_private.purchase_claims,
  p_kind text,
  p_ref text,
  p_product_id text,
  p_stage integer,
  p_cents bigint,
  p_basis_cents bigint,
  p_currency text,
  p_credits bigint,
  p_until timestamptz
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  insert into credits_private.purchase_facts as f (
    store, environment, transaction_id, kind, ref, product_id, stage, cents, basis_cents, currency, credits, until
  )
  values (
    p_claim.store, p_claim.environment, p_claim.transaction_id, p_kind, p_ref, p_product_id, p_stage, p_cents,
    p_basis_cents, p_currency, p_credits, p_until
  )
  on conflict (store, environment, transaction_id, kind, ref) do update
  set
    stage = greatest(f.stage, excluded.stage),
    cents = greatest(f.cents, excluded.cents),
    basis_cents = greatest(f.basis_cents, excluded.basis_cents),
    until = greatest(f.until, excluded.until);
end;
$$;

comment on function credits_private.keep_fact(
  credits_private.purchase_claims, text, text, text, integer, bigint, bigint, text, bigint, timestamptz
) is
  'Writes down a fact of a locked transaction; a known one takes the greater figures.';

revoke all on function credits_private.keep_fact(
  credits_private.purchase_claims, text, text, text, integer, bigint, bigint, text, bigint, timestamptz
) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refunded_share.sql
-- refunded_share: how much of a purchase has gone back, by all that is known of it.
--
-- The fold over its facts, and a pure question: the same facts give the same answer, in whatever order they came. Money
-- goes back by refunds (the greater of what a charge adds up to and what its refunds do by id, less those that failed) and by
-- disputes that were opened or lost; a refund and a dispute of the same money count once, since nothing goes back twice. Money
-- is measured against what was paid for the credits, without tax on top.

create or replace function credits_private.refunded_share(
  p_purchase public.purchase_transactions
)
  returns numeric
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_share numeric;
begin
  select
    -- three thirds are a whole
    least(1, round(
      greatest(
        coalesce(sum(s.share) filter (where s.kind = 'refund' and s.stage = 1), 0),
        coalesce(sum(s.share) filter (where s.kind = 'refunded'), 0)
          - coalesce(sum(s.share) filter (where s.kind = 'refund' and s.stage = 2), 0)
      )
      + coalesce(sum(s.share) filter (where s.kind = 'dispute' and s.stage between 1 and 3), 0),
      12
    ))
  into v_share
  from (
    select
      f.kind,
      f.stage,
      case
        when f.credits is not null then f.credits / nullif(t.credits, 0)
        when f.cents is null then 1
        when f.currency <> p_purchase.currency then coalesce(f.cents / nullif(f.basis_cents, 0)::numeric, 1)
        else coalesce(f.cents / nullif(least(t.cents, f.basis_cents, t.basis_cents), 0), 1)
      end as share
    from credits_private.purchase_facts as f
    cross join (
      -- what the whole transaction was paid for, and what its charges came to
      select
        sum(p.credits) as credits,
        greatest(
          case when bool_and(p.price_cents is not null) then sum(p.price_cents) end,
          (
            select max(b.cents)
            from credits_private.purchase_facts as b
            where b.store = p_purchase.store
              and b.environment = p_purchase.environment
              and b.transaction_id = p_purchase.transaction_id
              and b.kind = 'total'
          )
        ) as cents,
        (
          select max(b.basis_cents)
          from credits_private.purchase_facts as b
          where b.store = p_purchase.store
            and b.environment = p_purchase.environment
            and b.transaction_id = p_purchase.transaction_id
        )::numeric as basis_cents
      from public.purchase_transactions as p
      where p.user_id = p_purchase.user_id
        and p.store = p_purchase.store
        and p.environment = p_purchase.environment
        and p.transaction_id = p_purchase.transaction_id
    ) as t
    where f.store = p_purchase.store
      and f.environment = p_purchase.environment
      and f.transaction_id = p_purchase.transaction_id
      and f.kind in ('refund', 'refunded', 'dispute')
      -- a name that is no purchase here is another source's word for what is
      and (
        f.product_id is null
        or f.product_id = p_purchase.product_id
        or not exists (
          select
          from public.purchase_transactions as o
          where o.user_id = p_purchase.user_id
            and o.store = p_purchase.store
            and o.environment = p_purchase.environment
            and o.transaction_id = p_purchase.transaction_id
            and o.product_id = f.product_id
        )
      )
      and not exists (
        select
        from credits_private.purchase_facts as r
        where r.store = f.store
          and r.environment = f.environment
          and r.transaction_id = f.transaction_id
          and r.kind = 'reversal'
          and r.ref = f.ref
      )
  ) as s;
  return v_share;
end;
$$;

comment on function credits_private.refunded_share(public.purchase_transactions) is
  'The part of a purchase that has gone back, from 0 to 1.';

revoke all on function credits_private.refunded_share(public.purchase_transactions) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refresh_entitlements.sql
-- refresh_entitlements: what purchases and grants together give a user, and until when.
--
-- For the entitlements that something just happened to. The longest of what was bought and not refunded (and not
-- transferred away), and of what was granted; nothing of either, and the row goes. The last lock of a transaction, one by user,
-- because a purchase may give an entitlement to somebody whose balance is not locked.

create or replace function credits_private.refresh_entitlements(
  p_user_id uuid,
  p_entitlements text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_name pg_catalog.text;
  v_store pg_catalog.text;
  v_until pg_catalog.timestamptz;
  v_row public.user_entitlements;
begin
  if p_user_id = '00000000-0000-0000-0000-000000000000' then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('credits_private.user_entitlements:' || p_user_id::pg_catalog.text, 0));
  foreach v_name in array p_entitlements loop
    select b.store, b.until
    into v_store, v_until
    from (
      select p.store, coalesce(p.entitled_until, 'infinity') as until
      from public.purchase_transactions as p
      join credits_private.purchase_claims as c
        on c.store = p.store and c.environment = p.environment and c.transaction_id = p.transaction_id
      where p.user_id = p_user_id
        and p.status = 'completed'
        and v_name = any (p.entitlements)
        and coalesce(c.entitled_user_id, p_user_id) = p_user_id
      union all
      select p.store, coalesce(p.entitled_until, 'infinity')
      from credits_private.purchase_claims as c
      join public.purchase_transactions as p
        on p.user_id = c.user_id
        and p.store = c.store
        and p.environment = c.environment
        and p.transaction_id = c.transaction_id
      where c.entitled_user_id = p_user_id and p.status = 'completed' and v_name = any (p.entitlements)
    ) as b
    order by b.until desc, b.store
    limit 1;
    select e.* into v_row
    from public.user_entitlements as e
    where e.user_id = p_user_id and e.entitlement = v_name;
    if v_row.granted_by is not null and (v_until is null or v_until < coalesce(v_row.granted_until, 'infinity')) then
      v_store := v_row.granted_by;
      v_until := coalesce(v_row.granted_until, 'infinity');
    end if;
    if v_until is null then
      delete from public.user_entitlements as e where e.user_id = p_user_id and e.entitlement = v_name;
    elsif v_row.user_id is null
      or (v_row.active_until, v_row.source) is distinct from (nullif(v_until, 'infinity'), v_store)
    then
      insert into public.user_entitlements as e (user_id, entitlement, active_until, source, updated_at)
      values (p_user_id, v_name, nullif(v_until, 'infinity'), v_store, credits_private.now())
      on conflict (user_id, entitlement) do update
      set
        active_until = excluded.active_until,
        source = excluded.source,
        updated_at = excluded.updated_at;
    end if;
  end loop;
end;
$$;

comment on function credits_private.refresh_entitlements(uuid, text[]) is
  'Brings entitlements of a user to what purchases and grants give.';

revoke all on function credits_private.refresh_entitlements(uuid, text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/name_purchase.sql
-- name_purchase: the metadata of every ledger row of a purchase, by which it is found again.

create or replace function credits_private.name_purchase(
  p_purchase public.purchase_transactions
)
  returns jsonb
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return jsonb_build_object(
    'store', p_purchase.store, 'environment', p_purchase.environment, 'transaction_id', p_purchase.transaction_id,
    'product_id', p_purchase.product_id
  );
end;
$$;

comment on function credits_private.name_purchase(public.purchase_transactions) is
  'The store, environment, transaction and product of a purchase, as a JSON object.';

revoke all on function credits_private.name_purchase(public.purchase_transactions) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/grant_purchase.sql
-- grant_purchase: posts the ledger row of a purchase that was paid for. The key of the row is the second guard against twice.

create or replace function credits_private.grant_purchase(
  p_purchase public.purchase_transactions
)
  returns bigint
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  if p_purchase.credits = 0 then
    return null;
  end if;
  return (credits_private.post(
    p_purchase.user_id, 'purchase', p_purchase.credits, 'Purchase of ' || p_purchase.product_id,
    credits_private.name_purchase(p_purchase),
    'credits:purchase:' || encode(
      sha256(convert_to(
        jsonb_build_array(
          p_purchase.store, p_purchase.environment, p_purchase.transaction_id, p_purchase.product_id
        )::pg_catalog.text,
        'UTF8'
      )),
      'hex'
    )
  )).seq;
end;
$$;

comment on function credits_private.grant_purchase(public.purchase_transactions) is
  'Posts the ledger row of a paid purchase and returns its seq; null for one worth no credits. Raises PT422 balance_limit.';

revoke all on function credits_private.grant_purchase(public.purchase_transactions) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/period_end.sql
-- period_end: until when the entitlements of a purchase last, by all that is known of it.
--
-- The latest end that was paid for or extended to; for ever where no source names one; cut off where it expired.

create or replace function credits_private.period_end(
  p_purchase public.purchase_transactions
)
  returns timestamptz
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_until pg_catalog.timestamptz;
begin
  select
    least(
      case
        when bool_or(f.ref like 'forever:%')
          and coalesce(max(f.until) filter (where f.ref not like 'expired:%') <= to_timestamp(0), true)
        then 'infinity'
        else max(f.until) filter (where f.ref not like 'expired:%')
      end,
      max(f.until) filter (where f.ref like 'expired:%')
    )
  into v_until
  from credits_private.purchase_facts as f
  where f.store = p_purchase.store
    and f.environment = p_purchase.environment
    and f.transaction_id = p_purchase.transaction_id
    and f.kind = 'period'
    and (
      f.product_id = p_purchase.product_id
      or not exists (
        select
        from public.purchase_transactions as o
        where o.user_id = p_purchase.user_id
          and o.store = p_purchase.store
          and o.environment = p_purchase.environment
          and o.transaction_id = p_purchase.transaction_id
          and o.product_id = f.product_id
      )
    );
  return nullif(v_until, 'infinity');
end;
$$;

comment on function credits_private.period_end(public.purchase_transactions) is
  'The end of the entitlements of a purchase, null for ever.';

revoke all on function credits_private.period_end(public.purchase_transactions) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/settle_transaction.sql
-- settle_transaction: brings the ledger to what is known of a transaction.
--
-- Grants what was paid for and not granted, then posts the difference between what has been taken back and what should be:
-- a clawback or its reversal. A target and not a delta, so it may run as often as one likes, and finishes whatever a crash
-- left. The caller holds the balance of the claimant and the claim.

create or replace function credits_private.settle_transaction(
  p_claim credits_private.purchase_claims
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_purchase public.purchase_transactions;
  v_was public.purchase_transactions;
  v_share numeric;
  v_change bigint;
  v_exact numeric := 0::numeric;
  v_rounded bigint := 0::bigint;
begin
  for v_was in
    select p.*
    from public.purchase_transactions as p
    where p.user_id = p_claim.user_id
      and p.store = p_claim.store
      and p.environment = p_claim.environment
      and p.transaction_id = p_claim.transaction_id
      and p.verified_at is not null
    order by p.product_id
  loop
    v_purchase := v_was;
    if v_was.seq is null then
      v_purchase.seq := credits_private.grant_purchase(v_was);
    end if;
    v_share := credits_private.refunded_share(v_was);
    -- rounded so that the parts of a transaction come to the rounded whole
    v_exact := v_exact + v_was.credits * v_share;
    v_purchase.refunded_credits := round(v_exact)::bigint - v_rounded;
    v_rounded := v_rounded + v_purchase.refunded_credits;
    v_purchase.status := case
      when v_share >= 1 and not exists (
        select
        from credits_private.purchase_facts as f
        where f.store = v_was.store
          and f.environment = v_was.environment
          and f.transaction_id = v_was.transaction_id
          and f.kind = 'refund'
          and f.ref = 'trial:' || v_was.product_id
      ) then 'refunded'
      else 'completed'
    end::public.purchase_status;
    v_change := v_was.refunded_credits - v_purchase.refunded_credits;
    if v_change < 0 then
      perform credits_private.post(
        v_was.user_id, 'clawback', v_change, 'Refund of ' || v_was.product_id, credits_private.name_purchase(v_was), null
      );
    elsif v_change > 0 then
      perform credits_private.post(
        v_was.user_id, 'clawback_reversal', v_change, 'Refund of ' || v_was.product_id || ' taken back',
        credits_private.name_purchase(v_was), null
      );
    end if;
    if v_was.entitlements <> '{}' then
      v_purchase.entitled_until := credits_private.period_end(v_was);
    end if;
    if v_purchase is distinct from v_was then
      update public.purchase_transactions as p
      set
        status = v_purchase.status,
        refunded_credits = v_purchase.refunded_credits,
        entitled_until = v_purchase.entitled_until,
        seq = v_purchase.seq
      where p.user_id = v_was.user_id
        and p.store = v_was.store
        and p.environment = v_was.environment
        and p.transaction_id = v_was.transaction_id
        and p.product_id = v_was.product_id;
    end if;
    if v_was.entitlements <> '{}' then
      perform credits_private.refresh_entitlements(
        coalesce(p_claim.entitled_user_id, v_was.user_id), v_was.entitlements
      );
    end if;
  end loop;
end;
$$;

comment on function credits_private.settle_transaction(credits_private.purchase_claims) is
  'Grants and takes back what is due for a claimed and locked transaction. Raises PT422 balance_limit.';

revoke all on function credits_private.settle_transaction(credits_private.purchase_claims) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/find_product.sql
-- find_product: the product of a payment, checked against what was paid.
--
-- The store's own row comes before that of any store. A price is checked where both sides name one: paying less than the
-- product costs, or in another currency, is not credited.

create or replace function credits_private.find_product(
  p_fact credits_private.store_fact,
  p_at timestamptz
)
  returns public.credit_products
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_product public.credit_products;
begin
  select p.* into v_product
  from public.credit_products as p
  where p.product_id = p_fact.product_id
    and p.store in (p_fact.store, 'any')
    and (p.active_from is null or p.active_from <= p_at)
    and (p.active_to is null or p.active_to > p_at)
  order by p.store = 'any'
  limit 1;
  if not found then
    if p_fact.store = 'promotional' then
      v_product.credits := 0;
      v_product.bonus_credits := 0;
      v_product.trial_credits := 0;
      return v_product;
    end if;
    raise exception using
      errcode = 'PT422',
      message = 'unknown_product',
      detail = json_build_object('store', p_fact.store, 'product_id', p_fact.product_id),
      hint = 'This product is not on sale here: credits-db products set.';
  end if;
  if p_fact.is_trial is not true
    and (
      p_fact.list_cents < v_product.price_cents * coalesce(p_fact.quantity, 1)
      or v_product.price_cents is not null and p_fact.list_cents is not null and p_fact.currency is distinct from v_product.currency
    )
  then
    raise exception using
      errcode = '22023',
      message = 'price_mismatch',
      detail = json_build_object(
        'store', p_fact.store, 'product_id', p_fact.product_id, 'price_cents', p_fact.list_cents,
        'currency', p_fact.currency, 'expected_cents', v_product.price_cents, 'expected_currency', v_product.currency
      ),
      hint = 'Less was paid than this product costs, or in another currency.';
  end if;
  if (v_product.credits + v_product.bonus_credits) * coalesce(p_fact.quantity, 1)::numeric > 1000000000000 then
    raise exception using
      errcode = '22023',
      message = 'invalid_amount',
      detail = json_build_object('quantity', p_fact.quantity, 'product_id', p_fact.product_id),
      hint = 'A purchase is worth at most 1000000000000 credits.';
  end if;
  return v_product;
end;
$$;

comment on function credits_private.find_product(credits_private.store_fact, timestamptz) is
  'The product of a payment. Raises PT422 unknown_product, 22023 price_mismatch or invalid_amount.';

revoke all on function credits_private.find_product(credits_private.store_fact, timestamptz) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/check_sandbox.sql
-- check_sandbox: may this user have credits for a test purchase?
--
-- TestFlight and App Review buy in the sandbox, and so does anybody with a test account: the setting sandbox decides.

create or replace function credits_private.check_sandbox(
  p_user_id uuid
)
  returns void
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_policy pg_catalog.text;
begin
  select s.value into v_policy from credits_private.settings as s where s.name = 'sandbox';
  if v_policy = 'allow'
    or v_policy = 'allow_listed' and p_user_id::pg_catalog.text = any (
      string_to_array((select s.value from credits_private.settings as s where s.name = 'sandbox_users'), ',')
    )
  then
    return;
  end if;
  raise exception using
    errcode = '22023',
    message = 'sandbox_denied',
    detail = json_build_object('sandbox', v_policy),
    hint = 'A test purchase is credited where the setting sandbox allows it: credits-db settings set sandbox allow_listed.';
end;
$$;

comment on function credits_private.check_sandbox(uuid) is
  'Passes a test purchase where the setting sandbox allows it. Raises 22023 sandbox_denied.';

revoke all on function credits_private.check_sandbox(uuid) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/correct_trial.sql
-- correct_trial: the purchase turns out to be a free trial.
--
-- RevenueCat's virtual currency event does not say so, and may come first; the purchase event does. The part that a trial is
-- not worth goes back, as a fact like any other.

create or replace function credits_private.correct_trial(
  p_claim credits_private.purchase_claims,
  p_purchase public.purchase_transactions,
  p_at timestamptz
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_fact credits_private.store_fact;
  v_trial bigint;
begin
  v_fact.store := p_purchase.store;
  v_fact.product_id := p_purchase.product_id;
  v_trial := (credits_private.find_product(v_fact, p_at)).trial_credits;
  if p_purchase.credits > v_trial then
    perform credits_private.keep_fact(
      p_claim, 'refund', 'trial:' || p_purchase.product_id, p_purchase.product_id, 1, null, null, null,
      p_purchase.credits - v_trial, null
    );
  end if;
end;
$$;

comment on function credits_private.correct_trial(credits_private.purchase_claims, public.purchase_transactions, timestamptz) is
  'Takes back what a trial is not worth.';

revoke all on function credits_private.correct_trial(credits_private.purchase_claims, public.purchase_transactions, timestamptz) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/record_payment.sql
-- record_payment: a product was bought, or is being paid for; whoever says so, it is one purchase.
--
-- Claim and grant are steps of their own, each right when it runs again. Balance first, then the claim, as everywhere. What
-- the product is worth is written down on the first call and holds for ever; a second source that tells of the same
-- transaction adds nothing, under whatever product name.

create or replace function credits_private.record_payment(
  p_user_id uuid,
  p_provider text,
  p_fact credits_private.store_fact,
  p_payload jsonb,
  p_at timestamptz
)
  returns public.purchase_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims;
  v_product public.credit_products;
  v_purchase public.purchase_transactions;
  v_now pg_catalog.timestamptz;
begin
  perform credits_private.lock_account(p_user_id);
  v_now := credits_private.now();
  v_claim := credits_private.open_transaction(
    p_user_id, p_fact.source, p_fact.store, p_fact.environment, p_fact.transaction_ids
  );
  if v_claim.is_closed then
    raise exception using
      errcode = 'PT410',
      message = 'account_closed',
      detail = '{}',
      hint = 'This transaction belonged to an account that was deleted: it is not credited again.';
  elsif v_claim.user_id <> p_user_id then
    raise exception using
      errcode = 'PT409',
      message = 'purchase_conflict',
      detail = json_build_object('store', p_fact.store, 'transaction_id', p_fact.transaction_ids[1]),
      hint = 'This transaction has been credited already.';
  end if;

  select p.* into v_purchase
  from public.purchase_transactions as p
  where p.user_id = p_user_id
    and p.store = v_claim.store
    and p.environment = v_claim.environment
    and p.transaction_id = v_claim.transaction_id
    and p.product_id = p_fact.product_id;
  if not found and v_claim.source <> p_fact.source then
    select p.* into v_purchase
    from public.purchase_transactions as p
    where p.user_id = p_user_id
      and p.store = v_claim.store
      and p.environment = v_claim.environment
      and p.transaction_id = v_claim.transaction_id
    order by p.product_id
    limit 1;
  end if;
  if v_purchase.user_id is not null then
    update public.purchase_transactions as p
    set
      verified_at = coalesce(p.verified_at, case when p_fact.stage = 2 then v_now end),
      status = case when p.status = 'pending' and p_fact.stage = 1 then 'failed' else p.status end,
      price_cents = least(
        p.price_cents, case when p_fact.currency = coalesce(p.currency, p_fact.currency) then p_fact.price_cents end
      ),
      currency = coalesce(p.currency, case when p_fact.price_cents is not null then p_fact.currency end),
      entitlements = case
        when p_fact.entitlements <@ p.entitlements is not false then p.entitlements
        else array(select e.name from unnest(p.entitlements || p_fact.entitlements) as e (name) group by e.name order by e.name)
      end
    where p.user_id = p_user_id
      and p.store = v_purchase.store
      and p.environment = v_purchase.environment
      and p.transaction_id = v_purchase.transaction_id
      and p.product_id = v_purchase.product_id
    returning p.* into v_purchase;
  else
    v_product := credits_private.find_product(p_fact, p_at);
    if p_fact.environment <> 'PRODUCTION' then
      perform credits_private.check_sandbox(p_user_id);
    end if;
    v_purchase.user_id := p_user_id;
    v_purchase.store := v_claim.store;
    v_purchase.environment := v_claim.environment;
    v_purchase.transaction_id := v_claim.transaction_id;
    v_purchase.product_id := p_fact.product_id;
    v_purchase.quantity := coalesce(p_fact.quantity, 1);
    v_purchase.credits := v_purchase.quantity * case
      when p_fact.is_trial then v_product.trial_credits
      else v_product.credits + v_product.bonus_credits
    end;
    v_purchase.entitlements := coalesce(p_fact.entitlements, '{}');
    if v_product.entitlement <> all (v_purchase.entitlements) and v_product.entitlement is not null then
      v_purchase.entitlements := array(
        select e.name from unnest(v_purchase.entitlements || v_product.entitlement) as e (name) order by e.name
      );
    end if;
    v_purchase.created_at := v_now;
    v_purchase.status :=
      case p_fact.stage when 0 then 'pending' when 1 then 'failed' else 'completed' end::public.purchase_status;
    if p_fact.stage = 2 then
      v_purchase.verified_at := v_now;
      v_purchase.seq := credits_private.grant_purchase(v_purchase);
    end if;
    insert into public.purchase_transactions as p (
      user_id, store, environment, transaction_id, product_id, provider, status, credits, quantity, price_cents,
      currency, entitlements, entitled_until, seq, payload, verified_at, created_at
    )
    values (
      p_user_id, v_purchase.store, v_purchase.environment, v_purchase.transaction_id, v_purchase.product_id, p_provider,
      v_purchase.status, v_purchase.credits, v_purchase.quantity, p_fact.price_cents, p_fact.currency,
      v_purchase.entitlements, p_fact.until, v_purchase.seq, p_payload, v_purchase.verified_at, v_purchase.created_at
    )
    returning p.* into v_purchase;
  end if;

  if v_purchase.entitlements <> '{}' and p_fact.stage = 2 then
    perform credits_private.keep_fact(
      v_claim, 'period', case when p_fact.until is null then 'forever:' else 'paid:' end || v_purchase.product_id,
      v_purchase.product_id, 1, null, null, null, null, p_fact.until
    );
  end if;
  if p_fact.basis_cents is not null and p_fact.stage = 2 then
    perform credits_private.keep_fact(
      v_claim, 'total', '', null, 1, p_fact.basis_cents, null, p_fact.currency, null, null
    );
  end if;
  if p_fact.is_trial and v_purchase.payload ->> 'type' = 'VIRTUAL_CURRENCY_TRANSACTION' then
    perform credits_private.correct_trial(v_claim, v_purchase, p_at);
  end if;
  -- an ordinary purchase is complete by now: no fact is known of it
  if v_purchase.verified_at is not null and v_purchase.seq is null or exists (
    select
    from credits_private.purchase_facts as f
    where f.store = v_claim.store and f.environment = v_claim.environment and f.transaction_id = v_claim.transaction_id
  ) then
    perform credits_private.settle_transaction(v_claim);
    select p.* into v_purchase
    from public.purchase_transactions as p
    where p.user_id = p_user_id
      and p.store = v_purchase.store
      and p.environment = v_purchase.environment
      and p.transaction_id = v_purchase.transaction_id
      and p.product_id = v_purchase.product_id;
  end if;
  return v_purchase;
end;
$$;

comment on function credits_private.record_payment(
  uuid, text, credits_private.store_fact, jsonb, timestamptz
) is
  'Records a payment for a user, credits it once, and returns the purchase. Raises PT409 purchase_conflict, PT410 account_closed, PT422 unknown_product or balance_limit, and 22023.';

revoke all on function credits_private.record_payment(
  uuid, text, credits_private.store_fact, jsonb, timestamptz
) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/record_fact.sql
-- record_fact: money went back, came back, or a period ended; the purchase follows, if it is here already.
--
-- The claimant's balance is locked before the claim. If the claimant turns out to be another under the lock of the claim
-- (the purchase came in between), their balance is taken without waiting, or the caller tries again: it waits for nobody out of turn.

create or replace function credits_private.record_fact(
  p_fact credits_private.store_fact
)
  returns uuid
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_user_id pg_catalog.uuid := (
    credits_private.find_claim(p_fact.store, p_fact.environment, p_fact.transaction_ids)
  ).user_id;
  v_claim credits_private.purchase_claims;
begin
  if v_user_id is not null then
    perform credits_private.lock_account(v_user_id);
  end if;
  v_claim := credits_private.open_transaction(null, null, p_fact.store, p_fact.environment, p_fact.transaction_ids);
  if v_claim.is_closed then
    raise exception using
      errcode = 'PT410',
      message = 'account_closed',
      detail = '{}',
      hint = 'This transaction belonged to an account that was deleted.';
  end if;
  if v_claim.user_id <> v_user_id or v_user_id is null then
    perform from public.user_credits as a where a.user_id = v_claim.user_id for no key update skip locked;
    if v_claim.user_id is not null and not found then
      raise deadlock_detected using
        message = 'claimed_meanwhile',
        detail = '{}',
        hint = 'The purchase came in between: try again.';
    end if;
  end if;
  if p_fact.kind <> 'link' then
    perform credits_private.keep_fact(
      v_claim, p_fact.kind, p_fact.ref, p_fact.product_id, p_fact.stage, p_fact.cents, p_fact.basis_cents,
      p_fact.currency, null, p_fact.until
    );
  end if;
  if v_claim.user_id is not null then
    perform credits_private.settle_transaction(v_claim);
  end if;
  return v_claim.user_id;
end;
$$;

comment on function credits_private.record_fact(credits_private.store_fact) is
  'Writes down a fact and brings the purchase to it. Returns whose purchase it is, or null while that is unknown. Raises PT410 account_closed.';

revoke all on function credits_private.record_fact(credits_private.store_fact) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/grant_entitlement.sql
-- grant_entitlement: the engine of grant_entitlement_for, and what a transfer brings.

create or replace function credits_private.grant_entitlement(
  p_user_id uuid,
  p_entitlement text,
  p_active_until timestamptz,
  p_granted_by text
)
  returns public.user_entitlements
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_row public.user_entitlements;
begin
  if (length(p_entitlement) between 1 and 100) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'entitlement', 'length', length(p_entitlement)),
      hint = 'An entitlement is a word of 1 to 100 characters.';
  end if;
  perform credits_private.lock_account(p_user_id);
  insert into public.user_entitlements as e (
    user_id, entitlement, active_until, source, granted_by, granted_until, updated_at
  )
  values (
    p_user_id, p_entitlement, p_active_until, p_granted_by, p_granted_by, p_active_until, credits_private.now()
  )
  on conflict (user_id, entitlement) do update
  set
    granted_by = excluded.granted_by,
    granted_until = case
      when excluded.granted_by = 'transfer' and e.granted_by is not null
        then nullif(greatest(coalesce(e.granted_until, 'infinity'), coalesce(excluded.granted_until, 'infinity')), 'infinity')
      else excluded.granted_until
    end;
  perform credits_private.refresh_entitlements(p_user_id, array[p_entitlement]);
  select e.* into v_row
  from public.user_entitlements as e
  where e.user_id = p_user_id and e.entitlement = p_entitlement;
  return v_row;
end;
$$;

comment on function credits_private.grant_entitlement(uuid, text, timestamptz, text) is
  'Grants an entitlement and returns its row. Raises PT401, PT404 account_not_found and 22023 invalid_argument.';

revoke all on function credits_private.grant_entitlement(uuid, text, timestamptz, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/transfer_entitlements.sql
-- transfer_entitlements: moves what users bought in a store to another user, entitlements alone.
--
-- What RevenueCat calls a TRANSFER. Credits stay with who claimed them, spent or not, and so do their refunds: otherwise
-- buying, transferring and restoring would multiply them. A refund or a renewal of the purchase then moves the entitlement of
-- who has it now.

create or replace function credits_private.transfer_entitlements(
  p_user_id uuid,
  p_former uuid[],
  p_store text,
  p_environment text
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_former pg_catalog.uuid[] := array_remove(p_former, p_user_id);
  v_names pg_catalog.text[];
  v_grant record;
  v_user_id pg_catalog.uuid;
begin
  perform credits_private.lock_account(p_user_id);
  with moved as (
    update credits_private.purchase_claims as c
    set entitled_user_id = nullif(p_user_id, c.user_id)
    where c.store = p_store
      and c.environment = p_environment
      and (c.user_id = any (v_former) and c.entitled_user_id is null or c.entitled_user_id = any (v_former))
    returning c.user_id, c.store, c.environment, c.transaction_id
  )
  select array_agg(distinct n.name) into v_names
  from moved as m
  join public.purchase_transactions as p
    on p.user_id = m.user_id
    and p.store = m.store
    and p.environment = m.environment
    and p.transaction_id = m.transaction_id
  cross join lateral unnest(p.entitlements) as n (name);
  for v_grant in
    update public.user_entitlements as e
    set granted_by = null
    where e.user_id = any (v_former) and e.granted_by = 'transfer'
    returning e.entitlement, e.granted_until
  loop
    perform credits_private.grant_entitlement(p_user_id, v_grant.entitlement, v_grant.granted_until, 'transfer');
    v_names := v_names || v_grant.entitlement;
  end loop;
  for v_user_id in select distinct u.id from unnest(v_former || p_user_id) as u (id) order by u.id loop
    perform credits_private.refresh_entitlements(v_user_id, coalesce(v_names, '{}'));
  end loop;
end;
$$;

comment on function credits_private.transfer_entitlements(uuid, uuid[], text, text) is
  'Moves the entitlements of purchases in a store from some users to another. Credits stay.';

revoke all on function credits_private.transfer_entitlements(uuid, uuid[], text, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/read_entitlement.sql
-- read_entitlement: may this user use it now?

create or replace function credits_private.read_entitlement(
  p_user_id uuid,
  p_entitlement text
)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return exists (
    select
    from public.user_entitlements as e
    where e.user_id = p_user_id
      and e.entitlement = p_entitlement
      and (e.active_until is null or e.active_until > credits_private.now())
  );
end;
$$;

comment on function credits_private.read_entitlement(uuid, text) is
  'Whether an entitlement of a user is active by the clock of the database.';

revoke all on function credits_private.read_entitlement(uuid, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/record_purchase.sql
-- record_purchase: the engine of record_purchase_for.

create or replace function credits_private.record_purchase(
  p_user_id uuid,
  p_store text,
  p_transaction_id text,
  p_product_id text,
  p_price_cents bigint,
  p_currency text,
  p_environment text,
  p_payload jsonb,
  p_quantity integer
)
  returns public.purchase_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_fact credits_private.store_fact;
  v_wrong pg_catalog.text := case
    when (lower(p_store) ~ '^[a-z][a-z0-9_]{0,49}$' and lower(p_store) <> 'any') is not true then 'store'
    when (length(p_transaction_id) between 1 and 255) is not true then 'transaction_id'
    when (length(p_product_id) between 1 and 255) is not true then 'product_id'
    when p_price_cents not between 0 and 1000000000000 then 'price_cents'
    when (p_price_cents is null) <> (p_currency is null) or p_currency !~* '^[a-z]{3}$' then 'currency'
    when (p_environment in ('PRODUCTION', 'SANDBOX')) is not true then 'environment'
    when (p_quantity between 1 and 999999) is not true then 'quantity'
    when (jsonb_typeof(p_payload) = 'object') is not true
      or pg_column_size(p_payload || '{}') > 65536
      or jsonb_path_exists(p_payload, '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))')
    then 'payload'
  end;
begin
  if v_wrong is not null then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', v_wrong),
      hint = case v_wrong
        when 'store' then 'A store is a word in lowercase: app_store, play_store, stripe, ...'
        when 'price_cents' then 'A price is a whole number of the smallest unit, 0 or more.'
        when 'currency' then 'A price has a currency, three letters, and a currency has a price.'
        when 'environment' then 'An environment is PRODUCTION or SANDBOX.'
        when 'quantity' then 'A quantity is a whole number from 1 to 999999.'
        when 'payload' then 'A payload is a JSON object of at most 64 kB, with numbers up to 1e308.'
        else 'An id has 1 to 255 characters.'
      end;
  end if;
  v_fact.store := lower(p_store);
  v_fact.environment := p_environment;
  v_fact.transaction_ids := array[p_transaction_id];
  v_fact.product_id := p_product_id;
  v_fact.stage := 2;
  v_fact.source := 'manual';
  v_fact.quantity := p_quantity;
  v_fact.price_cents := p_price_cents;
  v_fact.list_cents := p_price_cents;
  v_fact.currency := upper(p_currency);
  return credits_private.record_payment(p_user_id, 'manual', v_fact, p_payload, credits_private.now());
exception
  when sqlstate '22023' then
    if sqlerrm in ('price_mismatch', 'sandbox_denied') then
      raise exception using
        errcode = '22023',
        message = 'invalid_argument',
        detail = json_build_object(
          'argument', case sqlerrm when 'price_mismatch' then 'price_cents' else 'environment' end, 'reason', sqlerrm
        ),
        hint = case sqlerrm
          when 'price_mismatch' then 'Less was paid than this product costs, or in another currency.'
          else 'A test purchase is credited where the setting sandbox allows it.'
        end;
    end if;
    raise;
end;
$$;

comment on function credits_private.record_purchase(
  uuid, text, text, text, bigint, text, text, jsonb, integer
) is
  'Records a purchase that a service vouches for, credits it once, and returns it. Raises what record_purchase_for raises.';

revoke all on function credits_private.record_purchase(
  uuid, text, text, text, bigint, text, text, jsonb, integer
) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refund_purchase.sql
-- refund_purchase: the engine of public.refund_purchase.
--
-- A fact like those that stores send, named by the refund's id: the same id again changes nothing, and with another amount
-- it is refused.

create or replace function credits_private.refund_purchase(
  p_store text,
  p_transaction_id text,
  p_refund_id text,
  p_credits bigint,
  p_environment text
)
  returns public.purchase_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_user_id pg_catalog.uuid := (
    credits_private.find_claim(lower(p_store), p_environment, array[p_transaction_id])
  ).user_id;
  v_claim credits_private.purchase_claims;
  v_known credits_private.purchase_facts;
  v_purchase public.purchase_transactions;
begin
  if (length(p_refund_id) between 1 and 255) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'refund_id', 'length', length(p_refund_id)),
      hint = 'A refund has an id of 1 to 255 characters, so that it is not applied twice.';
  end if;
  if p_credits not between 1 and 1000000000000 then
    raise exception using
      errcode = '22023',
      message = 'invalid_amount',
      detail = json_build_object('amount', p_credits),
      hint = 'An amount is a whole number of credits from 1 to 1000000000000.';
  end if;
  if v_user_id is null then
    raise exception using
      errcode = 'PT404',
      message = 'transaction_not_found',
      detail = json_build_object('store', p_store, 'transaction_id', p_transaction_id),
      hint = 'No purchase is known under this transaction.';
  end if;
  perform credits_private.lock_account(v_user_id);
  v_claim := credits_private.open_transaction(null, null, lower(p_store), p_environment, array[p_transaction_id]);
  select f.* into v_known
  from credits_private.purchase_facts as f
  where f.store = v_claim.store
    and f.environment = v_claim.environment
    and f.transaction_id = v_claim.transaction_id
    and f.kind = 'refund'
    and f.ref = p_refund_id;
  if found and v_known.credits is distinct from p_credits then
    raise exception using
      errcode = 'PT422',
      message = 'idempotency_key_reused',
      detail = json_build_object('refund_id', p_refund_id, 'credits', v_known.credits),
      hint = 'This refund is known with another amount: use a new id for another refund.';
  end if;
  perform credits_private.keep_fact(v_claim, 'refund', p_refund_id, null, 1, null, null, null, p_credits, null);
  perform credits_private.settle_transaction(v_claim);
  select p.* into v_purchase
  from public.purchase_transactions as p
  where p.user_id = v_user_id
    and p.store = v_claim.store
    and p.environment = v_claim.environment
    and p.transaction_id = v_claim.transaction_id
  order by p.product_id
  limit 1;
  return v_purchase;
end;
$$;

comment on function credits_private.refund_purchase(text, text, text, bigint, text) is
  'Takes back all of a purchase, or so many credits of it, and returns the purchase. Raises what public.refund_purchase raises.';

revoke all on function credits_private.refund_purchase(text, text, text, bigint, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refuse_stranger.sql
-- refuse_stranger: nobody here has this name; unless the transaction is of somebody who has left.

create or replace function credits_private.refuse_stranger(
  p_fact credits_private.store_fact
)
  returns void
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  if (credits_private.find_claim(p_fact.store, p_fact.environment, p_fact.transaction_ids)).is_closed then
    raise exception using
      errcode = 'PT410',
      message = 'account_closed',
      detail = '{}',
      hint = 'This transaction belonged to an account that was deleted.';
  end if;
  raise exception using
    errcode = 'PT404',
    message = 'unknown_user',
    detail = json_build_object('names', cardinality(p_fact.names)),
    hint = 'No account has one of these names yet: the event waits for its user.';
end;
$$;

comment on function credits_private.refuse_stranger(credits_private.store_fact) is
  'Raises PT404 unknown_user, or PT410 account_closed.';

revoke all on function credits_private.refuse_stranger(credits_private.store_fact) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/is_not_sold.sql
-- is_not_sold: is this line of an invoice no product of ours, beside another line that is?

create or replace function credits_private.is_not_sold(
  p_fact credits_private.store_fact,
  p_facts credits_private.store_fact[]
)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  return not exists (
    select
    from public.credit_products as p
    where p.product_id = p_fact.product_id and p.store in (p_fact.store, 'any')
  )
  and exists (
    select
    from unnest(p_facts) as f
    join public.credit_products as p on p.product_id = f.product_id and p.store in (f.store, 'any')
  );
end;
$$;

comment on function credits_private.is_not_sold(credits_private.store_fact, credits_private.store_fact[]) is
  'Whether a payment is of no product here, while another one of the same event is.';

revoke all on function credits_private.is_not_sold(credits_private.store_fact, credits_private.store_fact[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/apply_store_event.sql
-- apply_store_event: does what the facts of an event say.
--
-- Runs in a subtransaction of attempt_store_event: whatever it raises undoes all of it and becomes the reason of the event.
-- Names are learned on the way (find_user), from events that change nothing else too.

create or replace function credits_private.apply_store_event(
  p_event credits_private.store_events,
  p_facts credits_private.store_fact[]
)
  returns credits_private.store_events
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_event credits_private.store_events := p_event;
  v_fact credits_private.store_fact;
  v_user_id pg_catalog.uuid;
  v_former pg_catalog.uuid[];
  v_unclaimed pg_catalog.text[];
  v_name pg_catalog.text;
  v_found pg_catalog.uuid;
begin
  v_event.state := 'ignored';
  v_event.reason := 'changes_nothing';
  foreach v_fact in array p_facts loop
    if v_fact.kind not in ('nothing', 'alias', 'transfer')
      and (v_fact.environment in ('PRODUCTION', 'SANDBOX')) is not true
    then
      perform credits_private.refuse_shape('environment');
    end if;
    case v_fact.kind
      when 'nothing' then
        v_user_id := credits_private.find_user(p_event.provider, v_fact.names, false);
        v_event.reason := v_fact.ref;
      when 'alias' then
        v_user_id := credits_private.find_user(p_event.provider, v_fact.names, false);
      when 'payment' then
        v_user_id := coalesce(
          credits_private.find_user(p_event.provider, v_fact.names, true),
          (credits_private.find_claim(v_fact.store, v_fact.environment, v_fact.transaction_ids)).user_id
        );
        if v_user_id is null then
          perform credits_private.refuse_stranger(v_fact);
        end if;
        -- an invoice may bill for things that are no business of ours, beside one that is
        continue when cardinality(p_facts) > 1 and credits_private.is_not_sold(v_fact, p_facts);
        perform credits_private.record_payment(
          v_user_id, p_event.provider, v_fact,
          jsonb_build_object('event_id', p_event.event_id, 'type', p_event.type), p_event.received_at
        );
        v_event.state := 'processed';
      when 'transfer' then
        if p_event.state = 'processed' then
          return p_event;  -- told again, it would undo the transfers after it
        end if;
        v_user_id := credits_private.find_user(p_event.provider, v_fact.names, true);
        if v_user_id is null then
          perform credits_private.refuse_stranger(v_fact);
        end if;
        v_former := '{}';
        v_unclaimed := '{}';
        foreach v_name in array v_fact.former_names loop
          v_found := credits_private.find_user(p_event.provider, array[v_name], false);
          if v_found is null then
            v_unclaimed := v_unclaimed || v_name;
          else
            v_former := v_former || v_found;
          end if;
        end loop;
        perform credits_private.transfer_entitlements(
          v_user_id, v_former, v_fact.store, v_fact.environment
        );
        perform credits_private.find_user(
          -- other names of an account that we know stay its own
          p_event.provider, coalesce(v_former[1], v_user_id)::pg_catalog.text || v_unclaimed, false
        );
        v_event.state := 'processed';
      else
        v_user_id := credits_private.record_fact(v_fact);
        v_event.state := 'processed';
        if v_user_id is null then
          v_event.reason := 'before_purchase';
        end if;
        if v_fact.names <> '{}' then
          v_user_id := coalesce(v_user_id, credits_private.find_user(p_event.provider, v_fact.names, false));
        end if;
    end case;

    if v_event.state = 'processed' and v_event.reason = 'changes_nothing' then
      v_event.reason := null;
    end if;
    v_event.user_id := coalesce(v_user_id, v_event.user_id);
  end loop;
  return v_event;
end;
$$;

comment on function credits_private.apply_store_event(credits_private.store_events, credits_private.store_fact[]) is
  'Does what the facts of an event say, and returns the event with its state. Raises whatever stands in the way.';

revoke all on function credits_private.apply_store_event(credits_private.store_events, credits_private.store_fact[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/lock_names.sql
-- lock_names: a sign-up and an event that names its user come one after the other.
--
-- Neither sees the other before it has committed: without this, an event could park while its user signs up. Held to the end of
-- the transaction, taken in one order.

create or replace function credits_private.lock_names(
  p_names text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_name pg_catalog.text;
begin
  for v_name in
    select distinct n.name
    from unnest(p_names) as n (name)
    where n.name like '________-____-____-____-____________'
    order by n.name
  loop
    perform pg_advisory_xact_lock(hashtextextended('credits_private.store_event_names:' || v_name, 0));
  end loop;
end;
$$;

comment on function credits_private.lock_names(text[]) is
  'Locks the ids of users among these names, until the transaction ends.';

revoke all on function credits_private.lock_names(text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/name_store_event.sql
-- name_store_event: notes whom an event names, as long as it is nobody's or names others too.
--
-- So that a sign-up finds what waits for it, and a deletion every body with the user's id in it: of an event without a
-- user every id anywhere in the body, of another one those of its names that are not its user's.

create or replace function credits_private.name_store_event(
  p_event credits_private.store_events,
  p_names text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  insert into credits_private.store_event_names (name, provider, event_id)
  select n.name, p_event.provider, p_event.event_id
  from unnest(p_names) as n (name)
  where p_event.user_id is null
    or n.name like '________-____-____-____-____________' and n.name <> p_event.user_id::pg_catalog.text
  union
  select lower(m.match[1]), p_event.provider, p_event.event_id
  from regexp_matches(
    p_event.body::pg_catalog.text, '[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}', 'g'
  ) as m (match)
  where p_event.user_id is null
  on conflict (name, provider, event_id) do nothing;
end;
$$;

comment on function credits_private.name_store_event(credits_private.store_events, text[]) is
  'Notes the names in an event that are not its user''s.';

revoke all on function credits_private.name_store_event(credits_private.store_events, text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/attempt_store_event.sql
-- attempt_store_event: tries an event, and puts down what came of it.
--
-- The effect runs in a subtransaction: whatever goes wrong, a timeout included, undoes the effect and leaves an event that
-- says why, for the next call or for maintenance. A deadlock is tried again at once. Only a serialization failure is
-- raised, since a transaction that cannot see the present cannot put anything down either; the store sends again.

create or replace function credits_private.attempt_store_event(
  p_event credits_private.store_events,
  p_document jsonb
)
  returns credits_private.store_events
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_event credits_private.store_events := p_event;
  v_facts credits_private.store_fact[] := '{}'::credits_private.store_fact[];
  v_names pg_catalog.text[];
  v_name pg_catalog.text;
  v_is_shared boolean;
  v_is_locked boolean := false;
  v_state pg_catalog.text;
  v_message pg_catalog.text;
  v_detail pg_catalog.text;
begin
  v_event.attempts := p_event.attempts + 1;
  for v_attempt in 1 .. 6 loop
    begin
      if p_document is null then
        perform credits_private.refuse_shape('body');
      end if;
      v_facts := case p_event.provider
        when 'stripe' then credits_private.read_stripe_event(p_document)
        else credits_private.read_revenuecat_event(p_document)
      end;
      v_event.store := v_facts[1].store;
      v_event.environment := v_facts[1].environment;
      v_event.transaction_id := v_facts[1].transaction_ids[1];
      v_event.product_id := v_facts[1].product_id;
      v_event := credits_private.apply_store_event(v_event, v_facts);
      v_event.details := '{}';
      exit;
    exception
      when query_canceled or others then
        get stacked diagnostics
          v_state = returned_sqlstate,
          v_message = message_text,
          v_detail = pg_exception_detail;
        if v_state = '40001' then
          raise;
        end if;
        continue when v_state = '40P01' and v_attempt < 5;
        if v_message = 'unknown_user' and not v_is_locked then
          perform credits_private.lock_names(v_facts[1].names);
          v_is_locked := true;
          continue;  -- they may have signed up just now
        end if;
        v_event.state := case
          when v_message in ('unknown_user', 'account_not_found', 'ambiguous_user', 'unmapped_transaction') then 'parked'
          when v_message in ('sandbox_denied', 'account_closed') then 'ignored'
          when v_message in (
            'unknown_product', 'wrong_shape', 'price_mismatch', 'purchase_conflict', 'invalid_amount', 'balance_limit'
          ) then 'failed'
          -- a body that is JSON but holds what Postgres has no value for
          when v_state in ('22P02', '22P05', '22003', '22023', '22007', '22008', '54000') then 'failed'
          else 'pending'
        end::public.store_event_state;
        v_event.reason := case
          when v_message ~ '^[a-z_]+$' and v_state ~ '^(PT...|22023)$' then v_message
          when v_event.state = 'failed' then 'wrong_shape'
          else 'error'
        end;
        v_event.details := case
          when v_event.reason in ('error', 'wrong_shape') and v_state <> '22023'
            then jsonb_build_object('sqlstate', v_state, 'message', left(v_message, 500))
          else coalesce(nullif(v_detail, ''), '{}')::pg_catalog.jsonb
        end;
        exit;
    end;
  end loop;

  v_event.processed_at := credits_private.now();
  v_event.retry_at := case
    when v_event.state in ('pending', 'parked')
      then v_event.processed_at + least(interval '1 minute' * power(2, least(v_event.attempts, 20) - 1), interval '1 day')
  end;
  if p_event.retry_at is not null or p_event.attempts > 0 then
    delete from credits_private.store_event_names as n
    where n.provider = v_event.provider and n.event_id = v_event.event_id;
  end if;
  if v_event.reason = 'account_closed' then
    v_event.body_sha256 := encode(sha256(convert_to(v_event.body::pg_catalog.text, 'UTF8')), 'hex');
    v_event.body := null;
  else
    -- all facts of an event name the same people
    v_names := coalesce(v_facts[1].names || v_facts[1].former_names, '{}');
    v_is_shared := v_event.user_id is null;
    foreach v_name in array v_names loop
      v_is_shared := v_is_shared
        or v_name like '________-____-____-____-____________' and v_name <> v_event.user_id::pg_catalog.text;
    end loop;
    if v_is_shared then
      perform credits_private.name_store_event(v_event, v_names);
    end if;
  end if;
  return v_event;
end;
$$;

comment on function credits_private.attempt_store_event(credits_private.store_events, jsonb) is
  'Tries an event and returns it with its state. Raises 40001 alone.';

revoke all on function credits_private.attempt_store_event(credits_private.store_events, jsonb) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/save_store_event.sql
-- save_store_event: writes an event and its state; what is done stays done.
--
-- Two deliveries of one event may both have tried it, the second in vain or with nothing left to do: the row keeps the better end.

create or replace function credits_private.save_store_event(
  p_event credits_private.store_events
)
  returns credits_private.store_events
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_event credits_private.store_events;
begin
  insert into credits_private.store_events as e (
    provider, event_id, type, state, reason, details, user_id, store, environment, transaction_id, product_id, attempts,
    received_at, processed_at, retry_at, body, body_sha256
  )
  values (
    p_event.provider, p_event.event_id, p_event.type, p_event.state, p_event.reason, p_event.details, p_event.user_id,
    p_event.store, p_event.environment, p_event.transaction_id, p_event.product_id, p_event.attempts,
    p_event.received_at, p_event.processed_at, p_event.retry_at, p_event.body, p_event.body_sha256
  )
  on conflict (provider, event_id) do update
  set
    state = excluded.state,
    reason = excluded.reason,
    details = excluded.details,
    user_id = excluded.user_id,
    store = excluded.store,
    environment = excluded.environment,
    transaction_id = excluded.transaction_id,
    product_id = excluded.product_id,
    attempts = excluded.attempts,
    processed_at = excluded.processed_at,
    retry_at = excluded.retry_at,
    body = case when excluded.body_sha256 is null then e.body end,
    body_sha256 = coalesce(excluded.body_sha256, e.body_sha256)
  where e.state <> 'processed' or excluded.state = 'processed'
  returning e.* into v_event;
  if not found then
    select e.* into v_event
    from credits_private.store_events as e
    where e.provider = p_event.provider and e.event_id = p_event.event_id;
  end if;
  return v_event;
end;
$$;

comment on function credits_private.save_store_event(credits_private.store_events) is
  'Writes an event with its state and returns the row.';

revoke all on function credits_private.save_store_event(credits_private.store_events) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/show_store_event.sql
-- show_store_event: a row of the inbox as callers see it, without the body.

create or replace function credits_private.show_store_event(
  p_event credits_private.store_events
)
  returns public.store_event
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return row(
    p_event.provider, p_event.event_id, p_event.type, p_event.state, p_event.reason, p_event.details, p_event.user_id,
    p_event.store, p_event.environment, p_event.transaction_id, p_event.product_id, p_event.attempts,
    p_event.received_at, p_event.processed_at
  )::public.store_event;
end;
$$;

comment on function credits_private.show_store_event(credits_private.store_events) is
  'An event without its body.';

revoke all on function credits_private.show_store_event(credits_private.store_events) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/take_store_event.sql
-- take_store_event: stores what a provider sent, and does what it says.
--
-- The engine of process_*_event and of the webhooks. Stored in the same call whatever the effect did, so the store is told
-- that it may forget. An event that was done is answered from the inbox; one that was not is tried again. With p_deferred it
-- is only stored: a server that commits the body first loses nothing if it dies over the effect.

create or replace function credits_private.take_store_event(
  p_provider text,
  p_body json,
  p_deferred boolean
)
  returns public.store_event
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_document pg_catalog.jsonb := credits_private.read_json(p_body);
  v_head pg_catalog.jsonb := case p_provider when 'revenuecat' then v_document -> 'event' else v_document end;
  v_event credits_private.store_events;
  v_id pg_catalog.text;
begin
  if jsonb_typeof(v_head -> 'id') = 'string' and length(v_head ->> 'id') between 1 and 255 then
    v_id := v_head ->> 'id';
  else
    v_id := 'sha256:' || encode(sha256(convert_to(p_body::pg_catalog.text, 'UTF8')), 'hex');
  end if;
  select e.* into v_event
  from credits_private.store_events as e
  where e.provider = p_provider and e.event_id = v_id;
  if v_event.state in ('processed', 'ignored') or v_event.state is not null and p_deferred then
    return credits_private.show_store_event(v_event);
  end if;
  if v_event.state is null then
    v_event.provider := p_provider;
    v_event.event_id := v_id;
    v_event.type := left(case when jsonb_typeof(v_head -> 'type') = 'string' then v_head ->> 'type' end, 255);
    v_event.state := 'pending';
    v_event.details := '{}';
    v_event.attempts := 0;
    v_event.received_at := credits_private.now();
    v_event.body := p_body;
  end if;
  if p_deferred then
    v_event.retry_at := v_event.received_at;
    perform credits_private.name_store_event(v_event, '{}');
  else
    v_event := credits_private.attempt_store_event(v_event, v_document);
  end if;
  return credits_private.show_store_event(credits_private.save_store_event(v_event));
end;
$$;

comment on function credits_private.take_store_event(text, json, boolean) is
  'Stores an event, does what it says, and returns it. The caller has checked the body.';

revoke all on function credits_private.take_store_event(text, json, boolean) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/run_store_event.sql
-- run_store_event: tries an event of the inbox once more.

create or replace function credits_private.run_store_event(
  p_provider text,
  p_event_id text
)
  returns public.store_event
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_event credits_private.store_events;
begin
  select e.* into v_event
  from credits_private.store_events as e
  where e.provider = p_provider and e.event_id = p_event_id;
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'event_not_found',
      detail = json_build_object('provider', p_provider, 'event_id', p_event_id),
      hint = 'There is no such event: credits-db events list.';
  end if;
  if v_event.body is not null then
    v_event := credits_private.save_store_event(
      credits_private.attempt_store_event(v_event, credits_private.read_json(v_event.body))
    );
  end if;
  return credits_private.show_store_event(v_event);
end;
$$;

comment on function credits_private.run_store_event(text, text) is
  'Tries a stored event again and returns it. Raises PT404 event_not_found.';

revoke all on function credits_private.run_store_event(text, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/run_parked_events.sql
-- run_parked_events: somebody has appeared; do what waited for them.
--
-- Called by a sign-up with the id of the new user, and when an event teaches a new name. The oldest come first, a hundred
-- at a time; maintenance does the rest. Events that were done before there was a user come too: they may teach names.

create or replace function credits_private.run_parked_events(
  p_names text[]
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_event record;
begin
  for v_event in
    select e.provider, e.event_id
    from credits_private.store_events as e
    where (e.provider, e.event_id) in (
        select p.provider, p.event_id from credits_private.store_event_names as p where p.name = any (p_names)
      )
      and (e.state = 'parked' or e.user_id is null)
    order by e.received_at, e.provider, e.event_id
    limit 100
  loop
    perform credits_private.run_store_event(v_event.provider, v_event.event_id);
  end loop;
end;
$$;

comment on function credits_private.run_parked_events(text[]) is
  'Runs the events that are parked under these names.';

revoke all on function credits_private.run_parked_events(text[]) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/run_due_events.sql
-- run_due_events: tries the events that are due for another try, the longest waiting first.
--
-- For maintenance. Takes no lock of its own on an event: trying one twice at the same time does no harm.

create or replace function credits_private.run_due_events(
  p_limit integer
)
  returns public.maintenance_report
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_report public.maintenance_report := row(0, 0);
  v_event record;
  v_tried public.store_event;
begin
  for v_event in
    select e.provider, e.event_id
    from credits_private.store_events as e
    where e.retry_at <= credits_private.now()
    order by e.retry_at, e.provider, e.event_id
    limit p_limit
  loop
    v_tried := credits_private.run_store_event(v_event.provider, v_event.event_id);
    if v_tried.state in ('pending', 'parked') then
      v_report.store_events_waiting := v_report.store_events_waiting + 1;
    else
      v_report.store_events := v_report.store_events + 1;
    end if;
    exit when v_tried.details ->> 'sqlstate' = '57014';  -- whoever cancels means the whole call
  end loop;
  return v_report;
end;
$$;

comment on function credits_private.run_due_events(integer) is
  'Tries due events again, at most so many, and says what came of it.';

revoke all on function credits_private.run_due_events(integer) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/set_product.sql
-- set_product: adds a product, or changes what future purchases of it are worth.
--
-- For the owner (credits-db products set and import). All of the row is given anew.

create or replace function credits_private.set_product(
  p_store text,
  p_product_id text,
  p_credits bigint,
  p_bonus_credits bigint,
  p_trial_credits bigint,
  p_price_cents bigint,
  p_currency text,
  p_entitlement text,
  p_expires_after interval,
  p_active_from timestamptz,
  p_active_to timestamptz
)
  returns public.credit_products
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_row public.credit_products;
  v_wrong pg_catalog.text := case
    when (p_store ~ '^[a-z][a-z0-9_]{0,49}$') is not true then 'store'
    when (length(p_product_id) between 1 and 255) is not true then 'product_id'
    when (p_credits between 0 and 1000000000000) is not true then 'credits'
    when (p_bonus_credits between 0 and 1000000000000) is not true then 'bonus_credits'
    when (p_trial_credits between 0 and 1000000000000) is not true then 'trial_credits'
    when p_price_cents not between 0 and 1000000000000 then 'price_cents'
    when (p_price_cents is null) <> (p_currency is null) or p_currency !~ '^[A-Z]{3}$' then 'currency'
    when length(p_entitlement) not between 1 and 100 then 'entitlement'
    when p_expires_after is not null then 'expires_after'
    when p_active_to <= p_active_from then 'active_to'
  end;
begin
  if v_wrong is not null then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', v_wrong),
      hint = case v_wrong
        when 'store' then 'A store is a word in lowercase: app_store, play_store, stripe, any, ...'
        when 'product_id' then 'A product id has 1 to 255 characters.'
        when 'currency' then 'A price has a currency, three letters in uppercase, and a currency has a price.'
        when 'price_cents' then 'A price is a whole number of the smallest unit, 0 or more.'
        when 'entitlement' then 'An entitlement is a word of 1 to 100 characters.'
        when 'expires_after' then 'This version keeps no expiry: leave expires_after out.'
        when 'active_to' then 'A sale ends after it began.'
        else 'Credits are whole numbers from 0 to 1000000000000.'
      end;
  end if;
  insert into public.credit_products as p (
    store, product_id, credits, bonus_credits, trial_credits, price_cents, currency, entitlement, expires_after,
    active_from, active_to
  )
  values (
    p_store, p_product_id, p_credits, p_bonus_credits, p_trial_credits, p_price_cents, p_currency, p_entitlement,
    p_expires_after, p_active_from, p_active_to
  )
  on conflict (store, product_id) do update
  set
    credits = excluded.credits,
    bonus_credits = excluded.bonus_credits,
    trial_credits = excluded.trial_credits,
    price_cents = excluded.price_cents,
    currency = excluded.currency,
    entitlement = excluded.entitlement,
    expires_after = excluded.expires_after,
    active_from = excluded.active_from,
    active_to = excluded.active_to,
    updated_at = excluded.updated_at
  returning p.* into v_row;
  return v_row;
end;
$$;

comment on function credits_private.set_product(
  text, text, bigint, bigint, bigint, bigint, text, text, interval, timestamptz, timestamptz
) is
  'Adds or changes a product and returns it. Raises 22023 invalid_argument.';

revoke all on function credits_private.set_product(
  text, text, bigint, bigint, bigint, bigint, text, text, interval, timestamptz, timestamptz
) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/hmac_sha256.sql
-- hmac_sha256: a keyed hash (RFC 2104), in plain SQL.
--
-- For is_signed. Supabase has pgcrypto, other servers need not, and sha256 is in the core of Postgres. A test compares it
-- with Python's for keys and messages of every length around the block of 64 bytes.

create or replace function credits_private.hmac_sha256(
  p_key bytea,
  p_message bytea
)
  returns bytea
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_key pg_catalog.bytea := case when length(p_key) > 64 then sha256(p_key) else p_key end;
  v_inner pg_catalog.bytea := decode(repeat('36', 64), 'hex');
  v_outer pg_catalog.bytea := decode(repeat('5c', 64), 'hex');
begin
  for v_i in 0 .. length(v_key) - 1 loop
    v_inner := set_byte(v_inner, v_i, get_byte(v_key, v_i) # 54);
    v_outer := set_byte(v_outer, v_i, get_byte(v_key, v_i) # 92);
  end loop;
  return sha256(v_outer || sha256(v_inner || p_message));
end;
$$;

comment on function credits_private.hmac_sha256(bytea, bytea) is
  'HMAC-SHA256 of a message, 32 bytes.';

revoke all on function credits_private.hmac_sha256(bytea, bytea) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/secrets_match.sql
-- secrets_match: are two texts equal, in a time that tells nothing about where they differ?
--
-- Compares the hashes, all 32 bytes of them: whoever measures the answer learns neither how many characters were right nor
-- how long the secret is.

create or replace function credits_private.secrets_match(
  p_given text,
  p_expected text
)
  returns boolean
  language plpgsql
  immutable
  set search_path = ''
as $$
declare
  v_given pg_catalog.bytea := sha256(convert_to(p_given, 'UTF8'));
  v_expected pg_catalog.bytea := sha256(convert_to(p_expected, 'UTF8'));
  v_difference integer := 0;
begin
  if p_given is null or p_expected is null then
    return false;
  end if;
  for v_i in 0 .. 31 loop
    v_difference := v_difference | (get_byte(v_given, v_i) # get_byte(v_expected, v_i));
  end loop;
  return v_difference = 0;
end;
$$;

comment on function credits_private.secrets_match(text, text) is
  'Whether two texts are equal, compared in constant time; false for null.';

revoke all on function credits_private.secrets_match(text, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/secrets_of.sql
-- secrets_of: the secrets of a name that are valid now, the rolled ones in their overlap included.

create or replace function credits_private.secrets_of(
  p_name text
)
  returns text[]
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  return array(
    select s.value
    from credits_private.secrets as s
    where s.name = p_name and (s.valid_until is null or s.valid_until > v_now)
    order by s.added_at
  );
end;
$$;

comment on function credits_private.secrets_of(text) is
  'The valid secrets of a name, none or several.';

revoke all on function credits_private.secrets_of(text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/is_signed.sql
-- is_signed: does this header prove that the body comes from who knows the secret?
--
-- Stripe and RevenueCat sign alike: t=<unix seconds>,v1=<hex>[,v1=...], where v1 is the HMAC of <t>.<body>. Other schemes
-- (v0) count for nothing. A timestamp too far off, either way, is refused, so a recorded call cannot be played again later.
-- Every valid secret is tried, so that one can be rolled while calls come in.

create or replace function credits_private.is_signed(
  p_name text,
  p_header text,
  p_body text
)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_parts pg_catalog.text[] := array(select btrim(p.part) from unnest(string_to_array(p_header, ',')) as p (part) limit 20);
  v_time pg_catalog.text := (select substr(p.part, 3) from unnest(v_parts) as p (part) where starts_with(p.part, 't=') limit 1);
  v_tolerance bigint := (select s.value::bigint from credits_private.settings as s where s.name = 'webhook_tolerance');
  v_is_signed boolean := false;
  v_expected pg_catalog.text;
  v_secret pg_catalog.text;
  v_given pg_catalog.text;
begin
  if (v_time ~ '^[0-9]{1,12}$' and abs(extract(epoch from credits_private.now()) - v_time::bigint) <= v_tolerance) is not true then
    return false;
  end if;
  foreach v_secret in array credits_private.secrets_of(p_name) loop
    v_expected := encode(
      credits_private.hmac_sha256(convert_to(v_secret, 'UTF8'), convert_to(v_time || '.' || p_body, 'UTF8')), 'hex'
    );
    for v_given in select substr(p.part, 4) from unnest(v_parts) as p (part) where starts_with(p.part, 'v1=') loop
      v_is_signed := credits_private.secrets_match(v_given, v_expected) or v_is_signed;
    end loop;
  end loop;
  return v_is_signed;
end;
$$;

comment on function credits_private.is_signed(text, text, text) is
  'Whether a signature header (t=...,v1=...) fits the body, the clock and a valid secret of this name.';

revoke all on function credits_private.is_signed(text, text, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/is_from_revenuecat.sql
-- is_from_revenuecat: does RevenueCat vouch for this call, in every way that was set up?
--
-- Its signing secret proves the body and the time; its static Authorization value proves only that the caller knows it.
-- Where both are set both are asked for; where none is, nobody comes in.

create or replace function credits_private.is_from_revenuecat(
  p_headers jsonb,
  p_body text
)
  returns boolean
  language plpgsql
  stable
  set search_path = ''
as $$
declare
  v_header pg_catalog.text := (select s.value from credits_private.settings as s where s.name = 'revenuecat_signature_header');
  v_signing pg_catalog.text[] := credits_private.secrets_of('revenuecat');
  v_static pg_catalog.text[] := credits_private.secrets_of('revenuecat_authorization');
  v_is_known boolean := v_static = '{}';
  v_secret pg_catalog.text;
begin
  if v_signing = '{}' and v_static = '{}' then
    return false;
  end if;
  foreach v_secret in array v_static loop
    v_is_known := credits_private.secrets_match(p_headers ->> 'authorization', v_secret) or v_is_known;
  end loop;
  return v_is_known and (v_signing = '{}' or credits_private.is_signed('revenuecat', p_headers ->> v_header, p_body));
end;
$$;

comment on function credits_private.is_from_revenuecat(jsonb, text) is
  'Whether a call carries every proof of RevenueCat that was set up; false where none was.';

revoke all on function credits_private.is_from_revenuecat(jsonb, text) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/refuse_signature.sql
-- refuse_signature: the one answer to every call that does not prove where it comes from.

create or replace function credits_private.refuse_signature()
  returns void
  language plpgsql
  stable
  set search_path = ''
as $$
begin
  raise exception using
    errcode = 'PT401',
    message = 'invalid_signature',
    detail = json_build_object(),
    hint = 'The signature is missing, wrong or too old, or no secret is set: credits-db secret set.';
end;
$$;

comment on function credits_private.refuse_signature() is
  'Raises PT401 invalid_signature.';

revoke all on function credits_private.refuse_signature() from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/check_body.sql
-- check_body: is there a body, and is it of a size that an event has? Asked before any work is done on it.

create or replace function credits_private.check_body(
  p_body json
)
  returns void
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  if p_body is null then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'body', 'value', null),
      hint = 'The body is what the provider sent, as JSON.';
  end if;
  if octet_length(p_body::pg_catalog.text) > 1048576 then
    raise exception using
      errcode = 'PT413',
      message = 'payload_too_large',
      detail = json_build_object('bytes', octet_length(p_body::pg_catalog.text)),
      hint = 'An event has at most 1 MiB.';
  end if;
end;
$$;

comment on function credits_private.check_body(json) is
  'Raises PT413 payload_too_large over 1 MiB, and 22023 invalid_argument for null.';

revoke all on function credits_private.check_body(json) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/private/set_secret.sql
-- set_secret: keeps a secret of a provider, and lets the one before it live on for a while.
--
-- For the owner (credits-db secret set). Setting the present one again changes nothing. With p_overlap 0 the old ones end
-- at once, which is what a leaked secret calls for.

create or replace function credits_private.set_secret(
  p_name text,
  p_value text,
  p_overlap interval
)
  returns void
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  if (p_name in ('stripe', 'revenuecat', 'revenuecat_authorization')) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'name', 'value', p_name),
      hint = 'A secret is stripe, revenuecat (its signing secret) or revenuecat_authorization (its static header).';
  end if;
  if (length(p_value) between 16 and 1000 and p_value = btrim(p_value, E' \t\r\n')) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'value', 'length', length(p_value)),
      hint = 'A secret has 16 to 1000 characters and no space around it.';
  end if;
  if (p_overlap >= interval '0') is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'overlap', 'value', p_overlap),
      hint = 'The overlap is how long older secrets stay valid: 0 or more.';
  end if;
  delete from credits_private.secrets as s where s.name = p_name and s.valid_until <= v_now;
  update credits_private.secrets as s
  set valid_until = least(s.valid_until, v_now + p_overlap)
  where s.name = p_name and s.value <> p_value;
  insert into credits_private.secrets (name, value, added_at)
  values (p_name, p_value, v_now)
  on conflict (name, value) do update set valid_until = null;
end;
$$;

comment on function credits_private.set_secret(text, text, interval) is
  'Keeps a secret; older ones of the name are valid for the overlap yet. Raises 22023 invalid_argument.';

revoke all on function credits_private.set_secret(text, text, interval) from public, anon, authenticated, service_role;
-- end

-- from sql/credits/rpc/record_purchase_for.sql
-- record_purchase_for: a service vouches for a purchase, for instance after it has verified a receipt.
--
-- The same transaction credits once for the whole database: again, for the same user, it returns the row as it is; for
-- another user it is refused. Webhooks that tell of the same transaction find it done.

create or replace function public.record_purchase_for(
  user_id uuid,
  store text,
  transaction_id text,
  product_id text,
  price_cents bigint default null,
  currency text default null,
  environment text default 'PRODUCTION',
  payload jsonb default '{}',
  quantity integer default 1
)
  returns public.purchase_transactions
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.record_purchase(
    user_id, store, transaction_id, product_id, price_cents, currency, environment, payload, quantity
  );
end;
$$;

comment on function public.record_purchase_for(
  uuid, text, text, text, bigint, text, text, jsonb, integer
) is
  'Record a purchase of a user and credit what its product is worth, once for the whole database. store: app_store, play_store, stripe or a word of your own; price_cents: what was paid, checked against the product where both say; environment: PRODUCTION or SANDBOX. Returns the purchase. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found, PT409 purchase_conflict, PT410 account_closed, PT422 unknown_product or balance_limit, 22023 invalid_argument or invalid_amount.';

revoke all on function public.record_purchase_for(
  uuid, text, text, text, bigint, text, text, jsonb, integer
) from public, anon, authenticated, service_role;
grant execute on function public.record_purchase_for(
  uuid, text, text, text, bigint, text, text, jsonb, integer
) to service_role;
-- end

-- from sql/credits/rpc/refund_purchase.sql
-- refund_purchase: a service says that money of a purchase went back, all of it or some credits' worth.
--
-- For stores that send no events. What was spent already becomes a debt, which the next grant pays first.

create or replace function public.refund_purchase(
  store text,
  transaction_id text,
  refund_id text,
  credits bigint default null,
  environment text default 'PRODUCTION'
)
  returns public.purchase_transactions
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.refund_purchase(store, transaction_id, refund_id, credits, environment);
end;
$$;

comment on function public.refund_purchase(text, text, text, bigint, text) is
  'Take back the credits of a purchase: credits, or all of it for null, never more than it was worth. refund_id: the refund''s own name; again it changes nothing. Returns the purchase. Raises PT404 transaction_not_found, PT422 idempotency_key_reused, 22023 invalid_argument or invalid_amount.';

revoke all on function public.refund_purchase(text, text, text, bigint, text) from public, anon, authenticated, service_role;
grant execute on function public.refund_purchase(text, text, text, bigint, text) to service_role;
-- end

-- from sql/credits/rpc/grant_entitlement_for.sql
-- grant_entitlement_for: a service lets a user use something, until an instant or for ever.
--
-- Beside what purchases give: the longer of the two counts. An instant that has passed ends the grant.

create or replace function public.grant_entitlement_for(
  user_id uuid,
  entitlement text,
  active_until timestamptz default null
)
  returns public.user_entitlements
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.grant_entitlement(user_id, entitlement, active_until, 'manual');
end;
$$;

comment on function public.grant_entitlement_for(uuid, text, timestamptz) is
  'Grant an entitlement to a user until an instant, or for ever when null. Returns its row. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found, 22023 invalid_argument.';

revoke all on function public.grant_entitlement_for(uuid, text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.grant_entitlement_for(uuid, text, timestamptz) to service_role;
-- end

-- from sql/credits/rpc/has_entitlement.sql
-- has_entitlement: may the signed-in user use something now?

create or replace function credits_private.has_entitlement(
  p_entitlement text
)
  returns boolean
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_entitlement(credits_private.current_user_id(), p_entitlement);
end;
$$;

comment on function credits_private.has_entitlement(text) is
  'The body of public.has_entitlement: the same for the user of the token, with definer rights.';

revoke all on function credits_private.has_entitlement(text) from public, anon, authenticated, service_role;
grant execute on function credits_private.has_entitlement(text) to authenticated;

create or replace function public.has_entitlement(
  entitlement text
)
  returns boolean
  language plpgsql
  stable
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.has_entitlement(entitlement);
end;
$$;

comment on function public.has_entitlement(text) is
  'Whether an entitlement of the signed-in user is active now. Raises PT401 not_authenticated.';

revoke all on function public.has_entitlement(text) from public, anon, authenticated, service_role;
grant execute on function public.has_entitlement(text) to authenticated;
-- end

-- from sql/credits/rpc/has_entitlement_for.sql
-- has_entitlement_for: may a user use something now, asked by a service.

create or replace function public.has_entitlement_for(
  user_id uuid,
  entitlement text
)
  returns boolean
  language plpgsql
  stable
  security definer
  set search_path = ''
as $$
begin
  return credits_private.read_entitlement(user_id, entitlement);
end;
$$;

comment on function public.has_entitlement_for(uuid, text) is
  'Whether an entitlement of a user is active now.';

revoke all on function public.has_entitlement_for(uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.has_entitlement_for(uuid, text) to service_role;
-- end

-- from sql/credits/rpc/process_revenuecat_event.sql
-- process_revenuecat_event: takes an event of RevenueCat from a server that has verified its signature.
--
-- Stored whatever it says and whatever comes of it; what it says is done in the same call. Send the same event as often as
-- you like. With deferred it is only stored, so a server can commit the body before it runs the effect.

create or replace function public.process_revenuecat_event(
  body json,
  deferred boolean default false
)
  returns public.store_event
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  perform credits_private.check_body(body);
  return credits_private.take_store_event('revenuecat', body, deferred);
end;
$$;

comment on function public.process_revenuecat_event(json, boolean) is
  'Take an event of RevenueCat: store it, do what it says, and return what became of it. Verify its signature first. Raises PT413 payload_too_large and 22023 invalid_argument for null.';

revoke all on function public.process_revenuecat_event(json, boolean) from public, anon, authenticated, service_role;
grant execute on function public.process_revenuecat_event(json, boolean) to service_role;
-- end

-- from sql/credits/rpc/process_stripe_event.sql
-- process_stripe_event: takes an event of Stripe from a server that has verified its signature.
--
-- Stored whatever it says and whatever comes of it; what it says is done in the same call. Send the same event as often as
-- you like. With deferred it is only stored, so a server can commit the body before it runs the effect.

create or replace function public.process_stripe_event(
  body json,
  deferred boolean default false
)
  returns public.store_event
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  perform credits_private.check_body(body);
  return credits_private.take_store_event('stripe', body, deferred);
end;
$$;

comment on function public.process_stripe_event(json, boolean) is
  'Take an event of Stripe: store it, do what it says, and return what became of it. Verify its signature first. Raises PT413 payload_too_large and 22023 invalid_argument for null.';

revoke all on function public.process_stripe_event(json, boolean) from public, anon, authenticated, service_role;
grant execute on function public.process_stripe_event(json, boolean) to service_role;
-- end

-- from sql/credits/rpc/reprocess_store_event.sql
-- reprocess_store_event: tries a stored event again, after what stood in its way was mended.
--
-- For instance once the product that it names is in credit_products. Safe for any event: what is done already stays as it is, and a transfer is not made twice.

create or replace function public.reprocess_store_event(
  provider text,
  event_id text
)
  returns public.store_event
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.run_store_event(provider, event_id);
end;
$$;

comment on function public.reprocess_store_event(text, text) is
  'Try a stored event again and return what became of it. provider: revenuecat or stripe. Raises PT404 event_not_found.';

revoke all on function public.reprocess_store_event(text, text) from public, anon, authenticated, service_role;
grant execute on function public.reprocess_store_event(text, text) to service_role;
-- end

-- from sql/credits/rpc/revenuecat_webhook.sql
-- revenuecat_webhook: the address that RevenueCat calls, with no server in between.
--
-- PostgREST hands over the body as it came, because the only argument is json and has no name, and the headers as a setting.
-- Anybody may call; the signature decides. What is authentic is stored and answered with 200 whatever comes of it, so that
-- RevenueCat does not give up on what only needs a product or a user here.

create or replace function credits_private.revenuecat_webhook(
  p_body json
)
  returns jsonb
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
declare
  v_headers pg_catalog.jsonb := coalesce(nullif(current_setting('request.headers', true), ''), '{}')::pg_catalog.jsonb;
  v_event public.store_event;
begin
  perform credits_private.check_body(p_body);
  if not credits_private.is_from_revenuecat(v_headers, p_body::pg_catalog.text) then
    perform credits_private.refuse_signature();
  end if;
  v_event := credits_private.take_store_event('revenuecat', p_body, false);
  return jsonb_build_object('event_id', v_event.event_id, 'state', v_event.state, 'reason', v_event.reason);
end;
$$;

comment on function credits_private.revenuecat_webhook(json) is
  'The body of public.revenuecat_webhook, with definer rights.';

revoke all on function credits_private.revenuecat_webhook(json) from public, anon, authenticated, service_role;
grant execute on function credits_private.revenuecat_webhook(json) to anon;

create or replace function public.revenuecat_webhook(
  json
)
  returns jsonb
  language plpgsql
  volatile
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.revenuecat_webhook($1);
end;
$$;

comment on function public.revenuecat_webhook(json) is
  'Take a webhook of RevenueCat, authentic by its signature alone: POST the body as it is. Answers {"event_id", "state", "reason"} with 200 whatever became of it. Raises PT401 invalid_signature and PT413 payload_too_large.';

revoke all on function public.revenuecat_webhook(json) from public, anon, authenticated, service_role;
grant execute on function public.revenuecat_webhook(json) to anon;
-- end

-- from sql/credits/rpc/stripe_webhook.sql
-- stripe_webhook: the address that Stripe calls, with no server in between.
--
-- PostgREST hands over the body as it came, because the only argument is json and has no name, and the headers as a setting.
-- Anybody may call; the signature decides. What is authentic is stored and answered with 200 whatever comes of it, so that
-- Stripe does not give up on what only needs a product or a user here.

create or replace function credits_private.stripe_webhook(
  p_body json
)
  returns jsonb
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
declare
  v_headers pg_catalog.jsonb := coalesce(nullif(current_setting('request.headers', true), ''), '{}')::pg_catalog.jsonb;
  v_event public.store_event;
begin
  perform credits_private.check_body(p_body);
  if not credits_private.is_signed('stripe', v_headers ->> 'stripe-signature', p_body::pg_catalog.text) then
    perform credits_private.refuse_signature();
  end if;
  v_event := credits_private.take_store_event('stripe', p_body, false);
  return jsonb_build_object('event_id', v_event.event_id, 'state', v_event.state, 'reason', v_event.reason);
end;
$$;

comment on function credits_private.stripe_webhook(json) is
  'The body of public.stripe_webhook, with definer rights.';

revoke all on function credits_private.stripe_webhook(json) from public, anon, authenticated, service_role;
grant execute on function credits_private.stripe_webhook(json) to anon;

create or replace function public.stripe_webhook(
  json
)
  returns jsonb
  language plpgsql
  volatile
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.stripe_webhook($1);
end;
$$;

comment on function public.stripe_webhook(json) is
  'Take a webhook of Stripe, authentic by its signature alone: POST the body as it is. Answers {"event_id", "state", "reason"} with 200 whatever became of it. Raises PT401 invalid_signature and PT413 payload_too_large.';

revoke all on function public.stripe_webhook(json) from public, anon, authenticated, service_role;
grant execute on function public.stripe_webhook(json) to anon;
-- end

-- from sql/credits/rpc/run_maintenance.sql
-- run_maintenance: tidies what time and other people left undone.
--
-- Tries the store events that are pending or parked and due. Nothing needs it to be correct; it makes things happen sooner.
-- Call it from cron every few minutes, as often and as parallel as you like.

create or replace function public.run_maintenance(
  max_items integer default 1000
)
  returns public.maintenance_report
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  if (max_items between 1 and 100000) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'max_items', 'value', max_items),
      hint = 'One call takes 1 to 100000 items.';
  end if;
  return credits_private.run_due_events(max_items);
end;
$$;

comment on function public.run_maintenance(integer) is
  'Do what is due, at most max_items of it, and say what was done. Raises 22023 invalid_argument.';

revoke all on function public.run_maintenance(integer) from public, anon, authenticated, service_role;
grant execute on function public.run_maintenance(integer) to service_role;
-- end

-- from sql/credits/triggers/remove_purchases.sql
-- remove_purchases: what an account that has just gone leaves of its purchases.
--
-- Purchases, entitlements and names go with it. Claims stay, closed and without the user, so that nobody is credited
-- for the same transactions again; events keep their figures and lose their bodies, which name people. An entitlement
-- that was transferred stays with who has it.

create or replace function credits_private.remove_purchases()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
declare
  v_name pg_catalog.text := old.user_id::pg_catalog.text;
  v_others pg_catalog.text[] := array(select c.name from credits_private.store_customers as c where c.user_id = old.user_id);
  v_nobody constant pg_catalog.text := '00000000-0000-0000-0000-000000000000';
  v_other pg_catalog.text;
  v_body pg_catalog.text;
  v_event record;
  v_given record;
begin
  for v_given in
    select c.entitled_user_id as user_id, n.name, max(coalesce(p.entitled_until, 'infinity')) as until
    from credits_private.purchase_claims as c
    join public.purchase_transactions as p
      on p.user_id = c.user_id
      and p.store = c.store
      and p.environment = c.environment
      and p.transaction_id = c.transaction_id
    cross join lateral unnest(p.entitlements) as n (name)
    where c.user_id = old.user_id and c.entitled_user_id is not null and p.status = 'completed'
    group by c.entitled_user_id, n.name
    order by c.entitled_user_id, n.name
  loop
    update public.user_entitlements as e
    set
      granted_by = coalesce(e.granted_by, 'transfer'),
      granted_until = nullif(
        greatest(v_given.until, case when e.granted_by is not null then coalesce(e.granted_until, 'infinity') end),
        'infinity'
      )
    where e.user_id = v_given.user_id and e.entitlement = v_given.name;
    perform credits_private.refresh_entitlements(v_given.user_id, array[v_given.name]);
  end loop;
  delete from public.user_entitlements as e where e.user_id = old.user_id;
  delete from public.purchase_transactions as p where p.user_id = old.user_id;
  update credits_private.purchase_claims as c
  set user_id = null, is_closed = true
  where c.user_id = old.user_id;
  update credits_private.purchase_claims as c
  set entitled_user_id = '00000000-0000-0000-0000-000000000000'
  where c.entitled_user_id = old.user_id;
  for v_event in
    select e.provider, e.event_id from credits_private.store_events as e where e.user_id = old.user_id
    union
    select n.provider, n.event_id from credits_private.store_event_names as n where n.name = v_name
    union
    select n.provider, n.event_id from credits_private.store_event_names as n where n.name = any (v_others)
  loop
    -- what may be somebody else's goes on, with no name of this user
    select regexp_replace(e.body::pg_catalog.text, v_name, v_nobody, 'gi')
    into v_body
    from credits_private.store_events as e
    where e.provider = v_event.provider and e.event_id = v_event.event_id;
    foreach v_other in array v_others loop
      v_body := replace(v_body, v_other, v_nobody);
    end loop;
    update credits_private.store_events as e
    set body = v_body::pg_catalog.json, retry_at = credits_private.now()
    where e.provider = v_event.provider
      and e.event_id = v_event.event_id
      and e.user_id is null
      and e.state in ('pending', 'parked', 'failed')
      and exists (
        select
        from credits_private.store_event_names as n
        where n.provider = e.provider
          and n.event_id = e.event_id
          and n.name <> v_name
          and exists (
            select
            from auth.users as u
            where u.id = case when n.name like '________-____-____-____-____________' then n.name::pg_catalog.uuid end
          )
      );
    if found then
      delete from credits_private.store_event_names as n
      where n.name = any (v_name || v_others) and n.provider = v_event.provider and n.event_id = v_event.event_id;
      continue;
    end if;
    update credits_private.store_events as e
    set
      user_id = null,
      retry_at = null,
      state = case when e.state in ('pending', 'parked') then 'ignored' else e.state end,
      reason = case when e.state in ('pending', 'parked') then 'account_closed' else e.reason end,
      body = null,
      body_sha256 = coalesce(e.body_sha256, encode(sha256(convert_to(e.body::pg_catalog.text, 'UTF8')), 'hex'))
    where e.provider = v_event.provider and e.event_id = v_event.event_id;
    delete from credits_private.store_event_names as n
    where n.provider = v_event.provider and n.event_id = v_event.event_id;
  end loop;
  delete from credits_private.store_customers as c where c.user_id = old.user_id;
  update credits_private.settings as s
  set value = array_to_string(array_remove(string_to_array(s.value, ','), v_name), ',')
  where s.name = 'sandbox_users' and strpos(s.value, v_name) > 0;
  return null;
end;
$$;

comment on function credits_private.remove_purchases() is
  'Trigger on user_credits: removes purchases and entitlements of a deleted account, closes its claims, and empties its events.';

revoke all on function credits_private.remove_purchases() from public, anon, authenticated, service_role;

create or replace trigger remove_purchases
  after delete on public.user_credits
  for each row
  execute function credits_private.remove_purchases();

alter table public.user_credits enable always trigger remove_purchases;

comment on trigger remove_purchases on public.user_credits is
  'Purchases go with their account; claims stay without it.';
-- end

-- check: what can be sold, bought and claimed is closed to everybody but its functions
do $$
begin
  if exists (
    select
    from pg_catalog.pg_class as c
    where c.oid in (
        'public.credit_products'::regclass, 'public.purchase_transactions'::regclass, 'public.user_entitlements'::regclass
      )
      and not c.relrowsecurity
  ) then
    raise exception 'a table of purchases has no row level security';
  end if;
end;
$$;
