-- record_purchase_for: a service vouches for a purchase, for instance after it has verified a receipt.
--
-- The same transaction credits once for the whole database: again, for the same user, it returns the row as it is; for
-- another user it is refused. Webhooks that tell of the same transaction find it done.

create or replace function public.record_purchase_for(
  user_id uuid,
  store text,
  transaction_id text,
  product_id text,
  price_cents bigint default null,
  currency text default null,
  environment text default 'PRODUCTION',
  payload jsonb default '{}',
  quantity integer default 1
)
  returns public.purchase_transactions
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.record_purchase(
    user_id, store, transaction_id, product_id, price_cents, currency, environment, payload, quantity
  );
end;
$$;

comment on function public.record_purchase_for(
  uuid, text, text, text, bigint, text, text, jsonb, integer
) is
  'Record a purchase of a user and credit what its product is worth, once for the whole database. store: app_store, play_store, stripe or a word of your own; price_cents: what was paid, checked against the product where both say; environment: PRODUCTION or SANDBOX. Returns the purchase. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found, PT409 purchase_conflict, PT410 account_closed, PT422 unknown_product or balance_limit, 22023 invalid_argument or invalid_amount.';

revoke all on function public.record_purchase_for(
  uuid, text, text, text, bigint, text, text, jsonb, integer
) from public, anon, authenticated, service_role;
grant execute on function public.record_purchase_for(
  uuid, text, text, text, bigint, text, text, jsonb, integer
) to service_role;
