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
