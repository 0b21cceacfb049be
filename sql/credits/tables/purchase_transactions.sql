-- purchase_transactions: one row for each product bought in a transaction of a store.
--
-- Read by its user and by services; written by record_payment and settle_transaction alone, under the lock of the
-- balance. Keeps its own figures: what the product was worth on that day, what was paid, what went back. credits less
-- refunded_credits is the sum of its ledger rows (verify_ledger proves it). Goes with its account (close_account).

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
  credits_expire_at timestamptz,
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
comment on column public.purchase_transactions.credits_expire_at is
  'When its credits expire; null for never.';

alter table public.purchase_transactions enable row level security;

revoke all on table public.purchase_transactions from public, anon, authenticated, service_role;
grant select on table public.purchase_transactions to service_role;
grant select (
  user_id, store, environment, transaction_id, product_id, provider, status, credits, refunded_credits, quantity,
  price_cents, currency, entitlements, entitled_until, seq, verified_at, created_at, credits_expire_at
) on table public.purchase_transactions to authenticated;
