-- spend: the engine of consume_credit, and the hottest path of all.
--
-- Two writes for a spend that succeeds: the balance is taken and numbered in one update, which is also the lock,
-- and the ledger row is inserted. What the update passes over (a key that is there already, too few credits, no
-- account) is decided under the lock of lock_account, so a replay writes nothing. Whether the key is unused is a
-- condition of the update: asked again whenever it had to wait, it holds under the lock (is_unused). Who has
-- something due (next_due_at) settles it first; who has lots pays from them, and the row is dated before their end.

create or replace function credits_private.spend(
  p_user_id uuid,
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
  v_seq bigint;
  v_balance bigint;
  v_now pg_catalog.timestamptz;
  v_due pg_catalog.timestamptz;
  v_alert bigint;
  v_account public.user_credits;
  v_row public.credit_transactions;
begin
  -- the ordinary call passes on one expression; check_entry says what is wrong with any other
  if (
    p_amount between 1 and 1000000000000
    and p_metadata = '{}'
    and (p_idempotency_key is null or length(p_idempotency_key) between 1 and 255 and not starts_with(p_idempotency_key, 'credits:'))
    and (p_description is null or length(p_description) <= 500)
  ) is not true then
    perform credits_private.check_entry(p_amount, p_description, p_metadata, p_idempotency_key);
  end if;

  loop
    update public.user_credits as a
    set
      credits_remaining = a.credits_remaining - p_amount,
      used_credits = a.used_credits + p_amount,
      last_seq = a.last_seq + 1,
      updated_at = least(credits_private.now(), a.next_due_at - pg_catalog.interval '1 microsecond')
    where a.user_id = p_user_id
      and a.credits_remaining - a.credits_held >= p_amount
      and (a.next_due_at is null or a.next_due_at > credits_private.now())
      and (
        p_idempotency_key is null
        or credits_private.is_unused(p_user_id, p_idempotency_key, a.last_hold_at is not null)
      )
    returning a.last_seq, a.credits_remaining, a.updated_at, a.next_due_at, a.alert_below
    into v_seq, v_balance, v_now, v_due, v_alert;
    exit when found;

    perform credits_private.lock_account(p_user_id);
    v_row := credits_private.find_replay(
      p_user_id, 'consumption', -p_amount, p_description, p_metadata, p_idempotency_key
    );
    if v_row.seq is not null then
      return v_row;
    end if;
    v_account := credits_private.settle_account(p_user_id, p_amount);
    if v_account.credits_remaining - v_account.credits_held < p_amount then
      perform credits_private.refuse_spend(v_account, p_amount);
    end if;
  end loop;

  insert into public.credit_transactions as t (
    user_id, seq, amount, balance_after, created_at, type, idempotency_key, description, metadata
  )
  values (
    p_user_id, v_seq, -p_amount, v_balance, v_now, 'consumption', p_idempotency_key, p_description, p_metadata
  )
  returning t.* into v_row;
  if v_due is not null then
    perform credits_private.draw_lots(p_user_id, p_amount, v_seq, null);
  end if;
  if v_alert > v_balance and v_alert <= v_balance + p_amount then
    perform credits_private.queue_alert(p_user_id, v_alert, v_balance, v_seq, v_now);
  end if;
  return v_row;
end;
$$;

comment on function credits_private.spend(uuid, bigint, text, jsonb, text) is
  'Takes credits and returns the ledger row. Raises PT402 insufficient_credits, PT404 account_not_found, PT410 account_closed, PT422 idempotency_key_reused and 22023 like check_entry.';

revoke all on function credits_private.spend(uuid, bigint, text, jsonb, text) from public, anon, authenticated, service_role;
