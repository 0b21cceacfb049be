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
