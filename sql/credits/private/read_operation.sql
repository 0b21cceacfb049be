-- read_operation: what became of a call whose answer was lost.
--
-- A row is final. No row is not: the first call may still be on its way, and sending it again with the
-- same key is what settles it.

create or replace function credits_private.read_operation(
  p_user_id uuid,
  p_idempotency_key text
)
  returns setof public.credit_transactions
  language plpgsql
  stable
  rows 1
  set search_path = ''
as $$
begin
  return query
  select t.*
  from public.credit_transactions as t
  where t.user_id = p_user_id
    and t.idempotency_key = p_idempotency_key;
end;
$$;

comment on function credits_private.read_operation(uuid, text) is
  'The ledger row that this key wrote, or no row.';

revoke all on function credits_private.read_operation(uuid, text) from public, anon, authenticated, service_role;
