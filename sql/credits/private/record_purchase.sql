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
