-- get_operation_for: what became of a service's call for a user whose answer was lost. See get_operation.

create or replace function public.get_operation_for(
  user_id uuid,
  idempotency_key text
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  security definer
  rows 1
  set search_path = ''
as $$
begin
  return query select * from credits_private.read_operation(user_id, idempotency_key);
end;
$$;

comment on function public.get_operation_for(uuid, text) is
  'The ledger row that this idempotency key wrote for a user, or no row.';

revoke all on function public.get_operation_for(uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.get_operation_for(uuid, text) to service_role;
