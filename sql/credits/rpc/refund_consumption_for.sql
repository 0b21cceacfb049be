-- refund_consumption_for: a service gives back what a user had spent.
--
-- For work that failed after it was paid. Whole or in parts, until all is given back; the credits go back into the
-- lots that they came from, with their own expiry, and what has expired meanwhile expires again.

create or replace function public.refund_consumption_for(
  user_id uuid,
  seq bigint,
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
  return credits_private.refund_consumption(user_id, seq, amount, description, metadata, idempotency_key);
end;
$$;

comment on function public.refund_consumption_for(uuid, bigint, bigint, text, jsonb, text) is
  'Give back the consumption with this seq. amount: credits, or null for all that is left of it. Returns the ledger row; the same idempotency_key returns the same row again. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found or transaction_not_found, PT409 refund_exceeds_consumption, PT410 account_closed, PT422 idempotency_key_reused or balance_limit, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

revoke all on function public.refund_consumption_for(uuid, bigint, bigint, text, jsonb, text)
  from public, anon, authenticated, service_role;
grant execute on function public.refund_consumption_for(uuid, bigint, bigint, text, jsonb, text) to service_role;
