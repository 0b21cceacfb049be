-- move_balance: adds a signed amount to a balance, within the limits of its type.
--
-- The caller holds the lock of lock_account, has settled what was due, and writes the ledger row from what this
-- returns. A balance goes below zero only through clawback, admin_adjustment and what may owe (the capture of a
-- hold), and never beyond 2^53, where JSON numbers stop being exact. A movement without an instant of its own is
-- dated now, and before whatever falls due next: it was decided on without that.

create or replace function credits_private.move_balance(
  p_user_id uuid,
  p_type public.credit_transaction_type,
  p_amount bigint,
  p_at timestamptz default null,
  p_may_owe boolean default false
)
  returns public.user_credits
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits;
  v_usage bigint := case when p_type in ('consumption', 'refund') then p_amount else 0 end;
  v_now pg_catalog.timestamptz := p_at;
begin
  if v_now is null then
    select least(credits_private.now(), a.next_due_at - pg_catalog.interval '1 microsecond')
    into v_now
    from public.user_credits as a
    where a.user_id = p_user_id;
  end if;
  update public.user_credits as a
  set
    credits_remaining = a.credits_remaining + p_amount,
    total_credits = a.total_credits + p_amount - v_usage,
    used_credits = a.used_credits - v_usage,
    last_bonus_date = case when p_type = 'monthly_bonus' then v_now else a.last_bonus_date end,
    last_purchase_at = case when p_type = 'purchase' then v_now else a.last_purchase_at end,
    last_seq = a.last_seq + 1,
    updated_at = v_now
  where a.user_id = p_user_id
    and a.credits_remaining + p_amount between -9007199254740991 and 9007199254740991
    and (
      p_amount > 0
      or p_may_owe
      or p_type in ('clawback', 'admin_adjustment')
      or a.credits_remaining - a.credits_held >= -p_amount
    )
  returning a.* into v_account;
  if found then
    if p_type = 'consumption'
      and v_account.alert_below > v_account.credits_remaining
      and v_account.alert_below <= v_account.credits_remaining - p_amount
    then
      perform credits_private.queue_alert(
        p_user_id, v_account.alert_below, v_account.credits_remaining, v_account.last_seq, v_now
      );
    end if;
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

comment on function credits_private.move_balance(uuid, public.credit_transaction_type, bigint, timestamptz, boolean) is
  'Moves a locked balance and numbers the movement (last_seq, updated_at). Raises PT402 insufficient_credits and PT422 balance_limit.';

revoke all on function credits_private.move_balance(uuid, public.credit_transaction_type, bigint, timestamptz, boolean)
  from public, anon, authenticated, service_role;
