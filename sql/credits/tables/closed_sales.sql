-- closed_sales: what a deleted account had bought, by month and product, without the transactions.
--
-- Written when the account goes, so that monthly_sales says the same before and after.

create table credits_private.closed_sales (
  id uuid not null default gen_random_uuid(),
  closed_account_id uuid not null,
  month date not null,
  store text not null,
  environment text not null,
  product_id text not null,
  status public.purchase_status not null,
  currency text,
  purchases bigint not null,
  quantity bigint not null,
  credits bigint not null,
  refunded_credits bigint not null,
  price_cents bigint,
  constraint closed_sales_pkey primary key (id),
  constraint closed_sales_key unique nulls not distinct (
    closed_account_id, month, store, environment, product_id, status, currency
  )
);

comment on table credits_private.closed_sales is
  'What deleted accounts had bought, by month and product.';
comment on column credits_private.closed_sales.id is
  'A random name: the currency may be null, so the key below is none for a replica.';
comment on column credits_private.closed_sales.closed_account_id is
  'The account, as in closed_accounts.';
comment on column credits_private.closed_sales.month is
  'The first day of the month in which it was recorded, in UTC.';
comment on column credits_private.closed_sales.store is
  'Where the money was paid.';
comment on column credits_private.closed_sales.environment is
  'PRODUCTION or SANDBOX.';
comment on column credits_private.closed_sales.product_id is
  'What was bought.';
comment on column credits_private.closed_sales.status is
  'How far it had come.';
comment on column credits_private.closed_sales.currency is
  'The currency of price_cents, or null where nobody said.';
comment on column credits_private.closed_sales.purchases is
  'How many purchases they were.';
comment on column credits_private.closed_sales.quantity is
  'How many of the product.';
comment on column credits_private.closed_sales.credits is
  'What they were worth, in credits.';
comment on column credits_private.closed_sales.refunded_credits is
  'How many of those the store had taken back.';
comment on column credits_private.closed_sales.price_cents is
  'What was paid, in the smallest unit of the currency; null where nobody said.';

revoke all on table credits_private.closed_sales from public, anon, authenticated, service_role;
