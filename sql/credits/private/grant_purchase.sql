-- grant_purchase: posts the ledger row of a purchase that was paid for, and makes its lot where its credits expire.
--
-- The key of the row is the second guard against twice. The caller holds the lock of the balance.

create or replace function credits_private.grant_purchase(
  p_purchase public.purchase_transactions
)
  returns bigint
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_row public.credit_transactions;
begin
  if p_purchase.credits = 0 then
    return null;
  end if;
  perform credits_private.settle_account(p_purchase.user_id);
  v_row := credits_private.post(
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
  );
  if p_purchase.credits_expire_at is not null then
    perform credits_private.make_lot(v_row, p_purchase.credits_expire_at);
  end if;
  return v_row.seq;
end;
$$;

comment on function credits_private.grant_purchase(public.purchase_transactions) is
  'Posts the ledger row of a paid purchase and returns its seq; null for one worth no credits. Raises PT422 balance_limit.';

revoke all on function credits_private.grant_purchase(public.purchase_transactions)
  from public, anon, authenticated, service_role;
