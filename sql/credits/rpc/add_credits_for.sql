-- add_credits_for: a service gives a user credits.
--
-- Never callable by users: whoever could call it could mint. Send an idempotency key made from what caused the
-- grant (the order, the invoice), and a retry gives nothing twice. With expires_at the credits are a lot: spent
-- before those that last longer, and gone at that instant.

create or replace function public.add_credits_for(
  user_id uuid,
  amount bigint,
  type public.credit_transaction_type default 'bonus',
  expires_at timestamptz default null,
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
  return credits_private.add_credits(user_id, amount, type, expires_at, description, metadata, idempotency_key);
end;
$$;

comment on function public.add_credits_for(uuid, bigint, public.credit_transaction_type, timestamptz, text, jsonb, text) is
  'Add credits to the balance of a user. amount: credits, 1 to 10^12; type: purchase, bonus, signup_bonus, monthly_bonus or admin_adjustment; expires_at: when they expire, null for never. Returns the ledger row; the same idempotency_key returns the same row again. Raises PT401 not_authenticated for a null user_id, PT404 account_not_found, PT410 account_closed, PT422 idempotency_key_reused, expiry_not_allowed or balance_limit, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

revoke all on function public.add_credits_for(uuid, bigint, public.credit_transaction_type, timestamptz, text, jsonb, text) from public, anon, authenticated, service_role;
grant execute on function public.add_credits_for(uuid, bigint, public.credit_transaction_type, timestamptz, text, jsonb, text) to service_role;
