-- capture_hold_for: a service spends what it had set aside, whole or in part; the rest goes free.
--
-- Once a hold. The same call again, with its idempotency key or without one, answers with the same ledger row.

create or replace function public.capture_hold_for(
  user_id uuid,
  hold_id uuid,
  amount bigint default null,
  description text default null,
  metadata jsonb default '{}',
  idempotency_key text default null
)
  returns public.credit_transactions
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.capture_hold(user_id, hold_id, amount, description, metadata, idempotency_key);
end;
$$;

comment on function public.capture_hold_for(uuid, uuid, bigint, text, jsonb, text) is
  'Spend a hold. amount: credits, at most what is held, or null for all of it. Returns the ledger row; the same call returns the same row again. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found or hold_not_found, PT409 hold_not_active, PT410 account_closed, PT422 idempotency_key_reused, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

revoke all on function public.capture_hold_for(uuid, uuid, bigint, text, jsonb, text)
  from public, anon, authenticated, service_role;
grant execute on function public.capture_hold_for(uuid, uuid, bigint, text, jsonb, text) to service_role;
