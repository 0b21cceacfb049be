-- post: moves a locked balance and writes the ledger row that says so.
--
-- For operations that have checked their arguments and hold the lock. The row is numbered here, under the
-- lock, so the ledger's own trigger has nothing left to do. Lots are the caller's business.

create or replace function credits_private.post(
  p_user_id uuid,
  p_type public.credit_transaction_type,
  p_amount bigint,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text,
  p_at timestamptz default null,
  p_may_owe boolean default false
)
  returns public.credit_transactions
  language plpgsql
  volatile
  set search_path = ''
as $$
declare
  v_account public.user_credits := credits_private.move_balance(p_user_id, p_type, p_amount, p_at, p_may_owe);
  v_row public.credit_transactions;
begin
  insert into public.credit_transactions as t (
    user_id, seq, amount, balance_after, created_at, type, idempotency_key, description, metadata
  )
  values (
    p_user_id, v_account.last_seq, p_amount, v_account.credits_remaining, v_account.updated_at,
    p_type, p_idempotency_key, p_description, p_metadata
  )
  returning t.* into v_row;
  return v_row;
end;
$$;

comment on function credits_private.post(uuid, public.credit_transaction_type, bigint, text, jsonb, text, timestamptz, boolean) is
  'Moves a locked balance and returns the ledger row. Raises PT402 insufficient_credits and PT422 balance_limit.';

revoke all on function credits_private.post(uuid, public.credit_transaction_type, bigint, text, jsonb, text, timestamptz, boolean)
  from public, anon, authenticated, service_role;
