-- consume_credit: the signed-in user pays for one unit of work.
--
-- Called from apps with the user's own token. Takes nobody else's credits: the user comes from the token,
-- never from an argument. Returns the ledger row; a replay with the same idempotency key returns the same
-- row and takes nothing. Apps in which only the server may name a price switch this off
-- (credits-db settings set user_spending off) and use consume_credit_for.

create or replace function credits_private.consume_credit(
  p_amount bigint,
  p_description text,
  p_metadata jsonb,
  p_idempotency_key text
)
  returns public.credit_transactions
  language plpgsql
  volatile
  security definer
  set search_path = ''
as $$
begin
  return credits_private.spend(credits_private.current_user_id(), p_amount, p_description, p_metadata, p_idempotency_key);
end;
$$;

comment on function credits_private.consume_credit(bigint, text, jsonb, text) is
  'The body of public.consume_credit: the same for the user of the token, with definer rights.';

revoke all on function credits_private.consume_credit(bigint, text, jsonb, text) from public, anon, authenticated, service_role;

create or replace function public.consume_credit(
  amount bigint default 1,
  description text default null,
  metadata jsonb default '{}',
  idempotency_key text default null
)
  returns public.credit_transactions
  language plpgsql
  volatile
  security invoker
  set search_path = ''
as $$
begin
  return credits_private.consume_credit(amount, description, metadata, idempotency_key);
end;
$$;

comment on function public.consume_credit(bigint, text, jsonb, text) is
  'Take credits from the balance of the signed-in user. amount: credits, 1 to 10^12. Returns the ledger row; the same idempotency_key returns the same row again. Raises PT401 not_authenticated, PT402 insufficient_credits, PT404 account_not_found, PT410 account_closed, PT422 idempotency_key_reused, 22023 invalid_amount, invalid_idempotency_key, invalid_metadata or invalid_argument.';

revoke all on function public.consume_credit(bigint, text, jsonb, text) from public, anon, authenticated, service_role;

-- authenticated may execute both while user_spending is on: the setting grants, so that it outlives this file
select credits_private.set_setting(s.name, s.value)
from credits_private.settings as s
where s.name = 'user_spending';
