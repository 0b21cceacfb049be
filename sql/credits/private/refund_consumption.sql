-- refund_consumption: the engine of refund_consumption_for.
--
-- How much was given back of a consumption stands in lot_allocations, under its seq as origin; nothing is given
-- back beyond that. Only what was spent can be: a refund, a purchase or a row of somebody else is no consumption of
-- this user.

create or replace function credits_private.refund_consumption(
  p_user_id uuid,
  p_seq bigint,
  p_amount bigint,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text
)
  returns public.credit_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_row public.credit_transactions;
  v_taken bigint;
begin
  perform credits_private.check_entry(coalesce(p_amount, 1), p_description, p_metadata, p_idempotency_key);
  perform credits_private.lock_account(p_user_id);
  v_row := credits_private.find_replay(
    p_user_id, 'refund', p_amount, p_description, p_metadata, p_idempotency_key, null
  );
  if v_row.seq is not null then
    -- of this consumption; and all that was left is what left nothing
    if not exists (
      select
      from credits_private.lot_allocations as t
      where t.user_id = p_user_id and t.origin_seq = p_seq and t.seq = v_row.seq
    )
      or p_amount is null
      and (
        select sum(t.amount)
        from credits_private.lot_allocations as t
        where t.user_id = p_user_id and t.origin_seq = p_seq and t.seq <> p_seq and t.seq <= v_row.seq
      ) < (
        select -c.amount from public.credit_transactions as c where c.user_id = p_user_id and c.seq = p_seq
      )
    then
      perform credits_private.refuse_key(p_idempotency_key, v_row.seq);
    end if;
    return v_row;
  end if;
  select -t.amount
  into v_taken
  from public.credit_transactions as t
  where t.user_id = p_user_id and t.seq = p_seq and t.type = 'consumption';
  if not found then
    raise exception using
      errcode = 'PT404',
      message = 'transaction_not_found',
      detail = json_build_object('seq', p_seq),
      hint = 'This user has no consumption with this number; only a consumption can be given back.';
  end if;
  select v_taken - coalesce(sum(t.amount), 0)::bigint
  into v_taken
  from credits_private.lot_allocations as t
  where t.user_id = p_user_id and t.origin_seq = p_seq and t.seq <> p_seq;
  if v_taken = 0 or p_amount > v_taken then
    raise exception using
      errcode = 'PT409',
      message = 'refund_exceeds_consumption',
      detail = json_build_object('amount', p_amount, 'refundable', v_taken),
      hint = 'No more can be given back than is left of the consumption.';
  end if;
  perform credits_private.settle_account(p_user_id);
  v_row := credits_private.post(
    p_user_id, 'refund', coalesce(p_amount, v_taken), p_description, p_metadata, p_idempotency_key
  );
  perform credits_private.give_back(p_user_id, p_seq, v_row.seq, v_row.amount, v_taken, v_row.created_at);
  return v_row;
end;
$$;

comment on function credits_private.refund_consumption(uuid, bigint, bigint, text, jsonb, text) is
  'Gives back a consumption, whole or in part, and returns the ledger row. Raises PT404 transaction_not_found or account_not_found, PT409 refund_exceeds_consumption, PT410 account_closed, PT422 idempotency_key_reused or balance_limit, and 22023.';

revoke all on function credits_private.refund_consumption(uuid, bigint, bigint, text, jsonb, text)
  from public, anon, authenticated, service_role;
