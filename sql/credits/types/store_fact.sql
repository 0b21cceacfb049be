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
