-- consume_credit_for: a service charges a user, or your own function does.
--
-- Call it inside the transaction of the work that is paid for: both happen or neither. The same engine,
-- rules and replay as consume_credit; only service_role and the owner's own functions may call it.

create or replace function public.consume_credit_for(
  user_id uuid,
  amount bigint default 1,
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
  return credits_private.spend(user_id, amount, description, metadata, idempotency_key);
end;
$$;

comment on function public.consume_credit_for(uuid, bigint, text, jsonb, text) is
  'Take credits from the balance of a user. amount: credits, 1 to 10^12. Returns the ledger row; the same idempotency_key returns the same row again. Raises PT401 not_authenticated for a null user_id, PT402 insufficient_credits, PT404 account_not_found, PT410 account_closed, PT422 idempotency_key_reused, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

revoke all on function public.consume_credit_for(uuid, bigint, text, jsonb, text) from public, anon, authenticated, service_role;
grant execute on function public.consume_credit_for(uuid, bigint, text, jsonb, text) to service_role;
