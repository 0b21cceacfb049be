-- name_purchase: the metadata of every ledger row of a purchase, by which it is found again.

create or replace function credits_private.name_purchase(
  p_purchase public.purchase_transactions
)
  returns jsonb
  language plpgsql
  immutable
  set search_path = ''
as $$
begin
  return jsonb_build_object(
    'store', p_purchase.store, 'environment', p_purchase.environment, 'transaction_id', p_purchase.transaction_id,
    'product_id', p_purchase.product_id
  );
end;
$$;

comment on function credits_private.name_purchase(public.purchase_transactions) is
  'The store, environment, transaction and product of a purchase, as a JSON object.';

revoke all on function credits_private.name_purchase(public.purchase_transactions) from public, anon, authenticated, service_role;
