-- spend: the engine of consume_credit, and the hottest path of all.
--
-- Two writes for a spend that succeeds: the balance is taken and numbered in one update, which is also the
-- lock, and the ledger row is inserted. What the update passes over (a key that is there already, too few
-- credits, no account) is decided under the lock of lock_account, so a replay writes nothing. Whether the key is
-- unused is a condition of the update: asked again whenever it had to wait, it holds under the lock (is_unused).

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
      updated_at = credits_private.now()
    where a.user_id = p_user_id
      and a.credits_remaining - a.credits_held >= p_amount
      and (p_idempotency_key is null or credits_private.is_unused(p_user_id, p_idempotency_key))
    returning a.last_seq, a.credits_remaining, a.updated_at into v_seq, v_balance, v_now;
    exit when found;

    v_account := credits_private.lock_account(p_user_id);
    v_row := credits_private.find_replay(
      p_user_id, 'consumption', -p_amount, p_description, p_metadata, p_idempotency_key
    );
    if v_row.seq is not null then
      return v_row;
    end if;
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
  return v_row;
end;
$$;

comment on function credits_private.spend(uuid, bigint, text, jsonb, text) is
  'Takes credits and returns the ledger row. Raises PT402 insufficient_credits, PT404 account_not_found, PT422 idempotency_key_reused and 22023 like check_entry.';

revoke all on function credits_private.spend(uuid, bigint, text, jsonb, text) from public, anon, authenticated, service_role;
