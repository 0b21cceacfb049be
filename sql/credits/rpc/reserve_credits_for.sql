-- reserve_credits_for: a service sets credits of a user aside for work whose price is not known yet.
--
-- Reserve the most that it may cost, do the work, then capture_hold_for what it did cost, or release_hold_for when
-- it failed. A hold that nobody ends goes free by itself. What is held cannot be spent, and does not expire while
-- it is held.

create or replace function public.reserve_credits_for(
  user_id uuid,
  amount bigint,
  expires_in interval default '15 min',
  description text default null,
  metadata jsonb default '{}',
  idempotency_key text default null
)
  returns public.credit_holds
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.reserve_credits(user_id, amount, expires_in, description, metadata, idempotency_key);
end;
$$;

comment on function public.reserve_credits_for(uuid, bigint, interval, text, jsonb, text) is
  'Set credits aside. amount: credits, 1 to 10^12; expires_in: 1 second to 30 days. Returns the hold; the same idempotency_key returns the same hold again. Raises PT401 not_authenticated for a null user_id, PT402 insufficient_credits, PT404 account_not_found, PT410 account_closed, PT422 idempotency_key_reused, PT429 too_many_holds, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

revoke all on function public.reserve_credits_for(uuid, bigint, interval, text, jsonb, text)
  from public, anon, authenticated, service_role;
grant execute on function public.reserve_credits_for(uuid, bigint, interval, text, jsonb, text) to service_role;
