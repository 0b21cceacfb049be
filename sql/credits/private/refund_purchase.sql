-- refund_purchase: the engine of public.refund_purchase.
--
-- A fact like those that stores send, named by the refund's id: the same id again changes nothing, and with another amount
-- it is refused.

create or replace function credits_private.refund_purchase(
  p_store text,
  p_transaction_id text,
  p_refund_id text,
  p_credits bigint,
  p_environment text
)
  returns public.purchase_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_claim credits_private.purchase_claims := credits_private.find_claim(
    lower(p_store), p_environment, array[p_transaction_id]
  );
  v_user_id pg_catalog.uuid := v_claim.user_id;
  v_known credits_private.purchase_facts;
  v_purchase public.purchase_transactions;
begin
  if (length(p_refund_id) between 1 and 255) is not true then
    raise exception using
      errcode = '22023',
      message = 'invalid_argument',
      detail = json_build_object('argument', 'refund_id', 'length', length(p_refund_id)),
      hint = 'A refund has an id of 1 to 255 characters, so that it is not applied twice.';
  end if;
  if p_credits not between 1 and 1000000000000 then
    raise exception using
      errcode = '22023',
      message = 'invalid_amount',
      detail = json_build_object('amount', p_credits),
      hint = 'An amount is a whole number of credits from 1 to 1000000000000.';
  end if;
  if v_claim.closed_account_id is not null then
    raise exception using
      errcode = 'PT410',
      message = 'account_closed',
      detail = '{}',
      hint = 'This purchase is of an account that was deleted: nothing is left to take back.';
  end if;
  if v_user_id is null then
    raise exception using
      errcode = 'PT404',
      message = 'transaction_not_found',
      detail = json_build_object('store', p_store, 'transaction_id', p_transaction_id),
      hint = 'No purchase is known under this transaction.';
  end if;
  perform credits_private.lock_account(v_user_id);
  v_claim := credits_private.open_transaction(null, null, lower(p_store), p_environment, array[p_transaction_id]);
  select f.* into v_known
  from credits_private.purchase_facts as f
  where f.store = v_claim.store
    and f.environment = v_claim.environment
    and f.transaction_id = v_claim.transaction_id
    and f.kind = 'refund'
    and f.ref = p_refund_id;
  if found and v_known.credits is distinct from p_credits then
    raise exception using
      errcode = 'PT422',
      message = 'idempotency_key_reused',
      detail = json_build_object('refund_id', p_refund_id, 'credits', v_known.credits),
      hint = 'This refund is known with another amount: use a new id for another refund.';
  end if;
  perform credits_private.keep_fact(v_claim, 'refund', p_refund_id, null, 1, null, null, null, p_credits, null);
  perform credits_private.settle_transaction(v_claim);
  select p.* into v_purchase
  from public.purchase_transactions as p
  where p.user_id = v_user_id
    and p.store = v_claim.store
    and p.environment = v_claim.environment
    and p.transaction_id = v_claim.transaction_id
  order by p.product_id
  limit 1;
  return v_purchase;
end;
$$;

comment on function credits_private.refund_purchase(text, text, text, bigint, text) is
  'Takes back all of a purchase, or so many credits of it, and returns the purchase. Raises what public.refund_purchase raises.';

revoke all on function credits_private.refund_purchase(text, text, text, bigint, text) from public, anon, authenticated, service_role;
