-- get_operation: what became of a call whose answer was lost.
--
-- A row is final. No row is not: the first call may still be on its way. Sending it again with the same
-- key settles it either way.

create or replace function credits_private.get_operation(
  p_idempotency_key text
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  security definer
  rows 1
  set search_path = ''
as $$
begin
  return query select * from credits_private.read_operation(credits_private.current_user_id(), p_idempotency_key);
end;
$$;

comment on function credits_private.get_operation(text) is
  'The body of public.get_operation: the same for the user of the token, with definer rights.';

revoke all on function credits_private.get_operation(text) from public, anon, authenticated, service_role;
grant execute on function credits_private.get_operation(text) to authenticated;

create or replace function public.get_operation(
  idempotency_key text
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  security invoker
  rows 1
  set search_path = ''
as $$
begin
  return query select * from credits_private.get_operation(idempotency_key);
end;
$$;

comment on function public.get_operation(text) is
  'The ledger row that this idempotency key wrote for the signed-in user, or no row. Raises PT401 not_authenticated.';

revoke all on function public.get_operation(text) from public, anon, authenticated, service_role;
grant execute on function public.get_operation(text) to authenticated;
