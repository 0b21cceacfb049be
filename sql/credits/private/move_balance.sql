-- move_balance: adds a signed amount to a balance, within the limits of its type.
--
-- The caller holds the lock of lock_account and writes the ledger row from what this returns. A balance
-- goes below zero only through clawback and admin_adjustment, and never beyond 2^53, where JSON numbers
-- stop being exact.

create or replace function credits_private.move_balance(
  p_user_id uuid,
  p_type public.credit_transaction_type,
  p_amount bigint
)
  returns public.user_credits
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_usage bigint := case when p_type in ('consumption', 'refund') then p_amount else 0 end;
  v_now pg_catalog.timestamptz := credits_private.now();
begin
  update public.user_credits as a
  set
    credits_remaining = a.credits_remaining + p_amount,
    total_credits = a.total_credits + p_amount - v_usage,
    used_credits = a.used_credits - v_usage,
    last_purchase_at = case when p_type = 'purchase' then v_now else a.last_purchase_at end,
    last_seq = a.last_seq + 1,
    updated_at = v_now
  where a.user_id = p_user_id
    and a.credits_remaining + p_amount between -9007199254740991 and 9007199254740991
    and (
      p_amount > 0
      or p_type in ('clawback', 'admin_adjustment')
      or a.credits_remaining - a.credits_held >= -p_amount
    )
  returning a.* into v_account;
  if found then
    return v_account;
  end if;
  select a.* into v_account from public.user_credits as a where a.user_id = p_user_id;
  if v_account.credits_remaining + p_amount between -9007199254740991 and 9007199254740991 then
    perform credits_private.refuse_spend(v_account, -p_amount);
  end if;
  raise exception using
    errcode = 'PT422',
    message = 'balance_limit',
    detail = json_build_object('amount', p_amount, 'credits_remaining', v_account.credits_remaining),
    hint = 'A balance stays below 9007199254740992 credits.';
end;
$$;

comment on function credits_private.move_balance(uuid, public.credit_transaction_type, bigint) is
  'Moves a locked balance and numbers the movement (last_seq, updated_at). Raises PT402 insufficient_credits and PT422 balance_limit.';

revoke all on function credits_private.move_balance(uuid, public.credit_transaction_type, bigint) from public, anon, authenticated, service_role;
