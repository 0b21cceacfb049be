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
