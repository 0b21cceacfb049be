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
    when p_expires_after is not null and not credits_private.lasts_between(p_expires_after, '1 hour', '36525 days')
      then 'expires_after'
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
        when 'expires_after' then 'Credits last from an hour to 100 years; without expires_after, for ever.'
        when 'active_to' then 'A sale ends after it began.'
        else 'Credits are whole numbers from 0 to 1000000000000.'
      end;
  end if;
  if p_store in ('app_store', 'mac_app_store') and p_expires_after is not null then
    raise exception using
      errcode = 'PT422',
      message = 'expiry_not_allowed',
      detail = json_build_object('store', p_store, 'product_id', p_product_id),
      hint = 'Credits bought through the App Store may not expire (App Review Guidelines 3.1.1).';
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
  'Adds or changes a product and returns it. Raises 22023 invalid_argument and PT422 expiry_not_allowed.';

revoke all on function credits_private.set_product(
  text, text, bigint, bigint, bigint, bigint, text, text, interval, timestamptz, timestamptz
) from public, anon, authenticated, service_role;
