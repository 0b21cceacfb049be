-- monthly_sales: what was bought, month by month and product by product; deleted accounts stay counted.
--
-- For accounts and reports of the owner. Reads all purchases.

create view credits_private.monthly_sales as
select
  m.month, m.store, m.environment, m.product_id, m.status, m.currency,
  sum(m.purchases)::bigint as purchases,
  sum(m.quantity)::bigint as quantity,
  sum(m.credits)::bigint as credits,
  sum(m.refunded_credits)::bigint as refunded_credits,
  sum(m.price_cents)::bigint as price_cents
from (
  select
    date_trunc('month', p.created_at at time zone 'UTC')::date as month,
    p.store, p.environment, p.product_id, p.status, p.currency,
    count(*) as purchases,
    sum(p.quantity) as quantity,
    sum(p.credits) as credits,
    sum(p.refunded_credits) as refunded_credits,
    sum(p.price_cents) as price_cents
  from public.purchase_transactions as p
  group by 1, 2, 3, 4, 5, 6
  union all
  select
    c.month, c.store, c.environment, c.product_id, c.status, c.currency, c.purchases, c.quantity, c.credits,
    c.refunded_credits, c.price_cents
  from credits_private.closed_sales as c
) as m
group by m.month, m.store, m.environment, m.product_id, m.status, m.currency;

comment on view credits_private.monthly_sales is
  'Purchases by month, store, product, status and currency, of living and deleted accounts together.';
comment on column credits_private.monthly_sales.month is
  'The first day of the month in which they were recorded, in UTC.';
comment on column credits_private.monthly_sales.store is
  'Where the money was paid.';
comment on column credits_private.monthly_sales.environment is
  'PRODUCTION or SANDBOX.';
comment on column credits_private.monthly_sales.product_id is
  'What was bought.';
comment on column credits_private.monthly_sales.status is
  'How far they have come, or had when the account was deleted.';
comment on column credits_private.monthly_sales.currency is
  'The currency of price_cents, or null where nobody said.';
comment on column credits_private.monthly_sales.purchases is
  'How many purchases they are.';
comment on column credits_private.monthly_sales.quantity is
  'How many of the product.';
comment on column credits_private.monthly_sales.credits is
  'What they were worth, in credits.';
comment on column credits_private.monthly_sales.refunded_credits is
  'How many of those stores took back.';
comment on column credits_private.monthly_sales.price_cents is
  'What was paid, in the smallest unit of the currency; null where nobody said.';

revoke all on table credits_private.monthly_sales from public, anon, authenticated, service_role;
