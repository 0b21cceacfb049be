-- grant_purchase: posts the ledger row of a purchase that was paid for. The key of the row is the second guard against twice.

create or replace function credits_private.grant_purchase(
  p_purchase public.purchase_transactions
)
  returns bigint
  language plpgsql
  volatile
  set search_path = ''
as $$
begin
  if p_purchase.credits = 0 then
    return null;
  end if;
  return (credits_private.post(
    p_purchase.user_id, 'purchase', p_purchase.credits, 'Purchase of ' || p_purchase.product_id,
    credits_private.name_purchase(p_purchase),
    'credits:purchase:' || encode(
      sha256(convert_to(
        jsonb_build_array(
          p_purchase.store, p_purchase.environment, p_purchase.transaction_id, p_purchase.product_id
        )::pg_catalog.text,
        'UTF8'
      )),
      'hex'
    )
  )).seq;
end;
$$;

comment on function credits_private.grant_purchase(public.purchase_transactions) is
  'Posts the ledger row of a paid purchase and returns its seq; null for one worth no credits. Raises PT422 balance_limit.';

revoke all on function credits_private.grant_purchase(public.purchase_transactions) from public, anon, authenticated, service_role;
