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
